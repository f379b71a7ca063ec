"""One look for all figures, in two sizes, and colours that colour-blind readers can tell apart.

Lengths are given as they are on paper, for a column of a two-column paper or both. The style `slides` scales canvas,
type and lines alike, so that what was laid out for one fits the other: both columns become the width of a slide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from textwrap import wrap
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from attnscope import fonts
from attnscope.errors import RequestError
from attnscope.report.figures.labels import current, lettering, middle
from attnscope.report.page.numbers import number
from attnscope.vocabulary import SPECIAL, TEXT, VISUAL

COLUMN, PAGE = 3.3, 7.0  # inches: one column of a two-column paper, and both
DPI = 200
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
CHANGE = "PuOr_r"
TOUCHING, MOSTLY = 1.0, 0.75  # points between two lines that coincide; the share of their places where they do
UNDEFINED = "#d9d9d9"
CHANCE = "#777777"
SOFT = "#555555"
INK = "#1c2126"
# Okabe and Ito's palette; one colour has one meaning in every figure
COLORS = {
    VISUAL: "#0072B2",
    TEXT: "#D55E00",
    SPECIAL: "#777777",
    "s_visual": "#0072B2",
    "s_text": "#D55E00",
    "c_visual": "#56B4E9",
    "c_text": "#E69F00",
}
MARKERS = {
    "s_visual": "o",
    "s_text": "s",
    "c_visual": "^",
    "c_text": "D",
    VISUAL: "o",
    TEXT: "s",
    SPECIAL: "v",
}
# Tol's muted colours, for people and whatever has no colour of its own
CYCLE = ("#332288", "#44AA99", "#CC6677", "#999933", "#AA4499", "#88CCEE", "#882255", "#117733")
CYCLE_MARKERS = "os^Dv<>P"
ON_MAP = "#101010"  # letters on the cells of a map: unlike ink they stay dark on a dark page, as the cells stay light
# What colours of lines, words and people become on a dark page; those of maps stay, since scales and captions name them
DARK = {
    "#0072b2": "#45a3ea",
    "#d55e00": "#f28c4b",
    "#56b4e9": "#a3dbff",
    "#e69f00": "#f5c35b",
    "#332288": "#a79bf5",
    "#44aa99": "#5fc9b6",
    "#cc6677": "#ee8b9b",
    "#999933": "#c8c862",
    "#aa4499": "#dc84ce",
    "#88ccee": "#a5ddf8",
    "#882255": "#e07fae",
    "#117733": "#56bd7b",
    "#777777": "#9aa6b1",
    "#7f8c9a": "#9aa6b1",
    "#555555": "#b4bec8",
    "#1c2126": "#e6eaee",
    "#e6e6e6": "#333c44",
    "#ececec": "#2e363e",
}

Drawing = Axes | Sequence[Axes]
P = ParamSpec("P")
R = TypeVar("R")


STYLES = {"paper": 1.0, "slides": 1.9}  # how much larger than on paper; 1.9 times 7 inches is the width of a slide
_IN_FORCE: ContextVar[float | None] = ContextVar("style", default=None)

_LENGTHS = {  # points on paper, where seaborn's are too large for a column
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "axes.titlepad": 4,
    "axes.labelpad": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.2,
    "hatch.linewidth": 0.5,
    "patch.linewidth": 1.0,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.title_fontsize": 8,
} | {
    f"{axis}tick.{name}": length
    for axis in "xy"
    for name, length in (
        ("labelsize", 7), ("major.width", 0.6), ("major.size", 2.5), ("major.pad", 2.5), ("minor.width", 0.4),
        ("minor.size", 1.5),
    )
}  # fmt: skip
_LOOK = {
    "font.family": ["sans-serif"],
    "font.sans-serif": [fonts.BASE],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.edgecolor": "black",
    "axes.labelcolor": "black",
    "text.color": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    "grid.color": "#e6e6e6",
    "patch.force_edgecolor": False,
    "patch.edgecolor": "black",
    "lines.solid_capstyle": "projecting",
    "image.cmap": SEQUENTIAL,
}
_RC: Any = {  # typed by name of setting in newer versions of matplotlib, by str in older ones
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 2.2,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "attnscope",
}


def theme(scale: float) -> dict[str, Any]:
    """Seaborn's ticks and paper, as a column of a paper needs them, times `scale`."""
    lengths = sns.plotting_context("paper") | _LENGTHS
    look: dict[str, Any] = sns.axes_style("ticks", _LOOK)
    look |= _RC
    look |= {name: length * scale for name, length in lengths.items()}
    return look


