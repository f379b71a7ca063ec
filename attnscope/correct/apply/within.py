"""Corrections in force around any code that calls the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.attention import tapped
from attnscope.capture.run import DEFAULT_TEMPLATE
from attnscope.correct.apply.block import Corrected
from attnscope.correct.apply.bound import check_applies
from attnscope.correct.apply.prompted import prompted
from attnscope.correct.base import Correction
from attnscope.correct.registry import listed
from attnscope.errors import RequestError
from attnscope.scene import Sampling, Scene

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

UNKNOWN = ("refuse", "plain")


@contextmanager
def corrected(
    model: LoadedModel,
    scene_or_prompts: Prompt | Scene | str | Path | Sequence[Prompt | Scene | str | Path],
    corrections: Correction | Sequence[Correction],
    *,
    sampling: Sampling | None = None,
    template: str = DEFAULT_TEMPLATE,
    unknown: str = "refuse",
) -> Iterator[Corrected]:
    """Run the model under corrections; leaving the block restores it exactly.

    Any code may call the model in the block: `model.model(**batch)`, `generate` (with a cache, beams, several returned
    sequences), a `transformers.Trainer`, an evaluation harness. Each row of a batch is known by its token ids: it is
    one of the prompts, perhaps with more tokens after it, in any order, number and padding that the attention mask
    states. Whoever built the prompt, it is the one of a scene if its ids are those that attnscope builds
    (`attnscope.correct.prompted`); prompts with the same ids are told apart by their pixels, or by their order.

    Corrections are applied in their order: what the model is shown, then queries and keys, then rows of logits, then
    factors on outputs. A correction that looks at the plain model first costs one more prefill a batch.

    Args:
        model: A loaded model.
        scene_or_prompts: The prompts that may be met: a scene, the path of a scene.json, a prompt, or several of them.
            Of a scene the prompt is built as the corrections show it. All are kept in memory, with their pixels: of a
            large set, open a block for each part.
        corrections: One or several, applied in order.
        sampling: Which frames of a scene are shown; 8 uniform frames by default.
        template: How a turn of a scene is written, with {speaker} and {text}.
        unknown: What a batch of other prompts is: "refuse", an error, or "plain", run plain and counted.

    Yields:
        The corrections; their `records()` say what was done to each prompt that was run, and `prompts` are those that
        were built.

    Raises:
        RequestError: If a correction does not apply to a scene or the model, or the model is given other prompts in
            the block, or embeddings in place of token ids.
    """
    if unknown not in UNKNOWN:
        raise RequestError(f'unknown "{unknown}": choose from {", ".join(UNKNOWN)}')
    from attnscope.model import LoadedModel

    if not isinstance(model, LoadedModel):
        own = "a model of attnscope.load, or other code's in attnscope.model.around"
        raise RequestError(f"corrected needs {own}, not {type(model).__name__}")
    corrections = listed(corrections)
    given: Sequence[Prompt | Scene | str | Path] = (
        scene_or_prompts
        if isinstance(scene_or_prompts, Sequence) and not isinstance(scene_or_prompts, str)
        else [scene_or_prompts]
    )
    if not given:
        raise RequestError("corrections need at least one prompt to be bound to")
    prompts = [
        prompted(model, one, corrections, sampling, template) if isinstance(one, (Scene, str, Path)) else one
        for one in given
    ]
    check_applies(model, prompts, corrections)
    block = Corrected(model, prompts, corrections, unknown)
    hooks = [
        model.model.register_forward_pre_hook(block.before, with_kwargs=True),
        model.model.register_forward_hook(block.after, with_kwargs=True, always_call=True),
    ]
    try:
        with tapped(model.model, edits=block), block.generating.watched():
            yield block
    finally:
        for hook in hooks:
            hook.remove()
