"""`python -m training`: train the embedded models."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from attnscope.errors import RequestError
from training.recipes import RECIPES

_DEVICES = ("auto", "cpu", "cuda")
# Freed memory is kept by the process, and idle threads sleep: training is faster so on small machines.
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
}


def main(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for states, curves and checkpoints.")] = Path(
        "training"
    ),
    model: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(RECIPES)}; both side by side if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    smoke: Annotated[bool, typer.Option("--smoke", help="The same path in under a minute; learns nothing.")] = False,
) -> None:
    """Train the embedded models, about two hours for both on two cores; run it again to go on after an interruption.

    Example: `python -m training -o training`
    """
    if device not in _DEVICES:
        raise RequestError(f'--device "{device}": choose from {", ".join(_DEVICES)}')
    if model is None:
        _both(out, device, smoke)
    elif model not in RECIPES:
        raise RequestError(f'--model "{model}": choose from {", ".join(RECIPES)}')
    else:
        _one(out / model, model, device, smoke)


def _both(out: Path, device: str, smoke: bool) -> None:
    """One process a model, each with its share of the cores."""
    share = str(max(1, (os.cpu_count() or 1) // len(RECIPES)))
    command = [sys.executable, "-m", "training", "-o", str(out), "--device", device]
    command += ["--smoke"] if smoke else []
    environment = os.environ | _ENVIRONMENT | {"OMP_NUM_THREADS": share}
    running = [subprocess.Popen([*command, "--model", name], env=environment) for name in RECIPES]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(max(codes))


def _one(work: Path, name: str, device: str, smoke: bool) -> None:
    import torch

    from training.training import train

    logger = logging.getLogger("attnscope")
    logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.setLevel(logging.INFO)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise RequestError('--device "cuda": torch sees no CUDA device')
    recipe = RECIPES[name].smoke() if smoke else RECIPES[name]
    print(train(recipe, work, device))


if __name__ == "__main__":
    try:
        typer.run(main)
    except RequestError as error:
        print(f"training: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
