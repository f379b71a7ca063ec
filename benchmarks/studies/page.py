"""A study's page with its pictures, tables and facts: written as files, and read back without measuring anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.studies.intervals import judged


def write(
    study: str,
    out: Path,
    content: Mapping[str, Any],
    *,
    figures: Mapping[str, Figure],
    tables: Mapping[str, pd.DataFrame],
    facts: Mapping[str, Any],
) -> Path:
    """Write STUDY.md from the study's template, with its pictures, tables and facts, into a folder.

    Args:
        study: Name of the package in `benchmarks.studies`, which is also that of the page.
        out: The folder.
        content: What the template asks for beside the facts and the names of the tables.
        figures: Pictures by name.
        tables: Tables by name.
        facts: What the page says about the run, as JSON keeps it.

    Returns:
        The page.
    """
    for name, figure in figures.items():
        _save(figure, out / "images" / f"{study}-{name}.png")
    (out / "data").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / "data" / f"{study}-{name}.csv", index=False, float_format="%.6g")
    (out / "data" / f"{study}-facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / study),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    always = {"images": "images", "data": "data", "csv": list(tables)}
    page = out / f"{study}.md"
    page.write_text(environment.get_template("page.md.j2").render(always | dict(content) | dict(facts)), "utf-8")
    return page


def read_table(study: str, out: Path, name: str, **options: Any) -> pd.DataFrame:
    """A table that `write` left in a folder; `options` are those of `pandas.read_csv`."""
    return pd.read_csv(out / "data" / f"{study}-{name}.csv", **options)


def read_facts(study: str, out: Path) -> dict[str, Any]:
    """The facts that `write` left in a folder."""
    facts: dict[str, Any] = json.loads((out / "data" / f"{study}-facts.json").read_text(encoding="utf-8"))
    return facts


def row_of(study: str, out: Path, name: str, *, column: str, value: str, part: str = "") -> Any | None:
    """One row of another study's table, judged; None where that study was not made or has no such row.

    Args:
        study: The other study.
        out: The folder of the pages.
        name: Name of its table.
        column: The column to look in.
        value: What stands there.
        part: What stands before the names of the numbers, as for `judged`.
    """
    try:
        table = read_table(study, out, name)
    except FileNotFoundError:
        return None
    rows = judged(table, part).set_index(column)
    return rows.loc[value] if value in rows.index else None


def _save(figure: Figure, path: Path) -> None:
    """A PNG of few colours, a third of the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with BytesIO() as buffer:
        figure.savefig(buffer, format="png")
        image = Image.open(buffer).convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
