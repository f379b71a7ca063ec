"""Which looks, groups, sets of keys and words a document holds so that it stays small.

All heads where they fit; else the means of all and of every layer, and the heads that the measures rank first. Numbers
are float32 where that fits, else float16 (ours). What is left out first: maps of generated tokens, then of turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.report.page.provenance import active_heads
from attnscope.report.viewer.captures import KeySet
from attnscope.report.viewer.looks import MEAN, Attention, Look, all_looks
from attnscope.report.viewer.measures import Line, Values
from attnscope.report.viewer.packing import LARGEST, PLAIN, DType, Form, characters, pack
from attnscope.vocabulary import ANSWER, GENERATED, QUESTION, TURN

if TYPE_CHECKING:
    from attnscope.capture import Capture

FEWEST, ENOUGH = 16, 48  # heads beside the means: with float16, and for float32 to be taken
RANKED = 4  # measures whose best heads are taken in turn
MOST_ROWS = 16  # heads whose rows of single words are computed where not all are
SMALL = 5e8  # products of a query and a key; with more than these, rows are computed for a few looks only


@dataclass(frozen=True)
class Share:
    """What the document holds of one capture.

    Attributes:
        looks: Looks with maps and masses, the first ones first where room turns out to be shorter.
        groups: Names of the groups that have maps.
        sets: Sets of keys that have masses.
        form: How maps and masses are written.
    """

    looks: list[Look]
    groups: list[str]
    sets: list[KeySet]
    form: Form


@dataclass(frozen=True)
class Words:
    """Rows of single words that the document holds.

    Attributes:
        looks: Of these looks.
        positions: Of these words, [Q].
        form: How they are written.
    """

    looks: list[Look]
    positions: NDArray[np.int64]
    form: Form


def share(attention: Attention, ranked: Sequence[Look], budget: int) -> Share:
    """The maps and masses that fit into a budget.

    Args:
        attention: Of the capture, with all its groups and sets of keys.
        ranked: Its heads; the first ones are kept.
        budget: Characters of the document.
    """
    every = all_looks(attention.cap)
    means = every[: len(attention.cap.layers) + 1]
    forms = _forms(attention.cap)
    ratios = Ratios(attention, ranked)
    for groups, sets in _ever_fewer(attention):
        for form in forms:
            fits = int(_fitting(attention, len(groups), len(sets), form.dtype, budget) / ratios.of(form))
            if fits >= len(every):
                return Share(every, groups, sets, form)
            if form.deflated and fits >= len(means) + (ENOUGH if form is not forms[-1] else FEWEST):
                return Share([*means, *ranked[: fits - len(means)]], groups, sets, form)
    few = ranked[: FEWEST // 2]
    order = [*means, *ranked] if fits >= len(means) + len(few) else [MEAN, *few, *means[1:]]
    return Share(order[: max(fits, 1)], groups, sets, form)


class Ratios:
    """How much smaller deflated arrays are, from a sample: maps of the means of a few layers and of the first head."""

    def __init__(self, attention: Attention, ranked: Sequence[Look]) -> None:
        self._attention, self._ranked = attention, ranked
        self._known: dict[Form, float] = {}

    def of(self, form: Form) -> float:
        """Characters of a deflated array over those of a plain one; 1 for what is not deflated."""
        if not form.deflated or not self._attention.names:
            return 1.0
        if form not in self._known:
            layers = self._attention.cap.layers.tolist()
            looks = [*(Look(layers[at * len(layers) // 3]) for at in range(3)), *self._ranked[:1]]
            own = Attention(self._attention.shown, list(_ever_fewer(self._attention))[-1][0], self._attention.sets)
            self._known[form] = _ratio(np.stack([own.maps(look) for look in looks]), form)
        return self._known[form]


def _ratio(sample: NDArray[np.float32], form: Form) -> float:
    """Characters of a deflated array over those of a plain one."""
    plain = characters(sample.shape, form.dtype)
    return len(pack(sample, form)["data"]) / plain if plain else 1.0


def words(attention: Attention, ranked: Sequence[Look], budget: int, form: Form) -> Words | None:
    """The rows of single words that fit into a budget; None where there are none, or none fits.

    Args:
        attention: Of the capture.
        ranked: Its heads; the first ones are kept.
        budget: Characters of the document.
        form: Of maps and masses; rows are not more precise.
    """
    cap = attention.cap
    if not has_rows(attention):
        return None
    own, asking = _words(cap)
    small = len(own) * len(cap.tokens) * len(cap.layers) * cap.heads <= SMALL
    forms = _forms(cap)
    forms = forms[forms.index(form) :]
    sample = attention.rows(ranked[0], own if small else asking)
    every = all_looks(cap)
    best = [*every[: len(cap.layers) + 1], *ranked] if small else ranked[:MOST_ROWS]
    choices = [(own, best, len(best), forms)] if small else []
    # Where a word looks in more heads is worth more than a fourth digit
    choices += [(own, best, FEWEST, forms[-1:]), (asking, best, 1, forms[-1:])]
    for positions, looks, least, kinds in choices:
        for kind in kinds if len(positions) else ():
            each = characters((len(positions), len(attention.shown.cells)), kind.dtype)
            fits = int(budget / (each * (_ratio(sample, kind) if kind.deflated else 1.0)))
            if fits >= min(len(looks), least):
                return Words(list(looks[:fits]), positions, kind)
    return None


def has_rows(attention: Attention) -> bool:
    """Whether rows of single words can be had: the capture has queries and keys, and tokens have cells."""
    return (attention.cap.has("qk") or attention.cap.has("full")) and len(attention.shown.cells) > 0


def rank(caps: Sequence[Capture], values: Sequence[Values], lines: Sequence[Line]) -> list[Look]:
    """All heads of captures that have the same ones, first those that a reader asks for.

    The best heads of the first measures, those that change most and those that a correction acts on are taken in turn.

    Args:
        caps: The captures.
        values: Their numbers of heads.
        lines: The measures, the first first.
    """
    heads = [look for look in all_looks(caps[0]) if look.head is not None]
    lists: list[list[Look]] = []
    for line in [line for line in lines if line.center is not None][:RANKED]:
        own = [some[line.id].value.reshape(-1) for some in values if line.id in some]
        lists += [_descending(heads, array) for array in own]
        lists += [_descending(heads, np.abs(array - own[0])) for array in own[1:]]
    lists += [[Look(*place) for place in active_heads(cap)] for cap in caps if cap.correction]
    longest = max(map(len, lists), default=0)
    in_turn = [looks[i] for i in range(longest) for looks in lists if i < len(looks)]
    known = set(heads)
    return list(dict.fromkeys([*(look for look in in_turn if look in known), *heads]))


def _descending(heads: Sequence[Look], numbers: NDArray[np.float64]) -> list[Look]:
    """Heads by their numbers, the highest first; those without one are left out."""
    order = np.argsort(-numbers, kind="stable")
    return [heads[i] for i in order.tolist() if np.isfinite(numbers[i])]


def _ever_fewer(attention: Attention) -> Iterator[tuple[list[str], list[KeySet]]]:
    """Groups and sets of keys: all, without generated tokens, without turns; then only the main sets."""
    table = attention.cap.query_groups
    chosen = table["name"].isin(attention.names)
    for without in ((), (GENERATED,), (GENERATED, TURN)):
        groups = [str(name) for name in table.loc[chosen & ~table["kind"].isin(without), "name"]]
        yield groups, attention.sets
    yield groups, [some for some in attention.sets if some.main]


def _forms(cap: Capture) -> list[Form]:
    """From the simplest; a lift may be as large as the number of keys, which a float16 must be able to hold."""
    forms = [PLAIN, Form("float32", deflated=True), Form("float16", deflated=True)]
    return forms if len(cap.tokens) < LARGEST else forms[:2]


def _fitting(attention: Attention, groups: int, sets: int, dtype: DType, budget: int) -> int:
    """How many looks fit."""
    masses = (len(attention.queries), sets)
    each = characters((groups, len(attention.shown.cells)), dtype) + characters(masses, dtype)
    if not sets or attention.alike:
        budget -= characters(masses, "float32")
    else:
        each += characters(masses, "float32")
    return max(0, budget) // max(each, 1)


def _words(cap: Capture) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of all words that can be chosen, and of those of the question and the answer."""
    written = cap.tokens["modality"].isin(["text", "special"]).to_numpy()
    asking = cap.tokens["role"].isin([QUESTION, ANSWER]).to_numpy() & written
    asking[cap.prompt_length - 1] = True
    return np.flatnonzero(written), np.flatnonzero(asking)
