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

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text

from attnscope.errors import RequestError

COLUMN, PAGE = 3.3, 7.0  # inches: one column of a two-column paper, and both
DPI = 200
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
CHANGE = "PuOr_r"
UNDEFINED = "#d9d9d9"
CHANCE = "#777777"
SOFT = "#555555"
# Okabe and Ito's palette; one colour has one meaning in every figure
COLORS = {
    "visual": "#0072B2",
    "text": "#D55E00",
    "special": "#777777",
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
    "visual": "o",
    "text": "s",
    "special": "v",
}
# Tol's muted colours, for people and whatever has no colour of its own
CYCLE = ("#332288", "#44AA99", "#CC6677", "#999933", "#AA4499", "#88CCEE", "#882255", "#117733")
CYCLE_MARKERS = "os^Dv<>P"

Drawn = Axes | Sequence[Axes]
P = ParamSpec("P")
R = TypeVar("R")


STYLES = {"paper": 1.0, "slides": 1.9}  # how much larger than on paper; 1.9 times 7 inches is the width of a slide
_IN_FORCE: ContextVar[float | None] = ContextVar("style", default=None)

_LENGTHS = {  # points on paper
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.titlepad": 4,
    "axes.labelpad": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.2,
    "hatch.linewidth": 0.5,
    "grid.linewidth": 0.5,
}
_RC: Any = {  # typed by name of setting in newer versions of matplotlib, by str in older ones
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 2.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "attnscope",
}


def check_style(name: str) -> None:
    """Refuse an unknown style.

    Raises:
        RequestError: with the styles that exist.
    """
    if name not in STYLES:
        raise RequestError(f"unknown style '{name}'; known: {', '.join(STYLES)}")


@contextmanager
def styled(name: str | None = None) -> Iterator[None]:
    """Apply a style to the figures made, and saved, inside; pyplot's global state is not touched.

    Args:
        name: `paper` or `slides`; by default the style in force, outside of any `paper`.

    Raises:
        RequestError: for an unknown style.
    """
    if name is not None:
        check_style(name)
    scale = STYLES[name] if name else scaled(1)
    token = _IN_FORCE.set(scale)
    try:
        with mpl.rc_context(_RC | {key: length * scale for key, length in _LENGTHS.items()}):
            yield
    finally:
        _IN_FORCE.reset(token)


def dressed(function: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style in force, outside of any in that of a paper: a notebook need not think of it."""

    @wraps(function)
    def draw(*args: P.args, **options: P.kwargs) -> R:
        with styled():
            return function(*args, **options)

    return draw


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


def figure_of(drawn: Drawn) -> Figure:
    """The whole figure that axes are in."""
    ax = drawn if isinstance(drawn, Axes) else drawn[0]
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
    """A title of axes in a figure of their own, in lines of so many letters: a longer one would be cut off."""
    ax.set_title(literal("\n".join(wrap(text, letters))))


def heading(figure: Figure | SubFigure, text: str) -> Text:
    """A title over all panels."""
    return figure.suptitle(literal(text), fontsize=scaled(8.5), fontweight="bold")


def literal(text: str) -> str:
    """A user's text for a figure: matplotlib would read dollar signs as a formula."""
    return text.replace("$", r"\$")


def short_labels(texts: Sequence[str], longest: int) -> list[str]:
    """Users' texts as labels: cut in the middle, since names differ at either end, unless two would look alike."""
    half = longest // 2
    cut = [text if len(text) <= longest else f"{text[: longest - 1 - half]}…{text[-half:]}" for text in texts]
    return [literal(text) for text in (cut if len(set(cut)) == len(set(texts)) else texts)]


def short(value: float | None, digits: int = 3) -> str:
    """A number as a reader wants it: significant digits, `—` if it is not defined."""
    if value is None or value != value:
        return "—"
    return f"{value:.{digits}g}"
