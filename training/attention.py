"""Attention functions for training: written as products of matrices, which CPUs do fast in bfloat16.

Packed questions leave out the pairs that their mask would hide. A row of a batch is a prefix of P tokens and K
questions of S tokens each. A prefix token sees the prefix before it; a question's token sees the whole prefix and its
own question before it. The dense equivalent is `PackedMask.mask`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PACKED, PLAIN = "attnscope_packed", "attnscope_plain"


@dataclass(frozen=True)
class PackedMask:
    """Sizes of a packed batch.

    Attributes:
        prefix: P.
        questions: K.
        length: S.
        real: Boolean [B, P], False on the prefix's padding (at its end).
    """

    prefix: int
    questions: int
    length: int
    real: Tensor

    def mask(self) -> Tensor:
        """Boolean [B, 1, L, L] with L = P + K * S: the same pairs, densely."""
        width = self.prefix + self.questions * self.length
        place = torch.arange(width, device=self.real.device)
        segment = torch.where(place < self.prefix, 0, (place - self.prefix) // self.length + 1)
        seen = ((segment == 0) | (segment == segment[:, None])) & (place <= place[:, None])
        keys = torch.nn.functional.pad(self.real, (0, width - self.prefix), value=True)
        return (seen & (keys[:, None] | (segment == 0)[:, None]))[:, None]


def attend(
    _module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: PackedMask, scaling: float, **_kwargs: Any
) -> tuple[Tensor, None]:
    """An attention function of transformers' registry; `attention_mask` is the layout.

    Args:
        _module: The attention layer.
        query: [B, H, P + K * S, d].
        key: [B, Hkv, P + K * S, d].
        value: [B, Hkv, P + K * S, d].
        attention_mask: The layout.
        scaling: Factor on the dot products.

    Returns:
        [B, P + K * S, H, d] and None.
    """
    p, k, s = attention_mask.prefix, attention_mask.questions, attention_mask.length
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    query = query * scaling
    b, h, _, d = query.shape
    scores = query[:, :, :p] @ key[:, :, :p].transpose(-1, -2)
    first = (scores + _hidden(p, scores)).softmax(-1).to(value.dtype) @ value[:, :, :p]
    own_q, own_k, own_v = (x[:, :, p:].reshape(b, h, k, s, d) for x in (query, key, value))
    to_prefix = (query[:, :, p:] @ key[:, :, :p].transpose(-1, -2)).reshape(b, h, k, s, p)
    padding = torch.zeros_like(attention_mask.real, dtype=scores.dtype).masked_fill(~attention_mask.real, -1e9)
    to_own = own_q @ own_k.transpose(-1, -2)
    scores = torch.cat([to_prefix + padding[:, None, None, None], to_own + _hidden(s, scores)], -1)
    weights = scores.softmax(-1).to(value.dtype)
    rest = weights[..., :p].reshape(b, h, k * s, p) @ value[:, :, :p]
    rest = rest + (weights[..., p:] @ own_v).reshape(b, h, k * s, d)
    return torch.cat([first, rest], 2).transpose(1, 2).contiguous(), None


def _hidden(width: int, like: Tensor) -> Tensor:
    """0 on the past and -1e9 on the future, [width, width]: twice as fast as filling."""
    return torch.full((width, width), -1e9, dtype=like.dtype, device=like.device).triu(1)


def attend_plain(
    _module: Any, query: Tensor, key: Tensor, value: Tensor, scaling: float, **_kwargs: Any
) -> tuple[Tensor, None]:
    """Attention without a mask, for the vision tower; arguments and result as in `attend`."""
    weights = ((query * scaling) @ key.transpose(-1, -2)).softmax(-1).to(value.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), None


@contextmanager
def training_attention(model: Any) -> Iterator[None]:
    """Run the decoder on packed batches and the tower without a fused kernel; restored on leaving."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS[PACKED], ALL_ATTENTION_FUNCTIONS[PLAIN] = attend, attend_plain
    parts: dict[Any, str] = {model.model.language_model: PACKED, model.model.visual: PLAIN}
    before = {part: part.config._attn_implementation for part in parts}
    for part, name in parts.items():
        part.set_attn_implementation(name)
    try:
        yield
    finally:
        for part, name in before.items():
            part.set_attn_implementation(name)
        del ALL_ATTENTION_FUNCTIONS[PACKED], ALL_ATTENTION_FUNCTIONS[PLAIN]
