"""The attention that a document holds: maps, masses and rows of as many looks as fit, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.metrics.scan import scanned
from attnscope.report.viewer.budget import Share, Words, has_rows, share, words
from attnscope.report.viewer.captures import groups
from attnscope.report.viewer.looks import Attention, Look, all_looks
from attnscope.report.viewer.packing import pack
from attnscope.vocabulary import GENERATED, TURN

if TYPE_CHECKING:
    from attnscope.report.viewer.shown import Shown

FOR_ROWS = 0.25  # of the budget, where rows of single words can be had


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
    kept = [own.looks for own in shares]
    for n, own in enumerate(shares):
        alike = [looks for looks, heads in zip(kept, ranked, strict=True) if set(heads) == set(ranked[n])]
        common = set(kept[n]).intersection(*alike)
        shares[n] = replace(own, looks=[look for look in own.looks if look in common])
    return [_views(*one, budget) for one in zip(shown, shares, ranked, strict=True)]


def _views(shown: Shown, held: Share, ranked: Sequence[Look], budget: int) -> Views:
    """The views of one capture."""
    cap, looks = shown.cap, held.looks
    if not (cap.has("maps") or cap.has("masses")):
        return Views({}, [])
    attention = Attention(shown, held.groups, held.sets)
    maps = scanned(cap, attention.scan(looks)) if held.groups else np.zeros((len(looks), 0, len(shown.cells)))
    views = {
        "looks": [look.entry() for look in looks],
        "maps": pack(maps, held.dtype),
        "masses": pack(attention.all_masses(looks), held.dtype),
        "queries": pack(attention.queries, "int32"),
    }
    if held.sets:
        uniform = [attention.uniform(look) for look in (looks[:1] if attention.alike else looks)]
        views["uniform"] = pack(np.stack(uniform))
    spent = sum(len(part["data"]) for part in views.values() if isinstance(part, dict))
    chosen = words(attention, ranked, budget - spent, held.dtype)
    if chosen is not None:
        rows = np.stack([attention.rows(look, chosen.positions) for look in chosen.looks])
        views["rows"] = {
            "looks": [look.entry() for look in chosen.looks],
            "queries": pack(chosen.positions, "int32"),
            "values": pack(rows, chosen.dtype),
        }
    entry = {
        "views": views,
        "groups": [group for group in groups(cap) if group["name"] in held.groups],
        "keys": [one.entry(cap) for one in held.sets],
    }
    return Views(entry, _left_out(attention, held, chosen))


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
    if held.dtype == "float16" or (chosen is not None and chosen.dtype == "float16"):
        what = "Maps and masses" if held.dtype == "float16" else "The rows of single words"
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
