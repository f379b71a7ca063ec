"""Before and after by layer, and who attends to whom before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import lcm
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from attnscope.metrics.answer import ASKED
from attnscope.metrics.registry import OVER
from attnscope.report.figures.canvas import Stage, choose
from attnscope.report.figures.heads import around, around_change, with_grey
from attnscope.report.figures.lines import by_layer, dashed_key, draw_line, layer_axis, legend_outside, over_captures
from attnscope.report.figures.overlay import canvas, name_frame
from attnscope.report.figures.speakers import draw_matrix, matrix_names, shares
from attnscope.report.figures.style import (
    CHANCE,
    CHANGE,
    COLORS,
    COLUMN,
    CYCLE,
    DIVERGING,
    MARKERS,
    PAGE,
    dressed,
    heading,
    literal,
    new_figure,
    number_ticks,
    own_axes,
    scaled,
)
from attnscope.vocabulary import TEXT, VISUAL

Tables = Mapping[str, pd.DataFrame]
PEOPLE = "speakers"
_COLOR = {TEXT: COLORS[TEXT], VISUAL: COLORS[VISUAL], PEOPLE: CYCLE[0]}
_MARKER = {TEXT: MARKERS[TEXT], VISUAL: MARKERS[VISUAL], PEOPLE: "D"}


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
    crossing = {TEXT: {"query": TEXT, "key": VISUAL, "sinks": "with"}}
    gaps = {name: {"query": name, "sinks": "with", "denominator": denominator} for name in (TEXT, VISUAL)}
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


# What a model was shown before and after, where a correction changed the frames.


@dressed
def frames_shown(on: Stage, before: NDArray[np.uint8], after: NDArray[np.uint8], *, most: int = 4) -> list[Axes]:
    """Frames before and after, in their colours.

    Args:
        on: their places in time.
        before: [F, h, w, 3] what was shown before.
        after: the same of the second capture.
        most: frames to draw at most.
    """
    quiet = replace(on, live=np.zeros_like(on.live))
    frames = choose(quiet, most)
    figure, axes = canvas(on, 2, len(frames), PAGE)
    for row, images, said in zip(axes, (before, after), ("Before", "After"), strict=True):
        for ax, frame in zip(row, frames, strict=True):
            ax.imshow(images[frame])
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(visible=False)
            ax.spines[:].set_visible(False)
            if said == "Before":
                name_frame(ax, quiet, frame)
        row[0].set_ylabel(said, fontweight="bold")
    heading(figure, "What the model was shown")
    return [ax for row in axes for ax in row]


# The heads that corrections touched.


UNTOUCHED = "#ececec"


@dressed
def heads_touched(
    layers: Sequence[int], heads: int, touched: Mapping[str, set[tuple[int, int]]], *, ax: Axes | None = None
) -> Axes:
    """Map of layer by head with the heads that corrections touched, in a colour for each correction.

    The cell of a head that several touched is divided among them.

    Args:
        layers: numbers of the layers.
        heads: of a layer.
        touched: (layer, head) by correction.
        ax: axes to draw into.
    """
    names = [name for name, found in touched.items() if any(layer in layers for layer, _ in found)]
    who = {
        (row, head): [number for number, name in enumerate(names) if (layer, head) in touched[name]]
        for row, layer in enumerate(layers)
        for head in range(heads)
    }
    parts = lcm(*(len(own) for own in who.values() if own))
    colors = [to_rgb(CYCLE[number % len(CYCLE)]) for number in range(len(names))]
    image = np.full((len(layers), heads * parts, 3), to_rgb(UNTOUCHED))
    for (row, head), own in who.items():
        for place, number in enumerate(own):
            width = parts // len(own)
            start = head * parts + place * width
            image[row, start : start + width] = colors[number]
    ax = own_axes(ax, COLUMN, float(np.clip(1.2 + 0.1 * len(layers) + 0.12 * len(names), 1.9, 3.8)))
    ends = (-0.5, heads - 0.5, -0.5, len(layers) - 0.5)
    ax.imshow(image, origin="lower", aspect="auto", extent=ends, interpolation="nearest")
    number_ticks(ax, "x", list(range(heads)), 12)
    number_ticks(ax, "y", list(layers))
    ax.set_xlabel(f"head (n = {heads})")
    ax.set_ylabel(f"layer (n = {len(layers)})")
    ax.grid(visible=False)
    edges: dict[str, Any] = {"colors": "white", "linewidth": scaled(0.9)}
    ax.vlines(np.arange(1, heads) - 0.5, *ends[2:], **edges)
    ax.hlines(np.arange(1, len(layers)) - 0.5, *ends[:2], **edges)
    ax.set_title(f"Heads touched: {sum(map(bool, who.values()))} of {len(who)}")
    keys = [Patch(facecolor=color, label=literal(name)) for name, color in zip(names, colors, strict=True)]
    if len(keys) > 1:
        ax.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return ax
