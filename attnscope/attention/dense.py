"""The dense softmax in float32, row by row: exact for few queries, and the oracle of every other reading."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attnscope.attention.call import AttentionCall, Kernel, allowed_pairs

CHUNK_BYTES = 16 * 2**20  # of one float32 block of rows; a handful of such blocks live at a time


def logits(query: Tensor, key: Tensor, *, scaling: float, softcap: float | None = None) -> Tensor:
    """Scaled attention logits in float32, grouped-query attention expanded.

    Args:
        query: [H, R, D].
        key: [Hkv, N, D]; head h reads key head h // (H / Hkv).
        scaling: Factor on the dot products.
        softcap: Cap of the logits, or None.

    Returns:
        [H, R, N] float32.
    """
    heads, rows, width = query.shape
    kv_heads = key.shape[0]
    grouped = query.float().reshape(kv_heads, heads // kv_heads * rows, width)
    z = torch.matmul(grouped, key.float().transpose(1, 2)).mul_(scaling).reshape(heads, rows, -1)
    return z if softcap is None else torch.tanh(z / softcap) * softcap


def softmax(z: Tensor, allowed: Tensor, sink_logits: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Masked softmax and the log of its denominator.

    Args:
        z: [H, R, N] logits.
        allowed: Boolean [R, N] or [H, R, N].
        sink_logits: [H] logits that count in the denominator only.

    Returns:
        Attention [H, R, N] and lse [H, R]; rows with no allowed key are 0 and -inf.
    """
    z = z.masked_fill(~allowed, float("-inf"))
    lse = torch.logsumexp(z, dim=-1)
    if sink_logits is not None:
        lse = torch.logaddexp(lse, sink_logits.float()[:, None].expand_as(lse))
    return torch.exp(z - lse[..., None]).nan_to_num_(0.0), lse


def dense_attention(
    query: Tensor,
    key: Tensor,
    allowed: Tensor,
    *,
    scaling: float,
    softcap: float | None = None,
    sink_logits: Tensor | None = None,
) -> Tensor:
    """The whole map of one sample, [H, N, N] float32: the oracle of the tests, quadratic in memory.

    Args:
        query: [H, N, D].
        key: [Hkv, N, D].
        allowed: Boolean [N, N].
        scaling: Factor on the dot products.
        softcap: Cap of the logits, or None.
        sink_logits: [H], or None.

    Returns:
        [H, N, N] float32.
    """
    return softmax(logits(query, key, scaling=scaling, softcap=softcap), allowed, sink_logits)[0]


def dense_rows(call: AttentionCall, sample: int, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Exact rows of one sample, row edits included, in chunks whose size does not depend on the number of rows.

    Args:
        call: The attention call, edits included.
        sample: Index in the batch.
        rows: [R] indices along the query axis.

    Yields:
        (rows of the chunk [r], logits z [H, r, Nk], attention [H, r, Nk], lse [H, r]), all float32.
    """
    heads, n_keys = call.query.shape[1], call.key.shape[2]
    step = max(1, CHUNK_BYTES // (4 * heads * n_keys))
    key = call.key[sample]
    for part in rows.to(call.query.device).split(step) if len(rows) else ():
        z = logits(call.query[sample][:, part], key, scaling=call.scaling, softcap=call.softcap)
        allowed = allowed_pairs(call, sample, part)
        z = _edited(call, sample, part, z, allowed)
        attention, lse = softmax(z, allowed, call.sink_logits)
        yield part, z, attention, lse


def _edited(call: AttentionCall, sample: int, rows: Tensor, z: Tensor, allowed: Tensor) -> Tensor:
    for edit in call.row_edits:
        chosen = torch.isin(rows, edit.rows[sample].to(rows.device)).nonzero()[:, 0]
        if len(chosen):
            changed = edit.change(sample, rows[chosen], z[:, chosen], allowed[chosen])
            z = z.index_copy(1, chosen, changed)
    return z


def replace_rows(call: AttentionCall, kernel: Kernel) -> Kernel:
    """The kernel with the rows that row edits change computed densely, in float32, in place of its own.

    Args:
        call: The attention call; its queries and keys count, not those that the kernel is given.
        kernel: As in `AttentionCall`.
    """

    def run(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:
        rows = [call.edited_rows(sample) for sample in range(len(value))]
        if call.backend != "eager" and all(len(one) == query.shape[2] for one in rows):  # nothing is left to the kernel
            out, weights = query.new_empty(len(value), query.shape[2], query.shape[1], value.shape[-1]), None
        else:
            out, weights = kernel(query, key, value)
            out = out.clone()
        for sample, own_rows in enumerate(rows):
            for part, _, attention, _ in dense_rows(call, sample, own_rows):
                own = value[sample].float()  # [Hkv, Nk, width]
                grouped = attention.reshape(len(own), -1, attention.shape[-1])
                found = torch.matmul(grouped, own).reshape(attention.shape[0], len(part), -1)
                out[sample, part] = found.transpose(0, 1).to(out)
        return out, weights

    return run
