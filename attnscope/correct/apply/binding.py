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
from attnscope.capture.run import DEFAULT_TEMPLATE, layer_count
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.errors import RequestError
from attnscope.metrics.choosing.headlist import HeadList, caution, overlap
from attnscope.scene import Frames, Sampling, Scene, read_scene_frames
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


def bind(model: LoadedModel, prompts: Prompt | Sequence[Prompt], corrections: Sequence[Correction]) -> list[Running]:
    """Bind corrections to a prompt of a model, or to those of a left-padded batch in its order.

    Raises:
        RequestError: If a correction does not apply to a scene or the model.

    Example:
        >>> pair = attnscope.correct.bind(model, prompt, [social, attnscope.correct.Pai()])
        >>> [running.record()["method"] for running in pair]
        ['social-bias', 'pai']
    """
    several = prompts if isinstance(prompts, Sequence) else [prompts]
    if not several:
        raise RequestError("corrections need at least one prompt to be bound to")
    decoder = _decoder(model, partial(_scout, model, several))
    with torch.no_grad():
        running = [correction.bind(several, decoder) for correction in corrections]
    for one, correction in zip(running, corrections, strict=True):
        one.warnings = double_dipping(correction, [prompt.scene for prompt in several])
    return running


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


def _decoder(model: LoadedModel, scout: Callable[[Sequence[Edit]], Tensor]) -> Decoder:
    return Decoder(
        layers=tuple(decoder_layers(model.model)),
        depth=layer_count(model),
        heads=int(model.text_config.num_attention_heads),
        id=model.id,
        config_sha256=model.config_sha256,
        scout=scout,
        weights=lambda: model.weights_sha256,
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


# The prompt of a scene as corrections have the model see it.


def prompted(
    model: LoadedModel,
    scene: Scene | str | Path,
    corrections: Sequence[Correction] = (),
    sampling: Sampling | None = None,
    template: str = DEFAULT_TEMPLATE,
    *,
    frames: Frames | None = None,
) -> Prompt:
    """Build the prompt of a scene under corrections; most change nothing here, some what the model is shown.

    Args:
        model: A loaded model.
        scene: A scene, or the path of a scene.json.
        corrections: Asked in order, each for what it makes of the scene and frames of the one before.
        sampling: Which frames to show; 8 uniform frames by default.
        template: How a turn is written, with {speaker} and {text}.
        frames: The plain frames of the scene, where they are read already.

    Raises:
        NotApplicableError: If the scene lacks what a correction shows.
        RequestError: If the scene, its video or the template is wrong.

    Example:
        >>> attnscope.correct.prompted(model, "scene.json").text == prompt.text
        True
    """
    from attnscope.model import build_prompt
    from attnscope.model.render import check_template

    check_template(template)
    scene = scene if isinstance(scene, Scene) else Scene.read(Path(scene))
    frames = read_scene_frames(scene, sampling or Sampling()) if frames is None else frames
    for correction in corrections:
        scene, frames = correction.show(scene, frames)
    return build_prompt(model, scene, frames, template=template)
