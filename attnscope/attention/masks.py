"""Which pairs of one sample are allowed, in closed form where causal or sliding, counted without N x N."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnscope.attention.call import AttentionCall, allowed_pairs

_ROWS = 512
_ANCHORS = 32


@dataclass(frozen=True)
class SampleMask:
    """The mask of one sample's prefill, padding taken out.

    Attributes:
        kind: "causal", "sliding" or "explicit".
        window: Keys in the window, -1 unless sliding.
        explicit: Boolean [N, N] on the CPU if explicit, else None.
    """

    kind: str
    window: int = -1
    explicit: Tensor | None = None

    def block(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Allowed pairs [R, C] of some query positions and key positions."""
        if self.explicit is not None:
            return self.explicit[rows.cpu()][:, columns.cpu()].to(rows.device)
        seen = columns[None, :] <= rows[:, None]
        return seen if self.kind == "causal" else seen & (columns[None, :] > rows[:, None] - self.window)

    def span(self, rows: Tensor, length: int) -> tuple[int, int]:
        """The first key that any of some query positions sees, and the end of these keys: no row sees others.

        Args:
            rows: [R] positions, increasing; at least one.
            length: N.
        """
        if self.explicit is not None:
            return 0, length
        first = 0 if self.kind == "causal" else max(0, int(rows[0]) - self.window + 1)
        return first, int(rows[-1]) + 1

    def ragged(self, rows: Tensor, first: int, last: int) -> list[slice]:
        """The parts of the keys from `first` up to `last`, of `span`, that some of the rows see and others do not."""
        if self.explicit is not None:
            return [slice(first, last)]
        after = slice(min(int(rows[0]) + 1, last), last)
        if self.kind == "causal":
            return [after]
        return [slice(first, min(max(first, int(rows[-1]) - self.window + 1), after.start)), after]

    def counts(self, member: Tensor) -> Tensor:
        """How many allowed keys of each group every query has.

        Args:
            member: [G, N] 0/1.

        Returns:
            [N, G] int64.
        """
        if self.explicit is not None:
            weights = member.T.float()
            parts = [rows.to(weights.device).float() @ weights for rows in self.explicit.split(_ROWS)]
            return torch.cat(parts).round().long()
        total = member.T.long().cumsum(0)
        if self.kind == "sliding" and self.window < len(total):
            before = total.clone()
            before[: self.window] = 0
            before[self.window :] = total[: -self.window]
            return total - before
        return total

    def anchors(self, length: int, device: torch.device) -> Tensor:
        """A few keys of which each query sees at least one: their logits and joint mass give the log-sum-exp.

        The first key and others spread over the prompt; under a sliding window, two or more in each window.

        Args:
            length: N.
            device: Where the result lies.

        Returns:
            [A] key positions, increasing.
        """
        if self.kind == "sliding":
            return torch.arange(0, length, max(1, self.window // 2), device=device)
        spread: Tensor = torch.linspace(0, length - 1, _ANCHORS, device=device).round().long().unique()
        return spread


def classify(call: AttentionCall, sample: int, index: Tensor) -> SampleMask:
    """Recognise the mask of a prefill.

    A layer with a window is sliding even where the prompt is shorter: a long answer will leave the window.

    Args:
        call: The attention call.
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.

    Returns:
        Its mask; explicit only if it is neither sliding nor causal.
    """
    candidates = [SampleMask("causal")]
    if call.window is not None:
        candidates.insert(0, SampleMask("sliding", int(call.window)))
    if call.mask is None and call.causal:
        return candidates[0]
    columns = torch.arange(len(index), device=index.device)
    for part in columns.split(_ROWS):
        seen = _seen(call, sample, index, part)
        candidates = [c for c in candidates if torch.equal(c.block(part, columns), seen)]
        if not candidates:
            explicit = torch.cat([_seen(call, sample, index, rows).cpu() for rows in columns.split(_ROWS)])
            return SampleMask("explicit", explicit=explicit)
    return candidates[0]


def _seen(call: AttentionCall, sample: int, index: Tensor, rows: Tensor) -> Tensor:
    return allowed_pairs(call, sample, index[rows]).to(index.device)[:, index]


class MaskCache:
    """The masks of one sample, each recognised once, however many layers share it.

    Args:
        sample: Index in the batch.
        index: [N] places of the sample's tokens on the padded axis.
        member: [G, N] sets of keys to count the allowed ones of.

    Attributes:
        by_layer: The mask of each layer seen so far.
    """

    def __init__(self, sample: int, index: Tensor, member: Tensor) -> None:
        self.sample, self.index, self.member = sample, index, member
        self.by_layer: dict[int, SampleMask] = {}
        self._known: list[tuple[AttentionCall, SampleMask, Tensor]] = []

    def of(self, call: AttentionCall) -> SampleMask:
        """The sample's mask in a layer's prefill."""
        mask = self._entry(call)[1]
        self.by_layer[call.layer] = mask
        return mask

    def counts(self, call: AttentionCall) -> Tensor:
        """[N, G] how many allowed keys of each set every query has, int64."""
        return self._entry(call)[2]

    def _entry(self, call: AttentionCall) -> tuple[AttentionCall, SampleMask, Tensor]:
        for entry in self._known:
            if _same_mask(entry[0], call):
                return entry
        mask = classify(call, self.sample, self.index.to(call.query.device))
        known = replace(call.settings(), mask=call.mask)  # its mask stays: the next layers bring the same
        self._known.append((known, mask, mask.counts(self.member.to(call.query.device))))
        return self._known[-1]


def _same_mask(first: AttentionCall, second: AttentionCall) -> bool:
    """Whether two layers' prefills allow the same pairs; accelerate copies a mask for every device."""
    if (first.window, first.causal) != (second.window, second.causal):
        return False
    if first.mask is second.mask:
        return True
    if not (isinstance(first.mask, Tensor) and isinstance(second.mask, Tensor)):
        return False
    if first.mask.shape != second.mask.shape:
        return False
    return torch.equal(first.mask, second.mask.to(first.mask.device))
