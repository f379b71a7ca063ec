"""The heads that corrections touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from attnscope.report.style import COLUMN, CYCLE, dressed, literal, number_ticks, own_axes, scaled

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