def color_of(name: str, number: int = 0) -> str:
    """The colour of a modality or link; of another name, that of its number in a figure."""
    return COLORS.get(name, CYCLE[number % len(CYCLE)])


def marker_of(name: str, number: int = 0) -> str:
    """Likewise its marker."""
    return MARKERS.get(name, CYCLE_MARKERS[number % len(CYCLE_MARKERS)])


def check_style(name: str) -> None:
    """Refuse an unknown style.

    Raises:
        RequestError: With the styles that exist.
    """
    if name not in STYLES:
        raise RequestError(f"unknown style '{name}'; known: {', '.join(STYLES)}")


@contextmanager
def styled(name: str | None = None) -> Iterator[None]:
    """Apply a style to the figures made, and saved, inside; pyplot's global state is not touched.

    Args:
        name: `paper` or `slides`; by default the style in force, outside of any `paper`.

    Raises:
        RequestError: For an unknown style.

    Example:
        >>> with figures.styled("slides"):
        ...     wide = figures.gap_by_layer(tables["modality"]).figure.get_figwidth()
        >>> bool(wide > figures.gap_by_layer(tables["modality"]).figure.get_figwidth())
        True
    """
    if name is not None:
        check_style(name)
    scale = STYLES[name] if name else scaled(1)
    token = _IN_FORCE.set(scale)
    try:
        with lettering(), mpl.rc_context(theme(scale)):  # type: ignore[arg-type]
            yield
    finally:
        _IN_FORCE.reset(token)


