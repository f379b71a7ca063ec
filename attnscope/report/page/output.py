"""Writing a report's files: tables, figures twice, and the figures again inside the page."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.image import AxesImage

from attnscope import metrics
from attnscope.errors import RunError
from attnscope.files.folders import unusable_folder
from attnscope.files.reports import PARTS
from attnscope.metrics.export import CSV, CSV_ROWS, PARQUET, SUFFIXES
from attnscope.progress import Progress
from attnscope.report.figures.style import Drawing, figure_of, lay_out, scaled
from attnscope.report.page.seen import in_words
from attnscope.report.page.summary import plain
from attnscope.report.page.vector import as_uri, page_svg

PER_INCH = 130  # CSS pixels of an inch on paper
_NOTHING = np.zeros((1, 1, 4))


@dataclass(frozen=True)
class Picture:
    """A figure inside a page.

    Attributes:
        name: Of its files.
        title: Its title.
        caption: What it shows and how to read it.
        uri: The figure as a data URI (SVG).
        width, height: CSS pixels at which it has its paper size.
        alt: What it shows, for those who cannot see it.
        films: Files beside the page that show the same over the clip.
        table: The table that it is drawn from; "" for none.
        first: It carries what the page says.
        files: Kind and address of each file beside the page; filled in when the page is written.
    """

    name: str
    title: str
    caption: str
    uri: str
    width: int
    height: int
    alt: str
    films: tuple[str, ...] = ()
    table: str = ""
    first: bool = False
    files: tuple[tuple[str, str], ...] = ()

    @property
    def on_frames(self) -> bool:
        """Whether it lies over the frames, as what the viewer shows."""
        return "overlay" in self.name


@dataclass
class Output:
    """The folder of a report.

    Attributes:
        folder: Where everything goes; made if it does not exist.
        tables, figures: Files written so far.
        progress: Called with ("figures", number of them, 0) before each is drawn.
        csv: Tables of any size are also written as CSV, not only those of at most `CSV_ROWS` rows.
    """

    folder: Path
    tables: list[Path] = field(default_factory=list)
    figures: list[Path] = field(default_factory=list)
    progress: Progress | None = None
    csv: bool = False

    def __post_init__(self) -> None:
        """Make the folder.

        Raises:
            RequestError: If it cannot be made.
        """
        try:
            for part in PARTS:
                (self.folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable_folder(self.folder, error) from error

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as parquet, and as CSV if it is small or all are asked for.

        Raises:
            RunError: If the disk is full or the file cannot be written.
        """
        for kind in SUFFIXES if self.csv or len(table) <= CSV_ROWS else (PARQUET,):
            path = self.folder / "tables" / f"{name}{kind}"
            metrics.write(table, path)
            self.tables.append(path)

    def tables_in_words(self) -> str:
        """Which tables were written how, where some are too large for CSV; "" where all are there as CSV."""
        kinds: dict[str, set[str]] = {}
        for path in self.tables:
            kinds.setdefault(path.stem, set()).add(path.suffix)
        without = [name for name, written in kinds.items() if CSV not in written]
        if not without:
            return ""
        return (
            f"wrote {len(kinds)} tables as parquet, and those of at most {CSV_ROWS:,} rows also as CSV "
            f"(not {', '.join(without)})"
        )

    def figure(self, name: str, drawing: Drawing, title: str, caption: str) -> Picture:
        """Write the figure that axes are in as PNG and as SVG.

        Raises:
            RunError: If a file cannot be written.
        """
        if self.progress is not None:
            self.progress("figures", len(self.figures) // 2, 0)
        figure = figure_of(drawing)
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it logs each weight that a font lacks
        lay_out(figure)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
        png, svg = (self.folder / "figures" / f"{name}.{kind}" for kind in ("png", "svg"))
        try:
            png.write_bytes(buffer.getvalue())
            FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # type: ignore[no-untyped-call]
        except OSError as error:
            raise RunError(f"{png}: cannot be written: {error.strerror or error}") from error
        self.figures += [png, svg]
        seen = in_words(figure)
        for image in figure.findobj(AxesImage):
            image.set_data(_NOTHING)  # a figure outlives its use by some time
        uri = as_uri(page_svg(svg.read_text(encoding="utf-8")))
        width, height = (int(side / scaled(1) * PER_INCH) for side in figure.get_size_inches())
        return Picture(name, title, caption, uri, width, height, f"{title}. {seen}")

    def beside(self, picture: Picture) -> Picture:
        """The same picture with the addresses of its files, and of its table where that was written."""
        of_kind = {path.suffix: path for path in self.figures if path.stem == picture.name}
        files = [(suffix[1:].upper(), path) for suffix, path in of_kind.items() if suffix in (".png", ".svg")]
        tables = {path.suffix: path for path in self.tables if path.stem == picture.table}
        files += [(suffix[1:].upper(), tables[suffix]) for suffix in SUFFIXES if suffix in tables][:1]
        own = tuple((kind, path.relative_to(self.folder).as_posix()) for kind, path in files)
        return replace(picture, files=own)

    def films(self, name: str, write: Callable[[Path, Path], None]) -> tuple[str, ...]:
        """Have a film written among the figures, as mp4 and as GIF.

        Args:
            name: Name of both files.
            write: Writes them.

        Returns:
            Where they are, as seen from the page.

        Raises:
            RunError: If a file cannot be written.
        """
        mp4, gif = (self.folder / "figures" / f"{name}.{kind}" for kind in ("mp4", "gif"))
        write(mp4, gif)
        self.figures += [mp4, gif]
        return tuple(path.relative_to(self.folder).as_posix() for path in (mp4, gif))

    def text(self, name: str, text: str) -> Path:
        """Write a text file.

        Raises:
            RunError: If it cannot be written.
        """
        path = self.folder / name
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
        return path

    def json(self, name: str, document: Any) -> Path:
        """Write a JSON file."""
        return self.text(name, json.dumps(plain(document), indent=2, ensure_ascii=False) + "\n")
