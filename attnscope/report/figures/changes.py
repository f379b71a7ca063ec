"""Before and after by layer, and who attends to whom before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from attnscope.metrics.answer import ASKED
from attnscope.metrics.registry import OVER
from attnscope.report.figures.heads import around, around_change, with_grey
from attnscope.report.figures.lines import by_layer, dashed_key, draw_line, layer_axis, legend_outside, over_captures
from attnscope.report.figures.matrix import draw_matrix, matrix_names, shares
from attnscope.report.style import (
    CHANCE,
    CHANGE,
    COLORS,
    CYCLE,
    DIVERGING,
    MARKERS,
    PAGE,
    dressed,
    heading,
    literal,
    new_figure,
    scaled,
)

Tables = Mapping[str, pd.DataFrame]
TEXT, PEOPLE = "text", "speakers"
_COLOR = {TEXT: COLORS["text"], "visual": COLORS["visual"], PEOPLE: CYCLE[0]}
_MARKER = {TEXT: MARKERS["text"], "visual": MARKERS["visual"], PEOPLE: "D"}


@dataclass(frozen=True)
class Panel:
    """One number by layer: the rows of each curve, and what even attention or chance would give."""

    title: str
    family: str
    metric: str
    curves: Mapping[str, Mapping[str, object]]
    level: float | None = None
    others: Mapping[str, object] = field(default_factory=dict)


def panels(denominator: str, frames: str, target: str | None = None) -> list[Panel]:
    """What is drawn by layer; of the answer, its lift on the asked speaker, and on one to whom it is drawn."""
    drawn = {PEOPLE: {"speaker": target, "asked": False}}
    crossing = {TEXT: {"query": "text", "key": "visual", "sinks": "with"}}
    gaps = {name: {"query": name, "sinks": "with", "denominator": denominator} for name in (TEXT, "visual")}
    everybody = {PEOPLE: {"speaker": "", "turn": OVER}}
    return [
        Panel("Mass share, text → visual", "modality", "mass_share", crossing),
        Panel("Lift, text → visual", "modality", "lift", crossing, 1.0),
        Panel(f"Gap (/{denominator})", "modality", "gap", gaps),
        Panel("Speaker consistency, lift", "speakers", "speaker_consistency_lift", {PEOPLE: {"frames": frames}}, 1.0),
        Panel("Grounding AUC", "grounding", "grounding_auc", everybody, 0.5, {"frames": frames}),
        Panel("Answer's lift on the asked", "answer", "answer_lift", {PEOPLE: ASKED}, 1.0),
        *([Panel(f"Answer's lift on {target}", "answer", "answer_lift", drawn, 1.0)] if target else []),
    ]


@dressed
def layers_change(
    before: Tables,
    after: Tables,
    denominator: str,
    frames: str,
    target: str | None = None,
    *,
    fig: Figure | SubFigure | None = None,
) -> list[Axes] | None:
    """Numbers by layer, mean over heads: dashed before, solid after; only what is defined, None if nothing is.

    Args:
        before: the tables of the first capture, by family.
        after: of the second.
        denominator: of the gap.
        frames: `live` or `all`, of the numbers about speakers.
        target: to whom a correction draws the answer.
        fig: to draw into.
    """
    drawn = [(panel, rows) for panel in panels(denominator, frames, target) if (rows := _rows(panel, before, after))]
    if not drawn:
        return None
    lines = -(-len(drawn) // 3)
    figure = new_figure(PAGE, 1.9 * lines + 0.4) if fig is None else fig
    grid = figure.subplots(lines, min(3, len(drawn)), squeeze=False)
    axes = list(grid.flat)
    for ax in axes[len(drawn) :]:
        ax.set_visible(False)
    for ax, (panel, rows) in zip(axes, drawn, strict=False):
        if panel.level is not None:
            ax.axhline(panel.level, color=CHANCE, linestyle=":", linewidth=scaled(1), zorder=1)
        for name, (one, two) in rows.items():
            for part, dashed in ((one, True), (two, False)):
                label = "" if dashed else f"{name} queries" if name != PEOPLE else "speakers"
                draw_line(ax, part, color=_COLOR[name], marker=_MARKER[name], label=label, dashed=dashed)
        ax.set_title(literal(panel.title))
        layer_axis(ax, next(iter(rows.values()))[1], narrow=True)
    dashed_key(axes[0], "before")
    dashed_key(axes[0], "after", style="-")
    dashed_key(axes[0], "chance, or even attention", style=":")
    legend_outside(figure, columns=6, axes=axes)
    return axes[: len(drawn)]


def _rows(panel: Panel, before: Tables, after: Tables) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Rows before and after of each curve that is defined in both."""
    if panel.family not in before or panel.family not in after:
        return {}
    out = {}
    for name, where in panel.curves.items():
        keys = {**where, **panel.others}
        pair = [over_captures(by_layer(t[panel.family], panel.metric, **keys)) for t in (before, after)]
        if all(part["value"].notna().any() for part in pair):
            out[name] = (pair[0], pair[1])
    return out


@dressed
def matrices_change(
    before: pd.DataFrame, after: pd.DataFrame, frames: str, *, fig: Figure | SubFigure | None = None
) -> list[Axes]:
    """Density M[s, s'] as shares of its rows before and after on one scale, and the change on another.

    Args:
        before: the table of the speaker metrics of the first capture.
        after: of the second.
        frames: `live` or `all`.
        fig: to draw into.
    """
    one, two, names = matrices_of(before, after, frames)
    shown = np.flatnonzero(np.isfinite(one).any(1) | np.isfinite(two).any(1))
    known = [np.isfinite(row).sum() for part in (one, two) for row in part if np.isfinite(row).any()]
    center = float(np.mean([1 / count for count in known])) if known else 0.5
    norm, change = around([one, two], center), two - one
    width = min(PAGE, 3 * (0.5 + 0.42 * len(names)) + 1.6)
    figure = new_figure(width, 1.15 + 0.3 * max(len(shown), 2)) if fig is None else fig
    axes = list(figure.subplots(1, 3, sharey=True))
    for ax, part, said in zip(axes, (one, two, change), ("Before", "After", "Change"), strict=True):
        own, cmap = (around_change(change, [one, two]), CHANGE) if said == "Change" else (norm, DIVERGING)
        image = draw_matrix(
            ax, part, names, shown, own, with_grey(cmap), numbers=len(names) <= 6, signed=said == "Change"
        )
        ax.set_title(said)
        if said != "Before":
            bar = figure.colorbar(image, ax=axes[:2] if said == "After" else axes[2], pad=0.02, aspect=14)
            bar.set_label("share of a row" if said == "After" else "change")
            bar.outline.set_linewidth(scaled(0.4))
            if said == "After":
                bar.ax.set_ylim(bottom=max(0.0, bar.ax.get_ylim()[0]))  # no share lies below 0
    axes[0].set_ylabel("words of")
    heading(figure, f"Who attends to whom (n = {len(names)} speakers)")
    return axes


def matrices_of(
    before: pd.DataFrame, after: pd.DataFrame, frames: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """The matrices before and after [S, S] of the mean over layers and heads, and the speakers."""
    mean = {"metric": "speaker_density", "layer": OVER, "head": OVER, "frames": frames}
    parts = [table[np.logical_and.reduce([table[k] == v for k, v in mean.items()])] for table in (before, after)]
    names = matrix_names(parts[0])
    one, two = (shares(part, names) for part in parts)
    return one, two, names
