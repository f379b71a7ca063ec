"""The page, its pictures and its tables as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.correct.controls import left_out
from attnscope.report.figures.style import styled
from benchmarks.corrections import figures, sentences, tables
from benchmarks.corrections.gaps import DENOMINATOR
from benchmarks.corrections.measure import short_verdicts, verdicts
from benchmarks.corrections.methods import FIRST, Method, methods
from benchmarks.corrections.settings import HARM, Chosen, chosen
from benchmarks.roundtable.conditions import written
from benchmarks.roundtable.intervals import judged
from benchmarks.roundtable.page import put, render
from benchmarks.roundtable.settings import CALIBRATION_PEOPLE, FEWEST, NAMED, TEST_PEOPLE


@dataclass(frozen=True)
class Results:
    """Everything that was found: tables as the functions of `measure` describe them.

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
    labels = {"more": sentences.MANY, "fewest": f"{FEWEST} people", "harm": "cups and things"}
    with styled():
        drawn = {"changes": figures.changes(results.main, labels), "doses": figures.dose_curves(results.doses)}
        put(out, "corrections", drawn, results.frames())
    (out / "data" / "corrections-facts.json").write_text(json.dumps(results.facts, indent=1) + "\n", encoding="utf-8")
    page = out / "corrections.md"
    page.write_text(render(Path(__file__).parent, _content(results, out)), encoding="utf-8")
    return page


def read(out: Path) -> Results:
    """Read back what `write` left in a folder: the page is made again from it without measuring anything."""

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(out / "data" / f"corrections-{name}.csv", keep_default_na=False, na_values=[""])

    doses = table("doses")
    found = chosen(out / "data")
    facts = json.loads((out / "data" / "corrections-facts.json").read_text(encoding="utf-8"))
    main = table("results")
    known = set(main["condition"])  # a method that came later has no row yet
    return Results(
        tried=[one for one in methods(found) if one.name in known],
        doses=doses,
        main=main,
        best=table("best"),
        cells=table("cells"),
        short=table("short"),
        gaps=table("gaps"),
        chosen=found,
        facts=facts,
    )


def _content(results: Results, out: Path) -> dict[str, Any]:
    main, best, facts = results.main, results.best, results.facts
    first = next(one for one in results.tried if one.name == FIRST)
    return {
        "named": NAMED,
        "others": HARM,
        "few": FEWEST,
        "more": sentences.MANY,
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
        "controls": sentences.controls(main, _ranked_lowest(out)),
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
        "csv": list(results.frames()),
        **facts,
    }


def _ranked_lowest(out: Path) -> Any | None:
    """The other control by heads, if docs/roundtable.md was made: each stands beside the other."""
    path = out / "data" / "roundtable-controls.csv"
    if not path.exists():
        return None
    rows = judged(pd.read_csv(path)).set_index("name")
    return rows.loc["lowest"] if "lowest" in rows.index else None
