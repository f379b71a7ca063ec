"""Exact attention of a few rows, or to a few keys, in blocks that stay in the processor's cache.

The numbers are those of `attnscope.attention.dense`, in float32; what differs is the work. A row's log-sum-exp is known
from the kernel, so that one matrix product gives the logarithm of its attention; keys that a causal mask hides from all
rows of a block are left out; buffers are used again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnscope.attention.call import AttentionCall
from attnscope.attention.dense import dense_rows
from attnscope.attention.masks import SampleMask

_CACHED = 2**20  # bytes of one float32 block on a CPU: it is gone over several times
_ROWS = 96  # rows of all heads of a block on a CPU: enough for a fast product, few enough to follow a causal mask
_STREAMED = 128 * 2**20  # on a GPU, where starting a kernel costs more
_LN2 = math.log(2)  # logarithms of base 2 are kept: `exp2` takes a third of the time of `exp`
_HIDDEN = -1e4  # in place of -inf: its exponential is 0, and its product with 0 as well


@dataclass(frozen=True)
class RowBlock:
    """Some rows of some heads. Its weights are valid until the next block is asked for.

    Sums over weights are divided by `total` instead of the weights themselves, which are many more.

    Attributes:
        heads: Which heads, h of them.
        at: Which of the rows that were asked for, r of them.
        keys: Which keys, n of them; the rows see no others.
        weights: [h, r, n] float32, attention times `total`.
        total: [h, r] what the weights of a row are to be divided by; never 0.
        lse: [h, r] log of the softmax denominator.
        logarithm: [h, r, n] of the weights, to base 2; -10,000 stands for less.
    """

    heads: slice
    at: slice | Tensor
    keys: slice
    weights: Tensor
    total: Tensor
    lse: Tensor
    logarithm: Tensor

    @property
    def attention(self) -> Tensor:
        """[h, r, n] float32."""
        return self.weights / self.total[..., None]

    @property
    def entropy(self) -> Tensor:
        """[h, r] nats."""
        mean: Tensor = torch.linalg.vecdot(self.weights, self.logarithm) / self.total
        return (self.total.log() - _LN2 * mean).clamp(min=0)


def row_blocks(
    call: AttentionCall, sample: int, index: Tensor, rows: Tensor, mask: SampleMask, lse: Tensor | None = None
) -> Iterator[RowBlock]:
    """Exact attention of some rows of one sample to all of its keys, edits included.

    Args:
        call: The attention call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        rows: [R] positions to read, increasing.
        mask: The sample's mask.
        lse: [H, N] log-sum-exp of the rows, near enough for exp(z - lse) not to overflow; `total` is the row's own
            sum in any case. None to work it out.

    Yields:
        Blocks that together hold every head of every row once.
    """
    edited = torch.isin(index[rows], call.edited_rows(sample))
    if call.softcap is not None:
        edited = torch.ones_like(edited)
    slow, fast = edited.nonzero()[:, 0], (~edited).nonzero()[:, 0]
    yield from _slow_blocks(call, sample, index, rows, slow)
    if not len(fast):
        return
    own = lse.detach() if lse is not None and call.sink_logits is None else None
    for block in _fast_blocks(call, sample, index, rows[fast], mask, own):
        yield block if not len(slow) else RowBlock(**vars(block) | {"at": fast[block.at]})


def _fast_blocks(
    call: AttentionCall, sample: int, index: Tensor, rows: Tensor, mask: SampleMask, known: Tensor | None
) -> Iterator[RowBlock]:
    device, length, heads = call.query.device, len(index), call.query.shape[1]
    group = heads // call.key.shape[1]
    on_gpu = device.type == "cuda"
    together = heads if on_gpu else group  # heads of one block
    step = max(1, _STREAMED // (4 * together * length) if on_gpu else _ROWS // together)
    raw, weights = (
        torch.empty(together * min(step, len(rows)) * length, dtype=torch.float32, device=device) for _ in range(2)
    )
    key = taken(call.key[sample].detach(), index)
    queries = taken(call.query[sample].detach(), index[rows]).float()
    for head in range(0, heads, together):
        some = slice(head, head + together)
        keys = key[head // group : some.stop // group].float().transpose(1, 2)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            seen = slice(*mask.span(part, length))
            query = queries[some, start : start + step]
            shape = (together, len(part), seen.stop - seen.start)
            log, exp = (buffer[: torch.Size(shape).numel()].view(shape) for buffer in (raw, weights))
            base = torch.zeros(shape[:2], dtype=torch.float32, device=device) if known is None else known[some][:, part]
            torch.baddbmm(
                (base / -_LN2).reshape(len(keys), -1, 1),
                query.reshape(len(keys), -1, queries.shape[-1]),
                keys[..., seen],
                alpha=call.scaling / _LN2,
                out=log.view(len(keys), -1, shape[2]),
            )
            _hide(log, mask, part, seen, -torch.inf if known is None else _HIDDEN)
            if known is None:
                base = torch.logsumexp(log * _LN2, -1)
                if call.sink_logits is not None:
                    base = torch.logaddexp(base, call.sink_logits.detach().float()[some, None])
                log -= base.nan_to_num(neginf=0.0)[..., None] / _LN2
                log.clamp_(min=_HIDDEN)
            torch.exp2(log, out=exp)
            total = torch.ones_like(base)
            if known is not None:
                total = exp.sum(-1)  # 1, but for what rounding did to the kernel's log-sum-exp
                base = base + total.log()
                total.masked_fill_(total == 0, 1)  # rows that see no key
            yield RowBlock(some, slice(start, start + len(part)), seen, exp, total, base, log)


def _slow_blocks(call: AttentionCall, sample: int, index: Tensor, rows: Tensor, slow: Tensor) -> Iterator[RowBlock]:
    """Rows whose logits are no plain products: capped ones, and those that an edit changes."""
    done, heads, keys = 0, slice(0, call.query.shape[1]), slice(0, len(index))
    for part, z, attention, lse in dense_rows(call, sample, index[rows[slow]]):
        z, attention = z[..., index], attention[..., index]
        logarithm = ((z - lse[..., None]) / _LN2).nan_to_num(_HIDDEN).clamp(min=_HIDDEN)  # no number: sees no key
        yield RowBlock(heads, slow[done : done + len(part)], keys, attention, torch.ones_like(lse), lse, logarithm)
        done += len(part)


def column_blocks(
    call: AttentionCall, sample: int, index: Tensor, rows: Tensor, columns: Tensor, lse: Tensor, mask: SampleMask
) -> Iterator[tuple[slice | Tensor, slice, Tensor]]:
    """Exact attention of many rows of one sample to a few of its keys: exp(z - lse).

    Args:
        call: The attention call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        rows: [R] positions of queries, increasing.
        columns: [C] positions of keys, increasing.
        lse: [H, N] log-sum-exp of the rows.
        mask: The sample's mask.

    Yields:
        (which of the rows, which of the columns, attention [H, r, c]); columns that are left out get none.
    """
    edited = torch.isin(index[rows], call.edited_rows(sample))  # their logits are not these products
    slow, fast = edited.nonzero()[:, 0], (~edited).nonzero()[:, 0]
    done = 0
    for part, _, attention, _ in dense_rows(call, sample, index[rows[slow]]):
        yield slow[done : done + len(part)], slice(0, len(columns)), attention[..., index[columns]]
        done += len(part)
    if not len(columns) or not len(fast):
        return
    first, last = mask.span(rows[fast], len(index))
    columns = columns[: int((columns < last).sum())]  # those before `first` are few, and are left out below
    step = max(1, _CACHED // (4 * call.query.shape[1] * max(1, len(columns))))
    key = taken(call.key[sample], index[columns])
    for chosen in fast.split(step):
        part = rows[chosen]
        first, last = mask.span(part, len(index))
        seen = slice(*torch.searchsorted(columns, torch.tensor([first, last], device=columns.device)).tolist())
        z = _logits_of_few(call, taken(call.query[sample], index[part]), key[:, seen])
        z -= lse[:, part, None]
        z.masked_fill_(~mask.block(part, columns[seen]), _HIDDEN)
        yield chosen, seen, z.exp_()


def taken(tensor: Tensor, places: Tensor) -> Tensor:
    """Some places of the second axis, increasing; without a copy where they follow one another."""
    if not len(places):
        return tensor[:, :0]
    first, last = int(places[0]), int(places[-1])
    return tensor[:, first : last + 1] if last - first + 1 == len(places) else tensor[:, places]


def _logits_of_few(call: AttentionCall, query: Tensor, key: Tensor) -> Tensor:
    """[H, r, c] logits of many queries [H, r, D] to a few keys [Hkv, c, D]: here the keys are what is cheap to copy."""
    key = key.float().repeat_interleave(len(query) // len(key), 0)
    z = torch.bmm(query.float(), key.transpose(1, 2)).mul_(call.scaling)
    return z if call.softcap is None else torch.tanh(z / call.softcap) * call.softcap


def _hide(log: Tensor, mask: SampleMask, rows: Tensor, keys: slice, least: float) -> None:
    """Put a value, which is less than all others count, where a row does not see a key, in place."""
    for some in mask.ragged(rows, keys.start, keys.stop):
        columns = torch.arange(some.start, some.stop, device=rows.device)
        hidden = torch.zeros(len(rows), len(columns), device=rows.device)
        hidden.masked_fill_(~mask.block(rows, columns), -torch.inf)
        part = log[..., some.start - keys.start : some.stop - keys.start]
        part += hidden  # much faster than to fill places in
        part.clamp_(min=least)
