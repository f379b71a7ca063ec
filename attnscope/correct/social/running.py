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
from attnscope.correct.social.rows import Targets
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
        targets: One a prompt: which tokens are drawn to which cells.
        active: One a prompt: the heads that are biased, by layer.
        negative: One a prompt: biased rows of the prompt whose largest logit is negative, and all such rows, by layer.
        blind: One a prompt: rows of the prompt that see none of the cells they are drawn to, by layer with heads.
    """

    settings: SocialBias

    def __init__(
        self, settings: SocialBias, targets: Sequence[Targets], choices: Sequence[Chosen], decoder: Decoder
    ) -> None:
        self.settings, self.targets, self.choices = settings, list(targets), list(choices)
        self.layers = {layer for choice in choices for layer in choice.heads or ()}
        if any(choice.heads is None for choice in choices):
            self.layers = set(select_layers(settings.layers, decoder.layers, decoder.depth))
        self.active: list[dict[int, list[int]]] = [{} for _ in targets]
        self.negative: list[dict[int, tuple[int, int]]] = [{} for _ in targets]
        self.blind: list[dict[int, int]] = [{} for _ in targets]
        self._placing = Placing(settings.method, [target.length for target in targets])
        self._moved: dict[torch.device, list[Targets]] = {}

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Choose the heads of a prompt from this very call (dynamic selection), then bias them; later tokens follow."""
        if call.layer not in self.layers or self.settings.alpha == 0:
            return call
        if call.is_decode and self.targets[0].answer < 0:
            return call  # the paper's U holds prompt tokens only: generated tokens are not biased
        copies, first = self._placing(call)
        batch, heads, length, _ = call.query.shape
        device = call.query.device
        width = max(
            len(target.cells) for target in self.targets
        )  # all groups at every call: a capture keeps the channels
        table = torch.zeros(batch, heads, length, width, device=device)
        member = torch.zeros(batch, call.key.shape[2], width, device=device)
        biased = False
        for number, target in enumerate(self._on(device)):
            place = self._placing.padded - target.length
            rows, group = self._rows(call, target, place)
            for row in range(number * copies, (number + 1) * copies):
                original = row == number * copies
                if call.is_decode or original:  # copies of a prompt are equal
                    bias = self._bias(call, row, number, rows, group, _held(target.visual, place, first))
                if bias is None:
                    continue
                biased = True
                table[row][:, rows, group.clamp(min=0)] = bias * (group >= 0)
                cut = max(0, first - place)  # a sliding cache has dropped the oldest keys
                stop = max(0, target.length + place - first)
                member[row, place + cut - first : stop, : len(target.cells)] = target.cells[:, cut:].T
                if original and not call.is_decode:
                    own = (group[: len(target.rows)] >= 0).nonzero()[:, 0]
                    self.blind[number][call.layer] = blind(call, row, rows[own], member[row].T.bool(), group[own])
        return add_bias(call, table, member) if biased else call

    def _on(self, device: torch.device) -> list[Targets]:
        if device not in self._moved:
            self._moved[device] = [target.to(device) for target in self.targets]
        return self._moved[device]

    def _rows(self, call: AttentionCall, target: Targets, place: int) -> tuple[Tensor, Tensor]:
        """Query rows that matter [R] and what each is drawn to [R]: those of the prompt first, then later ones."""
        length, device = call.query.shape[2], call.query.device
        if call.is_decode:
            return torch.zeros(1, dtype=torch.long, device=device), torch.full((1,), target.answer, device=device)
        if target.answer < 0 or length == self._placing.padded:
            return target.rows + place, target.group
        later = torch.arange(self._placing.padded, length, device=device)
        return torch.cat([target.rows + place, later]), torch.cat([target.group, torch.full_like(later, target.answer)])

    def _heads(self, call: AttentionCall, number: int) -> list[int] | None:
        """Active heads of one prompt where they are known before the call is looked at, else None."""
        if call.is_decode:
            return self.active[number].get(call.layer, [])
        heads = self.choices[number].heads
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
        layer, own = call.layer, len(self.targets[number].rows)
        measured, active = None, self._heads(call, number)
        if active is None:  # to be chosen from the rows of the prompt
            measured = measure(call, row, rows, columns)
            active = (measured[2][:, :own].mean(1) > self.settings.threshold).nonzero()[:, 0].tolist()
        if active or self.choices[number].heads is None:
            self.active[number][layer] = active
        if not active:
            return None
        bias = torch.zeros(call.query.shape[1], len(rows), device=rows.device)
        if self.settings.strength == "constant":
            bias[active] = self.settings.alpha
            return bias
        peak, mean, _ = measured or measure(call, row, rows, columns)
        bias[active] = self._strength(peak, mean)[active]
        if not call.is_decode:
            peaks = peak[active, :own][:, group[:own] >= 0]
            peaks = peaks[peaks.isfinite()]
            self.negative[number][layer] = int((peaks < 0).sum()), peaks.numel()
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
        target, choice, settings, notes = self.targets[number], self.choices[number], self.settings, list[str]()
        if choice.note:
            notes.append(choice.note)
        else:
            heads = sum(map(len, self.active[number].values()))
            active = f"{counted(heads, 'active head')} in {counted(len(self.layers), 'layer')}"
            above = f"mean attention to speakers' pixels (g) above {settings.threshold:.3g}"
            notes.append(f"{active}: {above}; {of_even(settings.threshold, target.length)} at the threshold")
        if choice.warning:
            notes.append(Caution(choice.warning))
        only = " only; generated tokens are not biased" if target.answer < 0 else ""
        notes += [f"acts on {target.where}{only}", *target.notes]
        hidden, rows = max(self.blind[number].values(), default=0), int((target.group >= 0).sum())
        if hidden:
            unseen = f"{hidden / rows:.1%} of {rows} rows see none of the cells they are drawn to"
            notes.append(Caution(f"{unseen} (in the layer with most): no bias reaches them"))
        negative = sum(negative for negative, _ in self.negative[number].values())
        biased = sum(rows for _, rows in self.negative[number].values())
        if negative:
            effect = _EFFECTS[settings.negative]
            share = f"{negative / biased:.1%} of {counted(biased, 'biased row')}"
            notes.append(Caution(f"the largest logit is negative in {share} ({effect})"))
        return notes


def _held(visual: Tensor, place: int, first: int) -> Tensor:
    """Where cells [V] stand on the key axis, without those that a sliding cache has dropped."""
    columns = visual + (place - first)
    return columns if first <= place else columns[columns >= 0]
