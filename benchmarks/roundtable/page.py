"""Step 6: the page, its pictures and its tables as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from attnscope.correct.controls import LOWEST_G
from attnscope.demo.cast import UNITS
from attnscope.demo.questions import TASKS
from attnscope.demo.scenes import SCALE
from attnscope.report.figures.style import styled
from benchmarks.roundtable import figures, pictures, sentences, tables
from benchmarks.roundtable.conditions import Choice, chosen, written
from benchmarks.roundtable.contrast import HIGHER, LOWER
from benchmarks.roundtable.corrections import ALL
from benchmarks.roundtable.heads import choose, pairs
from benchmarks.roundtable.intervals import FEWEST_CLIPS, judged, largest_p
from benchmarks.roundtable.settings import CALIBRATION_PEOPLE, FEWEST, MORE, NAMED

SHOWN = (1, 3, 6)


@dataclass(frozen=True)
class Results:
    """Everything that was found: one table a step, as the functions that make them describe them.

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
        drawn = {
            "scenes": pictures.scenes(SHOWN),
            "accuracy": figures.accuracy(results.accuracy, names, results.facts["models"][0]["most_people"]),
            "dose": figures.dose_curve(results.dose, results.choice.alpha),
            "contrast": figures.contrast(results.attention, names),
        }
        put(out, "roundtable", drawn, results.frames())
    (out / "data" / "roundtable-facts.json").write_text(json.dumps(results.facts, indent=1) + "\n", encoding="utf-8")
    page = out / "roundtable.md"
    page.write_text(render(Path(__file__).parent, _content(results, names, out)), encoding="utf-8")
    return page


def read(out: Path) -> Results:
    """Read back what `write` left in a folder: the page is made again from it without measuring anything."""

    def table(name: str, **how: Any) -> pd.DataFrame:
        return pd.read_csv(out / "data" / f"roundtable-{name}.csv", **how)

    facts = json.loads((out / "data" / "roundtable-facts.json").read_text(encoding="utf-8"))
    both = table("correction", dtype={"people": str})
    cells, full = (
        both[both["role"] == role].drop(columns="role").reset_index(drop=True) for role in ("limited", "full")
    )
    controls = table("controls")
    if "fewest_p" not in controls:  # measured before these were kept
        known = int(cells.loc[(cells["task"] == ALL) & (cells["people"] == str(FEWEST)), "n"].iloc[0])
        bound = [largest_p(difference, known) for difference in controls["fewest"]]
        controls = controls.assign(fewest_p=bound, ahead_p=float("nan"))
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


def put(out: Path, page: str, drawn: Mapping[str, Figure], tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the pictures and the tables of a page into the folders images and data."""
    for name, figure in drawn.items():
        save(figure, out / "images" / f"{page}-{name}.png")
    for name, table in tables.items():
        path = out / "data" / f"{page}-{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False, float_format="%.6g")


def render(folder: Path, content: dict[str, Any]) -> str:
    """The template page.md.j2 of a folder, filled; folders of pictures and of tables are the same on every page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.md.j2").render({"images": "images", "data": "data"} | content)


def _content(results: Results, names: dict[str, str], out: Path) -> dict[str, Any]:
    facts = results.facts
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
        "controls": sentences.control_lines(results.controls, _lowest_g(out)),
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
        "csv": list(results.frames()),
        **facts,
    }


def _lowest_g(out: Path) -> Any | None:
    """The other control by heads, if docs/corrections.md was made: each stands beside the other."""
    path = out / "data" / "corrections-results.csv"
    if not path.exists():
        return None
    rows = judged(pd.read_csv(path), "more_").set_index("condition")
    return rows.loc[f"control: {LOWEST_G}"] if f"control: {LOWEST_G}" in rows.index else None


def save(figure: Figure, path: Path) -> None:
    """A PNG of few colours, a third of the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with BytesIO() as buffer:
        figure.savefig(buffer, format="png")
        image = Image.open(buffer).convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
