"""Exponential fits to curves over layers: one segment, or two that meet at a layer. Arrays in, numbers out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap, monte_carlo_test

from attnscope.metrics.clips.resample import FEWEST, tail
from attnscope.metrics.tables import divide

SIDE = 3  # layers that must lie on each side of a break, without the one where it is
LEVEL = 0.05  # p up to which two segments are reported
DRAWS = 1999  # straight lines with noise that a break is compared with
_FLAT = 1e-24  # sum of squares that is rounding

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """log alpha = a + l log gamma over `n` layers; NaN with fewer than two layers (R2: three)."""

    a: float
    gamma: float
    r2: float
    n: int


@dataclass(frozen=True)
class Break:
    """Two segments that meet at `layer`, with their gammas; NaN with fewer than 2 `SIDE` + 1 layers."""

    layer: float
    before: float
    after: float
    r2: float
    p: float
    n: int

    @property
    def significant(self) -> bool:
        """Whether two segments describe the curve better than one."""
        return self.p <= LEVEL


def fit(layers: ArrayLike, alpha: ArrayLike) -> Fit:
    """Fit an exponential decay by least squares on the logarithm.

    Args:
        layers: Number of each layer in the model, [L].
        alpha: Attention per pair, [L]; values that are NaN or not positive are left out.
    """
    x, y = logs(layers, alpha)
    if len(np.unique(x)) < 2:
        return Fit(np.nan, np.nan, np.nan, len(x))
    slope, intercept = np.polyfit(x, y, 1)
    spread = float(((y - y.mean()) ** 2).sum())
    residual = float(((y - intercept - slope * x) ** 2).sum())
    # two points lie on any line, and a flat curve has no variance to explain: no R2 for either
    r2 = 1 - residual / spread if len(x) > 2 and spread > _FLAT else np.nan
    return Fit(float(intercept), float(np.exp(slope)), r2, len(x))


def fit_break(layers: ArrayLike, alpha: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Break:
    """Fit two exponentials that meet at a layer, by least squares on the logarithm and over the layers (ours).

    The statistic is the share of the single line's sum of squared residuals that the best break takes away. Since the
    break is searched for, it has no F distribution; its distribution without a break, for independent normal errors,
    depends on the layers alone and is drawn.

    Args:
        layers: Number of each layer in the model, [L], increasing.
        alpha: Attention per pair, [L]; values that are NaN or not positive are left out.
        draws: Curves without a break; p = (k + 1) / (draws + 1).
        seed: Seed of the random numbers.
    """
    x, y = logs(layers, alpha)
    if len(x) < 2 * SIDE + 1:
        return Break(np.nan, np.nan, np.nan, np.nan, np.nan, len(x))
    test: Any = monte_carlo_test(
        y,
        np.random.default_rng(seed).standard_normal,
        lambda curves, axis: _gains(x, np.moveaxis(curves, axis, -1)).max(-1),
        vectorized=True,
        n_resamples=draws,
        alternative="greater",
        axis=-1,
    )
    layer, before, after = (float(number) for number in two_segments(x, y))
    spread = float(((y - y.mean()) ** 2).sum())
    residual = spread * (1 - fit(x, np.exp(y)).r2) * (1 - float(_gains(x, y).max()))
    r2 = 1 - residual / spread if spread > _FLAT else np.nan
    return Break(layer, before, after, r2, float(test.pvalue), len(x))


def logs(layers: ArrayLike, alpha: ArrayLike) -> tuple[Floats, Floats]:
    """Layers where alpha is defined and positive, and its logarithm there."""
    x, y = np.asarray(layers, np.float64), np.asarray(alpha, np.float64)
    keep = np.isfinite(y) & (y > 0)
    return x[keep], np.log(y[keep])


def two_segments(x: Floats, y: Floats) -> Floats:
    """The best break of each curve.

    Args:
        x: Layers, [L], at least 2 `SIDE` + 1.
        y: Log alpha, [..., L].

    Returns:
        Layer of the break, gamma before and gamma after it, [3, ...].
    """
    bends = _bends(x)  # [K, L]
    best = _gains(x, y).argmax(-1)
    designs = np.stack([np.stack([np.ones_like(x), x, bend], 1) for bend in bends])  # [K, L, 3]
    solve = np.linalg.pinv(designs)[best]  # [..., 3, L]
    _, slope, turn = np.moveaxis(np.einsum("...cl,...l->...c", solve, y), -1, 0)
    return np.stack([x[SIDE:-SIDE][best], np.exp(slope), np.exp(slope + turn)])


def gamma_interval(
    layers: ArrayLike, alphas: Sequence[ArrayLike], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Gamma of one fit through the curves of several captures, with a bootstrap interval over captures.

    Args:
        layers: Number of each layer, [L].
        alphas: One curve [L] for each capture; at least one.
        level: Coverage of the interval.
        draws: Bootstrap samples.
        seed: Seed of the random numbers.

    Returns:
        (gamma, low, high); the bounds are NaN as in `interval`.

    Example:
        >>> curves = [rate ** np.arange(6.0) for rate in (0.50, 0.52, 0.54, 0.56, 0.58, 0.60)]
        >>> [round(float(number), 2) for number in metrics.gamma_interval(range(6), curves)]
        [0.55, 0.51, 0.58]
    """
    points = [logs(layers, alpha) for alpha in alphas]
    gamma = fit(np.concatenate([x for x, _ in points]), np.exp(np.concatenate([y for _, y in points]))).gamma
    sums = np.array([[len(x), x.sum(), y.sum(), (x * x).sum(), (x * y).sum()] for x, y in points])  # [C, 5]

    def gammas(picks: NDArray[np.int64]) -> Floats:
        n, x, y, xx, xy = np.moveaxis(sums[picks].sum(-2), -1, 0)
        # layers are whole numbers, so this is 0 exactly where there is but one
        slopes: Floats = np.exp(divide(n * xy - x * y, n * xx - x * x))
        return slopes

    low, high = interval(gammas, len(sums), level, draws, seed)
    return gamma, float(low), float(high)


