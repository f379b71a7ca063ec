"""Corrections bound to prompts of a model, and the plain run in which some of them look before they act."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnscope.attention import Edit, decoder_layers, tapped
from attnscope.capture.record.generate import collate, running
from attnscope.capture.run import layer_count
from attnscope.correct.apply.known import Captured
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.correct.look import Known
from attnscope.errors import RequestError
from attnscope.metrics.choosing.headlist import HeadList, caution, overlap
from attnscope.transformers_names import last_logits

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt
    from attnscope.scene import Scene


class _Scouting(threading.local):
    """Whether a scouting run is on in this thread: it is plain, whatever blocks are open around it."""

    on = False


scouting = _Scouting()


class PostponedError(Exception):
    """A correction has come as far as it can without running the model."""


def bind(
    model: LoadedModel,
    prompts: Prompt | Sequence[Prompt],
    corrections: Sequence[Correction],
    *,
    plain: str | Path | Known | None = None,
) -> list[Running]:
    """Bind corrections to a prompt of a model, or to those of a left-padded batch in its order.

    Args:
        model: The model.
        prompts: One or several prompts.
        corrections: In their order.
        plain: A plain capture of the one prompt: what corrections look at before they act is taken from it where it
            holds that, so that the plain model is not run.

    Raises:
        RequestError: If a correction does not apply to a scene or the model, or the capture is of something else.

    Example:
        >>> pair = attnscope.correct.bind(model, prompt, [social, attnscope.correct.Pai()])
        >>> [running.record()["method"] for running in pair]
        ['social-bias', 'pai']
    """
    several = prompts if isinstance(prompts, Sequence) else [prompts]
    if not several:
        raise RequestError("corrections need at least one prompt to be bound to")
    decoder = _decoder(model, partial(_scout, model, several), _known(model, several, corrections, plain))
    with torch.no_grad():
        running = [correction.bind(several, decoder) for correction in corrections]
    for one, correction in zip(running, corrections, strict=True):
        one.warnings = double_dipping(correction, [prompt.scene for prompt in several])
    return running


def _known(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    corrections: Sequence[Correction],
    plain: str | Path | Known | None,
) -> Known | None:
    """What a capture knows of the only prompt.

    Raises:
        RequestError: If there are several, or they are not what the plain model is shown.
    """
    if not isinstance(plain, (str, Path)):
        return plain
    refuse_shown(plain, corrections)
    if len(prompts) > 1:
        raise RequestError(f"{plain}: is a capture of one prompt, and corrections are bound to {len(prompts)}")
    return Captured.read(plain, model, prompts)[1]


def refuse_shown(plain: str | Path, corrections: Sequence[Correction]) -> None:
    """Refuse a plain capture where the model is shown something else.

    Raises:
        RequestError: If a correction changes what it is shown.
    """
    shown = [correction.method for correction in corrections if "prompt" in correction.changes]
    if shown:
        raise RequestError(f"{plain}: is of what the plain model is shown, which {shown[0]} changes")


def double_dipping(
    correction: Correction, scenes: Sequence[Scene], capture: str | Path | None = None
) -> list[list[str]]:
    """A caution for each scene that the heads of a correction were chosen on.

    Args:
        correction: With heads from a heads file, or it is about none.
        scenes: That it is tried on.
        capture: The capture that is corrected, if there is one.
    """
    heads = getattr(correction, "heads", None)
    if not isinstance(heads, HeadList):
        return [[] for _ in scenes]
    return [[caution(where)] if (where := overlap(heads, scene, capture)) else [] for scene in scenes]


def check_applies(model: LoadedModel, prompts: Prompt | Sequence[Prompt], corrections: Sequence[Correction]) -> None:
    """Refuse prompts that corrections do not apply to, as far as that can be said without running the model.

    Raises:
        NotApplicableError: If a scene lacks what a correction needs.
        RequestError: If the model does.
    """
    decoder = _decoder(model, postpone)
    for prompt in prompts if isinstance(prompts, Sequence) else [prompts]:
        for correction in corrections:
            try:
                correction.bind([prompt], decoder)
            except PostponedError:
                continue


def _decoder(model: LoadedModel, scout: Callable[[Sequence[Edit]], Tensor], known: Known | None = None) -> Decoder:
    return Decoder(
        layers=tuple(decoder_layers(model.model)),
        depth=layer_count(model),
        heads=int(model.text_config.num_attention_heads),
        id=model.id,
        config_sha256=model.config_sha256,
        scout=scout,
        weights=lambda: model.weights_sha256,
        known=known,
    )


def _scout(model: LoadedModel, prompts: Sequence[Prompt], edits: Sequence[Edit]) -> Tensor:
    """Run the plain model on the prompts under edits that only look; [B, vocabulary] logits after each."""
    inputs, _ = collate(prompts, model)
    was, scouting.on = scouting.on, True
    try:
        with running(model), torch.no_grad(), tapped(model.model, edits=edits):
            logits: Tensor = model.model(**inputs, use_cache=False, **last_logits(1)).logits
    finally:
        scouting.on = was
    return logits[:, -1].float()


def postpone(_edits: Sequence[Edit]) -> Tensor:
    """Stand in for a model that is not there to be run."""
    raise PostponedError
