"""Step 6: what the page of the round table says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.correct.controls import LOWEST_G
from attnscope.demo.cast import UNITS
from attnscope.demo.questions import TASKS
from attnscope.demo.scenes import SCALE
from attnscope.report.figures.style import styled
from benchmarks.studies import page
from benchmarks.studies.conditions import Choice, chosen, written
from benchmarks.studies.heads import choose, pairs
from benchmarks.studies.intervals import FEWEST_CLIPS, judged, largest_p
from benchmarks.studies.roundtable import figures, pictures, sentences, tables
from benchmarks.studies.roundtable.contrast import HIGHER, LOWER
from benchmarks.studies.roundtable.corrections import ALL
from benchmarks.studies.settings import CALIBRATION_PEOPLE, FEWEST, MORE, NAMED

SHOWN = (1, 3, 6)


@dataclass(frozen=True)
class Results:
    """All results: one table a step, as the functions that make them describe them.

    Attributes:
        facts: What the page says about the run, as JSON keeps it: models, scale, commit, what it took.
    """

    accuracy: pd.DataFrame
    ranked: pd.DataFrame
    grid: pd.DataFrame
    cells: pd.DataFrame
    full: pd.DataFrame
    controls: pd.DataFrame
    nobody: pd.DataFrame
    dose: pd.DataFrame
    attention: pd.DataFrame
    alike: pd.DataFrame
    errors: pd.DataFrame
    choice: Choice
    facts: dict[str, Any]

    def judged(self) -> Results:
        """The same with the verdicts of all differences, derived from their numbers."""
        controls = judged(self.controls)
        for part in ("fewest_", "ahead_"):
            controls = judged(controls, part)
        errors = judged(self.errors, more=LOWER, less=HIGHER)
        return replace(self, cells=judged(self.cells), full=judged(self.full), controls=controls, errors=errors)

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables, by the names of their files."""
        both = pd.concat([self.cells.assign(role="limited"), self.full.assign(role="full")], ignore_index=True)
        return {
            "accuracy": self.accuracy,
            "heads": self.ranked,
            "calibration": self.grid,
            "correction": both,
            "controls": self.controls,
            "nobody": self.nobody,
            "dose": self.dose,
            "attention": self.attention,
            "alike": self.alike,
            "errors": self.errors,
        }


def write(results: Results, out: Path) -> Path:
    """Write roundtable.md with its pictures, tables and facts into a folder."""
    results = results.judged()
    names = {model["role"]: model["name"] for model in results.facts["models"]}
    with styled():
        drawings = {
            "scenes": pictures.scenes(SHOWN),
            "accuracy": figures.accuracy(results.accuracy, names, results.facts["models"][0]["most_people"]),
            "dose": figures.dose_curve(results.dose, results.choice.alpha),
            "contrast": figures.contrast(results.attention, names),
        }
        content = _content(results, names, out)
        return page.write("roundtable", out, content, figures=drawings, tables=results.frames(), facts=results.facts)


def read(out: Path) -> Results:
    """Read back what `write` left in a folder: the page is made again from it without measuring anything."""

    table = partial(page.read_table, "roundtable", out)
    facts = page.read_facts("roundtable", out)
    both = table("correction", dtype={"people": str})
    cells, full = (
        both[both["role"] == role].drop(columns="role").reset_index(drop=True) for role in ("limited", "full")
    )
    controls = table("controls")
    if "fewest_p" not in controls:  # measured before these were kept
        known = int(cells.loc[(cells["task"] == ALL) & (cells["people"] == str(FEWEST)), "n"].iloc[0])
        largest = [largest_p(difference, known) for difference in controls["fewest"]]
        controls = controls.assign(fewest_p=largest, ahead_p=float("nan"))
    grid, ranked = table("calibration"), table("heads")
    full_heads = tuple((int(layer), int(head)) for layer, head in facts["full_heads"])
    return Results(
        accuracy=table("accuracy"),
        ranked=ranked,
        grid=grid,
        cells=cells,
        full=full,
        controls=controls,
        nobody=table("nobody"),
        dose=table("dose"),
        attention=table("attention"),
        alike=table("alike"),
        errors=table("errors"),
        choice=chosen(*choose(grid), pairs(ranked), full_heads),
        facts=facts,
    )


def _content(results: Results, names: dict[str, str], out: Path) -> dict[str, Any]:
    facts = results.facts
    # the other control by heads, if docs/corrections.md was made: each stands beside the other
    lowest_g = page.row_of(
        "corrections", out, "results", column="condition", value=f"control: {LOWEST_G}", part="more_"
    )
    trained = {model["role"]: model["most_people"] for model in facts["models"]}
    choice, grid = results.choice, results.grid
    plain = float(grid["accuracy"].iloc[0])
    return {
        "names": names,
        "trained": trained,
        "shown": SHOWN,
        "pixels": UNITS * SCALE,
        "calibration_people": CALIBRATION_PEOPLE,
        "named": NAMED,
        "more": f"{MORE[0]} to {MORE[-1]}",
        "summary": sentences.summary(results.accuracy, results.cells, results.full, names),
        "claim": sentences.paper_claim(results.alike, names),
        "did_not_work": sentences.did_not_work(
            results.accuracy,
            results.cells,
            results.full,
            results.controls,
            results.errors,
            results.nobody,
            names,
            trained,
        ),
        "controls": sentences.control_lines(results.controls, lowest_g),
        "task_table": tables.tasks(TASKS),
        "accuracy_table": tables.accuracy(results.accuracy, names),
        "heads_table": tables.heads(results.ranked),
        "ranked_n": int(results.ranked["n"].iloc[0]),
        "plain_calibration": f"{100 * plain:.1f}",
        "grid_table": tables.grid(grid),
        "choice": {
            "count": len(choice.heads),
            "alpha": f"{choice.alpha:g}",
            "heads": written(choice.heads),
            "full_heads": written(choice.full_heads),
            "better": float(grid["accuracy"].iloc[1:].max()) > plain,
        },
        "correction_table": tables.correction(results.cells),
        "full_table": tables.correction(results.full),
        "controls_table": tables.controls(results.controls),
        "nobody_table": tables.nobody(results.nobody),
        "dose_n": int(results.dose["n"].iloc[0]),
        "dose_clips": int(results.dose["clips"].iloc[0]),
        "left_out": int(results.attention.drop_duplicates(["role", "task", "people"])["left_out"].sum()),
        "alike_table": tables.alike(results.alike, names),
        "contrast_tables": tables.contrast(results.attention, names),
        "errors_table": tables.errors(results.errors, names),
        "fewest_clips": FEWEST_CLIPS,
    }
