"""Corrections at work: around any code that calls the model, and as a re-run of a capture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from attnscope.attention import tapped
from attnscope.capture.plan import Plan
from attnscope.capture.reader import Capture
from attnscope.capture.reader import open as open_capture
from attnscope.capture.run import Progress, capture, layer_count
from attnscope.correct.base import Correction, Running
from attnscope.errors import ModelError, RequestError
from attnscope.scene import Sampling

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

# Mean difference of 8-bit values between a frame and its JPEG of quality 90: noise stays below, another film does not.
_JPEG_NOISE = 12.0


@contextmanager
def corrected(model: LoadedModel, prompt: Prompt, corrections: Sequence[Correction]) -> Iterator[list[Running]]:
    """Run the model under corrections; leaving the block restores it exactly.

    Args:
        model: A loaded model.
        prompt: The prompt that the corrections are about (`attnscope.model.build_prompt`).
        corrections: Applied in order.

    Yields:
        The bound corrections, whose `record()` says afterwards what they did.

    Raises:
        RequestError: If a correction does not apply to the scene, or the model is given another prompt in the block.
    """
    running = bind(model, prompt, corrections)
    ids = prompt.inputs["input_ids"]

    def same_prompt(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        given = kwargs.get("input_ids")
        if given is not None and given.shape[1] > 1 and not torch.equal(given[:, : ids.shape[1]].cpu(), ids.cpu()):
            shape = " x ".join(str(n) for n in given.shape)
            raise RequestError(
                f"the corrections were bound to one prompt of {ids.shape[1]} tokens,"
                f" and the model is given {shape} others"
            )

    hook = model.model.register_forward_pre_hook(same_prompt, with_kwargs=True)
    try:
        with tapped(model.model, edits=running):
            yield running
    finally:
        hook.remove()


def bind(model: LoadedModel, prompt: Prompt, corrections: Sequence[Correction]) -> list[Running]:
    """Bind corrections to a prompt of a model."""
    layers = layer_count(model)
    return [correction.bind(prompt, layers) for correction in corrections]


def rerun(
    before: str | Path,
    corrections: Sequence[Correction],
    out: str | Path,
    *,
    model: LoadedModel | str | Path | None = None,
    verify: bool = True,
    progress: Progress | None = None,
) -> Capture:
    """Repeat a capture under corrections: same model, scene, frames, prompt and plan.

    Args:
        before: The plain capture.
        corrections: Applied in order.
        out: The capture to write.
        model: The model, if it is not to be loaded again from where the capture had it.
        verify: As in `attnscope.capture`.
        progress: As in `attnscope.capture`.

    Returns:
        The opened capture.

    Raises:
        RequestError: If the model or the scene is no longer what was captured.
    """
    with open_capture(before) as cap:
        recorded, run, scene = cap.model, cap.run, cap.scene
        ids = cap.tokens["token_id"].to_numpy()[: cap.prompt_length].tolist()
        layers = [int(n) for n in cap.layers]
        shown = cap.frames.images
        if cap.correction:
            raise RequestError(
                f"{before}: was itself made under {cap.correction[0]['method']}; correct a plain capture"
            )
    if Path(out).resolve() == Path(before).resolve():
        raise RequestError(f"{out}: is the capture to be corrected; choose another folder")
    if not scene.video.exists():
        raise RequestError(f"{before}: its video is no longer at {scene.video}")
    fields = {k: v for k, v in run["plan"].items() if k not in ("readings", "layers")}
    with _folder(Path(out).parent):
        loaded = _load(before, model, recorded, run)
        if loaded.config_sha256 != recorded["config_sha256"]:
            raise RequestError(
                f"{before}: was captured with another configuration of {recorded['id']} than the one loaded"
            )

        def correct(prompt: Prompt) -> Sequence[Running]:
            if prompt.inputs["input_ids"][0].tolist() != ids:
                raise RequestError(
                    f"{before}: the prompt is no longer the one captured; the video, scene or processor has changed"
                )
            if _differ(prompt.frames.images, shown):
                raise RequestError(f"{before}: {scene.video} no longer shows the frames that were captured")
            return bind(loaded, prompt, corrections)

        return capture(
            loaded,
            scene,
            out,
            plan=Plan(**fields, layers=tuple(layers)),
            sampling=Sampling(**run["sampling"]),
            max_new_tokens=run["max_new_tokens"],
            template=run["template"],
            verify=verify,
            correct=correct,
            progress=progress,
        )


def _differ(now: npt.NDArray[np.uint8], stored: npt.NDArray[np.uint8]) -> bool:
    """Whether frames are others than the JPEGs of a capture, which are lossy and may be smaller."""
    if len(now) != len(stored):
        return True
    height, width = stored.shape[1:3]
    small = [np.asarray(Image.fromarray(frame).resize((width, height)), dtype=np.float32) for frame in now]
    return bool(np.abs(np.stack(small) - stored).mean((1, 2, 3)).max() > _JPEG_NOISE)


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder and those above it; if the block fails, take away what was made and stayed empty.

    Raises:
        RequestError: If it cannot be made.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{path}: cannot be used as the output folder: {(error.strerror or str(error)).lower()}"
        ) from None
    try:
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # not empty
                folder.rmdir()
        raise


def _load(
    before: str | Path, model: LoadedModel | str | Path | None, recorded: dict[str, Any], run: dict[str, Any]
) -> LoadedModel:
    from attnscope.model import load

    if model is not None and not isinstance(model, (str, Path)):
        return model
    was = str(recorded["id"])
    if model is None and Path(was).is_absolute() and not Path(was).exists():
        raise ModelError(f"{before}: its model is no longer at {was}; say where it is with --model")
    return load(str(model or was), **{k: v for k, v in run["load"].items() if k != "model"})