def dressed(function: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style in force, outside of any in that of a paper: a notebook need not think of it."""

    @wraps(function)
    def draw(*args: P.args, **options: P.kwargs) -> R:
        with styled():
            drawing = function(*args, **options)
            for figure in _figures(drawing):
                _finish(figure)
            return drawing

    return draw


def _figures(drawing: object) -> set[Figure]:
    """Whole figures that a drawing function's axes are in; none if it returns something else."""
    axes = drawing if isinstance(drawing, (list, tuple)) else [drawing]
    return {figure_of(ax) for ax in axes if isinstance(ax, Axes)}


def _finish(figure: Figure) -> None:
    """Give every text a font that has its letters, and put lines that coincide side by side."""
    give_fonts(figure)
    for ax in figure.axes:
        side_by_side(ax)


def give_fonts(figure: Figure) -> None:
    """Give every text fonts that have its letters; needed before a figure is laid out."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        families, _ = fonts.choose(text.get_text())
        if families:
            text.set_fontfamily([fonts.BASE, *families])


_MOVED: WeakSet[Line2D] = WeakSet()  # lines that stand beside another already


def side_by_side(ax: Axes) -> None:
    """Move each line that another one covers by its own width, so that both are seen; their numbers do not change.

    A line is covered where most of its points lie on those of a line that was drawn before.
    """
    earlier: list[tuple[Line2D, NDArray[np.float64]]] = []
    for line in ax.lines:
        places = np.asarray(line.get_xydata(), np.float64)
        if len(places) < 2 or not line.get_visible() or line.get_transform() != ax.transData:
            continue
        pixels = ax.transData.transform(places)
        under = [other for other, own in earlier if _covers(own, pixels, scaled(TOUCHING) / 72 * ax.figure.dpi)]
        earlier.append((line, pixels))
        if under and line not in _MOVED:
            step = sum((other.get_linewidth() + line.get_linewidth()) / 2 for other in under) / 72
            line.set_transform(line.get_transform() + ScaledTranslation(0, step, ax.figure.dpi_scale_trans))
            _MOVED.add(line)


def _covers(line: NDArray[np.float64], other: NDArray[np.float64], near: float) -> bool:
    """Whether most points [N, 2] of two lines lie on each other, in pixels."""
    if line.shape != other.shape:
        return False
    known = np.isfinite(line).all(1) & np.isfinite(other).all(1)
    return bool(known.sum() > 1 and (np.abs(line - other)[known].max(1) < near).mean() > MOSTLY)


def scaled(length: float) -> float:
    """A length on paper (of canvas, type or line, in any unit) in the style in force."""
    return length * (_IN_FORCE.get() or STYLES["paper"])


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches on paper, not registered with pyplot."""
    size = (scaled(width), scaled(height))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    pad = scaled(3) / 72
    figure.get_layout_engine().set(w_pad=pad, h_pad=pad)  # type: ignore[union-attr, call-arg]
    return figure


def own_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes to draw into: those given, else the only ones of a new figure."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def figure_of(drawing: Drawing) -> Figure:
    """The whole figure that axes are in.

    Example:
        >>> axes = figures.links_by_layer(tables["modality"])
        >>> figures.figure_of(axes).savefig("links.png")
        >>> open("links.png", "rb").read(4)[1:]
        b'PNG'
    """
    ax = drawing if isinstance(drawing, Axes) else drawing[0]
    figure: Figure | SubFigure | None = ax.figure
    while isinstance(figure, SubFigure):
        figure = figure.figure
    assert figure is not None
    return figure


def lay_out(figure: Figure) -> None:
    """Give everything its place once: laying out takes most of the time, and each drawing would do it again."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def number_ticks(ax: Axes, axis: str, numbers: list[int], most: int = 10) -> None:
    """Label the cells of an image's axis with layer or head numbers, at most about `most` of them."""
    step = max(1, -(-len(numbers) // most))
    places = list(range(0, len(numbers), step))
    labels = [str(numbers[i]) for i in places]
    (ax.set_xticks if axis == "x" else ax.set_yticks)(places, labels)


def titled(ax: Axes, text: str, letters: int = 36) -> None:
    """A title of axes in a figure of their own, in lines of at most that many letters: else it would be cut off."""
    ax.set_title(literal("\n".join(wrap(text, letters))))


def heading(figure: Figure | SubFigure, text: str) -> Text:
    """A title over all panels."""
    return figure.suptitle(literal(text), fontsize=scaled(8.5), fontweight="bold")


def literal(text: str) -> str:
    """A user's text for a figure, as `figures.labels` writes it; matplotlib reads dollars as a formula."""
    return current().written(text).replace("$", r"\$")


def short_labels(texts: Sequence[str], longest: int) -> list[str]:
    """Users' texts as labels: cut in the middle, since names differ at either end, unless two would look alike."""
    current().learn(texts)
    whole = [current().written(text) for text in texts]
    cut = [middle(text, longest) for text in whole]
    return [text.replace("$", r"\$") for text in (cut if len(set(cut)) == len(set(texts)) else whole)]


_SEEN: WeakKeyDictionary[Axes, str] = WeakKeyDictionary()  # what axes show, in words


def remark(ax: Axes, text: str) -> None:
    """Say in words what axes show, for those who cannot see them."""
    _SEEN[ax] = text


def remark_of(ax: Axes) -> str:
    """What was said of axes; "" for nothing."""
    return _SEEN.get(ax, "")


def short(value: float | None, digits: int = 3) -> str:
    """A number as pages write it: significant digits, a dash where it is not defined."""
    return number(None if value is None else float(value), digits)
