"""The two channels: extra value columns that read attention exactly, extra query-key columns that change it exactly.

Value channels (ours): attention is linear in the values, so softmax(QK)[V | E] = [output | E-weighted masses] in one
fused call, and no N x N map exists. Query-key channels (ours): a logit bias that depends on the key only through
groups of keys, b_i . e_j, is a dot product, so [Q | B / scaling] [K | E]^T gives scaling * QK^T + B E^T, under any
fused kernel and mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from attnscope.attention.call import AttentionCall, Kernel, RowEdit
from attnscope.attention.dense import dense_rows, replace_rows

# Fused kernels take head widths up to 256, in multiples of 8; wider falls back to slow or quadratic code.
MAX_WIDTH = 256
MULTIPLE = 8
# Rows that are few enough are read densely: a dense row costs several of a fused kernel's.
DENSE_SHARE = 1 / 8
SURE = 16  # a mass counts as read well if it is this many times what rounding of each key's weight can take from it


def add_bias(call: AttentionCall, table: Tensor, member: Tensor) -> AttentionCall:
    """Add table[b, h, i, g(j)] to the logits, summed over the groups g that key j belongs to.

    Args:
        call: The attention call; must have no softcap (tanh would bend the bias).
        table: [B, H, Nq, G] bias of every query towards every key group.
        member: [B, Nk, G] 0/1 (or weights).

    Returns:
        The call with G channels (2 G in half precision) appended to queries and keys; in a decoding step that nothing
        reads, the call with its one row edited, which copies no keys.
    """
    if _is_lone_step(call):
        return call.with_rows(_added(call, table, member))
    query, key = call.query, call.key
    exact = table.float() / call.scaling
    extra_q, extra_k = exact.to(query.dtype), member[:, None].to(key.dtype).expand(-1, key.shape[1], -1, -1)
    if query.dtype != torch.float32:  # what rounding took off goes into a second channel
        extra_q = torch.cat([extra_q, (exact - extra_q.float()).to(query.dtype)], -1)
        extra_k = torch.cat([extra_k, extra_k], -1)
    return call.widened(torch.cat([query, extra_q], -1), torch.cat([key, extra_k], -1))


def _is_lone_step(call: AttentionCall) -> bool:
    """Whether a call has one query, and nothing that comes after it needs channels: another row edit, readers, maps."""
    alone = call.is_decode and call.query.shape[2] == 1 and not (call.read or call.row_edits)
    return alone and call.softcap is None and call.backend != "eager" and not call.query.requires_grad


def _added(call: AttentionCall, table: Tensor, member: Tensor) -> RowEdit:
    """The bias of `add_bias` on the logits of the one row."""
    first = torch.zeros(1, dtype=torch.long, device=call.query.device)

    def change(sample: int, _rows: Tensor, z: Tensor, _allowed: Tensor) -> Tensor:
        return z + table[sample].float() @ member[sample].float().T  # [H, 1, Nk]

    return RowEdit([first] * len(call.query), change)


def read_with_output(call: AttentionCall, kernel: Kernel, channels: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """Run the kernel once on [V | channels], again on what does not fit its width.

    Args:
        call: The attention call.
        kernel: (query, key, value) -> (output [B, Nq, H, width], weights or None); the model's own fused attention.
        channels: [B, Hkv, Nk, C] extra value columns; C may be 0.

    Returns:
        The layer's output [B, Nq, H, Dv], the kernel's weights if it gives any, and the readings [B, Nq, H, C].
    """
    v_width = call.value.shape[-1]
    first = max(0, MAX_WIDTH - v_width)
    head, rest = channels[..., :first], channels[..., first:]
    out, weights = _padded(call, kernel, torch.cat([call.value, head], -1) if head.shape[-1] else call.value)
    parts = [out[..., v_width:]]
    for block in rest.split(MAX_WIDTH, dim=-1) if rest.shape[-1] else ():
        parts.append(_padded(call, kernel, block)[0])
    return out[..., :v_width].contiguous(), weights, torch.cat(parts, -1)


def masses(call: AttentionCall, member: Tensor, rows: Tensor | None = None) -> Tensor:
    """Attention of queries to groups of keys, edits so far included: one more run of the kernel, or a few dense rows.

    Args:
        call: The attention call.
        member: [B, Nk, G] 0/1 (or weights).
        rows: Boolean [B, Nq], the queries that are asked for; None for all. What the others get is not defined.

    Returns:
        [B, H, Nq, G] float32.
    """
    # In training dense rows would be kept for the gradient, all of them at once
    few = rows is not None and (call.query.shape[2] == 1 or int(rows.sum()) <= DENSE_SHARE * rows.numel())
    if rows is not None and few and not call.query.requires_grad:
        return _masses_of_rows(call, member.float(), rows)
    return read_columns(call, member[:, None]).transpose(1, 2).float()


def least_mass(dtype: torch.dtype, keys: int) -> float:
    """The least mass on a group of keys that a kernel reads well (ours): it rounds the weight of each key by itself.

    Weights below the normal numbers of float32 and bfloat16 are lost; in float16 they come in steps of 6e-8.

    Args:
        dtype: Dtype of the values.
        keys: How many the group has.
    """
    info = torch.finfo(dtype)
    step = info.smallest_normal * (info.eps if dtype == torch.float16 else 1)
    return max(2 * info.smallest_normal, SURE * keys * step)


def read_columns(call: AttentionCall, channels: Tensor) -> Tensor:
    """What value columns read, edits so far included, by one more run of the kernel.

    Args:
        call: The attention call.
        channels: [B, 1 or Hkv, Nk, C].

    Returns:
        [B, Nq, H, C].
    """
    if call.kernel is None:
        raise ValueError("this call came without its kernel")
    kernel = replace_rows(call, call.kernel) if call.row_edits else call.kernel
    columns = channels.to(call.value).expand(-1, call.key.shape[1], -1, -1)
    return torch.cat([_padded(call, kernel, block)[0] for block in columns.split(MAX_WIDTH, dim=-1)], -1)


def output_factor(call: AttentionCall) -> Tensor | None:
    """[B, H, Nq] all factors on a call's output, or None for 1; for each rescale the kernel runs once more."""
    return call.factor_from([read_columns(call, rescale.channels) for rescale in call.rescales])


def _masses_of_rows(call: AttentionCall, member: Tensor, rows: Tensor) -> Tensor:
    readings = torch.zeros(*call.query.shape[:3], member.shape[-1], device=call.query.device)
    for sample in range(len(rows)):
        for part, _, attention, _ in dense_rows(call, sample, rows[sample].nonzero()[:, 0]):
            readings[sample][:, part] = attention @ member[sample].to(attention.device)
    return readings


def _padded(call: AttentionCall, kernel: Kernel, value: Tensor) -> tuple[Tensor, Tensor | None]:
    """Zero-pad queries, keys and values to one width: fused kernels want them equal."""
    query, key, width = call.query, call.key, value.shape[-1]
    if query.shape[-1] == width:
        return kernel(query, key, value)
    common = -(-max(query.shape[-1], width) // MULTIPLE) * MULTIPLE
    out, weights = kernel(*(pad(x, (0, common - x.shape[-1])) for x in (query, key, value)))
    return out[..., :width], weights
