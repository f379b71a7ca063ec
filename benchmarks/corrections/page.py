"""The page, its pictures and its tables as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.correct.controls import left_out
from attnscope.report.style import styled
from benchmarks.corrections import figures, sentences, tables
from benchmarks.corrections.methods import FIRST, Method
from benchmarks.corrections.settings import HARM, Chosen, Settings
from benchmarks.roundtable.conditions import written
from benchmarks.roundtable.page import put, render
from benchmarks.roundtable.settings import CALIBRATION_PEOPLE, FEWEST, NAMED, TEST_PEOPLE


@dataclass(frozen=True)
class Results:
    """Everything that was found: tables as the functions of `measure` describe them."""

    tried: Sequence[Method]
    doses: pd.DataFrame
    main: pd.DataFrame
    best: pd.DataFrame
    cells: pd.DataFrame
    short: pd.DataFrame
    chosen: Chosen

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables, by the names of their files."""
        return {"results": self.main, "best": self.best, "doses": self.doses, "cells": self.cells}


def write(results: Results, settings: Settings, took: str, code: str) -> Path:
    """Write corrections.md with its pictures and tables into the folder of the settings.

    Args:
        results: What was found.
        settings: Of the run.
        took: What it cost, in words.
        code: The commit that ran.
    """
    labels = {"more": sentences.MANY, "fewest": f"{FEWEST} people", "harm": "cups and things"}
    with styled():
        drawn = {"changes": figures.changes(results.main, labels), "doses": figures.dose_curves(results.doses)}
        put(settings.out, "corrections", drawn, results.frames())
    page = settings.out / "corrections.md"
    page.write_text(render(Path(__file__).parent, _content(results, settings, took, code)), encoding="utf-8")
    return page


def _content(results: Results, settings: Settings, took: str, code: str) -> dict[str, Any]:
    main, best = results.main, results.best
    first = next(one for one in results.tried if one.name == FIRST)
    scaled = f"python -m benchmarks.corrections --scale {settings.scale:g}"
    return {
        "scale": settings.scale,
        "command": "make bench-corrections" if settings.scale == 1 else scaled,
        "took": took,
        "commit": code,
        "model": settings.models[0],
        "named": NAMED,
        "others": HARM,
        "few": FEWEST,
        "more": sentences.MANY,
        "people": TEST_PEOPLE,
        "calibration_people": CALIBRATION_PEOPLE,
        "calibration_n": int(results.doses["n"].iloc[0]),
        "per_cell": settings.per_cell,
        "others_per_cell": settings.dose_per_cell,
        "n": {part: int(main[f"{part}_n"].iloc[0]) for part in ("more", "fewest", "harm")},
        "clips": {part: int(main[f"{part}_clips"].iloc[0]) for part in ("more", "fewest", "harm")},
        "plain": {part: f"{100 * main[f'{part}_plain'].iloc[0]:.1f}" for part in ("more", "fewest", "harm")},
        "first": FIRST,
        "heads": written(results.chosen.heads),
        "alpha": f"{results.chosen.alpha:g}",
        "left_out": left_out(first.corrections),
        "intervals": 3 * (len(main) + len(best)),
        "summary": sentences.summary(main, best),
        "controls": sentences.controls(main),
        "harm": sentences.harm(main),
        "dose_sentences": sentences.doses(results.doses, best),
        "nothing": sentences.nothing(main, best),
        "main_table": tables.main(main),
        "best_table": tables.best(best, results.doses),
        "compact_table": tables.compact(results.short),
        "settings_table": tables.settings(results.tried),
        "csv": list(results.frames()),
    }
