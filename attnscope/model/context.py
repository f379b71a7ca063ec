"""Prompts that are longer than what a model was made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attnscope.model.positions import last_position
from attnscope.transformers_names import context_window

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel

CONTEXT = "the prompt takes"  # how the sentence begins


def context_note(loaded: LoadedModel, inputs: Mapping[str, Any]) -> str | None:
    """What to say of a prompt that reaches beyond the model's context window; None if it does not.

    What counts is the last position, not the number of tokens: families that place visual tokens in time, height and
    width give many tokens few positions. A model with rotary positions computes something beyond its window too, so
    the prompt is not refused.

    Args:
        loaded: The model.
        inputs: Of one prompt, by name.

    Returns:
        One sentence with both numbers.
    """
    window = context_window(loaded.text_config)
    length = last_position(loaded.model, inputs) + 1
    if window is None or length <= window:
        return None
    return (
        f"{CONTEXT} {length:,} positions, and the model's context window has {window:,}; what the model does"
        " beyond it was never trained"
    )
