"""`attnscope correct`: repeat a capture under a correction, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import (
    Force,
    Json,
    OutDir,
    Quiet,
    Speaker,
    Verify,
    option,
    print_json,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)

_OWN = "the method's own if not given"


def run(
    before: Annotated[Path, typer.Argument(metavar="CAPTURE", help="A plain capture (.h5).")],
    out: OutDir = Path("out"),
    method: Annotated[str, option("A correction; attnscope methods lists them.", "NAME")] = "social-bias",
    alpha: Annotated[float | None, option(f"Strength; 0 changes nothing; {_OWN}.", "NUMBER")] = None,
    threshold: Annotated[
        float | None, option(f"Least mean cross-modal attention of an active head; {_OWN}.", "NUMBER")
    ] = None,
    layers: Annotated[str | None, option(f"Numbers (10-19) or a range of depth (0.36-0.71); {_OWN}.", "LAYERS")] = None,
    negative: Annotated[
        str | None, option(f"Where the largest logit is negative: paper, clamp or gap; {_OWN}.", "RULE")
    ] = None,
    model: Annotated[
        str | None, option("Where the model is now; if not given, where the capture had it.", "MODEL")
    ] = None,
    speaker: Speaker = None,
    verify: Verify = True,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Repeat a capture under a correction and write after.h5 and a before/after report.

    The model, the scene and the frames are those of the capture; nothing is trained.

    Example: `attnscope correct run.h5 --method social-bias --alpha 1 -o out/`
    """
    setup_logging(quiet)
    after = out / "after.h5"
    refuse_existing(after, force)
    from attnscope.capture import open as open_capture
    from attnscope.correct import make, rerun
    from attnscope.report.inputs import subject

    correction = make(method, alpha=alpha, threshold=threshold, layers=layers, negative=negative)
    with open_capture(before) as cap:
        subject(cap, speaker)  # an unknown speaker is refused before the model runs
    quiet_transformers()
    with progress_bar(quiet) as progress:
        rerun(before, [correction], after, model=model, verify=verify, progress=progress).close()
    from attnscope.report.compare import compare

    summary = compare(before, after, out, speaker=speaker)
    print_json(summary.to_dict()) if json else print(summary.report)
