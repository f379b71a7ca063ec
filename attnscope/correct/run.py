"""Corrections at work: around any code that calls the model, and as a re-run of a capture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.attention import Edit, decoder_layers, tapped
from attnscope.capture.generate import collate
from attnscope.capture.plan import Plan
from attnscope.capture.reader import Capture
from attnscope.capture.run import Progress, capture, layer_count
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.correct.recorded import Recorded
from attnscope.errors import RequestError, unusable_folder

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt


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
    several = _several(prompts)
    decoder = Decoder(
        layers=tuple(decoder_layers(model.model)),
        depth=layer_count(model),
        heads=int(model.text_config.num_attention_heads),
        id=model.id,
        config_sha256=model.config_sha256,
        scout=partial(_scout, model, several),
    )
    return [correction.bind(several, decoder) for correction in corrections]


def _scout(model: LoadedModel, prompts: Sequence[Prompt], edits: Sequence[Edit]) -> Tensor:
    """Run the plain model on the prompts under edits that only look; [B, vocabulary] logits after each."""
    inputs, _ = collate(prompts, model)
    with torch.inference_mode(), tapped(model.model, edits=edits):
        logits: Tensor = model.model(**inputs, use_cache=False, logits_to_keep=1).logits
    return logits[:, -1].float()


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
    recorded = Recorded.read(before, to="correct")
    if Path(out).resolve() == Path(before).resolve():
        raise RequestError(f"{out}: is the capture to be corrected; choose another folder")
    run = recorded.run
    fields = {k: v for k, v in run["plan"].items() if k not in ("readings", "layers")}
    with _folder(Path(out).parent):
        loaded = recorded.load(model)

        def correct(prompt: Prompt) -> Sequence[Running]:
            recorded.check(prompt)
            return bind(loaded, prompt, corrections)

        return capture(
            loaded,
            recorded.scene,
            out,
            plan=Plan(**fields, layers=tuple(recorded.layers)),
            sampling=recorded.sampling,
            max_new_tokens=run["max_new_tokens"],
            template=run["template"],
            verify=verify,
            correct=correct,
            progress=progress,
        )


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
