"""How the links between modalities change with depth: exponential fits and the product of the errors.

The links of a layer are alpha = s_visual, c_visual, c_text (means per pair of the mean over heads). The fit
is log alpha = a + l log gamma by least squares over the layers where alpha is defined and positive. Beside it
stands a fit of two segments that meet at a layer, where they describe the curve significantly better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from attnscope.metrics.modality import gap, pair_mean
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.segments import LEVEL, SIDE, Break, Fit, fit, fit_break, logs, two_segments
from attnscope.metrics.tidy import divide

if TYPE_CHECKING:
    from attnscope.capture import Capture

LINKS = {"s_visual": ("visual", "visual"), "c_visual": ("visual", "text"), "c_text": ("text", "visual")}
_BREAK = f"Given where two segments are significantly better than one (p <= {LEVEL:g}, see decay_break)."


def log10_product(layers: ArrayLike, gamma: float, eps: ArrayLike) -> tuple[float, int]:
    """log10 of the product over layers of gamma^l eps_l (l from 1), and how many layers entered."""
    number, error = np.asarray(layers, np.float64) + 1, np.asarray(eps, np.float64)
    keep = np.isfinite(error)
    if not keep.any() or not np.isfinite(gamma):
        return np.nan, 0
    with np.errstate(divide="ignore"):
        terms = number[keep] * np.log10(gamma) + np.log10(error[keep])
    return float(terms.sum()), int(keep.sum())


@metric(
    name="decay_gamma",
    title="Decay per layer",
    definition="gamma in alpha_l proportional to gamma^l, by least squares on log alpha_l = a + l log "
    "gamma; alpha_l = mean attention per pair of a link (s_visual, c_visual, c_text) in layer l. "
    "Intervals are percentile bootstrap over captures.",
    source="paper",
    unit="per layer",
    range=(0, None),
    chance="1 (no change with depth)",
)
@metric(
    name="decay_r2",
    title="R² of the decay fit",
    definition="Share of the variance of log alpha over layers that the exponential explains. A low "
    "value says that one exponent does not describe the curve.",
    source="ours",
    unit="1",
    range=(0, 1),
)
@metric(
    name="decay_intercept",
    title="Intercept of the decay fit",
    definition="a in log alpha_l = a + l log gamma (natural logarithm, l = the layer's number in the model, from 0).",
    source="ours",
    unit="log attention per pair",
    range=(None, None),
)
@metric(
    name="decay_break",
    title="Layer where the decay changes",
    definition="Layer k of the best fit of two segments, log alpha_l = a + b l + c max(l - k, 0), given where it is "
    f"significantly better than one line (p <= {LEVEL:g}). p, in the column p: share of straight lines with "
    "independent normal errors whose best break takes away as large a share of the squared residuals, so the search "
    "for k is accounted for; errors of neighbouring layers that resemble each other make it too small. At least "
    f"{SIDE} layers on each side of k.",
    source="ours",
    unit="layer",
    range=(0, None),
)
@metric(
    name="decay_gamma_before",
    title="Decay per layer before the change",
    definition=f"gamma of the first of two segments, exp(b). {_BREAK}",
    source="ours",
    unit="per layer",
    range=(0, None),
    chance="1 (no change with depth)",
)
@metric(
    name="decay_gamma_after",
    title="Decay per layer after the change",
    definition=f"gamma of the second of two segments, exp(b + c). {_BREAK}",
    source="ours",
    unit="per layer",
    range=(0, None),
    chance="1 (no change with depth)",
)
@metric(
    name="decay_break_r2",
    title="R² of the fit of two segments",
    definition=f"Share of the variance of log alpha over layers that two segments explain. {_BREAK}",
    source="ours",
    unit="1",
    range=(0, 1),
)
@metric(
    name="log10_e_dda",
    title="log10 of the decay product",
    definition="log10 of E_DDA, the product over layers of gamma^l eps_l, with layers counted from 1 and "
    "eps_l = the gap D_m of that layer (denominator max; m is the modality of the link's queries). For "
    "gamma < 1 it shrinks with depth although the paper says that the error grows: its sign has no "
    "reading.",
    source="ours",
    unit="log10",
    range=(None, None),
)
def decay(cap: Capture) -> pd.DataFrame:
    """Decay fits and E_DDA of every link, with and without sinks; n = layers that entered.

    Raises:
        FormatError: if the capture has no `masses` reading.
    """
    means, gaps = pair_mean(cap), gap(cap)
    rows: list[dict[str, object]] = []
    for name, sinks, layers, alpha in links(means):
        found, broken = fit(layers, alpha), fit_break(layers, alpha)
        query = LINKS[name][0]
        is_eps = (gaps["query"] == query) & (gaps["sinks"] == sinks) & (gaps["denominator"] == "max")
        eps = gaps[is_eps & (gaps["head"] == OVER) & (gaps["layer"] != OVER)]
        product, n = log10_product(eps["layer"].to_numpy(), found.gamma, eps["value"].to_numpy())
        numbers = _single(found) | {"log10_e_dda": product}
        keys = {"layer": OVER, "head": OVER, "link": name, "sinks": sinks}
        rows += [{"metric": m, **keys, "value": v, "n": found.n, "p": np.nan} for m, v in numbers.items()]
        rows[-1]["n"] = n
        rows += [{"metric": m, **keys, "value": v, "n": broken.n, "p": broken.p} for m, v in _double(broken).items()]
    columns = ["metric", "layer", "head", "link", "sinks", "value", "n", "p"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _single(found: Fit) -> dict[str, float]:
    return {"decay_intercept": found.a, "decay_gamma": found.gamma, "decay_r2": found.r2}


def _double(broken: Break) -> dict[str, float]:
    """The numbers of two segments; NaN unless they are significantly better than one."""
    names = ("decay_break", "decay_gamma_before", "decay_gamma_after", "decay_break_r2")
    numbers = (broken.layer, broken.before, broken.after, broken.r2)
    return dict(zip(names, numbers if broken.significant else [np.nan] * 4, strict=True))


def links(pair_means: pd.DataFrame) -> list[tuple[str, str, NDArray[np.int64], NDArray[np.float64]]]:
    """The curves to fit, from a `pair_mean` table: (link, with/without sinks, layers [L], alpha [L])."""
    curves = pair_means[(pair_means["head"] == OVER) & (pair_means["metric"] == "pair_mean")]
    out = []
    for name, (query, key) in LINKS.items():
        for sinks in ("with", "without"):
            rows = curves[(curves["query"] == query) & (curves["key"] == key) & (curves["sinks"] == sinks)]
            if len(rows):
                out.append((name, sinks, rows["layer"].to_numpy(np.int64), rows["value"].to_numpy(np.float64)))
    return out


def across_captures(pair_means: pd.DataFrame, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Fits through the curves of several captures, with percentile bootstrap intervals over captures (ours).

    One segment is fitted to all points. Two are fitted to the mean of the captures' log alpha, over the layers that all
    of them define, and the break is searched for again in every bootstrap sample.

    Args:
        pair_means: rows of `pair_mean`, with a column `capture`.
        level: coverage of the intervals.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        Columns `metric` (decay_gamma, decay_break, decay_gamma_before, decay_gamma_after), `layer`, `head`, `link`,
        `sinks`, `value`, `n` (captures that define the link), `low`, `high`, `p` (as in `decay`). Bounds are NaN for a
        single capture, which has no spread.
    """
    curves: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    numbers: dict[tuple[str, str], NDArray[np.int64]] = {}
    for _, table in pair_means.groupby("capture", sort=False):
        for name, sinks, layers, alpha in links(table):
            curves.setdefault((name, sinks), []).append(alpha)
            numbers[name, sinks] = layers
    rows = []
    for (name, sinks), every in curves.items():
        layers = numbers[name, sinks]
        alphas = [alpha for alpha in every if len(logs(layers, alpha)[0])]
        options: dict[str, Any] = {"level": level, "draws": draws, "seed": seed}
        gamma = gamma_interval(layers, alphas, **options) if alphas else (np.nan, np.nan, np.nan)
        found = {"decay_gamma": (*gamma, np.nan)} | _break_intervals(layers, alphas, **options)
        keys = {"layer": OVER, "head": OVER, "link": name, "sinks": sinks}
        for number, (value, low, high, p) in found.items():
            rows.append({"metric": number, **keys, "value": value, "n": len(alphas), "low": low, "high": high, "p": p})
    columns = ["metric", "layer", "head", "link", "sinks", "value", "n", "low", "high", "p"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _break_intervals(
    layers: NDArray[Any], alphas: Sequence[NDArray[np.float64]], *, level: float, draws: int, seed: int
) -> dict[str, tuple[float, float, float, float]]:
    """Break and gammas of two segments: (value, low, high, p), NaN where they are not significantly better than one."""
    table = np.log(np.where(np.stack(alphas) > 0, np.stack(alphas), np.nan)) if alphas else np.zeros((0, len(layers)))
    whole = np.isfinite(table).all(0) & (len(table) > 0)
    x, y = layers[whole].astype(np.float64), table[:, whole]  # [L], [C, L]
    broken = fit_break(x, np.exp(y.mean(0)) if len(y) else [], seed=seed)
    numbers = dict(list(_double(broken).items())[:3])
    ends = np.full((2, len(numbers)), np.nan)
    if broken.significant:
        ends = _interval(lambda picks: two_segments(x, y[picks].mean(-2)), len(y), level, draws, seed)
    return {m: (v, float(ends[0, i]), float(ends[1, i]), broken.p) for i, (m, v) in enumerate(numbers.items())}


def gamma_interval(
    layers: ArrayLike, alphas: Sequence[ArrayLike], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Gamma of one fit through the curves of several captures, with a percentile bootstrap over captures.

    Args:
        layers: number of each layer, [L].
        alphas: one curve [L] for each capture; at least one.
        level: coverage of the interval.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        (gamma, low, high); the bounds are NaN with fewer than two captures: one sample has no spread.
    """
    points = [logs(layers, alpha) for alpha in alphas]
    gamma = fit(np.concatenate([x for x, _ in points]), np.exp(np.concatenate([y for _, y in points]))).gamma
    sums = np.array([[len(x), x.sum(), y.sum(), (x * x).sum(), (x * y).sum()] for x, y in points])  # [C, 5]

    def gammas(picks: NDArray[np.int64]) -> NDArray[np.float64]:
        n, x, y, xx, xy = np.moveaxis(sums[picks].sum(-2), -1, 0)
        return np.exp(divide(n * xy - x * y, n * xx - x * x))  # layers are whole numbers: 0 where there is but one

    low, high = _interval(gammas, len(sums), level, draws, seed)
    return gamma, float(low), float(high)


def _interval(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], captures: int, level: float, draws: int, seed: int
) -> NDArray[np.float64]:
    """Low and high, [2, ...], of a statistic [...] of captures drawn again (picks [..., C]); NaN for one capture."""
    every = np.arange(captures)
    if captures < 2:
        return np.full((2, *statistic(every).shape), np.nan)
    found: Any = bootstrap(
        (every,),
        lambda picks, axis: statistic(np.moveaxis(picks, axis, -1)),
        vectorized=True,
        n_resamples=draws,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    spread = found.bootstrap_distribution  # draws in which no capture defines the number do not count
    tail = (1 - level) / 2
    some = np.isfinite(spread).any(-1, keepdims=True)
    return np.where(some[..., 0], np.nanquantile(np.where(some, spread, 0.0), [tail, 1 - tail], axis=-1), np.nan)
