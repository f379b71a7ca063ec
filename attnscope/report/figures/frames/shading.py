"""How a multiple of uniform attention is coloured over a picture: one scale for stills and films.

As much as uniform attention is the middle of the scale, and leaves the picture as it is. The further a number is from
that, the stronger its colour: red for more, blue for less. Equal factors are equal steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from numpy.typing import NDArray

from attnscope.report.figures.style import DIVERGING

COLORS = DIVERGING
UNIT = "attention per token\n(times uniform)"
FAINT, MORE, LESS = 0.06, 0.7, 0.2  # opacity at the middle, and at both ends: most tokens get little attention
TOP = 99.5  # percentile at which the scale ends: a sink would leave all else pale
LEAST, MOST = 1, 6  # octaves from the middle to an end: near-uniform attention stays pale

Floats = NDArray[np.float64]


def ratio_scale(values: Sequence[Floats]) -> tuple[LogNorm, str]:
    """A scale of ratios, symmetric about 1: its ends are a factor of 2, 4, 8 ... from it.

    Args:
        values: Multiples of uniform attention that share the scale; NaN is not defined.

    Returns:
        The scale, and at which of its ends numbers lie beyond it, as `extend` of a colour bar.
    """
    known = np.concatenate([some[np.isfinite(some)].ravel() for some in values] or [np.empty(0)])
    reach = float(LEAST)
    if (known > 0).any():
        above, middle = np.percentile(known, [TOP, 50])
        sizes = [np.log2(above) if above > 0 else 0.0, -np.log2(middle) if middle > 0 else 0.0]
        reach = float(np.clip(np.ceil(max(sizes) - 1e-9), LEAST, MOST))
        reach = reach if reach != MOST - 1 else float(MOST)  # ends that have a number of their own: every second octave
    low, high = 2.0**-reach, 2.0**reach
    beyond = bool((known < low).any()), bool((known > high).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    return LogNorm(low, high), extend


def shade(heat: Floats, norm: Normalize, cmap: str = COLORS) -> tuple[Floats, Floats]:
    """Colours and their opacity.

    Args:
        heat: Numbers [h, w]; NaN where there is none.
        norm: A scale whose middle says that nothing is to be seen.
        cmap: A diverging colour map.

    Returns:
        Colours [h, w, 3] and opacity [h, w], both 0..1; the opacity is 0 where there is no number.
    """
    level = _levels(heat, norm)
    distance = 2 * level - 1
    ends = LESS if isinstance(norm, LogNorm) else MORE  # a change downwards is as loud as one upwards
    opacity = FAINT + np.where(distance > 0, MORE - FAINT, ends - FAINT) * np.abs(distance)
    return np.asarray(colormaps[cmap](level))[..., :3], np.where(np.isfinite(heat), opacity, 0.0)


def _levels(heat: Floats, norm: Normalize) -> Floats:
    """Where numbers lie on a scale, 0..1; 0.5 where there is none."""
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    inside = np.clip(np.nan_to_num(heat, nan=(low * high) ** 0.5 if low > 0 else 0.5 * (low + high)), low, high)
    return np.asarray(np.ma.filled(norm(inside), 0.5), np.float64)


def ratio_ticks(norm: LogNorm, most: int = 7) -> tuple[list[float], list[str]]:
    """Places and texts of a ratio scale's numbers, its ends and its middle among them: ¼, ½, 1, 2, 4 as 1/4 ... 4."""
    reach = round(np.log2(float(norm.vmax or 1.0)))
    step = 1 if 2 * reach + 1 <= most else 2
    powers = range(-reach, reach + 1, step)
    return [2.0**n for n in powers], [f"{2**n}" if n >= 0 else f"1/{2**-n}" for n in powers]


def label_ratios(bar: Colorbar, norm: LogNorm) -> None:
    """Numbers and unit of a ratio scale's bar."""
    places, texts = ratio_ticks(norm)
    bar.minorticks_off()
    bar.set_ticks(places, labels=texts)
    bar.set_label(UNIT)
