"""What rows get from each of a few groups of keys, by one run of the kernel: biased by group without another one.

A bias b_g on the logits of the keys of a group g makes a row's output sum_g w_g O_g, with O_g the output of a softmax
over the keys of g alone and w_g = S_g e^{b_g} / sum_h S_h e^{b_h}, S_g being the row's mass on them (the mixture
identity; ours). The widest group is read by the model's kernel, whose values are set to 0 at all other keys: attention
is linear in the values, so this run gives S_w O_w, and S_w through a value channel. Keys of the other groups are few,
and their softmaxes are computed from queries and keys in float32. Nothing is the difference of two large numbers, and
no N x N map exists (docs/decisions/0042).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnscope.attention import (
    AttentionCall,
    RowEdit,
    allowed_pairs,
    channels,
    least_mass,
    logits,
    read_with_output,
)
from attnscope.attention.dense import replace_rows

FEW_KEYS = 1 / 4  # share of the keys up to which their columns cost less than one more run of the kernel
_CHUNK_BYTES = 2 * 2**20  # of one float32 block of columns, which is passed over several times


@dataclass(frozen=True)
class Parts:
    """The parts of a call's output, by group of keys.

    Attributes:
        call: The attention call.
        wide: Number of the group that the kernel has read.
        mass: [B, H, Nq, G] float32, what each row gives to each group.
        seen: Boolean [B, Nq, G], whether a row sees a key of a group.
        counts: [B, G] how many keys each group has.
        read: [B, Nq, H, Dv] the wide group's part of the output.
        others: By group, [B, H, Nq, Dv] float32: outputs of a softmax over its keys alone, 0 where a row sees none.
    """

    call: AttentionCall
    wide: int
    mass: Tensor
    seen: Tensor
    counts: Tensor
    read: Tensor
    others: dict[int, Tensor]

    @classmethod
    def of(cls, call: AttentionCall, groups: Tensor, seen: Tensor, rows: Tensor) -> Parts | None:
        """Run the kernel once, where that and the columns of few keys give the edited output.

        Args:
            call: The attention call of a prefill, edits so far included.
            groups: Boolean [B, Nk, G], a partition of the keys that any row may see.
            seen: Boolean [B, Nq, G], whether a row sees a key of a group.
            rows: Boolean [B, Nq], the rows that a bias is meant for.

        Returns:
            None where another way is cheaper or the only one: few rows or many keys beside the widest group, a
            gradient, logits that are capped or belong to edited rows, sinks that take part without a key, a backend
            that returns maps.
        """
        counts = groups.sum(1)  # [B, G]
        wide = int(counts.sum(0).argmax())
        columns = int((counts.sum(1) - counts[:, wide]).max())
        apart = call.row_edits or call.softcap is not None or call.sink_logits is not None or call.is_decode
        learns = any(part.requires_grad for part in (call.query, call.key, call.value))
        if apart or learns or call.kernel is None or call.backend == "eager":
            return None
        if columns > FEW_KEYS * groups.shape[1] or int(rows.sum()) <= channels.DENSE_SHARE * rows.numel():
            return None
        two = torch.stack([groups[..., wide], groups.any(-1) & ~groups[..., wide]], -1).to(call.value)  # [B, Nk, 2]
        own = replace(call, value=call.value * two[:, None, :, :1])
        read, _, both = read_with_output(own, call.kernel, two[:, None].expand(-1, call.key.shape[1], -1, -1))
        mass = torch.zeros(*call.query.shape[:3], groups.shape[-1], device=call.query.device)
        mass[..., wide] = both[..., 0].transpose(1, 2)
        others = [group for group in range(groups.shape[-1]) if group != wide]
        outs = {group: torch.zeros(*call.query.shape[:3], call.value.shape[-1], device=mass.device) for group in others}
        for sample in range(len(groups)):
            keys = [groups[sample, :, group].nonzero()[:, 0] for group in others]
            beside = both[sample, :, :, 1].T.float()  # [H, Nq]
            for part, sums, found in _columns(call, sample, keys):
                whole = torch.logsumexp(sums, 0).masked_fill(sums.isneginf().all(0), 0.0)
                for group, total, out in zip(others, sums, found, strict=True):
                    mass[sample, :, part, group] = beside[:, part] * torch.exp(total - whole)
                    outs[group][sample, :, part] = out
        return cls(call, wide, mass, seen, counts, read, outs)

    def biased(self, call: AttentionCall, table: Tensor) -> AttentionCall:
        """The call under a bias, with the output that it gives where it is known.

        Args:
            call: This call with the bias in its queries and keys, of which rows are computed that the kernel cannot
                read.
            table: [B, H, Nq, G] the bias of every row towards every group.
        """
        lost = self._lost(table)
        if int(lost.sum()) > channels.DENSE_SHARE * lost.numel():
            return call
        return replace(call, shortcut=lambda: self._output(call, table, lost))

    def _lost(self, table: Tensor) -> Tensor:
        """[B, Nq] biased rows whose mass on a group that they see is below the kernel's precision."""
        least = [[least_mass(self.call.value.dtype, n) for n in own] for own in self.counts.tolist()]
        faint = self.mass < torch.tensor(least, device=self.mass.device)[:, None, None]  # [B, H, Nq, G]
        faint &= self.seen[:, None]
        return (faint.any(-1) & (table != 0).any(-1)).any(1)

    def _output(self, call: AttentionCall, table: Tensor, lost: Tensor) -> Tensor:
        """[B, Nq, H, Dv] the output under the bias; rows that are lost from their logits."""
        factors = torch.exp(table - table.amax(-1, keepdim=True))
        total = (self.mass * factors).sum(-1, keepdim=True)
        unbiased = (table == 0).all(-1, keepdim=True)
        factors = torch.where(unbiased, 1.0, factors / total).nan_to_num(0.0, 0.0, 0.0)  # [B, H, Nq, G]
        out = self.read.transpose(1, 2) * factors[..., self.wide, None]
        for group, other in self.others.items():
            out = out + other * (self.mass[..., group] * factors[..., group])[..., None]
        found = out.transpose(1, 2).to(self.read).contiguous()
        if not lost.any():
            return found
        edit = RowEdit([rows.nonzero()[:, 0] for rows in lost], lambda _sample, _rows, z, _allowed: z)
        return replace_rows(call.with_rows(edit), lambda *_: (found, None))(call.query, call.key, call.value)[0]


