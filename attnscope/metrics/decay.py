"""How the links between modalities change with depth: an exponential fit and the product of the errors.

The links of a layer are alpha = s_visual, c_visual, c_text (means per pair of the mean over heads). The fit
is log alpha = a + l log gamma by least squares over the layers where alpha is defined and positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.modality import gap, pair_mean
from attnscope.metrics.registry import OVER, metric

if TYPE_CHECKING:
    from attnscope.capture import Capture

LINKS = {"s_visual": ("visual", "visual"), "c_visual": ("visual", "text"), "c_text": ("text", "visual")}


@dataclass(frozen=True)
class Fit:
    """log alpha = a + l log gamma over `n` layers; NaN with fewer than two layers (R2: three)."""

    a: float
    gamma: float
    r2: float
    n: int


def fit(layers: ArrayLike, alpha: ArrayLike) -> Fit:
    """Fit an exponential decay by least squares on the logarithm.

    Args:
        layers: number of each layer in the model, [L].
        alpha: attention per pair, [L]; values that are NaN or not positive are left out.
    """
    x, y = np.asarray(layers, np.float64), np.asarray(alpha, np.float64)
    keep = np.isfinite(y) & (y > 0)
    x, y = x[keep], np.log(y[keep])
    if len(np.unique(x)) < 2:
        return Fit(np.nan, np.nan, np.nan, len(x))
    slope, intercept = np.polyfit(x, y, 1)
    spread = float(((y - y.mean()) ** 2).sum())
    residual = float(((y - intercept - slope * x) ** 2).sum())
    # two points lie on any line, and a flat curve has no variance to explain: no R2 for either
    r2 = 1 - residual / spread if len(x) > 2 and spread > 1e-24 else np.nan
    return Fit(float(intercept), float(np.exp(slope)), r2, len(x))


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
    """Decay fit and E_DDA of every link, with and without sinks; n = layers that entered."""
    means, gaps = pair_mean(cap), gap(cap)
    rows: list[dict[str, object]] = []
    for name, sinks, layers, alpha in links(means):
        found = fit(layers, alpha)
        query = LINKS[name][0]
        is_eps = (gaps["query"] == query) & (gaps["sinks"] == sinks) & (gaps["denominator"] == "max")
        eps = gaps[is_eps & (gaps["head"] == OVER) & (gaps["layer"] != OVER)]
        product, n = log10_product(eps["layer"].to_numpy(), found.gamma, eps["value"].to_numpy())
        numbers = {
            "decay_intercept": (found.a, found.n),
            "decay_gamma": (found.gamma, found.n),
            "decay_r2": (found.r2, found.n),
            "log10_e_dda": (product, n),
        }
        keys = {"layer": OVER, "head": OVER, "link": name, "sinks": sinks}
        rows += [{"metric": m, **keys, "value": v, "n": k} for m, (v, k) in numbers.items()]
    columns = ["metric", "layer", "head", "link", "sinks", "value", "n"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


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


def gamma_interval(
    layers: ArrayLike, alphas: Sequence[ArrayLike], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Gamma of one fit through the curves of several captures, with a percentile bootstrap over captures.

    Args:
        layers: number of each layer, [L].
        alphas: one curve [L] for each capture; at least two.
        level: coverage of the interval.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        (gamma, low, high); the bounds are NaN with fewer than two captures: one sample has no spread.
    """
    x = np.asarray(layers, np.float64)
    curves = np.stack([np.asarray(a, np.float64) for a in alphas])  # [C, L]
    gamma = fit(np.tile(x, len(curves)), curves.ravel()).gamma
    if len(curves) < 2:
        return gamma, np.nan, np.nan
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(curves), size=(draws, len(curves)))
    sample = [fit(np.tile(x, len(curves)), curves[pick].ravel()).gamma for pick in picks]
    if not np.isfinite(sample).any():
        return gamma, np.nan, np.nan
    low, high = np.nanquantile(sample, [(1 - level) / 2, (1 + level) / 2])
    return gamma, float(low), float(high)
