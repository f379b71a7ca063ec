"""VAR: visual attention redistribution (Kang et al., "See What You Are Told", ICLR 2025; formula from their code).

On heads that look at the image, attention that sinks receive is cut to 0.6 of itself, and what is freed goes to the
visual keys that are no sinks, in proportion. It is written as z + log(A'/A), so the row still sums to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, classify, softmax
from attnscope.capture.record.rows import find_sinks, read_probes
from attnscope.correct.base import Changed, Correction, Decoder, layers_parameter
from attnscope.correct.notes import Caution
from attnscope.correct.params import parameter
from attnscope.correct.peers.row_edits import Part, RunningRows
from attnscope.correct.peers.tokens import Place, Tokens, image_keys, on_axis
from attnscope.correct.registry import correction
from attnscope.layers import select_layers

if TYPE_CHECKING:
    from attnscope.model import Prompt


@correction
@dataclass(frozen=True)
class Var(Correction):
    """Take attention from sinks and give it to the other visual keys, on heads that look at the image.

    Sinks are found by attention, as a capture finds them: keys that at least half of the prompt's rows that are not
    visual see, and whose mean mass over heads and over those of these rows that see them, in the layer at hand, is
    above `sink_mass` and above `sink_ratio` times uniform (ours; their code: hidden states with massive values in known
    channels). Text sinks, such as the first token, are cut as well as visual ones; a layer without a visual sink is
    edited too (their code leaves it alone). Finding them reads those rows densely in every layer. Prefill and cached
    decoding give what one pass over the whole text gives.

    Example:
        >>> edit = attnscope.correct.Var(rows="text", keep=0.1, sink_mass=0.01, sink_ratio=2)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -8.9
    """

    method: ClassVar[str] = "var"
    source: ClassVar[str] = "code"
    summary: ClassVar[str] = "moves attention from sinks to the other visual keys, on heads that look at the image"

    changes: ClassVar[tuple[Changed, ...]] = ("rows",)

    keep: float = parameter(
        0.6, "What sinks keep of their attention; 1 is the identity (code: 0.6).", "code", gt=0, le=1
    )
    sink_share: float = parameter(
        0.5,
        "Largest share of a head's image mass that visual sinks hold in a row where it is edited (code: 0.5).",
        "code",
        ge=0,
        le=1,
    )
    image_mass: float = parameter(
        0.2, "Least image mass of a head in a row where it is edited (code: 0.2).", "code", ge=0, le=1
    )
    rows: Literal["answer", "text"] = parameter(
        "answer",
        "`answer`, the answer position and every later token (ours), or `text`, also all text after the first visual"
        " token (code).",
    )
    layers: str = layers_parameter(
        "0.0625-1.0", "Layers that are edited (code: from layer 2 of 32 on, which is depth 0.0625).", "code"
    )
    sink_mass: float = parameter(0.05, "Least mean mass of a sink.", ge=0, lt=1)
    sink_ratio: float = parameter(10.0, "Least multiple of uniform attention.", ge=1)

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningVar:
        """Find the rows that are edited, and those that tell the sinks.

        Raises:
            RequestError: If the model has no such layer.
        """
        tokens = [Tokens.of(prompt, self.rows, image_keys(prompt)) for prompt in prompts]
        if self.keep == 1:
            tokens = [own.nowhere() for own in tokens]
        return RunningVar(self, decoder, select_layers(self.layers, decoder.layers, decoder.depth), tokens)


class RunningVar(RunningRows):
    """VAR bound to a left-padded batch.

    Attributes:
        sinks: One a prompt: [N + 1] the sinks of each layer.
        changed: One a prompt: [H] in how many rows of the prompt each head was edited, by layer.
        seen: One a prompt: how many rows of the prompt were looked at, by layer.
    """

    settings: Var

    def __init__(self, settings: Var, decoder: Decoder, layers: Sequence[int], tokens: Sequence[Tokens]) -> None:
        super().__init__(settings, decoder, layers, tokens, settings.rows)
        self.sinks: list[dict[int, Tensor]] = [{} for _ in tokens]
        self.changed: list[dict[int, Tensor]] = [{} for _ in tokens]
        self.seen: list[dict[int, int]] = [{} for _ in tokens]

    def prepared(self, call: AttentionCall, places: list[Place]) -> list[Place]:
        """Find the sinks in a prefill; a prompt without any in this layer loses its rows, and stays as it is."""
        found = []
        for sample, place in enumerate(places):
            if place.own:
                self.sinks[place.number][call.layer] = self._sinks(call, sample, place)
                nothing = torch.zeros(call.query.shape[1], dtype=torch.long, device=call.query.device)
                self.changed[place.number][call.layer], self.seen[place.number][call.layer] = nothing, 0
            sinks = on_axis(self.sinks[place.number][call.layer].to(place.keys.device), call.key.shape[2], place.shift)
            rows = place.rows if bool(sinks.any()) else place.rows[:0]
            found.append(replace(place, rows=rows, keys=torch.cat([place.keys, sinks[None]])))
        return found

    def _sinks(self, call: AttentionCall, sample: int, place: Place) -> Tensor:
        """[N + 1] the sinks of one sample in this layer, edits so far included."""
        length, device = self.tokens[place.number].length, call.query.device
        index = torch.arange(length, device=device) + place.shift
        probes = (~self.tokens[place.number].keys[0, :-1]).nonzero()[:, 0].to(device)
        nothing = torch.zeros(0, max(length, len(probes)), device=device)
        rows = read_probes(
            call,
            sample,
            index,
            probes,
            nothing[:, :length],
            nothing[:, : len(probes)],
            classify(call, sample, index),
        )
        found = find_sinks(rows, self.settings.sink_mass, self.settings.sink_ratio)
        return torch.cat([found, found.new_zeros(1)])

    def _centric(self, part: Part) -> tuple[Tensor, Tensor]:
        """Which heads are edited in which rows [H, r], and the growth of the other visual keys' attention there."""
        image, sinks = part.place.keys
        attention, _ = softmax(part.z, part.allowed, part.call.sink_logits)
        on_sinks, others = attention[..., image & sinks].sum(-1), attention[..., image & ~sinks].sum(-1)
        looking = on_sinks + others
        freed = (1 - self.settings.keep) * attention[..., sinks].sum(-1)
        chosen = (looking >= self.settings.image_mass) & (on_sinks <= self.settings.sink_share * looking)
        chosen &= (others > 0) & (freed > 0)
        return chosen, torch.where(chosen, freed / others, 0)

    def change(self, part: Part) -> Tensor:
        """Add log(A'/A)."""
        image, sinks = part.place.keys
        chosen, growth = self._centric(part)
        cut = torch.where(chosen, float(np.log(self.settings.keep)), 0.0)
        changed: Tensor = part.z + cut[..., None] * sinks + torch.log1p(growth)[..., None] * (image & ~sinks)
        return changed

    def look(self, part: Part) -> None:
        """Count the rows in which each head is edited."""
        chosen, _ = self._centric(part)
        number, layer = part.place.number, part.call.layer
        self.changed[number][layer] += chosen.sum(1)
        self.seen[number][layer] += chosen.shape[1]

    def active(self, number: int) -> dict[int, list[int]]:
        """The heads that were edited in a row of the prompt, by layer."""
        found = {layer: rows.nonzero()[:, 0].tolist() for layer, rows in self.changed[number].items()}
        return {layer: heads for layer, heads in found.items() if heads}

    def notes(self, number: int) -> list[str]:
        """Where it acts, how many sinks there are, and how many rows of heads look at the image."""
        if self.idle:
            return [Caution("sinks keep all of their attention: nothing is changed")]
        visual = self.tokens[number].keys[0]
        sinks = [one.cpu() for one in self.sinks[number].values()]
        pairs = sum(self.seen[number].values()) * self.heads
        edited = sum(int(rows.sum()) for rows in self.changed[number].values())
        notes = [
            self.where(),
            f"{sum(int(one.any()) for one in sinks)} of {len(sinks)} layers have sinks,"
            f" {sum(int((one & visual).any()) for one in sinks)} of them visual ones"
            " (found by attention; the published code finds them by massive hidden values)",
        ]
        if pairs:
            notes.append(f"{edited / pairs:.1%} of {pairs} rows of heads look at the image enough to be edited")
        return notes
