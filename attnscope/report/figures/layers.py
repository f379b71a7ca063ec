"""Numbers by layer: any metric as curves or as a point for each head, and several of them before and after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.errors import RequestError
from attnscope.metrics import OVER, get
from attnscope.metrics.answer import ASKED
from attnscope.metrics.clips.curves import by_layer, rows_of
from attnscope.metrics.registry import FOUND
from attnscope.report.figures.lines import (
    as_curves,
    dashed_key,
    draw_line,
    layer_axis,
    legend_below,
    legend_outside,
    parts,
)
from attnscope.report.figures.style import (
    CHANCE,
    COLUMN,
    CYCLE,
    INK,
    PAGE,
    color_of,
    dressed,
    literal,
    marker_of,
    new_figure,
    own_axes,
    scaled,
    titled,
)
from attnscope.vocabulary import TEXT, VISUAL

KEYS = ("capture", "metric", "layer", "head", "threshold", *FOUND)


@dressed
def layer_curves(
    table: pd.DataFrame,
    metric: str,
    by: str | None = None,
    *,
    where: Mapping[str, object] | None = None,
    labels: Mapping[Any, str] | None = None,
    log: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A metric by layer, mean over heads; of several captures over clips with a band for the interval.

    Args:
        table: A tidy table that has the metric, of one capture, or over clips.
        metric: Its name in the registry.
        by: A key column: one curve for each of its values.
        where: Values of the other key columns, for example `{"sinks": "with"}`.
        labels: Labels of the values of `by` in the legend; with it only these values are drawn, in this order.
        log: Logarithmic values.
        title: By default that of the metric.
        ax: Axes to draw into.

    Raises:
        RequestError: For an unknown metric, or if `where` and `by` leave more than one number to a layer.

    Example:
        >>> names = {"matched": "the speaker", "mismatched": "the others"}
        >>> pairs = {"frames": "live", "heads": "mean"}
        >>> ax = figures.layer_curves(tables["pairs"], "speaker_pair_mean", "match", where=pairs, labels=names)
        >>> len(ax.lines) >= 2, ax.get_xlabel()
        (True, 'layer (n = 6)')
    """
    entry = get(metric)
    rows = by_layer(table, metric, **(where or {}))
    if by is not None and labels is not None:
        rows = rows[rows[by].isin(list(labels))]
    rows = as_curves(rows)
    _refuse_many(rows, metric, by)
    ax = own_axes(ax, COLUMN, 2.3)
    if (level := chance_level(entry.chance)) is not None and len(rows):
        ax.axhline(level, color=CHANCE, linestyle=":", label=f"chance ({level:g})", zorder=1)
    groups = parts(rows, by) if by is not None else {"": rows}
    names = [name for name in labels if name in groups] if labels is not None else list(groups)
    for number, name in enumerate(names):
        color, marker = color_of(str(name), number), marker_of(str(name), number)
        label = labels[name] if labels is not None else str(name) or "all"
        draw_line(ax, groups[name], color=color, marker=marker, label=literal(label))
    titled(ax, entry.title if title is None else title)
    ax.set_ylabel("\n".join(wrap(unit_of(entry.unit) or entry.title, 22)))
    layer_axis(ax, rows)
    if rows["value"].notna().any():
        if log:
            ax.set_yscale("log")
        legend_below(ax, columns=2 if len(names) < 3 else 3)
    return ax


def chance_level(chance: str) -> float | None:
    """The number that a registry's chance level is, or begins with; None where it is none or depends on the scene."""
    match = re.match(r"(\d+(?:\.\d+)?)(?: \(|$)", chance)
    return float(match[1]) if match else None


def unit_of(unit: str) -> str:
    """A unit for an axis; "" for one without."""
    return "" if unit == "1" else unit


def _refuse_many(rows: pd.DataFrame, metric: str, by: str | None) -> None:
    if not rows.duplicated(["layer", *([by] if by is not None else [])]).any():
        return
    several = [c for c in rows.columns if c not in KEYS and c != by and rows[c].nunique(dropna=False) > 1]
    raise RequestError(
        f"metric '{metric}' has several numbers in a layer; choose one of {', '.join(several) or 'its keys'} in `where`"
    )


# Single heads by layer, where their spread says more than a mean: one point a head, at its own place in the layer.


HEAD, MARKED = "#7f8c9a", "#D55E00"
WIDTH = 0.7  # of a layer that its heads take
LEVEL = 0.05


