"""Numbers by which heads are chosen, read in one run of the plain model that keeps nothing but them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnscope.attention import AttentionCall, allowed_pairs, dense_rows
from attnscope.attention.masks import MaskCache
from attnscope.capture.plan import Plan
from attnscope.capture.record.groups import key_groups
from attnscope.capture.record.rows import find_sinks, read_probes
from attnscope.metrics.choosing.criteria import elbow
from attnscope.metrics.heads import grid_cells, region_entropy
from attnscope.vocabulary import is_visual

if TYPE_CHECKING:
    from attnscope.model import Prompt

Floats = NDArray[np.float64]
_ROWS = 1024  # whose allowed keys are held at once


@dataclass(frozen=True)
class Pairs:
    """The rows [R] and the cells [V] of a prompt that g is a mean over, as positions of its tokens."""

    rows: Tensor
    cells: Tensor


@dataclass(frozen=True)
class Ranking:
    """Heads of one prompt, X = layers x heads.

    Attributes:
        value: [X], more is better; NaN: not to be chosen.
        rank: [X] all heads, the best first, those without a value last.
        sees: [X] whether the head's layer lets some row see some cell.
        gate: What the heads with a value exceed, NaN if nothing.
    """

    value: Floats
    rank: NDArray[np.int64]
    sees: NDArray[np.bool_]
    gate: float = float("nan")


class HeadScores(ABC):
    """An edit that only looks: numbers of all heads of the chosen layers, one set a prompt.

    Args:
        prompts: A left-padded batch.
        layers: The layers to look at.
        pairs: One a prompt.

    Attributes:
        layers: As given.
        places: [X] layer and head, in the order of all arrays; known after the run.
    """

    def __init__(self, prompts: Sequence[Prompt], layers: Sequence[int], pairs: Sequence[Pairs]) -> None:
        self.prompts, self.layers, self.pairs = list(prompts), list(layers), list(pairs)
        self.padded = max(len(prompt.tokens) for prompt in prompts)
        self.places: list[tuple[int, int]] = []
        self._found: list[dict[int, tuple[Floats, bool]]] = [{} for _ in prompts]  # [H, C] numbers by layer

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Look at one layer's prefill."""
        if call.layer in self.layers:
            for number in range(len(self.prompts)):
                numbers = self._look(call, number).double().cpu().numpy()
                self._found[number][call.layer] = numbers, _sees(call, number, *self._at(call, number))
            if call.layer == self.layers[-1]:
                self.places = [(layer, head) for layer in self.layers for head in range(call.query.shape[1])]
        return call

    def of(self, number: int) -> Ranking:
        """The heads of one prompt, once the model has run."""
        found = [self._found[number][layer] for layer in self.layers]
        sees = np.concatenate([np.full(len(numbers), seen) for numbers, seen in found])
        return self._ranking(np.concatenate([numbers for numbers, _ in found]), sees)

    def _at(self, call: AttentionCall, number: int) -> tuple[Tensor, Tensor]:
        """Rows and cells of a prompt on the padded axis."""
        pairs, place = self.pairs[number], self.padded - len(self.prompts[number].tokens)
        return pairs.rows.to(call.query.device) + place, pairs.cells.to(call.query.device) + place

    @abstractmethod
    def _look(self, call: AttentionCall, number: int) -> Tensor:
        """[H, C] numbers of the heads of one layer for one prompt."""

    @abstractmethod
    def _ranking(self, numbers: Floats, sees: NDArray[np.bool_]) -> Ranking:
        """From all numbers [X, C]."""


class ActiveScores(HeadScores):
    """P1's g, the mean attention over rows and cells (2nd)."""

    def _look(self, call: AttentionCall, number: int) -> Tensor:
        return measure(call, number, *self._at(call, number))[2].mean(1, keepdim=True)

    def _ranking(self, numbers: Floats, sees: NDArray[np.bool_]) -> Ranking:
        value = numbers[:, 0]
        return Ranking(value, np.argsort(-value, kind="stable"), sees)


