"""A knockout at work: outputs of heads set to 0, or pairs cut by a bias through query-key channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, add_bias, allowed_pairs
from attnscope.correct.base import Correction, Running
from attnscope.correct.knockout.edges import Cut
from attnscope.correct.notes import Caution, counted
from attnscope.correct.placing import Placing

# In a row, cut keys keep at most N exp(d - CUT) of the attention, d = their largest logit less that of the kept keys.
# float32 ends near exp(-103): what is left is 0, not small, unless d is above 880.
CUT = 1000.0
_ROWS = 1024  # looked at in one go when asking which rows would lose all their keys


class RunningKnockout(Running):
    """A knockout bound to a left-padded batch; each prompt has heads and rows of its own.

    Attributes:
        settings: The correction.
        cuts: One a prompt: which tokens are cut from which keys.
        heads: One a prompt: the heads that are cut, by layer; empty for none.
        alone: One a prompt: rows of it, and of generated tokens, that would have lost all their keys and were left
            as they are, by layer.
    """

    def __init__(
        self, settings: Correction, cuts: Sequence[Cut], heads: Sequence[dict[int, list[int]]], warning: str = ""
    ) -> None:
        self.settings, self.warning = settings, warning
        self.cuts, self.heads = list(cuts), list(heads)
        self.whole = not cuts[0].keys.shape[1]
        self.alone: list[dict[int, int]] = [{} for _ in cuts]
        self._placing = Placing(settings.method, [cut.length for cut in cuts])
        self._layers = {layer for one in heads for layer in one}
        self._moved: dict[torch.device, list[Cut]] = {}

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Cut what is to be cut in this layer."""
        if call.layer not in self._layers:
            return call
        copies, first = self._placing(call)
        batch, heads, length, _ = call.query.shape
        cuts, device = self._on(call.query.device), call.query.device
        width = max(len(cut.keys) for cut in cuts)
        table = torch.zeros(batch, heads, length, width, device=device)
        member = torch.zeros(batch, call.key.shape[2], width, device=device)
        for sample in range(batch):
            number = sample // copies
            cut, chosen = cuts[number], self.heads[number].get(call.layer, [])
            if not chosen:
                continue
            group = self._at(cut.row, cut, call.query.shape[2], None if call.is_decode else 0, -1)
            rows = (group >= 0).nonzero()[:, 0]
            if not self.whole:
                keys = self._at(cut.keys, cut, call.key.shape[2], first, False)  # [G, Nk]
                member[sample, :, : len(keys)] = keys.T
                left = _left(call, sample, rows, ~keys[group[rows]])
                if sample == number * copies:  # copies of a prompt are equal
                    before = self.alone[number].get(call.layer, 0) if call.is_decode else 0
                    self.alone[number][call.layer] = before + int((~left).sum())
                rows = rows[left]
            which = torch.tensor(chosen, device=device)[:, None]
            table[sample, which, rows[None], group[rows].clamp(min=0)[None]] = 1.0
        if self.whole:
            return call.scaled(1 - table[..., 0])
        # A half-precision query holds CUT / scaling, if not with a tiny scaling
        return add_bias(call, table * -min(CUT, torch.finfo(call.query.dtype).max / 2 * call.scaling), member)

    def _at(self, values: Tensor, cut: Cut, positions: int, first: int | None, nothing: int) -> Tensor:
        """Entries of a prompt's tokens [..., N + 1] on an axis of a call.

        Args:
            values: [..., N + 1].
            cut: The prompt's.
            positions: Length of the axis.
            first: How many of the oldest tokens the axis does not hold; None if it holds a later token alone.
            nothing: The entry of padding.
        """
        if first is None:
            return values[..., -1:]
        own = torch.arange(positions, device=values.device) + first - (self._placing.padded - cut.length)
        return values[..., own.clamp(0, cut.length)].masked_fill(own < 0, nothing)

    def _on(self, device: torch.device) -> list[Cut]:
        if device not in self._moved:
            self._moved[device] = [cut.to(device) for cut in self.cuts]
        return self._moved[device]

    def records(self) -> list[dict[str, Any]]:
        """Method, parameters, heads that are cut, and what a user should know, one a prompt."""
        return [self.settings.record(heads, self._notes(number)) for number, heads in enumerate(self.heads)]

    def _notes(self, number: int) -> list[str]:
        cut, heads = self.cuts[number], self.heads[number]
        rows = int((cut.row[:-1] >= 0).sum())
        tokens = (
            f"{rows} of {counted(cut.length, 'prompt token')}{' and all later ones' if int(cut.row[-1]) >= 0 else ''}"
        )
        count = sum(map(len, heads.values()))
        be = "is" if count == 1 else "are"
        notes = [f"{counted(count, 'head')} in {counted(len(heads), 'layer')} {be} cut at {tokens}"]
        if self.warning:
            notes.append(Caution(self.warning))
        if self.whole:
            notes.append(Caution("their output is 0 there; their attention is recorded as it would have been"))
        alone = max(self.alone[number].values(), default=0)
        if alone:
            left = f"{'was' if alone == 1 else 'were'} left alone"
            notes.append(
                Caution(f"{counted(alone, 'token')} (in the layer with most) would have lost all keys and {left}")
            )
        return notes


def _left(call: AttentionCall, sample: int, rows: Tensor, kept: Tensor) -> Tensor:
    """Which rows [R] of a sample still see a key when only `kept` [R, Nk] are left."""
    parts = zip(rows.split(_ROWS), kept.split(_ROWS), strict=True)
    found = [(allowed_pairs(call, sample, part) & keep).any(1) for part, keep in parts]
    return torch.cat(found) if found else rows.bool()
