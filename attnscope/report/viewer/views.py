"""The attention that a document holds: maps, masses and rows of as many looks as fit, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.scan import scanned
from attnscope.report.viewer.budget import Share, Words, has_rows, share, words
from attnscope.report.viewer.captures import groups
from attnscope.report.viewer.looks import Attention, Look, all_looks
from attnscope.report.viewer.packing import Form, pack
from attnscope.vocabulary import GENERATED, TURN

if TYPE_CHECKING:
    from attnscope.report.viewer.shown import Shown

# Rows of single words: the part of a capture's budget that is kept for them, what they take where maps leave more, and
# what those of one capture take at most of the budget of all
FOR_ROWS, AT_MOST, OF_ALL = 0.25, 0.65, 0.45
ROUNDED = "are rounded to 16 bits, which is about three digits, so that the page stays small"


@dataclass(frozen=True)
class Views:
    """The attention of a capture in a document.

    Attributes:
        entry: `views`, and the `groups` and `keys` that they have, as in viewer/src/document.ts; empty of a capture
            with neither maps nor masses.
        notes: What is left out, in sentences.
    """

    entry: dict[str, Any]
    notes: list[str]


@dataclass(frozen=True)
class Held:
    """Maps and masses of the looks of a capture, as arrays.

    Attributes:
        attention: Where they come from, of the groups and sets of keys that are held.
        share: What is held.
        maps: [V, G, T].
        masses: [V, Q, K].
        uniform: [V, Q, K], or [1, Q, K] where it is the same for all looks.
    """

    attention: Attention
    share: Share
    maps: NDArray[np.float32]
    masses: NDArray[np.float32]
    uniform: NDArray[np.float32]

    @classmethod
    def of(cls, shown: Shown, share: Share) -> Held:
        """Read them."""
        attention, looks = Attention(shown, share.groups, share.sets), share.looks
        maps = np.zeros((len(looks), 0, len(shown.cells)), np.float32)
        maps = scanned(shown.cap, attention.scan(looks)) if share.groups else maps
        masses = attention.all_masses(looks)
        uniform = np.zeros((1, 0, 0), np.float32)
        if share.sets:
            uniform = np.stack([attention.uniform(look) for look in (looks[:1] if attention.alike else looks)])
        return cls(attention, share, maps, masses, uniform)

    def packed(self, count: int) -> dict[str, Any]:
        """The first looks as `views` of viewer/src/document.ts."""
        form = self.share.form
        return {
            "looks": [look.entry() for look in self.share.looks[:count]],
            "maps": pack(self.maps[:count], form),
            "masses": pack(self.masses[:count], form),
            "queries": pack(self.attention.queries, "int32"),
        } | ({"uniform": pack(self.uniform[:count], Form(deflated=form.deflated))} if self.share.sets else {})


def views_of(shown: Sequence[Shown], ranked: Sequence[Sequence[Look]], budget: int) -> list[Views]:
    """What the document holds of each capture: the same looks of all that have the same heads.

    Args:
        shown: The captures.
        ranked: Of each its heads, those first that are kept where not all fit.
        budget: Characters of the document, of each capture.
    """
    everything = [Attention(one) for one in shown]
    room = [int(budget * (1 - FOR_ROWS * has_rows(own))) for own in everything]
    shares = [share(own, heads, most) for own, heads, most in zip(everything, ranked, room, strict=True)]
    shares = [replace(own, looks=_common(own.looks, shares, ranked, n)) for n, own in enumerate(shares)]
    held = [Held.of(one, own) for one, own in zip(shown, shares, strict=True)]
    rows = int(budget * min(AT_MOST, OF_ALL * len(shown)))
    packed = [_packed(own, most) for own, most in zip(held, room, strict=True)]
    out = []
    for n, (one, own, heads) in enumerate(zip(shown, held, ranked, strict=True)):
        least = min(len(views["looks"]) for views, some in zip(packed, held, strict=True) if _alike(own, some))
        views = packed[n] if least == len(packed[n]["looks"]) else own.packed(least)
        out.append(_views(one, own, views, heads, (budget, rows)))
    return out


def _common(own: Sequence[Look], shares: Sequence[Share], ranked: Sequence[Sequence[Look]], n: int) -> list[Look]:
    """The looks of a capture that all captures with the same heads hold."""
    alike = [other.looks for other, heads in zip(shares, ranked, strict=True) if set(heads) == set(ranked[n])]
    common = set(own).intersection(*alike)
    return [look for look in own if look in common]


def _packed(held: Held, room: int) -> dict[str, Any]:
    """The looks that fit: all of them, unless they are less alike than the sample that was counted on."""
    count = len(held.share.looks)
    views = held.packed(count)
    while count > 1 and (size := _size(views)) > room:
        count = min(count - 1, max(1, int(count * room / size)))
        views = held.packed(count)
    return views


def _alike(own: Held, other: Held) -> bool:
    return own.share.looks == other.share.looks


def _size(views: Mapping[str, Any]) -> int:
    return sum(len(part["data"]) for part in views.values() if isinstance(part, dict))


def _views(shown: Shown, held: Held, views: dict[str, Any], ranked: Sequence[Look], budgets: tuple[int, int]) -> Views:
    """The views of one capture, with as many rows of single words as fit; budgets: of all, and of these."""
    cap, own = shown.cap, replace(held.share, looks=held.share.looks[: len(views["looks"])])
    if not (cap.has("maps") or cap.has("masses")):
        return Views({}, [])
    room = min(budgets[0] - _size(views), budgets[1])
    chosen = words(held.attention, ranked, room, own.form)
    if chosen is not None:
        arrays = np.stack([held.attention.rows(look, chosen.positions) for look in chosen.looks])
        packed = pack(arrays, chosen.form)
        while len(packed["data"]) > room and len(arrays) > 1:  # less alike than the sample that was counted on
            arrays = arrays[: max(1, min(len(arrays) - 1, int(len(arrays) * room / len(packed["data"]))))]
            packed = pack(arrays, chosen.form)
        chosen = replace(chosen, looks=chosen.looks[: len(arrays)])
        views["rows"] = {
            "looks": [look.entry() for look in chosen.looks],
            "queries": pack(chosen.positions, "int32"),
            "values": packed,
        }
    entry = {
        "views": views,
        "groups": [group for group in groups(cap) if group["name"] in own.groups],
        "keys": [one.entry(cap) for one in own.sets],
    }
    return Views(entry, _left_out(held.attention, own, chosen))


def _left_out(attention: Attention, held: Share, chosen: Words | None) -> list[str]:
    """What the page leaves out of a capture, in sentences."""
    cap, out = attention.cap, []
    heads, every = sum(look.head is not None for look in held.looks), len(cap.layers) * cap.heads
    if heads < every:
        means = "the mean of every layer" if len(held.looks) - heads > len(cap.layers) else "some means of layers"
        out.append(
            f"The page has the overlays of {heads:,} of {every:,} heads, those that its measures rank first, and of "
            f"{means}. All of them would be too large. The grid and the table have the numbers of every head."
        )
    if held.form.dtype == "float16":
        out.append(f"The numbers on frames and words {ROUNDED}.")
    elif chosen is not None and chosen.form.dtype == "float16":
        out.append(f"The numbers of single words on the frames {ROUNDED}.")
    if cap.has("maps"):
        kinds = cap.query_groups.loc[~cap.query_groups["name"].isin(held.groups), "kind"].unique().tolist()
        missing = [{GENERATED: "generated tokens", TURN: "single turns"}.get(kind, kind) for kind in kinds]
        out += [f"The overlays of {' and '.join(missing)} are left out for their size."] if missing else []
    return out + _words_left_out(attention, chosen)


def _words_left_out(attention: Attention, chosen: Words | None) -> list[str]:
    """Of which words and heads the rows are, where they are not of all."""
    if chosen is None:
        return ["The cells that a single word looks at are left out for their size."] * has_rows(attention)
    heads = len(chosen.looks) < len(all_looks(attention.cap))
    some = len(chosen.positions) < len(attention.queries)
    whose = "the words of the question and the answer" if some else "every word"
    where = f"{len(chosen.looks):,} of {len(all_looks(attention.cap)):,} heads and means" if heads else "every head"
    return [f"Where a single word looks is on this page for {whose}, in {where}."] * (heads or some)
