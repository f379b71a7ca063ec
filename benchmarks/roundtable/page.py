"""Step 6: the page, its pictures and its tables as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from attnscope.demo.cast import UNITS
from attnscope.demo.questions import TASKS
from attnscope.demo.scenes import SCALE
from attnscope.report.style import styled
from benchmarks.roundtable import figures, pictures, sentences, tables
from benchmarks.roundtable.conditions import Choice, written
from benchmarks.roundtable.intervals import FEWEST_CLIPS
from benchmarks.roundtable.settings import CALIBRATION_PEOPLE, MORE, NAMED, Settings

SHOWN = (1, 3, 6)


@dataclass(frozen=True)
class Results:
    """Everything that was found: one table a step, as the functions that make them describe them."""

    accuracy: pd.DataFrame
    ranked: pd.DataFrame
    grid: pd.DataFrame
    cells: pd.DataFrame
    full: pd.DataFrame
    controls: pd.DataFrame
    nobody: pd.DataFrame
    dose: pd.DataFrame
    attention: pd.DataFrame
    errors: pd.DataFrame
    choice: Choice
    facts: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables, by the names of their files."""
        both = pd.concat([self.cells.assign(role="limited"), self.full.assign(role="full")], ignore_index=True)
        return {
            "accuracy": self.accuracy,
            "heads": self.ranked,
            "calibration": self.grid,
            "correction": both,
            "controls": self.controls,
            "dose": self.dose,
            "attention": self.attention,
            "errors": self.errors,
        }


def write(results: Results, settings: Settings, code: str) -> Path:
    """Write roundtable.md with its pictures and tables into the folder of the settings; `code`: the commit that ran."""
    names = {model.role: model.name for model in settings.models}
    limited = settings.models[0]
    with styled():
        drawn = {
            "scenes": pictures.scenes(SHOWN),
            "accuracy": figures.accuracy(results.accuracy, names, limited.most_people),
            "dose": figures.dose_curve(results.dose, results.choice.alpha),
            "contrast": figures.contrast(results.attention, names),
        }
        put(settings.out, "roundtable", drawn, results.frames())
    page = settings.out / "roundtable.md"
    page.write_text(render(Path(__file__).parent, _content(results, settings, names, code)), encoding="utf-8")
    return page


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


def _content(results: Results, settings: Settings, names: dict[str, str], code: str) -> dict[str, Any]:
    trained = {model.role: model.most_people for model in settings.models}
    choice, grid = results.choice, results.grid
    plain = float(grid["accuracy"].iloc[0])
    return {
        "scale": settings.scale,
        "names": names,
        "trained": trained,
        "shown": SHOWN,
        "pixels": UNITS * SCALE,
        "calibration_people": CALIBRATION_PEOPLE,
        "per_cell": settings.per_cell,
        "named": NAMED,
        "more": f"{MORE[0]} to {MORE[-1]}",
        "summary": sentences.summary(results.accuracy, results.cells, results.full, names),
        "claim": sentences.paper_claim(results.attention, names),
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
        "controls": sentences.control_lines(results.controls),
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
        "contrast_tables": tables.contrast(results.attention, names),
        "errors_table": tables.errors(results.errors, names),
        "fewest_clips": FEWEST_CLIPS,
        "commit": code,
        "workers": settings.workers,
        "models": settings.models,
        "csv": list(results.frames()),
        **results.facts,
    }


def save(figure: Figure, path: Path) -> None:
    """A PNG of few colours, a third of the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with BytesIO() as buffer:
        figure.savefig(buffer, format="png")
        image = Image.open(buffer).convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
