"""Attention sinks: keys that take much attention whatever is said, and how spread out the attention is.

Which keys are sinks of a layer is found while the model runs, by a rule in the plan, and stored in the capture. The
column `query` names the queries as in the family `modality`, without single tokens of the answer. Rows with head -1 are
of the mean over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.groups import modality_flow, query_sets
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.tables import at_places, divide, over, tidy
from attnscope.vocabulary import ANSWER_POSITION, QUESTION, ROLE, SPEAKER, TEXT, VISUAL, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

KINDS = (QUESTION, ANSWER_POSITION, SPEAKER)  # of the query groups whose mass on the first position is given
COLUMNS = ("metric", "layer", "head", "query", "key", "value", "n")

Floats = NDArray[np.float64]
Axes = Mapping[str, Sequence[Any]]


@metric(
    name="sink_keys",
    title="Sink keys of a layer",
    definition="How many keys are sinks of a layer: the prompt queries that are not visual (text, special and template "
    "tokens) and see the key, at least half of them, give it on average over heads more than a share of their "
    "attention and more than a multiple of uniform attention, both set in the plan of the capture.",
    source="ours",
    unit="keys",
    range=(0, None),
    needs=(),
    one_of=("masses", "stats"),
)
def sink_keys(cap: Capture) -> pd.DataFrame:
    """Number of sinks by modality (`key`; head -1), and its mean over layers; n = keys of the modality in the prompt.

    Raises:
        FormatError: if the capture has neither masses nor stats, so that no sinks were looked for.
    """
    sets = query_sets(cap)
    of = {"all": np.arange(len(cap.tokens)) < cap.prompt_length} | {m: sets[m] for m in cap.modalities if m in sets}
    member = np.stack(list(of.values())).astype(np.int64)  # [K + 1, P]
    found = np.asarray(cap.sinks) @ member.T  # [L, K + 1]
    axes = {"layer": [*cap.layers.tolist(), OVER], "key": list(of)}
    both = np.concatenate([found, found.mean(0)[None]])
    return tidy("sink_keys", both, member.sum(1), axes, head=OVER, query="")[list(COLUMNS)]


@metric(
    name="sink_share",
    title="Mass on sinks",
    definition="Attention mass on all sinks of the layer, averaged over the queries of a modality or role.",
    source="ours",
    unit="1",
    range=(0, 1),
    needs=("stats",),
)
@metric(
    name="row_entropy",
    title="Entropy of a row",
    definition="Entropy of a query's attention over log(number of keys that it may see), averaged over the queries of "
    "a modality or role that may see two or more: 0 if one key takes all, 1 if attention is uniform. With learned sink "
    "logits, of the attention on keys rescaled to a sum of 1.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="1 (uniform attention)",
    needs=("stats",),
)
def from_stats(cap: Capture) -> pd.DataFrame:
    """Mass on all sinks, and row entropy; n = queries.

    Raises:
        FormatError: if the capture has no `stats` reading.
    """
    sets = query_sets(cap)
    queries = np.stack(list(sets.values())).astype(np.float64)  # [Q, P]
    share = np.empty((len(cap.layers), cap.heads, len(sets)))
    spread, rows = np.empty_like(share), np.empty((len(cap.layers), len(sets)), np.int64)
    for at, layer in enumerate(cap.layers.tolist()):
        on_sinks = np.asarray(cap.stat("sink_mass", layer).values, np.float64)  # [H, P]
        share[at] = divide(np.nan_to_num(on_sinks) @ queries.T, queries.sum(1))
        allowed = np.asarray(cap.stat("allowed", layer).values)
        entropy = divide(_entropy(cap, at, layer), np.where(allowed > 1, np.log(np.maximum(allowed, 2)), 0.0))
        several = queries * (allowed > 1)
        rows[at] = several.sum(1)
        spread[at] = divide(np.nan_to_num(entropy) @ several.T, rows[at])
    axes = {"query": list(sets)}
    parts = [
        _everywhere("sink_share", cap, share, np.broadcast_to(queries.sum(1), rows.shape), axes, key="all"),
        _everywhere("row_entropy", cap, spread, rows, axes, key=""),
    ]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


@metric(
    name="sink_mass",
    title="Mass on sinks of a modality",
    definition="Attention mass on those sinks of the layer that are text, visual or special tokens, averaged over the "
    "queries of a modality or role. NaN where the queries may see no such sink.",
    source="ours",
    unit="1",
    range=(0, 1),
)
@metric(
    name="visual_sink_share",
    title="Visual sinks against text sinks",
    definition="Mass on visual sinks divided by the mass on visual and text sinks, averaged over the queries of a "
    "modality or role before the ratio is taken. NaN where they may see neither; sinks among special tokens do not "
    "count.",
    source="ours",
    unit="1",
    range=(0, 1),
)
def from_masses(cap: Capture) -> pd.DataFrame:
    """Mass on the sinks of each modality, and the visual part of it; n = pairs with such a sink.

    Raises:
        FormatError: if the capture has no `masses` reading.
    """
    flow = modality_flow(cap)
    pairs = flow.counts[0] - flow.counts[1]  # [L, Q, K]
    mass = np.where(pairs[:, None] > 0, np.maximum(flow.mass[0] - flow.mass[1], 0.0), np.nan)[:, :-1]  # [L, H, Q, K]
    axes = {"query": flow.sets}
    parts = [_everywhere("sink_mass", cap, mass, pairs, axes | {"key": flow.names})]
    both = [flow.names.index(m) for m in (VISUAL, TEXT) if m in flow.names]
    seen = pairs[..., both].sum(-1)  # [L, Q]
    masses = [np.where(seen[:, None] > 0, np.nan_to_num(mass[..., k]), np.nan) for k in both]
    if len(both) == 2:
        visual, text = (over(part, cap.layers)[0] for part in masses)
        share = divide(visual, visual + text)
        parts.append(at_places("visual_sink_share", share, seen, axes, cap.layers, cap.heads, key=VISUAL))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


@metric(
    name="bos_share",
    title="Mass on the first position",
    definition="Attention mass on position 0, the begin-of-sequence token where the model has one, averaged over the "
    "queries of a speaker, of the question, or of the answer position. NaN where they may not see it.",
    source="ours",
    unit="1",
    range=(0, 1),
    chance="1 / allowed keys",
    needs=("maps",),
)
def bos_share(cap: Capture) -> pd.DataFrame:
    """Mass on the first position; n = queries that may see it.

    Raises:
        FormatError: if the capture has no `maps` reading.
    """
    groups = cap.query_groups
    rows = np.flatnonzero(groups["kind"].isin(KINDS).to_numpy())
    chosen = [str(name) for name in groups["name"].to_numpy()[rows]]
    member = np.asarray(cap.query_member)[rows]  # [Q, P]
    asked = np.flatnonzero(member.any(0))
    mass = np.empty((len(cap.layers), cap.heads, len(rows)))
    seen = np.empty((len(cap.layers), len(rows)), np.int64)
    for at, layer in enumerate(cap.layers.tolist() if chosen else []):
        seen[at] = member[:, asked] @ cap.allowed(layer, asked)[:, 0].astype(np.int64)
        total = cap.maps(layer, group=chosen).values[..., 0].astype(np.float64) * member.sum(1)  # [H, Q]
        mass[at] = divide(total, seen[at])
    names = [group_name(ROLE, name) if name == QUESTION else name for name in chosen]
    return _everywhere("bos_share", cap, mass, seen, {"query": names}, key="first")[list(COLUMNS)]


def _entropy(cap: Capture, at: int, layer: int) -> Floats:
    """Entropy of every row in nats, [H, P]; of what falls on keys, where a learned sink takes a part."""
    entropy = np.asarray(cap.stat("entropy", layer).values, np.float64)
    if cap.sink_logits is None:
        return entropy
    lse = np.asarray(cap.stat("lse", layer).values, np.float64)
    on_keys = -np.expm1(cap.sink_logits[at].astype(np.float64)[:, None] - lse)
    return divide(entropy, on_keys) + np.log(np.where(on_keys > 0, on_keys, np.nan))


def _everywhere(name: str, cap: Capture, values: Floats, n: ArrayLike, axes: Axes, **constants: object) -> pd.DataFrame:
    """Rows of [L, H, ...] for every layer and head, and of the means over heads, and over layers and heads."""
    return at_places(name, over(values, cap.layers)[0], n, axes, cap.layers, cap.heads, **constants)
