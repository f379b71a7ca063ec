"""Numbers by which heads are chosen: read in a run of the plain model that keeps only them, or from a capture."""

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
    from attnscope.capture.read.capture import Capture
    from attnscope.model import Prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
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
                self._place(call.query.shape[1])
        return call

    def from_maps(self, cap: Capture) -> bool:
        """Take the numbers of the only prompt from the maps of a capture that holds all layers.

        Returns:
            Whether its query groups give them exactly; nothing is kept if not.
        """
        (pairs,) = self.pairs
        rows, cells = pairs.rows.cpu().numpy(), pairs.cells.cpu().numpy()
        groups = _groups_of(cap, self._rows(rows))
        if groups is None or not self._recorded(cap):
            return False
        for layer in self.layers:
            numbers = self._mapped(cap, layer, groups, cells)
            seen = any(bool(cap.allowed(layer, part)[:, cells].any()) for part in _parts(rows))
            self._found[0][layer] = numbers, seen
        self._place(cap.heads)
        return True

    def _place(self, heads: int) -> None:
        self.places = [(layer, head) for layer in self.layers for head in range(heads)]

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

    def _rows(self, rows: Ints) -> Ints:
        """The rows of the only prompt that the numbers are from; those of the pairs as a rule."""
        return rows

    def _recorded(self, cap: Capture) -> bool:
        """Whether a capture has what the numbers take beside maps."""
        return cap.has("maps")

    @abstractmethod
    def _mapped(self, cap: Capture, layer: int, groups: list[int], cells: Ints) -> Floats:
        """The same numbers of one layer from maps of query groups that hold the rows."""

    @abstractmethod
    def _ranking(self, numbers: Floats, sees: NDArray[np.bool_]) -> Ranking:
        """From all numbers [X, C]."""


class ActiveScores(HeadScores):
    """P1's g, the mean attention over rows and cells (2nd)."""

    def _look(self, call: AttentionCall, number: int) -> Tensor:
        return measure(call, number, *self._at(call, number))[2].mean(1, keepdim=True)

    def _mapped(self, cap: Capture, layer: int, groups: list[int], cells: Ints) -> Floats:
        counts = cap.query_member[groups].sum(1)
        if not len(cells):
            return np.zeros((cap.heads, 1))
        maps = _maps(cap, layer)[:, groups][..., cells].mean(-1, dtype=np.float64)  # [H, G]
        return np.asarray((maps * counts).sum(1, keepdims=True) / counts.sum())

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
        group = torch.tensor(is_visual(tokens), device=device)[None].float()
        read = read_probes(call, number, index, probes, group, last, mask)
        sinks = find_sinks(read, self.plan.sink_mass, self.plan.sink_ratio).cpu().numpy()
        everything = torch.arange(len(tokens), device=device)
        seen = mask.block(everything[-1:], everything)[0].cpu().numpy()
        return torch.from_numpy(self._numbers(number, read.maps[:, 0].double().cpu().numpy(), sinks, seen))

    def _numbers(self, number: int, maps: Floats, sinks: NDArray[np.bool_], seen: NDArray[np.bool_]) -> Floats:
        """[H, 2] entropy and mass of the last position's maps [H, N], with sinks [N] and keys that it sees [N]."""
        tokens = self.prompts[number].tokens
        visual = is_visual(tokens)
        counts, placed = visual & ~sinks, visual & (tokens["grid_y"].to_numpy() >= 0)
        entropy = region_entropy(maps[:, placed], grid_cells(tokens, placed), (counts & seen)[placed])
        return np.stack([entropy, maps[:, counts].sum(1)], 1)

    def _rows(self, _rows: Ints) -> Ints:
        return np.array([len(self.prompts[0].tokens) - 1])

    def _recorded(self, cap: Capture) -> bool:
        rule = {name: getattr(self.plan, name) for name in ("coverage", "sink_mass", "sink_ratio")}
        looked = cap.has("masses") or cap.has("stats")  # else no sinks were looked for
        return cap.has("maps") and looked and all(cap.run["plan"].get(name) == v for name, v in rule.items())

    def _mapped(self, cap: Capture, layer: int, groups: list[int], _cells: Ints) -> Floats:
        length = cap.prompt_length
        sinks = cap.sinks[cap.layers.tolist().index(layer)][:length]
        seen = cap.allowed(layer, np.array([length - 1]))[0, :length]
        return self._numbers(0, _maps(cap, layer)[:, groups[0], :length].astype(np.float64), sinks, seen)

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


def _groups_of(cap: Capture, rows: Ints) -> list[int] | None:
    """Query groups of a capture that hold exactly these rows, each once; None if there are none such."""
    wanted = np.zeros(cap.query_member.shape[1], bool)
    wanted[rows] = True
    taken, groups = np.zeros_like(wanted), list[int]()
    for number, member in enumerate(cap.query_member):
        if member.any() and not (member & ~wanted).any() and not (member & taken).any():
            taken |= member
            groups.append(number)
    return groups if bool((taken == wanted).all()) and groups else None


def _maps(cap: Capture, layer: int) -> NDArray[np.float32]:
    """Maps of all heads of a layer, [H, query group, key]."""
    return np.asarray(cap.maps(layer=[layer]).values[0])


def _parts(rows: Ints) -> list[Ints]:
    return [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]


def _sees(call: AttentionCall, sample: int, rows: Tensor, cells: Tensor) -> bool:
    return any(bool(allowed_pairs(call, sample, part)[:, cells].any()) for part in rows.split(_ROWS))
