"""What an adapter does to the keys of one attention call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from attnscope.attention import AttentionCall
from attnscope.correct.moda.gram import Step, mapped_keys
from attnscope.errors import ModelError, RequestError


def fused_keys(
    call: AttentionCall, row: int, order: Sequence[Step], r: Tensor, fuser: Tensor, settings: dict[str, str]
) -> list[tuple[Tensor, Tensor]]:
    """Keys (K + r * mapped K) W of one sample and side.

    Args:
        call: Attention call of a prefill.
        row: Of the batch.
        order: Tokens, and those whose Gram matrix maps them.
        r: [D].
        fuser: [D, D] W.
        settings: gram and norm, as in `ModaAlign`.

    Returns:
        Tokens [n] and their keys [H, n, D] in the type of the call's.
    """
    device = call.key.device
    own, value = call.key[row].float(), call.value[row].float()
    order = [(tokens.to(device), given.to(device)) for tokens, given in order]
    r, fuser = r.float().to(device), fuser.float().to(device)
    return [
        (tokens, ((own[:, tokens] + r * mapped) @ fuser.mT).to(call.key.dtype))
        for tokens, mapped in mapped_keys(own, value, order, settings["gram"], settings["norm"])
    ]


def put_back(
    call: AttentionCall, kept: Sequence[Sequence[tuple[Tensor, Tensor] | None]], *, first: int
) -> AttentionCall:
    """Put the prompt's fused keys in place of the cache's, which are the model's own.

    Args:
        call: A cached step.
        kept: Of each row, tokens [n] and fused keys [H, n, D] of each side.
        first: Token of the oldest key that a sliding cache still holds.
    """
    key = call.key.clone()
    for row, sides in enumerate(kept):
        for tokens, fused in (side for side in sides if side is not None):
            held = tokens >= first
            key[row, :, tokens[held] - first] = fused[:, held]
    return call.widened(call.query, key)


def check_call(call: AttentionCall, length: int, width: int) -> None:
    """Refuse what an adapter cannot follow.

    Raises:
        RequestError: If the layer is given other tokens than the model.
        ModelError: If keys or values have other widths than the parameters.
    """
    if call.query.shape[2] != length:
        raise RequestError(
            f"MODA adapter: the model was given {length} tokens, and layer {call.layer} {call.query.shape[2]}"
        )
    if (call.key.shape[-1], call.value.shape[-1]) != (width, width):
        raise ModelError(
            f"MODA adapter: layer {call.layer} has keys of {call.key.shape[-1]} and values of"
            f" {call.value.shape[-1]} channels, not {width} each"
        )


def head_width(module: Any, text: Any) -> int:
    """Channels of a head."""
    stated = getattr(module, "head_dim", None) or getattr(text, "head_dim", None)
    return int(stated or text.hidden_size // text.num_attention_heads)
