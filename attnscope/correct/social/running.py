"""The social bias at work: heads chosen, strengths measured, the bias appended as query-key channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, add_bias
from attnscope.correct.base import Decoder, Running
from attnscope.correct.heads.scores import blind, measure
from attnscope.correct.heads.selection import Chosen, of_even
from attnscope.correct.notes import Caution, counted
from attnscope.correct.placing import Placing
from attnscope.correct.social.rows import Drawn
from attnscope.layers import select_layers

if TYPE_CHECKING:
    from attnscope.correct.social.bias import SocialBias

# What a negative largest logit means under each rule of `negative`.
_EFFECTS = {
    "paper": "there the published bias lowers attention",
    "clamp": "no bias there",
    "gap": "bias from the gap",
}


class RunningSocialBias(Running):
    """The bias bound to a left-padded batch; its state is what the heads did.

    Attributes:
        drawn: One a prompt: which tokens are drawn to which cells.
        active: One a prompt: the heads that are biased, by layer.
        negative: One a prompt: biased rows of the prompt whose largest logit is negative, and all such rows, by layer.
        blind: One a prompt: rows of the prompt that see none of the cells they are drawn to, by layer with heads.
    """

    def __init__(
        self, settings: SocialBias, drawn: Sequence[Drawn], chosen: Sequence[Chosen], decoder: Decoder
    ) -> None:
        self.settings, self.drawn, self.chosen = settings, list(drawn), list(chosen)
        self.layers = {layer for one in chosen for layer in one.heads or ()}
        if any(one.heads is None for one in chosen):
            self.layers = set(select_layers(settings.layers, decoder.layers, decoder.depth))
        self.active: list[dict[int, list[int]]] = [{} for _ in drawn]
        self.negative: list[dict[int, tuple[int, int]]] = [{} for _ in drawn]
        self.blind: list[dict[int, int]] = [{} for _ in drawn]
        self._placing = Placing(settings.method, [one.length for one in drawn])
        self._moved: dict[torch.device, list[Drawn]] = {}

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Choose the heads of a prompt from this very call (dynamic selection), then bias them; later tokens follow."""
        if call.layer not in self.layers or self.settings.alpha == 0:
            return call
        if call.is_decode and self.drawn[0].answer < 0:
            return call  # the paper's U holds prompt tokens only: generated tokens are not biased
        copies, first = self._placing(call)
        batch, heads, length, _ = call.query.shape
        device = call.query.device
        width = max(len(one.cells) for one in self.drawn)  # all groups at every call: a capture keeps the channels
        table = torch.zeros(batch, heads, length, width, device=device)
        member = torch.zeros(batch, call.key.shape[2], width, device=device)
        biased = False
        for number, one in enumerate(self._on(device)):
            place = self._placing.padded - one.length
            rows, group = self._rows(call, one, place)
            for row in range(number * copies, (number + 1) * copies):
                original = row == number * copies
                if call.is_decode or original:  # copies of a prompt are equal
                    bias = self._bias(call, row, number, rows, group, _held(one.visual, place, first))
                if bias is None:
                    continue
                biased = True
                table[row][:, rows, group.clamp(min=0)] = bias * (group >= 0)
                cut = max(0, first - place)  # a sliding cache has dropped the oldest keys
                stop = max(0, one.length + place - first)
                member[row, place + cut - first : stop, : len(one.cells)] = one.cells[:, cut:].T
                if original and not call.is_decode:
                    drawn = (group[: len(one.rows)] >= 0).nonzero()[:, 0]
                    self.blind[number][call.layer] = blind(call, row, rows[drawn], member[row].T.bool(), group[drawn])
        return add_bias(call, table, member) if biased else call

    def _on(self, device: torch.device) -> list[Drawn]:
        if device not in self._moved:
            self._moved[device] = [one.to(device) for one in self.drawn]
        return self._moved[device]

    def _rows(self, call: AttentionCall, one: Drawn, place: int) -> tuple[Tensor, Tensor]:
        """Query rows that matter [R] and what each is drawn to [R]: those of the prompt first, then later ones."""
        length, device = call.query.shape[2], call.query.device
        if call.is_decode:
            return torch.zeros(1, dtype=torch.long, device=device), torch.full((1,), one.answer, device=device)
        if one.answer < 0 or length == self._placing.padded:
            return one.rows + place, one.group
        later = torch.arange(self._placing.padded, length, device=device)
        return torch.cat([one.rows + place, later]), torch.cat([one.group, torch.full_like(later, one.answer)])

    def _heads(self, call: AttentionCall, number: int) -> list[int] | None:
        """Active heads of one prompt where they are known before the call is looked at, else None."""
        if call.is_decode:
            return self.active[number].get(call.layer, [])
        heads = self.chosen[number].heads
        return None if heads is None else heads.get(call.layer, [])

    def _bias(
        self, call: AttentionCall, row: int, number: int, rows: Tensor, group: Tensor, columns: Tensor
    ) -> Tensor | None:
        """Strength of the bias of each row [H, R] of one sample; None if no head is active.

        Args:
            call: The attention call.
            row: Index in its batch.
            number: Index of the prompt.
            rows: [R] query rows, those of the prompt first.
            group: [R] what they are drawn to, -1 for nothing.
            columns: [V] keys that are cells of a speaker.
        """
        layer, own = call.layer, len(self.drawn[number].rows)
        measured, found = None, self._heads(call, number)
        if found is None:  # to be chosen from the rows of the prompt
            measured = measure(call, row, rows, columns)
            found = (measured[2][:, :own].mean(1) > self.settings.threshold).nonzero()[:, 0].tolist()
        if found or self.chosen[number].heads is None:
            self.active[number][layer] = found
        if not found:
            return None
        bias = torch.zeros(call.query.shape[1], len(rows), device=rows.device)
        if self.settings.strength == "constant":
            bias[found] = self.settings.alpha
            return bias
        peak, mean, _ = measured or measure(call, row, rows, columns)
        bias[found] = self._strength(peak, mean)[found]
        if not call.is_decode:
            drawn = peak[found, :own][:, group[:own] >= 0]
            drawn = drawn[drawn.isfinite()]
            self.negative[number][layer] = int((drawn < 0).sum()), drawn.numel()
        return bias

    def _strength(self, peak: Tensor, mean: Tensor) -> Tensor:
        strength = peak - mean if self.settings.negative == "gap" else peak
        if self.settings.negative == "clamp":
            strength = strength.clamp(min=0)
        return torch.where(peak.isfinite(), self.settings.alpha * strength, 0.0)  # -inf: the row sees no cell

    def records(self) -> list[dict[str, Any]]:
        """Method, parameters, active heads, and what a user should know, one a prompt."""
        return [self.settings.record(active, self._notes(number)) for number, active in enumerate(self.active)]

    def _notes(self, number: int) -> list[str]:
        one, settings, notes = self.drawn[number], self.settings, list[str]()
        if self.chosen[number].note:
            notes.append(self.chosen[number].note)
        else:
            heads = sum(len(found) for found in self.active[number].values())
            told = f"{counted(heads, 'active head')} in {counted(len(self.layers), 'layer')}"
            above = f"mean attention to speakers' pixels (g) above {settings.threshold:.3g}"
            notes.append(f"{told}: {above}; {of_even(settings.threshold, one.length)} at the threshold")
        if self.chosen[number].warning:
            notes.append(Caution(self.chosen[number].warning))
        only = " only; generated tokens are not biased" if one.answer < 0 else ""
        notes += [f"acts on {one.told}{only}", *one.said]
        hidden, drawn = max(self.blind[number].values(), default=0), int((one.group >= 0).sum())
        if hidden:
            seen = f"{hidden / drawn:.1%} of {drawn} rows see none of the cells they are drawn to"
            notes.append(Caution(f"{seen} (in the layer with most): no bias reaches them"))
        negative = sum(few for few, _ in self.negative[number].values())
        rows = sum(many for _, many in self.negative[number].values())
        if negative:
            effect = _EFFECTS[settings.negative]
            share = f"{negative / rows:.1%} of {counted(rows, 'biased row')}"
            notes.append(Caution(f"the largest logit is negative in {share} ({effect})"))
        return notes


def _held(visual: Tensor, place: int, first: int) -> Tensor:
    """Where cells [V] stand on the key axis, without those that a sliding cache has dropped."""
    columns = visual + (place - first)
    return columns if first <= place else columns[columns >= 0]