def _columns(
    call: AttentionCall, sample: int, keys: Sequence[Tensor]
) -> Iterator[tuple[slice, Tensor, Sequence[Tensor]]]:
    """Softmaxes of all rows of a sample over groups of keys, each group by itself, a block of rows at a time.

    Args:
        call: The attention call.
        sample: Index in the batch.
        keys: By group, the places of its keys.

    Yields:
        The rows r, the log-sum-exps [groups, H, r], -inf where a row sees no key of the group, and by group the outputs
        [H, r, Dv], 0 there.
    """
    query, (heads, length) = call.query[sample], call.query.shape[1:3]
    every = torch.cat(list(keys))
    key, values = call.key[sample][:, every], [call.value[sample][:, own].float() for own in keys]
    step = max(1, _CHUNK_BYTES // (4 * heads * max(1, len(every))))
    for start in range(0, length, step):
        part = slice(start, min(start + step, length))
        z = logits(query[:, part], key, scaling=call.scaling)
        z.masked_fill_(~_allowed(call, sample, part, every), -torch.inf)
        sums, outs = [], []
        for own, value in zip(z.split([len(one) for one in keys], -1), values, strict=True):
            if not own.shape[-1]:
                sums.append(own.new_full(own.shape[:2], -torch.inf))
                outs.append(own.new_zeros(*own.shape[:2], value.shape[-1]))
                continue
            peak = own.amax(-1, keepdim=True)
            weight = torch.exp(own - peak.masked_fill(peak.isneginf(), 0.0))
            total = weight.sum(-1)
            grouped = weight.reshape(len(value), -1, weight.shape[-1])  # by key head [Hkv, H / Hkv * r, keys]
            out = torch.matmul(grouped, value).reshape(heads, own.shape[1], -1)
            sums.append(peak[..., 0] + torch.log(total))
            outs.append(out / total.clamp(min=torch.finfo(total.dtype).tiny)[..., None])
        yield part, torch.stack(sums), outs


def _allowed(call: AttentionCall, sample: int, part: slice, keys: Tensor) -> Tensor:
    """Boolean [r, K], which of some keys a block of rows may see; without a mask no row of all keys is formed."""
    rows = torch.arange(part.start, part.stop, device=keys.device)
    if call.mask is None and call.causal and call.window is None and call.query.shape[2] == call.key.shape[2]:
        return keys[None] <= rows[:, None]
    return allowed_pairs(call, sample, rows)[:, keys]
