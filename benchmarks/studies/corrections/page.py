"""What the page of the corrections says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.correct.controls import left_out
from attnscope.report.figures.style import styled
from benchmarks.studies import page
from benchmarks.studies.conditions import written
from benchmarks.studies.corrections import figures, sentences, tables
from benchmarks.studies.corrections.gaps import DENOMINATOR
from benchmarks.studies.corrections.measure import short_verdicts, verdicts
from benchmarks.studies.corrections.methods import FIRST, Method, methods
from benchmarks.studies.corrections.settings import HARM, Chosen, chosen
from benchmarks.studies.intervals import judged
from benchmarks.studies.settings import CALIBRATION_PEOPLE, CROWD, FEWEST, NAMED, TEST_PEOPLE


@dataclass(frozen=True)
class Results:
    """All results: tables as the functions of `measure` describe them.

    Attributes:
        facts: What the page says about the run, as JSON keeps it.
    """

    tried: Sequence[Method]
    doses: pd.DataFrame
    main: pd.DataFrame
    best: pd.DataFrame
    cells: pd.DataFrame
    short: pd.DataFrame
    gaps: pd.DataFrame
    chosen: Chosen
    facts: dict[str, Any]

    def judged(self) -> Results:
        """The same with the verdicts of all differences, derived from their numbers."""
        main, best = verdicts(self.main), verdicts(self.best)
        return replace(self, main=main, best=best, cells=judged(self.cells), short=short_verdicts(self.short))

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables, by the names of their files."""
        tables = {"results": self.main, "best": self.best, "doses": self.doses, "cells": self.cells}
        return tables | {"short": self.short, "gaps": self.gaps}


def write(results: Results, out: Path) -> Path:
    """Write corrections.md with its pictures, tables and facts into a folder."""
    results = results.judged()
    labels = {"more": CROWD, "fewest": f"{FEWEST} people", "harm": "cups and things"}
    with styled():
        drawings = {"changes": figures.changes(results.main, labels), "doses": figures.dose_curves(results.doses)}
        content = _content(results, out)
        return page.write("corrections", out, content, figures=drawings, tables=results.frames(), facts=results.facts)


def read(out: Path) -> Results:
    """Read back what `write` left in a folder: the page is made again from it without measuring anything."""
    table = partial(page.read_table, "corrections", out, keep_default_na=False, na_values=[""])
    choice = chosen(out / "data")
    main = table("results")
    known = set(main["condition"])  # a method that came later has no row yet
    return Results(
        tried=[method for method in methods(choice) if method.name in known],
        doses=table("doses"),
        main=main,
        best=table("best"),
        cells=table("cells"),
        short=table("short"),
        gaps=table("gaps"),
        chosen=choice,
        facts=page.read_facts("corrections", out),
    )


def _content(results: Results, out: Path) -> dict[str, Any]:
    main, best = results.main, results.best
    first = next(method for method in results.tried if method.name == FIRST)
    # the other control by heads, if docs/roundtable.md was made: each stands beside the other
    ranked_lowest = page.row_of("roundtable", out, "controls", column="name", value="lowest")
    return {
        "named": NAMED,
        "others": HARM,
        "few": FEWEST,
        "more": CROWD,
        "people": TEST_PEOPLE,
        "calibration_people": CALIBRATION_PEOPLE,
        "calibration_n": int(results.doses["n"].iloc[0]),
        "n": {part: int(main[f"{part}_n"].iloc[0]) for part in ("more", "fewest", "harm")},
        "clips": {part: int(main[f"{part}_clips"].iloc[0]) for part in ("more", "fewest", "harm")},
        "plain": {part: f"{100 * main[f'{part}_plain'].iloc[0]:.1f}" for part in ("more", "fewest", "harm")},
        "first": FIRST,
        "heads": written(results.chosen.heads),
        "alpha": f"{results.chosen.alpha:g}",
        "left_out": left_out(first.corrections),
        "intervals": 3 * (len(main) + len(best)),
        "summary": sentences.summary(main, best),
        "controls": sentences.controls(main, ranked_lowest),
        "harm": sentences.harm(main),
        "dose_sentences": sentences.doses(results.doses, best),
        "nothing": sentences.nothing(main, best),
        "main_table": tables.main(main),
        "best_table": tables.best(best, results.doses),
        "compact_table": tables.compact(results.short),
        "settings_table": tables.settings(results.tried),
        "gaps_n": int(results.gaps["n"].max()),
        "gaps_table": tables.gaps(results.gaps),
        "gap_sentences": sentences.gaps(results.gaps),
        "gap_denominator": DENOMINATOR,
    }