class LocalizationScores(HeadScores):
    """Spatial entropy and mass of the last position's look at visual tokens, without sinks.

    As the criterion "localization" of `attnscope.metrics.choosing.criteria`, from a capture under the default plan.
    """

    def __init__(self, prompts: Sequence[Prompt], layers: Sequence[int], pairs: Sequence[Pairs]) -> None:
        super().__init__(prompts, layers, pairs)
        self.plan = Plan()
        self.probes = [torch.from_numpy(key_groups(p.tokens, self.plan.coverage).probes) for p in prompts]
        self.index = [torch.arange(self.padded - len(prompt.tokens), self.padded) for prompt in prompts]
        self.masks = [MaskCache(number, at, torch.zeros(1, len(at))) for number, at in enumerate(self.index)]

    def _look(self, call: AttentionCall, number: int) -> Tensor:
        tokens, device, mask = self.prompts[number].tokens, call.query.device, self.masks[number].of(call)
        probes, index = self.probes[number].to(device), self.index[number].to(device)
        last = (probes == len(tokens) - 1).float()[None]
        visual = is_visual(tokens)
        group = torch.tensor(visual, device=device)[None].float()
        read = read_probes(call, number, index, probes, group, last, mask)
        counts = visual & ~find_sinks(read, self.plan.sink_mass, self.plan.sink_ratio).cpu().numpy()
        maps = read.maps[:, 0].double().cpu().numpy()  # [H, N]
        placed = visual & (tokens["grid_y"].to_numpy() >= 0)
        everything = torch.arange(len(tokens), device=device)
        seen = mask.block(everything[-1:], everything)[0].cpu().numpy()
        entropy = region_entropy(maps[:, placed], grid_cells(tokens, placed), (counts & seen)[placed])
        return torch.from_numpy(np.stack([entropy, maps[:, counts].sum(1)], 1))

    def _ranking(self, numbers: Floats, sees: NDArray[np.bool_]) -> Ranking:
        entropy, mass = numbers.T
        gate = elbow(mass)
        value = np.where(mass > gate, -entropy, np.nan)
        return Ranking(value, np.lexsort((-mass, -value)), sees, gate)  # of equal ones, and below the gate, by mass


def measure(call: AttentionCall, sample: int, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Largest and mean logit, and mean attention, of each row of one sample over the columns that it sees, all [H, R].

    The largest logit is -inf where a row sees none of them.
    """
    if not len(columns):
        nothing = torch.zeros(call.query.shape[1], len(rows), device=rows.device)
        return nothing - torch.inf, nothing, nothing
    peaks, means, attended = [], [], []
    for part, z, attention, _ in dense_rows(call, sample, rows):
        seen, own = allowed_pairs(call, sample, part)[:, columns], z[..., columns]
        peaks.append(own.masked_fill(~seen, float("-inf")).amax(-1))
        means.append(own.masked_fill(~seen, 0).sum(-1) / seen.sum(-1).clamp(min=1))
        attended.append(attention[..., columns].mean(-1))
    return torch.cat(peaks, 1), torch.cat(means, 1), torch.cat(attended, 1)


def blind(call: AttentionCall, sample: int, rows: Tensor, keys: Tensor, group: Tensor) -> int:
    """How many rows [R] of one sample see no key of their group [R], a row of `keys`, boolean [G, Nk]."""
    parts = zip(rows.split(_ROWS), group.split(_ROWS), strict=True)
    return sum(int((~(allowed_pairs(call, sample, part) & keys[own]).any(1)).sum()) for part, own in parts)


def _sees(call: AttentionCall, sample: int, rows: Tensor, cells: Tensor) -> bool:
    return any(bool(allowed_pairs(call, sample, part)[:, cells].any()) for part in rows.split(_ROWS))
