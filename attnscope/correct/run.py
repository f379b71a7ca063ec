"""Corrections at work: around any code that calls the model, and as a re-run of a capture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from attnscope.attention import decoder_layers, tapped
from attnscope.capture.plan import Plan
from attnscope.capture.reader import Capture
from attnscope.capture.reader import open as open_capture
from attnscope.capture.run import Progress, capture, layer_count
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.errors import ModelError, RequestError, unusable_folder
from attnscope.scene import Sampling

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

# Mean difference of 8-bit values between a frame and its JPEG of quality 90: noise stays below, another film does not.
_JPEG_NOISE = 12.0


@contextmanager
def corrected(
    model: LoadedModel, prompts: Prompt | Sequence[Prompt], corrections: Sequence[Correction]
) -> Iterator[list[Running]]:
    """Run the model under corrections; leaving the block restores it exactly.

    Args:
        model: A loaded model.
        prompts: The prompt that the corrections are about (`attnscope.model.build_prompt`), or those of a left-padded
            batch (`attnscope.capture.generate.collate`) in its order. The model may be given each sample several times
            in a row, as beam search does, and more tokens after the prompts.
        corrections: Applied in order.

    Yields:
        The bound corrections, whose `records()` say afterwards what they did to each prompt (`record()`: to the only
        one).

    Raises:
        RequestError: If a correction does not apply to a scene or the model, or the model is given other prompts in
            the block.
    """
    running = bind(model, prompts, corrections)
    own = [prompt.inputs["input_ids"][0].cpu() for prompt in _several(prompts)]

    def same_prompts(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        given = kwargs.get("input_ids")
        if given is not None and given.shape[1] > 1 and not _begins_with(given.cpu(), own):
            raise RequestError(
                f"the corrections were bound to {_said(own)},"
                f" and the model is given {' x '.join(str(n) for n in given.shape)} others"
            )

    hook = model.model.register_forward_pre_hook(same_prompts, with_kwargs=True)
    try:
        with tapped(model.model, edits=running):
            yield running
    finally:
        hook.remove()


def bind(model: LoadedModel, prompts: Prompt | Sequence[Prompt], corrections: Sequence[Correction]) -> list[Running]:
    """Bind corrections to a prompt of a model, or to those of a left-padded batch in its order.

    Raises:
        RequestError: If a correction does not apply to a scene or the model.
    """
    decoder = Decoder(
        tuple(decoder_layers(model.model)), layer_count(model), int(model.text_config.num_attention_heads)
    )
    return [correction.bind(_several(prompts), decoder) for correction in corrections]


def _several(prompts: Prompt | Sequence[Prompt]) -> Sequence[Prompt]:
    several = prompts if isinstance(prompts, Sequence) else [prompts]
    if not several:
        raise RequestError("corrections need at least one prompt to be bound to")
    return several


def _begins_with(given: Tensor, own: Sequence[Tensor]) -> bool:
    """Whether ids [B', N'] are the prompts [N], left-padded to the longest, each repeated B' / B times, or go on."""
    padded = max(len(ids) for ids in own)
    copies, rest = divmod(len(given), len(own))
    if rest or given.shape[1] < padded:
        return False
    parts = [given[row * copies : (row + 1) * copies, padded - len(ids) : padded] for row, ids in enumerate(own)]
    return all(bool((part == ids).all()) for part, ids in zip(parts, own, strict=True))


def _said(own: Sequence[Tensor]) -> str:
    lengths = ", ".join(str(len(ids)) for ids in own)
    return f"one prompt of {lengths} tokens" if len(own) == 1 else f"{len(own)} left-padded prompts of {lengths} tokens"


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
        raise unusable_folder(path, error) from None
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
