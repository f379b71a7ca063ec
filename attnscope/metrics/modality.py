"""Attention within and between modalities, by layer and head.

The modalities are text, visual and special (special tokens and the chat template's own text). "Self" is
visual to visual and text to text, "cross" is visual to text and text to visual; pairs with special tokens are
neither. Rows with head -1 are of the mean over heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.groups import Flow, modality_flow, uniform_flow
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.tidy import divide, tidy, with_head_mean

if TYPE_CHECKING:
    from attnscope.capture import Capture

OTHER = {"visual": "text", "text": "visual"}
DENOMINATORS = ("max", "sum", "self")
SINKS = ("with", "without")
_SINK_FREE = "Without sinks: less the mass, and the pairs, on the sinks among the keys."


def link(query: str, key: str) -> str:
    """`self`, `cross`, or `special` where special tokens are the queries or the keys."""
    if "special" in (query, key):
        return "special"
    return "self" if query == key else "cross"


@metric(
    name="pair_mean",
    title="Mean attention per pair",
    definition="Mean of the attention over all allowed (query, key) pairs of two modalities: s_m within "
    f"modality m, c_m from m to the other one. {_SINK_FREE} In a causal model, visual queries see only "
    "the text that stands before the video.",
    source="paper",
    unit="attention per pair",
    range=(0, 1),
    chance="about 1 / allowed keys",
)
def pair_mean(cap: Capture) -> pd.DataFrame:
    """Mean attention per allowed pair of modalities; n = pairs. NaN where no pair is allowed."""
    flow = modality_flow(cap)
    with_sinks, without = _pair_means(flow)
    return _both("pair_mean", cap, flow, with_sinks, without, flow.pairs[:, None], flow.without_sinks()[1][:, None])


@metric(
    name="mass_share",
    title="Mass share",
    definition="Sum of attention from a query to all keys of a modality, averaged over the queries of a "
    f"modality. {_SINK_FREE}",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="the share of allowed keys (see lift)",
)
def mass_share(cap: Capture) -> pd.DataFrame:
    """Attention mass from one modality to another; n = queries. NaN where no pair is allowed."""
    flow = modality_flow(cap)
    n = flow.queries[:, None]
    shares = [np.where(pairs[:, None] > 0, with_head_mean(mass), np.nan) for mass, pairs in _variants(flow)]
    return _both("mass_share", cap, flow, shares[0], shares[1], n, n)


@metric(
    name="gap",
    title="Gap between self and cross attention",
    definition="D_m = |s_m - c_m| / max(s_m, c_m), from the means per pair of modality m; with the "
    "denominators s_m + c_m (sum) and s_m (self) beside it. A layer's gap is that of its mean over "
    "heads, and the model's gap is the mean over the layers where it is defined. The paper prints values "
    "without a formula.",
    source="ours",
    unit="1",
    range=(0, None),
    chance="see gap_uniform",
)
def gap(cap: Capture) -> pd.DataFrame:
    """Gap D_m by modality and denominator; n = 1 for a layer, the number of layers for layer -1."""
    return _gaps("gap", cap, modality_flow(cap), _heads(cap))


@metric(
    name="lift",
    title="Lift over availability",
    definition="Mass share divided by the mass share that attention spread evenly over each query's "
    f"allowed keys would give. {_SINK_FREE}",
    source="ours",
    unit="1",
    range=(0, None),
    chance="1 (uniform attention)",
)
@metric(
    name="gap_uniform",
    title="Gap of uniform attention",
    definition="The gap D_m that attention spread evenly over each query's allowed keys would show: not "
    "0 in a causal model, where early queries have fewer keys and therefore heavier pairs.",
    source="ours",
    unit="1",
    range=(0, None),
)
def against_uniform(cap: Capture) -> pd.DataFrame:
    """Lift of each pair of modalities (n = queries), and the gap of uniform attention (head -1)."""
    flow = modality_flow(cap)
    uniform, on_sinks = uniform_flow(cap)
    even = replace(flow, mass=uniform[:, None], sink_mass=on_sinks[:, None])
    n = flow.queries[:, None]
    ratios = [
        divide(with_head_mean(mass), np.where(pairs > 0, base[:, 0], 0.0)[:, None])
        for (mass, pairs), (base, _) in zip(_variants(flow), _variants(even), strict=True)
    ]
    lifts = _both("lift", cap, flow, ratios[0], ratios[1], n, n)
    return pd.concat([lifts, _gaps("gap_uniform", cap, even, [OVER])], ignore_index=True)


def gap_of(self_mean: NDArray[np.float64], cross_mean: NDArray[np.float64], denominator: str) -> NDArray[np.float64]:
    """|s - c| over max(s, c), s + c (`sum`) or s (`self`); NaN where that is not defined or 0."""
    below = {"max": np.maximum(self_mean, cross_mean), "sum": self_mean + cross_mean, "self": self_mean}
    return divide(np.abs(self_mean - cross_mean), below[denominator])


def _gaps(metric: str, cap: Capture, flow: Flow, heads: list[int]) -> pd.DataFrame:
    """Gaps of a flow for its last heads (the very last is their mean), by layer and over layers."""
    parts = []
    for sinks, means in zip(SINKS, _pair_means(flow), strict=True):
        for name in (m for m in flow.names if OTHER.get(m) in flow.names):
            q, other = flow.names.index(name), flow.names.index(OTHER[name])
            for denominator in DENOMINATORS:
                value = gap_of(means[..., q, q], means[..., q, other], denominator)[:, -len(heads) :]  # [L, heads]
                keys = {"query": name, "sinks": sinks, "denominator": denominator}
                axes: dict[str, Sequence[Any]] = {"layer": cap.layers.tolist(), "head": heads}
                parts.append(tidy(metric, value, np.isfinite(value), axes, **keys))
                by_layer = value[:, -1][np.isfinite(value[:, -1])]
                over = by_layer.mean() if len(by_layer) else np.nan
                parts.append(tidy(metric, [over], [len(by_layer)], {"layer": [OVER]}, head=OVER, **keys))
    return pd.concat(parts, ignore_index=True) if parts else _no_rows()


def _variants(flow: Flow) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], ...]:
    """Mass and pairs, with and without sinks."""
    return (flow.mass, flow.pairs), flow.without_sinks()


def _pair_means(flow: Flow) -> list[NDArray[np.float64]]:
    """Means per pair [L, H + 1, K, K], with and without sinks; the last head is the mean over heads."""
    queries = flow.queries[:, None]
    return [divide(with_head_mean(mass) * queries, pairs[:, None]) for mass, pairs in _variants(flow)]


def _heads(cap: Capture) -> list[int]:
    return [*range(cap.heads), OVER]


def _both(
    name: str,
    cap: Capture,
    flow: Flow,
    with_sinks: NDArray[np.float64],
    without: NDArray[np.float64],
    n_with: NDArray[np.int64],
    n_without: NDArray[np.int64],
) -> pd.DataFrame:
    """The table of a metric over [L, H + 1, K, K], with and without sinks."""
    axes: dict[str, Sequence[Any]] = {
        "layer": cap.layers.tolist(),
        "head": _heads(cap),
        "query": flow.names,
        "key": flow.names,
    }
    parts = [
        tidy(name, value, n, axes, sinks=sinks)
        for sinks, value, n in (("with", with_sinks, n_with), ("without", without, n_without))
    ]
    table = pd.concat(parts, ignore_index=True)
    links = [link(q, k) for q, k in zip(table["query"], table["key"], strict=True)]
    table.insert(5, "link", links)
    return table


def _no_rows() -> pd.DataFrame:
    keys = ["metric", "layer", "head", "query", "sinks", "denominator", "value", "n"]
    return pd.DataFrame(columns=pd.Index(keys))
