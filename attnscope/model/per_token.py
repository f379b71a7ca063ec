"""Which inputs of a model hold one value for each token, so that they are padded, cut and moved as the tokens are.

Names do not tell: families bring their own (`moe_mm_token_type_ids` of ERNIE). The shape does, beside the prompt's
length N: [1, N], or [k, 1, N] where positions have k parts. Another input may have that shape by accident, such as the
mask of a clip's sound, so an input of an unfamiliar name is proven: the processor is run once more on a longer text,
and what does not grow with it is not per token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Enough by their shape, without the proof: the tokens, their mask, and the kinds of tokens of any family.
_PLAIN = ("input_ids", "attention_mask")
_KINDS = "token_type_ids"


def token_inputs(inputs: Mapping[str, Any], longer: Callable[[], Mapping[str, Any]] | None = None) -> tuple[str, ...]:
    """Names of the inputs of one prompt that hold one value for each token.

    Args:
        inputs: Tensors with a batch of 1, `input_ids` [1, N] among them.
        longer: Gives the inputs of the same prompt with more text, to prove inputs whose shape may be an accident;
            None to go by the shape alone.
    """
    alike = [name for name, value in inputs.items() if _fits(value, inputs["input_ids"])]
    doubtful = [name for name in alike if not _familiar(name)]
    if longer is None or not doubtful:
        return tuple(alike)
    more = longer()
    grown = {name for name in doubtful if name in more and _fits(more[name], more["input_ids"])}
    return tuple(name for name in alike if name in grown or name not in doubtful)


def _fits(value: Any, ids: Any) -> bool:
    """Whether the shape is [1, N] or [k, 1, N]."""
    shape = tuple(getattr(value, "shape", ()))
    return len(shape) in (2, 3) and shape[-2:] == tuple(ids.shape)


def _familiar(name: str) -> bool:
    return name in _PLAIN or name.endswith(_KINDS)
