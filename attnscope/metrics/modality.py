"""Attention within and between modalities, by layer and head.

The modalities are text, visual and special (special tokens and the chat template's own text). "Self" is
visual to visual and text to text, "cross" is visual to text and text to visual; pairs with special tokens are
neither. Rows with head -1 are of the mean over heads.

The column `query` says whose attention it is: a modality or `role:<role>` (queries of the prompt; `role:answer` are the
generated tokens that were fed back), `answer_position` (the last of the prompt, which predicts the first token of
the answer), or `generated:<k>`, the k-th generated token, which predicts the next. Generated tokens are text.
Their rows are of the mean over heads, unless `token_heads` asks for every head: there can be many of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.groups import (
    SINKS,
    Flow,
    generated_flow,
    modality_flow,
    uniform_flow,
    uniform_tokens,
)
from attnscope.metrics.registry import Metric
from attnscope.metrics.tables import Part, divide
from attnscope.vocabulary import ANSWER, ANSWER_POSITION, GENERATED, ROLE, SPECIAL, TEMPLATE, TEXT, VISUAL, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

OTHER = {VISUAL: TEXT, TEXT: VISUAL}
DENOMINATORS = ("max", "sum", "self")
KEYS, GAP_KEYS = ("query", "key", "link", "sinks"), ("query", "sinks", "denominator")
_SINK_FREE = "Without sinks: less the mass, and the pairs, on the sinks among the keys."

Floats = NDArray[np.float64]


def modality_of(query: str) -> str:
    """The modality that queries count as: roles other than `template`, and those of the answer, are text."""
    if query == group_name(ROLE, TEMPLATE):
        return SPECIAL
    is_text = ":" in query or query in (ANSWER_POSITION, ANSWER, GENERATED)
    return TEXT if is_text else query


def link_of(query: str, key: str) -> str:
    """`self`, `cross`, or `special` where special tokens are the queries or the keys.

    Args:
        query: A set of queries.
        key: A modality.
    """
    of = modality_of(query)
    if SPECIAL in (of, key):
        return SPECIAL
    return "self" if of == key else "cross"


def per_pair(flow: Flow) -> Floats:
    """Mean attention per allowed pair of a flow, with and without sinks, [2, L, X, Q, K]; NaN where none is allowed."""
    return divide(flow.mass * flow.queries[:, None], flow.counts[:, :, None])


def gap_of(self_mean: Floats, cross_mean: Floats, denominator: str) -> Floats:
    """|s - c| over max(s, c), s + c (`sum`) or s (`self`); NaN where that is not defined or 0."""
    below = {"max": np.maximum(self_mean, cross_mean), "sum": self_mean + cross_mean, "self": self_mean}
    return divide(np.abs(self_mean - cross_mean), below[denominator])


@family(
    Metric(
        "pair_mean",
        "Mean attention per pair",
        "Mean of the attention over all allowed (query, key) pairs of two modalities: s_m within "
        "modality m, c_m from m to the other one; also for the queries of a role, the answer position and each "
        f"generated token. {_SINK_FREE} In a causal model, visual queries see only the text that stands before the "
        "video.",
        source="paper",
        unit="attention per pair",
        chance="about 1 / allowed keys",
    ),
    keys=KEYS,
)
def pair_mean(cap: Capture, *, token_heads: bool = False) -> list[Part]:
    """Mean attention per allowed pair; n = pairs. NaN where no pair is allowed.

    Args:
        cap: An open capture with the `masses` reading.
        token_heads: Also every head of each generated token.
    """
    flows = _flows(cap, token_heads)
    return _parts("pair_mean", cap, [(flow, per_pair(flow), flow.counts[:, :, None]) for flow in flows])


@family(
    Metric(
        "mass_share",
        "Mass share",
        "Sum of attention from a query to all keys of a modality, averaged over the queries of a "
        f"modality or role; also of the answer position and of each generated token. {_SINK_FREE}",
        chance="the share of allowed keys (see lift)",
    ),
    keys=KEYS,
)
def mass_share(cap: Capture, *, token_heads: bool = False) -> list[Part]:
    """Attention mass from a set of queries to a modality; n = queries. NaN where no pair is allowed.

    Args:
        cap: An open capture with the `masses` reading.
        token_heads: Also every head of each generated token.
    """
    flows = _flows(cap, token_heads)
    return _parts("mass_share", cap, [(f, np.where(_allowed(f), f.mass, np.nan), f.queries[:, None]) for f in flows])


@family(
    Metric(
        "gap",
        "Gap between self and cross attention",
        "D_m = |s_m - c_m| / max(s_m, c_m), from the means per pair of modality m; with the "
        "denominators s_m + c_m (sum) and s_m (self) beside it. A layer's gap is that of its mean over "
        "heads, and the model's gap is the mean over the layers where it is defined. Likewise of the text queries of a "
        "role, the answer position and each generated token. The paper prints values without a formula.",
        range=(0, None),
        chance="see gap_uniform",
    ),
    keys=GAP_KEYS,
)
def gap(cap: Capture, *, token_heads: bool = False) -> list[Part]:
    """Gap D_m of each set of queries, by denominator; n = 1 for a layer, the number of layers for layer -1.

    Args:
        cap: An open capture with the `masses` reading.
        token_heads: Also every head of each generated token.
    """
    return _gaps("gap", cap, _flows(cap, token_heads))


@family(
    Metric(
        "lift",
        "Lift over availability",
        "Mass share divided by the mass share that attention spread evenly over each query's "
        f"allowed keys would give. {_SINK_FREE}",
        range=(0, None),
        chance="1 (uniform attention)",
    ),
    keys=KEYS,
)
def lift(cap: Capture, *, token_heads: bool = False) -> list[Part]:
    """Lift of each set of queries on each modality; n = queries. NaN where no pair is allowed.

    Args:
        cap: An open capture with the `masses` reading.
        token_heads: Also every head of each generated token.
    """
    flows = _flows(cap, token_heads)
    parts = []
    for own, even in zip(flows, (uniform_flow(cap), uniform_tokens(flows[1])), strict=True):
        parts.append((own, divide(own.mass, np.where(_allowed(even), even.mass, 0.0)), own.queries[:, None]))
    return _parts("lift", cap, parts)


@family(
    Metric(
        "gap_uniform",
        "Gap of uniform attention",
        "The gap D_m that attention spread evenly over each query's allowed keys would show: not "
        "0 in a causal model, where early queries have fewer keys and therefore heavier pairs.",
        range=(0, None),
    ),
    keys=GAP_KEYS,
)
def gap_uniform(cap: Capture) -> list[Part]:
    """Gap of uniform attention (head -1); n as of `gap`. NaN where no pair is allowed.

    Args:
        cap: An open capture with the `masses` reading.
    """
    return _gaps("gap_uniform", cap, (uniform_flow(cap), uniform_tokens(generated_flow(cap))))


def _gaps(name: str, cap: Capture, flows: Sequence[Flow]) -> list[Part]:
    """Gaps of flows for their heads (the last is their mean), by layer and over layers."""
    parts: list[Part] = []
    for flow in flows:
        sets = [q for q in flow.sets if {modality_of(q), OTHER.get(modality_of(q))} <= set(flow.names)]
        rows = [flow.sets.index(q) for q in sets]
        own = [flow.names.index(modality_of(q)) for q in sets]
        other = [flow.names.index(OTHER[modality_of(q)]) for q in sets]
        means = np.moveaxis(per_pair(flow), (3, 4), (1, 2))  # [2, Q, K, L, X]
        gaps = [gap_of(means[:, rows, own], means[:, rows, other], d) for d in DENOMINATORS]
        value = np.stack(gaps, 2)  # [2, Q, 3, L, X]
        keys: dict[str, Sequence[Any]] = {"sinks": SINKS, "query": sets, "denominator": DENOMINATORS}
        by_layer = value[..., -1:]
        layers = np.isfinite(by_layer).sum(-2)
        over = divide(np.nansum(by_layer, axis=-2), layers)
        parts += [
            Part(name, value, np.isfinite(value), keys | {"layer": cap.layers, "head": flow.heads}),
            Part(name, over[..., 0], layers[..., 0], keys),
        ]
    return parts


def _flows(cap: Capture, token_heads: bool) -> tuple[Flow, Flow]:
    """The flow of every set of queries, and that of each generated token."""
    tokens = generated_flow(cap)
    return modality_flow(cap), tokens if token_heads else tokens.over_heads()


def _allowed(flow: Flow) -> NDArray[np.bool_]:
    """Where a pair is allowed, [2, L, 1, Q, K]."""
    return flow.counts[:, :, None] > 0


def _parts(name: str, cap: Capture, flows: Sequence[tuple[Flow, Floats, NDArray[np.int64]]]) -> list[Part]:
    """The numbers of a metric, from its values over [2, L, X, Q, K] of each flow, and their n."""
    parts = []
    for flow, values, n in flows:
        pairs = pd.DataFrame(
            [(query, key, link_of(query, key)) for query in flow.sets for key in flow.names],
            columns=pd.Index(["query", "key", "link"]),
        )
        keys = {"sinks": SINKS, "layer": cap.layers, "head": flow.heads, "pairs": pairs}
        shape = (*values.shape[:3], len(pairs))
        parts.append(Part(name, values, np.broadcast_to(n, values.shape).reshape(shape), keys))
    return parts
