"""Which numbers a report opens with: rows of which tables, under which names, and what to compare them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from attnscope.metrics.answer import ASKED
from attnscope.metrics.decay import LINKS
from attnscope.metrics.registry import OVER

Keys = Mapping[str, object]
MEAN = {"layer": OVER, "head": OVER}
TO = "\N{RIGHTWARDS ARROW}"
NO_SINKS = ", without sinks"  # what the name of a line ends in that has a partner with them


@dataclass(frozen=True)
class Line:
    """One line: which rows of which table it averages, under which name, and what its n counts.

    Attributes:
        group: heading that it stands under.
        name: its own.
        metric: of the rows.
        where: values of their keys.
        counts: what their n counts.
        chance: a number to compare it with, or keys (of other rows than its own) that hold one.
        highest: the largest value among single heads instead of the mean.
        key: one of the few that are drawn where groups of captures are compared.
    """

    group: str
    name: str
    metric: str
    where: Keys
    counts: str
    chance: float | Keys = np.nan
    highest: bool = False
    key: bool = False


def lines(denominator: str) -> list[Line]:
    """The lines of the headline table, in order."""
    return [*_speakers(), *_answer(), *_modalities(denominator), *_decay()]


def _speakers() -> list[Line]:
    out, group = [], "Speakers"
    level: Keys = {"metric": "speaker_consistency_chance"}
    for frames, said in (("live", "live frames"), ("all", "all frames")):
        where: Keys = {**MEAN, "frames": frames}
        name, live = "Speaker consistency", frames == "live"
        out.append(Line(group, f"{name}, {said}", "speaker_consistency", where, "speakers", level))
        name = f"{name} over chance, {said}"
        out.append(Line(group, name, "speaker_consistency_lift", where, "speakers", 1.0, key=live))
    where = {**MEAN, "frames": "live", "speaker": "", "turn": OVER}
    out.append(Line(group, "Grounding AUC, live frames", "grounding_auc", where, "speakers", 0.5, key=True))
    others = {"match": "mismatched"}
    for metric, which, name in (
        ("speaker_pair_mean", "mean", "Word on its speaker's cells, mean (AttnMean)"),
        ("speaker_pair_max", "max", "Word on its speaker's cells, highest (AttnMax)"),
    ):
        where = {**MEAN, "frames": "live", "heads": which, "rows": "turn", "match": "matched"}
        out.append(Line(group, name, metric, where, "tokens", others, key=which == "mean"))
    return out


def _answer() -> list[Line]:
    group, name = "Answer", "Answer's lift on the asked speaker"
    all_of_it: Keys = {**MEAN, "query": "answer"}
    return [
        Line(group, name, "answer_lift", {**MEAN, **ASKED}, "cells", 1.0, key=True),
        Line(group, f"{name}, highest head", "answer_lift", ASKED, "cells", highest=True),
        *_both(group, "Text token over visual token (MDI)", "mdi", all_of_it, "queries", 1.0, key=True),
        Line(group, "Attention efficiency of text (AEI)", "aei_text", {**all_of_it, "sinks": "with"}, "queries", 1.0),
    ]


def _modalities(denominator: str) -> list[Line]:
    group, out = "Text and video", []
    where: Keys = {"query": "text", "key": "visual"}
    out += _both(group, f"Mass share text {TO} visual", "mass_share", where, "queries", key=True)
    out += _both(group, f"Lift text {TO} visual", "lift", where, "queries", 1.0)
    for query in ("text", "visual"):
        where = {"layer": OVER, "query": query, "denominator": denominator}
        name, level = f"Gap of {query} (/{denominator})", {"metric": "gap_uniform"}
        out += _both(group, name, "gap", where, "layers", level, key=query == "text")
    for query in ("text", "visual"):
        where = {**MEAN, "query": query}
        out.append(Line(group, f"Mass of {query} on sinks", "sink_share", where, "queries", key=query == "text"))
    return out


def _decay() -> list[Line]:
    out = []
    for link, (query, key) in LINKS.items():
        out += _both("Depth", f"Decay per layer, {query} {TO} {key}", "decay_gamma", {"link": link}, "layers")
    return out


def _both(
    group: str,
    name: str,
    metric: str,
    where: Keys,
    counts: str,
    chance: float | Keys = np.nan,
    *,
    key: bool = False,
) -> list[Line]:
    """A line with, and one without sinks."""
    said = {"with": "", "without": NO_SINKS}
    return [
        Line(
            group,
            name + end,
            metric,
            {"head": OVER, "sinks": sinks, **where},
            counts,
            chance,
            key=key and sinks == "with",
        )
        for sinks, end in said.items()
    ]
