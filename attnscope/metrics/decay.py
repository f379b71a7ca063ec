"""How the links between modalities change with depth: exponential fits and the product of the errors.

The links of a layer are alpha = s_visual, c_visual, c_text: means per pair of the mean over heads, whose curves are
rows of `pair_mean`. The fit is log alpha = a + l log gamma by least squares over the layers where alpha is defined and
positive. Beside it stands a fit of two segments that meet at a layer, where they describe the curve significantly
better.

What one capture can give is a fit, how well it describes the curve, and whether the curve bends. An interval of gamma
takes several captures (`across_captures`): one sample has no spread, and the layers of one model are not a sample.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.families import family
from attnscope.metrics.groups import SINKS, modality_flow
from attnscope.metrics.modality import OTHER, gap_of, per_pair
from attnscope.metrics.registry import OVER, Metric
from attnscope.metrics.segments import LEVEL, SIDE, Break, Fit, fit, fit_break, gamma_interval, interval, two_segments
from attnscope.metrics.tables import Part
from attnscope.vocabulary import TEXT, VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

LINKS = {"s_visual": (VISUAL, VISUAL), "c_visual": (VISUAL, TEXT), "c_text": (TEXT, VISUAL)}
_BREAK = f"Given where two segments are significantly better than one (p <= {LEVEL:g}, see decay_break)."

Floats = NDArray[np.float64]


def log10_product(layers: ArrayLike, gamma: float, eps: ArrayLike) -> tuple[float, int]:
    """log10 of the product over layers of gamma^l eps_l (l from 1), and how many layers entered."""
    number, error = np.asarray(layers, np.float64) + 1, np.asarray(eps, np.float64)
    keep = np.isfinite(error)
    if not keep.any() or not np.isfinite(gamma):
        return np.nan, 0
    with np.errstate(divide="ignore"):
        terms = number[keep] * np.log10(gamma) + np.log10(error[keep])
    return float(terms.sum()), int(keep.sum())


@family(
    Metric(
        "decay_gamma",
        "Decay per layer",
        "gamma in alpha_l proportional to gamma^l, by least squares on log alpha_l = a + l log "
        "gamma; alpha_l = mean attention per pair of a link (s_visual, c_visual, c_text) in layer l. "
        "Intervals are bootstrap intervals over clips; fewer than six have none.",
        source="paper",
        unit="per layer",
        range=(0, None),
        chance="1 (no change with depth)",
    ),
    Metric(
        "decay_r2",
        "R² of the decay fit",
        "Share of the variance of log alpha over layers that the exponential explains. A low "
        "value says that one exponent does not describe the curve.",
    ),
    Metric(
        "decay_intercept",
        "Intercept of the decay fit",
        "a in log alpha_l = a + l log gamma (natural logarithm, l = the layer's number in the model, from 0).",
        unit="log attention per pair",
        range=(None, None),
    ),
    Metric(
        "decay_break",
        "Layer where the decay changes",
        "Layer k of the best fit of two segments, log alpha_l = a + b l + c max(l - k, 0), given where it is "
        f"significantly better than one line (p <= {LEVEL:g}). p, in the column p: share of straight lines with "
        "independent normal errors whose best break takes away as large a share of the squared residuals, so the "
        "search for k is accounted for; errors of neighbouring layers that resemble each other make it too small. At "
        f"least {SIDE} layers on each side of k.",
        unit="layer",
        range=(0, None),
    ),
    Metric(
        "decay_gamma_before",
        "Decay per layer before the change",
        f"gamma of the first of two segments, exp(b). {_BREAK}",
        unit="per layer",
        range=(0, None),
        chance="1 (no change with depth)",
    ),
    Metric(
        "decay_gamma_after",
        "Decay per layer after the change",
        f"gamma of the second of two segments, exp(b + c). {_BREAK}",
        unit="per layer",
        range=(0, None),
        chance="1 (no change with depth)",
    ),
    Metric(
        "decay_break_r2",
        "R² of the fit of two segments",
        f"Share of the variance of log alpha over layers that two segments explain. {_BREAK}",
    ),
    Metric(
        "log10_e_dda",
        "log10 of the decay product",
        "log10 of E_DDA, the product over layers of gamma^l eps_l, with layers counted from 1 and "
        "eps_l = the gap D_m of that layer (denominator max; m is the modality of the link's queries). For "
        "gamma < 1 it shrinks with depth although the paper says that the error grows: its sign has no "
        "reading.",
        unit="log10",
        range=(None, None),
    ),
    keys=("link", "sinks"),
)
def decay(cap: Capture) -> list[Part]:
    """Decay fits and E_DDA of every link, with and without sinks; n = layers that entered.

    Raises:
        FormatError: If the capture has no `masses` reading.
    """
    flow = modality_flow(cap).over_heads()
    means = per_pair(flow)[:, :, 0]  # [2, L, Q, K]
    parts: list[Part] = []
    for name, (query, key) in LINKS.items():
        if not {TEXT, VISUAL} <= set(flow.names):
            continue
        q, k, other = (flow.names.index(m) for m in (query, key, OTHER[query]))
        for sinks, of in zip(SINKS, means, strict=True):
            curve = of[:, q, k]
            line, broken, of_link = fit(cap.layers, curve), fit_break(cap.layers, curve), {"link": name, "sinks": sinks}
            e_dda, n = log10_product(cap.layers, line.gamma, gap_of(of[:, q, q], of[:, q, other], "max"))
            parts += [Part(number, value, line.n, of_link) for number, value in _single(line).items()]
            parts.append(Part("log10_e_dda", e_dda, n, of_link))
            p = np.array([broken.p])
            parts += [Part(number, value, broken.n, of_link, p=p) for number, value in _double(broken).items()]
    return parts


def _single(line: Fit) -> dict[str, float]:
    return {"decay_intercept": line.a, "decay_gamma": line.gamma, "decay_r2": line.r2}


def _double(broken: Break) -> dict[str, float]:
    """The numbers of two segments; NaN unless they are significantly better than one."""
    names = ("decay_break", "decay_gamma_before", "decay_gamma_after", "decay_break_r2")
    numbers = (broken.layer, broken.before, broken.after, broken.r2)
    return dict(zip(names, numbers if broken.significant else [np.nan] * 4, strict=True))


def across_captures(
    pair_means: pd.DataFrame, *, unit: str = "capture", level: float = 0.95, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Fits through the curves of several captures, with bootstrap intervals over captures (ours).

    One segment is fitted to all points. Two are fitted to the mean of the curves' log alpha, over the layers that all
    of them define, and the break is searched for again in every bootstrap sample.

    Args:
        pair_means: Rows of `pair_mean`, with a column `capture`.
        unit: The column that names the samples, for example `clip` if several captures are of one clip, which are not
            independent: their log alpha is averaged first.
        level: Coverage of the intervals.
        draws: Bootstrap samples.
        seed: Seed of the random numbers.

    Returns:
        Columns `metric` (decay_gamma, decay_break, decay_gamma_before, decay_gamma_after), `layer`, `head`, `link`,
        `sinks`, `value`, `n` (samples that define the link), `low`, `high`, `p` (as in `decay`); no rows for links that
        the table does not have. Bounds are NaN for fewer than six samples.
    """
    means = pair_means[(pair_means["head"] == OVER) & (pair_means["metric"] == "pair_mean")]
    means = means.assign(value=np.log(means["value"].where(means["value"] > 0)))
    options: dict[str, Any] = {"level": level, "draws": draws, "seed": seed}
    rows = []
    for (name, (query, key)), sinks in product(LINKS.items(), SINKS):
        of = means[(means["query"] == query) & (means["key"] == key) & (means["sinks"] == sinks)]
        if of.empty:
            continue
        curves = of.groupby([unit, "layer"])["value"].mean().unstack("layer").dropna(how="all")  # [C, L], of log alpha
        layers, every = curves.columns.to_numpy(np.float64), curves.to_numpy(np.float64)
        gamma = gamma_interval(layers, np.exp(every), **options) if len(every) else (np.nan, np.nan, np.nan)
        numbers = {"decay_gamma": (*gamma, np.nan)} | _break_intervals(layers, every, **options)
        keys = {"layer": OVER, "head": OVER, "link": name, "sinks": sinks}
        for number, (value, low, high, p) in numbers.items():
            rows.append({"metric": number, **keys, "value": value, "n": len(every), "low": low, "high": high, "p": p})
    return pd.DataFrame(
        rows, columns=pd.Index(["metric", "layer", "head", "link", "sinks", "value", "n", "low", "high", "p"])
    )


def _break_intervals(
    layers: Floats, curves: Floats, *, level: float, draws: int, seed: int
) -> dict[str, tuple[float, float, float, float]]:
    """Break and gammas of two segments: (value, low, high, p), NaN where they are not significantly better than one."""
    whole = np.isfinite(curves).all(0) & (len(curves) > 0)
    x, y = layers[whole], curves[:, whole]  # [L], [C, L]
    broken = fit_break(x, np.exp(y.mean(0)) if len(y) else [], seed=seed)
    numbers = dict(list(_double(broken).items())[:3])
    ends = np.full((2, len(numbers)), np.nan)
    if broken.significant:
        ends = interval(lambda picks: two_segments(x, y[picks].mean(-2)), len(y), level, draws, seed)
    return {m: (v, float(ends[0, i]), float(ends[1, i]), broken.p) for i, (m, v) in enumerate(numbers.items())}
