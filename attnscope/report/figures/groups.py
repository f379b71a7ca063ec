"""Numbers of groups of clips side by side: means with intervals, one panel a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from attnscope.report.figures.style import CHANCE, CYCLE, PAGE, dressed, literal, new_figure, scaled, short_labels

ACROSS = 4  # panels side by side
LETTERS = 25  # of a line of a panel's title
LONGEST = 12  # letters of a label on an axis


@dressed
def numbers_by_group(
    groups: pd.DataFrame,
    by: str,
    *,
    chance: Mapping[str, float] | None = None,
    fig: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Mean over clips of each number in each group, with its 95 % bootstrap interval over clips.

    Args:
        groups: Rows with `number`, `label`, `value`, `n`, `low` and `high`; labels in the order of the axis.
        by: What the labels are of.
        chance: A dotted level, by number.
        fig: To draw into.

    Returns:
        One axes a number.
    """
    names = [str(name) for name in dict.fromkeys(groups["number"])]
    labels = [str(label) for label in dict.fromkeys(groups["label"])]
    down = max(1, -(-len(names) // ACROSS))
    figure = new_figure(PAGE, 0.45 + 1.65 * down) if fig is None else fig
    axes = list(figure.subplots(down, min(ACROSS, max(1, len(names))), squeeze=False).flat)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(axes, names, strict=False):
        part = groups[groups["number"] == name].set_index("label").reindex(labels)
        level = (chance or {}).get(name, np.nan)
        if np.isfinite(level):
            ax.axhline(level, color=CHANCE, linestyle=":", linewidth=scaled(1), zorder=1)
        _points(ax, part)
        ax.set_title(literal("\n".join(wrap(name, LETTERS))), fontsize=scaled(7.5))
        _label(ax, labels, part["n"].fillna(0).astype(int).tolist())
    figure.supxlabel(literal(f"{by} (below: clips that define the number)"), fontsize=scaled(8))
    return axes[: len(names)]


def _points(ax: Axes, part: pd.DataFrame) -> None:
    """Points with their intervals; labels need not have an order, so nothing joins them."""
    value, low, high = (part[c].to_numpy(np.float64) for c in ("value", "low", "high"))
    x = np.arange(len(part))
    ax.vlines(x, low, high, color=CYCLE[0], linewidth=scaled(1.6), alpha=0.6, zorder=2)
    ax.plot(x, value, "o", color=CYCLE[0], markersize=scaled(3.6), zorder=3)


def _label(ax: Axes, labels: Sequence[str], counts: Sequence[int]) -> None:
    """The labels, and under each how many clips it stands for."""
    ax.set_xlim(-0.5, len(labels) - 0.5)
    ax.margins(y=0.12)
    cut = short_labels(labels, LONGEST)
    if max(map(len, cut), default=0) * len(cut) > 20:  # side by side they would touch
        ax.set_xticks(range(len(cut)), [f"{a} ({n})" for a, n in zip(cut, counts, strict=True)], rotation=90)
    else:
        ax.set_xticks(range(len(cut)), [f"{a}\n{n}" for a, n in zip(cut, counts, strict=True)])
    ax.tick_params(axis="both", labelsize=scaled(6.5))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
    ax.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    ax.yaxis.get_offset_text().set_fontsize(scaled(6))
    ax.grid(visible=False, axis="x")
