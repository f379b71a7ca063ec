"""One call of a model's attention function, as the seam sees it: tensors and the rule of which pairs are allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attnscope.errors import ModelError

Kernel = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class RowEdit:
    """A change of the logits of a few query rows that no channel can express.

    Attributes:
        rows: One a sample of the batch: [R] indices along the query axis, increasing; they may be none.
        change: Given the sample, some of its rows [r], their logits z [H, r, Nk] in float32 and the pairs that they
            may see, boolean [r, Nk], returns the logits that count instead; it must not write into z.
    """

    rows: Sequence[Tensor]
    change: Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Rescale:
    """Factors on the output that follow from readings of the same run of the kernel, all edits included.

    Attributes:
        channels: [B, 1 or Hkv, Nk, C] extra value columns.
        factor: Given the call as it ran and the readings of the columns [B, Nq, H, C], the factors [B, H, Nq].
    """

    channels: Tensor
    factor: Callable[[AttentionCall, Tensor], Tensor]


@dataclass(frozen=True)
class AttentionCall:
    """What a decoder layer hands to its attention kernel.

    Attributes:
        layer: Number of the layer in the model.
        query: [B, H, Nq, Dk], after position embedding and normalisation; edits may have appended channels.
        key: [B, Hkv, Nk, Dk], as read from the cache.
        value: [B, Hkv, Nk, Dv]; NaN in a call that was put together from stored queries and keys (`stored`).
        mask: As the backend takes it: None, 2-D padding, 4-D boolean or additive, or a flex BlockMask.
        scaling: Factor on the dot products.
        softcap: Logits become softcap * tanh(z / softcap); None for none.
        window: Sliding-window width in keys; None for none.
        sink_logits: [H] learned logits that take part in the denominator only; None for none.
        causal: Whether the kernel itself masks the future when `mask` does not.
        backend: Name of the attention implementation that will run.
        past: Tokens that the cache held before this forward pass, padding included; 0 in a prefill. A layer that keeps
            its last keys only, or a cache of a fixed length, has another number of keys.
        known: [B, H, Nq] factors on the kernel's output that are known before it runs, or None for 1.
        rescales: Further factors, which need readings of that run. Readings are taken before any factor.
        row_edits: Changes of whole rows, applied in order to the logits that channels leave; such rows are computed
            densely.
        kernel: (query, key, value) -> (output [B, Nq, H, width], weights or None): the model's own, under this mask.
        stored: Whether this is no call of a running model: there are no values.
        own_width: Channels of the model's own queries and keys, without what edits have appended; 0: as the values.
        read: Whether readers look at the call after its edits, so that it has to hold all that changes attention.
        lse: [B, H, Nq] log-sum-exp that the kernel itself has given, for what comes after it; None before, and of
            kernels that keep it to themselves. It knows nothing of row edits.
        output: [B, Nq, H, Dv] what the kernel has given, before any factor; None before it runs.
        shortcut: Computes that output, edits included, where an edit has learned what it takes already; None where the
            kernel has to run. A later change of queries, keys or rows drops it.
    """

    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Any
    scaling: float
    softcap: float | None
    window: int | None
    sink_logits: Tensor | None
    causal: bool
    backend: str
    past: int = 0
    known: Tensor | None = None
    rescales: tuple[Rescale, ...] = ()
    row_edits: tuple[RowEdit, ...] = ()
    kernel: Kernel | None = None
    stored: bool = False
    own_width: int = 0
    read: bool = False
    lse: Tensor | None = None
    output: Tensor | None = None
    shortcut: Callable[[], Tensor] | None = None

    @property
    def is_decode(self) -> bool:
        """Whether the queries follow tokens that a cache holds: one generated token, or several given at once."""
        return self.past > 0

    def factor_from(self, readings: Sequence[Tensor]) -> Tensor | None:
        """[B, H, Nq] all factors on the output, or None for 1, from the readings that each rescale asks for."""
        product = self.known
        for rescale, reading in zip(self.rescales, readings, strict=True):
            factor = rescale.factor(self, reading)
            product = factor if product is None else product * factor
        return product

    def settings(self) -> AttentionCall:
        """The same call without its queries, keys, values and mask, to keep after the layer has run."""
        empty = self.query.new_empty(0)
        bare = replace(self, query=empty, key=empty, value=empty, mask=None, kernel=None, lse=None, output=None)
        return replace(bare, known=None, rescales=(), row_edits=(), shortcut=None)

    def widened(self, query: Tensor, key: Tensor) -> AttentionCall:
        """The same call with other queries and keys (query-key channels appended)."""
        return replace(self, query=query, key=key, shortcut=None)

    def scaled(self, factor: Tensor) -> AttentionCall:
        """The same call with its output multiplied by factors [B, H, Nq], which come on top of those it has."""
        return replace(self, known=factor if self.known is None else self.known * factor)

    def rescaled(self, rescale: Rescale) -> AttentionCall:
        """The same call with its output multiplied by factors that its own readings give."""
        return replace(self, rescales=(*self.rescales, rescale))

    def with_rows(self, edit: RowEdit) -> AttentionCall:
        """The same call with one more change of rows."""
        return replace(self, row_edits=(*self.row_edits, edit), shortcut=None)

    def edited_rows(self, sample: int) -> Tensor:
        """[R] the rows of one sample that row edits change, increasing."""
        device = self.query.device
        rows = [edit.rows[sample].to(device) for edit in self.row_edits]
        return torch.cat(rows).unique() if rows else torch.empty(0, dtype=torch.long, device=device)


def allowed_pairs(call: AttentionCall, sample: int, rows: Tensor) -> Tensor:
    """Which keys some query rows of one sample may see.

    Args:
        call: The attention call.
        sample: Index in the batch.
        rows: [R] indices along the query axis.

    Returns:
        Boolean [R, Nk] on the device of the queries.

    Raises:
        ModelError: If the mask adds finite biases or differs between heads, which the seam cannot reproduce.
    """
    n_keys = call.key.shape[2]
    rows = rows.to(call.query.device)
    mask = call.mask
    if isinstance(mask, Tensor) and mask.dim() == 4:
        return _from_dense_mask(mask, sample, rows, n_keys)
    if hasattr(mask, "mask_mod"):
        keys = torch.arange(n_keys, device=rows.device)
        zero = torch.zeros((), dtype=torch.long, device=rows.device)
        seen: Tensor = mask.mask_mod(zero + sample, zero, rows[:, None], keys[None, :])
        return seen.expand(len(rows), n_keys)
    allowed = _from_positions(call, rows)
    if isinstance(mask, Tensor) and mask.dim() == 2:
        allowed = allowed & mask[sample, -n_keys:].bool()[None, :]
    elif mask is not None:
        raise ModelError(f"layer {call.layer}: attention mask of type {type(mask).__name__} is not supported")
    return allowed


def _from_dense_mask(mask: Tensor, sample: int, rows: Tensor, n_keys: int) -> Tensor:
    if mask.shape[1] != 1:
        raise ModelError("the attention mask differs between heads, which attnscope cannot reproduce")
    part = mask[sample % mask.shape[0], 0][:, :n_keys].index_select(0, rows.to(mask.device))
    if part.dtype == torch.bool:
        return part
    hidden = part <= torch.finfo(part.dtype).min / 2
    if bool(((part != 0) & ~hidden).any()):
        raise ModelError("the attention mask adds finite biases, which attnscope cannot reproduce")
    return ~hidden


def _from_positions(call: AttentionCall, rows: Tensor) -> Tensor:
    n_queries, n_keys = call.query.shape[2], call.key.shape[2]
    # SDPA aligns is_causal top-left (a prefill into a longer static cache); every other case is bottom-right.
    top_left = call.backend == "sdpa" and n_queries > 1
    position = rows if top_left else rows + (n_keys - n_queries)
    keys = torch.arange(n_keys, device=rows.device)
    allowed = torch.ones(len(rows), n_keys, dtype=torch.bool, device=rows.device)
    if call.causal:
        allowed &= keys[None, :] <= position[:, None]
    if call.window is not None and "flash" in call.backend:  # other backends state the window in the mask
        allowed &= keys[None, :] > position[:, None] - call.window
    return allowed