def interval(
    statistic: Callable[[NDArray[np.int64]], Floats], captures: int, level: float, draws: int, seed: int
) -> Floats:
    """Bootstrap interval of a statistic of captures, whatever it is; percentiles as in `clips.resample`.

    Args:
        statistic: Numbers [...] of each set of drawn captures, from their indices [..., C].
        captures: How many there are, C.
        level: Coverage of the interval.
        draws: Bootstrap samples.
        seed: Seed of the random numbers.

    Returns:
        Low and high, [2, ...]; NaN for fewer than `FEWEST` captures, and where no draw defines the number.
    """
    every = np.arange(captures)
    if captures < FEWEST:
        return np.full((2, *statistic(every).shape), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some draws are not defined, or all are alike
        result: Any = bootstrap(
            (every,),
            lambda picks, axis: statistic(np.moveaxis(picks, axis, -1)),
            vectorized=True,
            n_resamples=draws,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    spread = result.bootstrap_distribution  # draws in which no capture defines the number do not count
    share = tail(captures, level)
    some = np.isfinite(spread).any(-1, keepdims=True)
    ends: Floats = np.nanquantile(np.where(some, spread, 0.0), [share, 1 - share], axis=-1)
    return np.where(some[..., 0], ends, np.nan)


def _bends(x: Floats) -> Floats:
    """max(l - k, 0) for every layer k where a break may be, [K, L]."""
    bends: Floats = np.maximum(x - x[SIDE:-SIDE, None], 0.0)
    return bends


def _gains(x: Floats, y: Any) -> Floats:
    """Share of the line's squared residuals that a break at each layer takes away, [..., K]; 0 for an exact line."""
    line = np.linalg.qr(np.stack([np.ones_like(x), x], 1))[0]  # [L, 2]
    bends = _bends(x)
    bends -= bends @ line @ line.T  # what a line does not already say
    bends /= np.linalg.norm(bends, axis=1, keepdims=True)
    rest = y - y @ line @ line.T
    left = (rest**2).sum(-1, keepdims=True)
    return np.nan_to_num(divide((rest @ bends.T) ** 2, np.where(left > _FLAT, left, 0.0)))
