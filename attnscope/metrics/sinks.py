"""Attention sinks: keys that take much attention whatever is said, and how spread out the attention is.

Which keys are sinks of a layer is found while the model runs, by a rule in the plan, and stored in the capture. The
column `query` names the queries as in the family `modality`, without single tokens of the answer. Rows with head -1 are
of the mean over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.estimate import means
from attnscope.metrics.families import family
from attnscope.metrics.groups import alike, modality_flow, query_sets
from attnscope.metrics.registry import OVER, Metric
from attnscope.metrics.scan import Scan
from attnscope.metrics.tables import Part, Places, divide, with_head_mean
from attnscope.vocabulary import ANSWER_POSITION, QUESTION, ROLE, SPEAKER, STATS, TEXT, VISUAL, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

KINDS = (QUESTION, ANSWER_POSITION, SPEAKER)  # of the query groups whose mass on the first position is given
KEYS = ("query", "key")

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@family(
    Metric(
        "sink_keys",
        "Sink keys of a layer",
        "How many keys are sinks of a layer: the prompt queries that are not visual (text, special and template "
        "tokens) and see the key, at least half of them, give it on average over heads more than a share of their "
        "attention and more than a multiple of uniform attention, both set in the plan of the capture.",
        unit="keys",
        range=(0, None),
    ),
    keys=KEYS,
    needs=(),
    one_of=("masses", "stats"),
)
def sink_keys(cap: Capture) -> list[Part]:
    """Number of sinks by modality (`key`; head -1), and its mean over layers; n = keys of the modality in the prompt.

    Raises:
        FormatError: If the capture has neither masses nor stats, so that no sinks were looked for.
    """
    sets = query_sets(cap)
    of = {"all": np.arange(len(cap.tokens)) < cap.prompt_length} | {m: sets[m] for m in cap.modalities if m in sets}
    member = np.stack(list(of.values())).astype(np.int64)  # [K + 1, P]
    count = np.asarray(cap.sinks) @ member.T  # [L, K + 1]
    axes = {"layer": [*cap.layers.tolist(), OVER], "key": list(of)}
    with_mean = np.concatenate([count, count.mean(0)[None]])
    return [Part("sink_keys", with_mean, member.sum(1), axes)]


@family(
    Metric(
        "sink_share",
        "Mass on sinks",
        "Attention mass on all sinks of the layer, averaged over the queries of a modality or role.",
    ),
    Metric(
        "row_entropy",
        "Entropy of a row",
        "Entropy of a query's attention over log(number of keys that it may see), averaged over the queries of "
        "a modality or role that may see two or more: 0 if one key takes all, 1 if attention is uniform. With learned "
        "sink logits, of the attention on keys rescaled to a sum of 1. Of visual queries an evenly spread sample is "
        "averaged, unless the plan of the capture had `stats:all`.",
        chance="1 (uniform attention)",
    ),
    Metric(
        "row_entropy_error",
        "Standard error of the entropy of a row",
        "Standard error of `row_entropy` where a sample of the visual queries stands for all of them, from the "
        "differences of neighbours in the sample; 0 where every query was read.",
    ),
    keys=KEYS,
    needs=("stats",),
)
def from_stats(cap: Capture) -> list[Part]:
    """Mass on all sinks, row entropy and its standard error; n = queries that were read.

    Raises:
        FormatError: If the capture has no `stats` reading.
    """
    sets, places = query_sets(cap), Places.of(cap)
    member = np.stack(list(sets.values()))  # [Q, P]
    queries, total = member.astype(np.float64), member.sum(1)
    share = np.empty((len(cap.layers), cap.heads, len(sets)))
    read = np.flatnonzero(cap.was_read(STATS))  # [R]
    spread = np.empty((len(cap.layers), cap.heads, len(read)))
    for at, layer in enumerate(cap.layers.tolist()):
        on_sinks = np.asarray(cap.stat("sink_mass", layer).values, np.float64)  # [H, P]
        share[at] = divide(np.nan_to_num(on_sinks) @ queries.T, total)
        allowed = np.asarray(cap.stat("allowed", layer).values)
        most = np.where(allowed > 1, np.log(np.maximum(allowed, 2)), 0.0)[read]
        spread[at] = divide(_entropy(cap, at, layer, read), most)  # NaN where there is nothing to choose
    axes = {"place": places.table, "query": list(sets)}
    mean, error, n = _entropies(places, spread, member[:, read], total)
    return [
        Part(
            "sink_share",
            places.with_means(share),
            places.counts(np.broadcast_to(total, (len(cap.layers), len(sets)))),
            axes | {"key": "all"},
        ),
        Part("row_entropy", mean, n, axes),
        Part("row_entropy_error", error, n, axes),
    ]


def _entropies(places: Places, values: Floats, member: Bools, population: Ints) -> tuple[Floats, Floats, Ints]:
    """Mean entropy of sets of queries, its standard error, and how many queries it is over, at all places [X, Q].

    Args:
        places: Layers and heads.
        values: [L, H, R] of the queries that were read.
        member: [Q, R] which of these are in each set.
        population: [Q] how many queries each set has in all.
    """
    layers, heads, _ = values.shape
    mean, error = (np.empty((layers, heads, len(member))) for _ in range(2))
    joint = np.empty((layers, len(member)))
    for at, row in enumerate(values):
        means_of, errors_of = _defined_means(with_head_mean(row, 0), member, population)
        mean[at], error[at], joint[at] = means_of[:-1], errors_of[:-1], errors_of[-1]
    over = _defined_means(values.mean((0, 1))[None], member, population)[1]
    errors = np.concatenate([error.reshape(-1, len(member)), joint, over])
    n = np.isfinite(values).any(1).astype(np.int64) @ member.T
    return places.with_means(mean), errors, places.counts(n)


def _defined_means(values: Floats, member: Bools, population: Ints) -> tuple[Floats, Floats]:
    """Means and standard errors [K, Q] of K rows of numbers [K, R], over the queries of each set that have a number.

    Rows with numbers of the same queries, mostly all heads of a layer, are averaged together.
    """
    mean, error = np.empty((2, len(values), len(member)))
    known = np.isfinite(values)
    unread = population - member.sum(1)  # what a sample stands for, beside those whose number is not defined
    for some in np.unique(known, axis=0):
        rows = (known == some).all(1)
        found = means(values[rows][:, some].T, member[:, some], (member & some).sum(1) + unread)
        mean[rows], error[rows] = (numbers.T for numbers in found)
    return mean, error


@family(
    Metric(
        "sink_mass",
        "Mass on sinks of a modality",
        "Attention mass on those sinks of the layer that are text, visual or special tokens, averaged over the "
        "queries of a modality or role. NaN where the queries may see no such sink.",
    ),
    Metric(
        "visual_sink_share",
        "Visual sinks against text sinks",
        "Mass on visual sinks divided by the mass on visual and text sinks, averaged over the queries of a "
        "modality or role before the ratio is taken. NaN where they may see neither; sinks among special tokens do not "
        "count.",
    ),
    keys=KEYS,
)
def from_masses(cap: Capture) -> list[Part]:
    """Mass on the sinks of each modality, and the visual part of it; n = pairs with such a sink.

    Raises:
        FormatError: If the capture has no `masses` reading.
    """
    flow = modality_flow(cap)
    pairs = flow.counts[0] - flow.counts[1]  # [L, Q, K]
    mass = np.where(pairs[:, None] > 0, np.maximum(flow.mass[0] - flow.mass[1], 0.0), np.nan)[:, :-1]  # [L, H, Q, K]
    places = Places.of(cap)
    axes = {"place": places.table, "query": flow.sets}
    parts = [Part("sink_mass", places.with_means(mass), places.counts(pairs), axes | {"key": flow.names})]
    both = [flow.names.index(m) for m in (VISUAL, TEXT) if m in flow.names]
    seen = pairs[..., both].sum(-1)  # [L, Q]
    masses = [np.where(seen[:, None] > 0, np.nan_to_num(mass[..., k]), np.nan) for k in both]
    if len(both) == 2:
        visual, text = (places.with_means(part) for part in masses)
        share = divide(visual, visual + text)
        parts.append(Part("visual_sink_share", share, places.counts(seen), axes | {"key": VISUAL}))
    return parts


@family(
    Metric(
        "bos_share",
        "Mass on the first position",
        "Attention mass on position 0, the begin-of-sequence token where the model has one, averaged over the "
        "queries of a speaker, of the question, or of the answer position. NaN where they may not see it.",
        chance="1 / allowed keys",
    ),
    keys=KEYS,
    needs=("maps",),
)
def bos_share(cap: Capture) -> Scan[list[Part]]:
    """Mass on the first position; n = queries that may see it.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    groups = cap.query_groups
    rows = np.flatnonzero(groups["kind"].isin(KINDS).to_numpy())
    chosen = [str(name) for name in groups["name"].to_numpy()[rows]]
    member = np.asarray(cap.query_member)[rows]  # [Q, P]
    asked = np.flatnonzero(member.any(0))
    mass = np.empty((len(cap.layers), cap.heads, len(rows)))
    seen = np.empty((len(cap.layers), len(rows)), np.int64)
    for same in alike(cap) if chosen else []:
        seen[same] = member[:, asked] @ cap.allowed(int(cap.layers[same[0]]), asked)[:, 0].astype(np.int64)

    def take(row: int, maps: NDArray[np.float32]) -> None:
        mass[row] = divide(maps[..., 0].astype(np.float64) * member.sum(1), seen[row])  # [H, Q]

    def result() -> list[Part]:
        names = [group_name(ROLE, name) if name == QUESTION else name for name in chosen]
        places = Places.of(cap)
        axes = {"place": places.table, "query": names, "key": "first"}
        return [Part("bos_share", places.with_means(mass), places.counts(seen), axes)]

    return Scan(chosen, take, result)


def _entropy(cap: Capture, at: int, layer: int, queries: Ints) -> Floats:
    """Entropy of some rows in nats, [H, R]; of what falls on keys, where a learned sink takes a part."""
    entropy = np.asarray(cap.stat("entropy", layer).values[:, queries], np.float64)
    if cap.sink_logits is None:
        return entropy
    lse = np.asarray(cap.stat("lse", layer).values[:, queries], np.float64)
    on_keys = -np.expm1(cap.sink_logits[at].astype(np.float64)[:, None] - lse)
    return divide(entropy, on_keys) + np.log(np.where(on_keys > 0, on_keys, np.nan))
