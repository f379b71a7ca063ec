"""One look for all figures: a paper's sizes, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # inches
DPI = 200
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
UNDEFINED = "#d9d9d9"
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

_RC: Any = {  # typed by name of setting in newer versions of matplotlib, by str in older ones
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.2,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "attnscope",
    "figure.constrained_layout.use": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style to the figures made, and saved, inside; pyplot's global state is not touched."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, not registered with pyplot."""
    return Figure(figsize=(width, height), dpi=DPI)


def number_ticks(ax: Axes, axis: str, numbers: list[int], most: int = 10) -> None:
    """Label the cells of an image's axis with layer or head numbers, at most about `most` of them."""
    step = max(1, -(-len(numbers) // most))
    places = list(range(0, len(numbers), step))
    labels = [str(numbers[i]) for i in places]
    (ax.set_xticks if axis == "x" else ax.set_yticks)(places, labels)


def literal(text: str) -> str:
    """A user's text for a figure: matplotlib would read dollar signs as a formula."""
    return text.replace("$", r"\$")


def short(value: float | None, digits: int = 3) -> str:
    """A number as a reader wants it: significant digits, `—` if it is not defined."""
    if value is None or value != value:
        return "—"
    return f"{value:.{digits}g}"
