"""Corrections that change whole rows of logits: the frame that they share, and the scaling of logits.

Such rows are computed densely in float32, in chunks: for the answer position alone that costs next to nothing, for all
text rows it costs as much as reading them. The logits are those that earlier corrections and a softcap leave.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attnscope.attention import AttentionCall, RowEdit
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.correct.notes import Caution, counted
from attnscope.correct.peers.tokens import ROWS, Place, Places, Tokens
from attnscope.correct.placing import Placing

LEVEL = (
    "the edit depends on the level of the logits, which attention does not: a constant added to all of them changes it"
)


@dataclass(frozen=True)
class Part:
    """Some edited rows of one sample in one call.

    Attributes:
        call: The call, edits so far included.
        place: Where the sample's tokens stand in it.
        z: [H, r, Nk] float32 logits.
        allowed: [r, Nk] boolean, which pairs are allowed.
    """

    call: AttentionCall
    place: Place
    z: Tensor
    allowed: Tensor


class RunningRows(Running):
    """A change of rows bound to a left-padded batch; it acts on generated tokens as on appended ones.

    Args:
        settings: The correction.
        decoder: The model.
        layers: Numbers of the layers that are edited.
        tokens: One a prompt: rows and sets of keys; a prompt without rows is left as it is, bit for bit.
        rows: A word of `ROWS`, for the record.
    """

    def __init__(
        self, settings: Correction, decoder: Decoder, layers: Sequence[int], tokens: Sequence[Tokens], rows: str
    ) -> None:
        self.settings, self.tokens, self.rows = settings, list(tokens), rows
        self.layers, self.heads = list(layers), decoder.heads
        self._placing = Placing(settings.method, [one.length for one in tokens])
        self._places = Places(self._placing, tokens)
        self.idle = not any(bool(one.rows.any()) for one in tokens)

    @abstractmethod
    def prepared(self, call: AttentionCall, places: list[Place]) -> list[Place]:
        """What has to be known before the rows of a call are changed; a prompt may lose its rows here."""

    @abstractmethod
    def change(self, part: Part) -> Tensor:
        """The logits [H, r, Nk] that count instead of those of the part, which stay as they are."""

    @abstractmethod
    def look(self, part: Part) -> None:
        """Keep what the record tells of rows of the prompt; every row comes once in a prefill."""

    @abstractmethod
    def notes(self, number: int) -> list[str]:
        """What a user should know about one prompt."""

    def active(self, number: int) -> dict[int, list[int]]:
        """The heads that were changed, by layer."""
        return {layer: list(range(self.heads)) for layer in self.layers if bool(self.tokens[number].rows.any())}

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Change the rows of this layer."""
        if self.idle or call.layer not in self.layers:
            return call
        places = self.prepared(call, self._places(call))
        fresh = torch.zeros(len(places), call.query.shape[2], dtype=torch.bool, device=call.query.device)
        for sample, place in enumerate(places):
            fresh[sample, place.rows] = place.own
        fresh[:, self._placing.padded :] = False

        def change(sample: int, rows: Tensor, z: Tensor, allowed: Tensor) -> Tensor:
            new = fresh[sample, rows]  # readers ask for the same rows again
            if bool(new.any()):
                fresh[sample, rows] = False
                self.look(Part(call, places[sample], z[:, new], allowed[new]))
            return self.change(Part(call, places[sample], z, allowed))

        return call.with_rows(RowEdit([place.rows for place in places], change))

    def records(self) -> list[dict[str, Any]]:
        """Method, parameters, heads that were changed, and what a user should know, one a prompt."""
        return [self.settings.record(self.active(n), self.notes(n)) for n in range(len(self.tokens))]

    def where(self) -> str:
        """Which rows are edited, in words."""
        return f"acts on {ROWS[self.rows]} in {counted(len(self.layers), 'layer')}"


@dataclass(frozen=True)
class Scale:
    """What the logits of one set of keys are multiplied by.

    Attributes:
        keys: What the set is, in words: "image".
        positive: Factor on logits of at least 0.
        negative: Factor on logits below 0.
    """

    keys: str
    positive: float
    negative: float

    @property
    def effect(self) -> str:
        """What happens to a negative logit."""
        if self.negative == 1:
            return "there nothing changes"
        lowered = self.negative > 1
        contrary = lowered == (self.positive > 1)  # it goes down where a positive one goes up, or the other way round
        return f"there the edit {'lowers' if lowered else 'raises'} it{', the contrary of what is meant' * contrary}"


class RunningScale(RunningRows):
    """Logits of some keys multiplied, in some rows (PAI, VAF, AdaptVis).

    Args:
        settings, decoder, layers, tokens, rows: As of `RunningRows`.
        scales: One a prompt, each one a set of keys.
        told: Further sentences for the record, one list a prompt.
    """

    def __init__(
        self,
        settings: Correction,
        decoder: Decoder,
        layers: Sequence[int],
        tokens: Sequence[Tokens],
        rows: str,
        scales: Sequence[Sequence[Scale]],
        told: Sequence[Sequence[str]],
    ) -> None:
        still = [all(scale.positive == scale.negative == 1 for scale in several) for several in scales]
        tokens = [one.nowhere() if nothing else one for one, nothing in zip(tokens, still, strict=True)]
        super().__init__(settings, decoder, layers, tokens, rows)
        self.scales, self.told = [list(several) for several in scales], told
        self.negative: list[dict[int, Tensor]] = [{} for _ in tokens]

    def prepared(self, call: AttentionCall, places: list[Place]) -> list[Place]:
        """Count anew in every prefill."""
        for place in places:
            if place.own:
                nothing = torch.zeros(len(place.keys), 2, dtype=torch.long, device=call.query.device)
                self.negative[place.number][call.layer] = nothing
        return places

    def look(self, part: Part) -> None:
        """Count the pairs with a negative logit, and all pairs, by set of keys."""
        counts = self.negative[part.place.number][part.call.layer]
        for group, keys in enumerate(part.place.keys):
            seen = part.allowed & keys
            counts[group] += torch.stack([((part.z < 0) & seen).sum(), seen.sum() * len(part.z)])

    def change(self, part: Part) -> Tensor:
        """Multiply the logits of each set of keys."""
        z = part.z
        for keys, scale in zip(part.place.keys, self.scales[part.place.number], strict=True):
            factor = torch.where(z < 0, scale.negative, scale.positive)
            z = torch.where(keys, z * factor, z)
        return z

    def notes(self, number: int) -> list[str]:
        """Where it acts, and the share of pairs whose logits are negative."""
        if not bool(self.tokens[number].rows.any()):
            return [Caution("the factors are 1: nothing is changed"), *self.told[number]]
        notes = [self.where(), *self.told[number]]
        if self.negative[number]:
            counts = torch.stack([one.cpu() for one in self.negative[number].values()]).sum(0).tolist()
            for scale, (few, many) in zip(self.scales[number], counts, strict=True):
                if few:
                    share = f"{few / many:.1%} of {many} pairs of a row of the prompt and a key ({scale.keys})"
                    notes.append(Caution(f"the logit is negative in {share}: {scale.effect}"))
        return [*notes, LEVEL]
