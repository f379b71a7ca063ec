"""Own speaker's share over the clip, with who talks when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attnscope.metrics import OVER
from attnscope.metrics.clips.curves import rows_of
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.lines import legend_outside
from attnscope.report.figures.style import (
    CHANCE,
    COLUMN,
    CYCLE,
    CYCLE_MARKERS,
    dressed,
    heading,
    literal,
    new_figure,
    scaled,
    short_labels,
)

if TYPE_CHECKING:
    from attnscope.scene import Scene

EVERYWHERE = {"mean of all layers and heads": (OVER, OVER)}
INK = ("#1c2126", "#D55E00", "#0072B2")
LONGEST = 14  # letters of a name beside its lane
INSTANT = 0.08  # seconds that an utterance without an end is drawn for


def speaker_colors(scene: Scene) -> dict[str, str]:
    """A colour for everybody who has a box or a turn, in the scene's order."""
    speaking = [turn.speaker for turn in scene.transcript if turn.speaker is not None]
    return {name: CYCLE[i % len(CYCLE)] for i, name in enumerate(dict.fromkeys([*scene.speakers, *speaking]))}


@dressed
def own_share_over_time(
    speakers: pd.DataFrame,
    scene: Scene,
    heads: Mapping[str, tuple[int, int]] = EVERYWHERE,
    *,
    fig: Figure | SubFigure | None = None,
) -> list[Axes] | None:
    """How much of the attention of the words being said falls on the one who says them, moment by moment.

    Above, a point for each temporal unit (frames that share visual tokens), dotted its chance level, and a thick line
    for each turn as a whole (first of `heads`); below, the turns. At units in which nobody speaks, or only the speaker
    is seen, nothing is drawn.

    Args:
        speakers: The table of the speaker metrics, of one capture.
        scene: That of the capture.
        heads: What to draw: layer and head (-1 for the mean over them) by their names in the legend.
        fig: To draw into.

    Returns:
        The axes of the share, and of the turns; None if the share is defined at no moment.

    Example:
        >>> axes = figures.own_share_over_time(tables["speakers"], scene)
        >>> len(axes), axes[-1].get_xlabel()
        (2, 'time (s; n = 4 moments)')
    """
    rows = rows_of(speakers, "own_share_time", frames="live")
    level = rows_of(speakers, "own_share_time_chance", frames="live").sort_values("time")
    if not rows["value"].notna().any():
        return None
    learn_scenes([scene])
    colors = speaker_colors(scene)
    lanes = [name for name in colors if any(t.speaker == name and t.start is not None for t in scene.transcript)]
    figure = new_figure(COLUMN, 2.25 + 0.13 * len(lanes)) if fig is None else fig
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 0.12 + 0.16 * max(1, len(lanes))])
    chance = {
        "color": CHANCE,
        "linewidth": scaled(1.2),
        "marker": "_",
        "markersize": scaled(6),
    }  # a moment may be alone
    top.plot(level["time"], level["value"], ":", label="chance", zorder=1, **chance)
    for number, (label, (layer, head)) in enumerate(heads.items()):
        line = rows[(rows["layer"] == layer) & (rows["head"] == head)].sort_values("time")
        ink, marker = INK[number % len(INK)], CYCLE_MARKERS[number % len(CYCLE_MARKERS)]
        top.plot(
            line["time"], line["value"], color=ink, marker=marker, linewidth=scaled(1), label=literal(label), zorder=3
        )
    _whole_turns(top, speakers, scene, next(iter(heads.values())), colors)
    _lanes(below, scene, lanes, colors)
    units = int(rows.loc[rows["value"].notna(), "time"].nunique())
    top.set_ylim(-0.05, 1.08)
    top.set_ylabel("own speaker's\nshare")
    heading(figure, "Do the words look at who says them?")
    below.set_xlabel(f"time (s; n = {units} moments)")
    top.plot([], [], color=CHANCE, linewidth=scaled(4), alpha=0.55, label="a turn as a whole")
    legend_outside(figure, columns=2, axes=[top])
    return [top, below]


def _whole_turns(
    ax: Axes, speakers: pd.DataFrame, scene: Scene, place: tuple[int, int], colors: Mapping[str, str]
) -> None:
    """The share of each turn as a thick line over its time, in the colour of its speaker."""
    rows = rows_of(speakers, "own_share_turn", frames="live", layer=place[0], head=place[1])
    for number, value in zip(rows["turn"], rows["value"], strict=True):
        turn = scene.transcript[int(number)]
        if turn.start is None or turn.speaker is None or not np.isfinite(value):
            continue
        end = max(turn.end or turn.start, turn.start + INSTANT)
        ax.plot(
            [turn.start, end],
            [value, value],
            color=colors[turn.speaker],
            linewidth=scaled(4),
            alpha=0.55,
            solid_capstyle="butt",
            zorder=2,
        )


def _lanes(ax: Axes, scene: Scene, lanes: list[str], colors: Mapping[str, str]) -> None:
    """A bar for each turn, one lane a speaker."""
    for turn in scene.transcript:
        if turn.start is None or turn.speaker not in lanes:
            continue
        width = max((turn.end or turn.start) - turn.start, INSTANT)
        ax.barh(lanes.index(turn.speaker), width, 0.7, turn.start, color=colors[turn.speaker], linewidth=0)
    ax.set_ylim(len(lanes) - 0.4, -0.6)
    ax.set_yticks(range(len(lanes)), short_labels(lanes, LONGEST), fontsize=scaled(6.5))
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
