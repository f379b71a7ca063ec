"""What a figure shows, read from its axes, for those who cannot see it: where it is highest, how its curves go."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnscope.report.figures.style import remark_of, short

MOST = 8  # curves that a description names


def in_words(figure: Figure) -> str:
    """What a figure shows, in a few sentences; "" where its axes say nothing."""
    parts = []
    for ax in figure.axes:
        told = remark_of(ax) or _curves(ax)
        if told:
            title = " ".join(ax.get_title().split())
            parts.append(f"{title}: {told}." if title else f"{told}.")
    return " ".join(parts)


def _curves(ax: Axes) -> str:
    """The curves of axes, each with where it begins, ends and is highest."""
    told = []
    for line in ax.lines:
        label = str(line.get_label())
        x, y = (np.asarray(values, np.float64) for values in (line.get_xdata(), line.get_ydata()))
        if label.startswith("_") or len(x) < 2 or not np.isfinite(y).any():
            continue
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        name = " ".join(label.split())
        if y.min() == y.max():
            told.append(f"{name} {short(float(y[0]))} throughout")
            continue
        top = int(np.argmax(y))
        points = {at: f"{short(float(y[at]))} at {short(float(x[at]))}" for at in (0, top, -1)}
        highest = f", highest {points[top]}" if 0 < top < len(y) - 1 else ""
        told.append(f"{name} from {points[0]} to {points[-1]}{highest}")
    more = f"; and {len(told) - MOST} more curves" if len(told) > MOST else ""
    return "; ".join(told[:MOST]) + more
