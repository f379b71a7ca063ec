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

FOR_ROWS = 0.25  # of the budget: what rows of single words take at most


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
    packed = [_packed(own, most) for own, most in zip(held, room, strict=True)]
    out = []
    for n, (one, own, heads) in enumerate(zip(shown, held, ranked, strict=True)):
        least = min(len(views["looks"]) for views, some in zip(packed, held, strict=True) if _alike(own, some))
        views = packed[n] if least == len(packed[n]["looks"]) else own.packed(least)
        out.append(_views(one, own, views, heads, budget))
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


def _views(shown: Shown, held: Held, views: dict[str, Any], ranked: Sequence[Look], budget: int) -> Views:
    """The views of one capture, with as many rows of single words as fit beside maps and masses."""
    cap, own = shown.cap, replace(held.share, looks=held.share.looks[: len(views["looks"])])
    if not (cap.has("maps") or cap.has("masses")):
        return Views({}, [])
    room = min(budget - _size(views), int(budget * FOR_ROWS))
    chosen = words(held.attention, ranked, room, own.form)
    if chosen is not None:
        rows = np.stack([held.attention.rows(look, chosen.positions) for look in chosen.looks])
        packed = pack(rows, chosen.form)
        while len(packed["data"]) > room and len(rows) > 1:  # less alike than the sample that was counted on
            rows = rows[: min(len(rows) - 1, int(len(rows) * room / len(packed["data"])))]
            packed = pack(rows, chosen.form)
        chosen = replace(chosen, looks=chosen.looks[: len(rows)])
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
    cap, name = attention.cap, attention.cap.path.name
    heads, every = sum(look.head is not None for look in held.looks), len(cap.layers) * cap.heads
    out = []
    if heads < every:
        means = "the mean of every layer" if len(held.looks) - heads > len(cap.layers) else "some means of layers"
        out.append(
            f"{name}: this page holds the maps of {heads:,} of {every:,} heads, those that its measures rank first, "
            f"and {means}, so that it stays small. The numbers of all heads are in the grid."
        )
    if held.form.dtype == "float16" or (chosen is not None and chosen.form.dtype == "float16"):
        what = "Maps and masses" if held.form.dtype == "float16" else "The rows of single words"
        out.append(f"{name}: {what} are rounded to 16 bits (about three digits), so that the page stays small.")
    if cap.has("maps"):
        kinds = cap.query_groups.loc[~cap.query_groups["name"].isin(held.groups), "kind"].unique().tolist()
        missing = [{GENERATED: "generated tokens", TURN: "single turns"}.get(kind, kind) for kind in kinds]
        out += [f"{name}: the maps of {' and '.join(missing)} are left out for their size."] if missing else []
    if chosen is not None and (words := _words_left_out(attention, chosen)):
        out.append(f"{name}: {words}")
    return out


def _words_left_out(attention: Attention, chosen: Words) -> str:
    """Of which words and heads the rows are, where they are not of all."""
    heads = len(chosen.looks) < len(all_looks(attention.cap))
    some = len(chosen.positions) < len(attention.queries)
    if not heads and not some:
        return ""
    whose = "the words of the question and the answer" if some else "every word"
    where = f"{len(chosen.looks):,} heads" if heads else "every head"
    return f"where a single word looks is on this page for {whose}, in {where}."