@dressed
def heads_by_layer(
    table: pd.DataFrame,
    metric: str,
    *,
    where: Mapping[str, object] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A metric of every head, layer by layer; line: of the mean over heads; orange: q <= 0.05 (of a single capture).

    Args:
        table: A tidy table that has the metric, of one capture, or over clips.
        metric: Its name in the registry.
        where: Values of the key columns, for example `{"frames": "live"}`.
        title: By default that of the metric.
        ax: Axes to draw into.

    Example:
        >>> ax = figures.heads_by_layer(tables["heads"], "cross_attention", title="Heads that look at the picture")
        >>> ax.get_title(), ax.get_xlabel()
        ('Heads that look at the picture', 'layer (n = 6)')
    """
    entry = get(metric)
    rows = rows_of(table, metric, **(where or {}))
    rows = rows[(rows["head"] != OVER) & (rows["layer"] != OVER)]
    marked = _marked(rows)
    heads = as_curves(rows)
    ax = own_axes(ax, COLUMN, 2.4)
    if (level := chance_level(entry.chance)) is not None:
        ax.axhline(level, color=CHANCE, linestyle=":", label=f"chance ({level:g})", zorder=1)
    count = heads["head"].nunique()
    x = heads["layer"] + (heads["head"].rank(method="dense") - (count + 1) / 2) * WIDTH / max(count, 1)
    hit = pd.MultiIndex.from_frame(heads[["layer", "head"]]).isin(marked)
    size = float(np.clip(400 / max(len(heads), 1), 3, 12)) * scaled(1) ** 2
    for chosen, color, label in ((~hit, HEAD, f"heads (n = {count} a layer)"), (hit, MARKED, f"q ≤ {LEVEL:g}")):
        if chosen.any():
            ax.scatter(x[chosen], heads["value"][chosen], s=size, color=color, linewidths=0, label=label, zorder=2)
    mean = as_curves(by_layer(table, metric, **(where or {}))).sort_values("layer")
    ax.plot(mean["layer"], mean["value"], color=INK, linewidth=scaled(1.2), label="mean over heads", zorder=3)
    titled(ax, entry.title if title is None else title)
    ax.set_ylabel("\n".join(wrap(unit_of(entry.unit) or entry.title, 22)))
    layer_axis(ax, heads)
    if heads["value"].notna().any():
        legend_below(ax, columns=2)
    return ax


def _marked(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Heads whose corrected p is small, in a table of one capture."""
    if "q" not in rows or "clips" in rows:
        return []
    hit = rows[rows["q"] <= LEVEL]
    return list(zip(hit["layer"], hit["head"], strict=True))


# Several numbers before and after.


Tables = Mapping[str, pd.DataFrame]
PEOPLE = "speakers"


@dataclass(frozen=True)
class LayerPanel:
    """One number by layer: the rows of each curve, and what even attention or chance would give."""

    title: str
    family: str
    metric: str
    curves: Mapping[str, Mapping[str, object]]
    level: float | None = None
    others: Mapping[str, object] = field(default_factory=dict)


def panels(denominator: str, frames: str, target: str | None = None) -> list[LayerPanel]:
    """What is drawn by layer; of the answer, its lift on the asked speaker, and on one to whom it is drawn."""
    on_target = {PEOPLE: {"speaker": target, "asked": False}}
    crossing = {TEXT: {"query": TEXT, "key": VISUAL, "sinks": "with"}}
    gaps = {name: {"query": name, "sinks": "with", "denominator": denominator} for name in (TEXT, VISUAL)}
    everybody = {PEOPLE: {"speaker": "", "turn": OVER}}
    return [
        LayerPanel("Mass share, text → visual", "modality", "mass_share", crossing),
        LayerPanel("Lift, text → visual", "modality", "lift", crossing, 1.0),
        LayerPanel(f"Gap (/{denominator})", "modality", "gap", gaps),
        LayerPanel(
            "Speaker consistency, lift", "speakers", "speaker_consistency_lift", {PEOPLE: {"frames": frames}}, 1.0
        ),
        LayerPanel("Grounding AUC", "grounding", "grounding_auc", everybody, 0.5, {"frames": frames}),
        LayerPanel("Answer's lift on the asked", "answer", "answer_lift", {PEOPLE: ASKED}, 1.0),
        *([LayerPanel(f"Answer's lift on {target}", "answer", "answer_lift", on_target, 1.0)] if target else []),
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
        before: The tables of the first capture, by family.
        after: The tables of the second.
        denominator: Denominator of the gap.
        frames: `live` or `all`, of the numbers about speakers.
        target: To whom a correction draws the answer.
        fig: To draw into.
    """
    defined = [(panel, rows) for panel in panels(denominator, frames, target) if (rows := _rows(panel, before, after))]
    if not defined:
        return None
    lines = -(-len(defined) // 3)
    figure = new_figure(PAGE, 1.9 * lines + 0.4) if fig is None else fig
    grid = figure.subplots(lines, min(3, len(defined)), squeeze=False)
    axes = list(grid.flat)
    for ax in axes[len(defined) :]:
        ax.set_visible(False)
    for ax, (panel, rows) in zip(axes, defined, strict=False):
        if panel.level is not None:
            ax.axhline(panel.level, color=CHANCE, linestyle=":", linewidth=scaled(1), zorder=1)
        for name, pair in rows.items():
            color, marker = (CYCLE[0], "D") if name == PEOPLE else (color_of(name), marker_of(name))
            for part, is_before in zip(pair, (True, False), strict=True):
                label = "" if is_before else f"{name} queries" if name != PEOPLE else PEOPLE
                draw_line(ax, part, color=color, marker=marker, label=label, dashed=is_before)
        ax.set_title(literal(panel.title))
        layer_axis(ax, next(iter(rows.values()))[1], narrow=True)
    dashed_key(axes[0], "before")
    dashed_key(axes[0], "after", style="-")
    dashed_key(axes[0], "chance, or even attention", style=":")
    legend_outside(figure, columns=6, axes=axes)
    return axes[: len(defined)]


def _rows(panel: LayerPanel, before: Tables, after: Tables) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Rows before and after of each curve that is defined in both."""
    if panel.family not in before or panel.family not in after:
        return {}
    out = {}
    for name, where in panel.curves.items():
        keys = {**where, **panel.others}
        pair = [as_curves(by_layer(t[panel.family], panel.metric, **keys)) for t in (before, after)]
        if all(part["value"].notna().any() for part in pair):
            out[name] = (pair[0], pair[1])
    return out
