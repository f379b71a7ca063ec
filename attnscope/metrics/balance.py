"""Does the answer lean on the text or on the video? Two indices of arXiv 2508.10552, and the attention they compare.

The queries are those that predict the tokens of the answer: `answer_position`, the last of the prompt, predicts the
first; `generated` are the generated tokens that were fed back, which predict the rest; `answer` is both, and
`generated:<k>` a single one (head -1, unless `token_heads` asks for every head). A_m is the attention of these queries
on modality m, |m| the number of its keys that they may see, both over all of the queries; generated tokens are keys of
the text. Special tokens are neither text nor visual. Attention is averaged over heads (head -1), and over heads and
layers (layer -1), before a ratio is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.groups import SINKS, Flow, answer_flow, generated_flow, joined, modality_flow
from attnscope.metrics.registry import OVER, Metric
from attnscope.metrics.tables import Part, divide
from attnscope.vocabulary import ANSWER_POSITION, TEXT, VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

BOTH = (TEXT, VISUAL)
PROMPT = "prompt"
KEYS = ("query", "key", "sinks")
_ONLY = "Queries: the answer position, the generated tokens, or both. Without sinks: less those among the keys."

Floats = NDArray[np.float64]


@family(
    Metric(
        "mdi",
        "Modality dominance index",
        "MDI = (A_T/|T|) / (A_V/|V|): attention of the answer's queries per text token, over that per visual "
        f"token. Above 1 a text token gets more than a visual one. {_ONLY}",
        source="paper",
        range=(0, None),
        chance="1 (uniform attention)",
    ),
    Metric(
        "aei_text",
        "Attention efficiency of text",
        "AEI_T = (A_T/(A_T+A_V)) / (|T|/(|T|+|V|)): the text's share of the attention of the answer's queries, "
        f"over its share of the tokens. {_ONLY}",
        source="paper",
        range=(0, None),
        chance="1 (uniform attention)",
    ),
    Metric(
        "aei_visual",
        "Attention efficiency of the video",
        "AEI_V = (A_V/(A_T+A_V)) / (|V|/(|T|+|V|)): the visual share of the attention of the answer's queries, "
        f"over its share of the tokens. {_ONLY}",
        source="paper",
        range=(0, None),
        chance="1 (uniform attention)",
    ),
    keys=KEYS,
)
def balance(cap: Capture, *, token_heads: bool = False) -> list[Part]:
    """MDI and AEI by layer and head, over heads (head -1) and over all (layer -1); n = queries.

    NaN where the queries may see no key of one of the two modalities, or there is no such query.

    Args:
        cap: An open capture with the `masses` reading.
        token_heads: Also every head of each generated token.

    Raises:
        FormatError: If the capture has no `masses` reading.
    """
    parts = []
    for flow in _answers(cap, token_heads):
        mass, keys = _both(flow)
        both = (keys > 0).all(-1, keepdims=True)
        for axes, (a, b) in _places(cap, flow, mass, keys, np.broadcast_to(both, keys.shape)):
            parts += [Part(name, value, flow.queries, axes) for name, value in indices(a, b).items()]
    return parts


@family(
    Metric(
        "attention_score",
        "Attention per token",
        "Mean attention per allowed pair on text and on visual keys, A_T/|T| and A_V/|V|, by layer: P2's figure "
        "over depth, and at layer -1 its means of text and image. P2 does not say whose attention it shows; here that "
        "of the answer's queries, or of all of the prompt. Without sinks: less those among the keys.",
        unit="attention per pair",
        chance="about 1 / allowed keys",
    ),
    keys=KEYS,
)
def attention_score(cap: Capture, *, token_heads: bool = False) -> list[Part]:
    """Mean attention per pair on the keys of a modality (`key`); n = queries. NaN where no pair is allowed.

    Args:
        cap: An open capture with the `masses` reading.
        token_heads: Also every head of each generated token.

    Raises:
        FormatError: If the capture has no `masses` reading.
    """
    parts = []
    for flow in (_prompt(cap), *_answers(cap, token_heads)):
        mass, keys = _both(flow)
        for axes, (a, b) in _places(cap, flow, mass, keys, keys > 0):
            parts.append(Part("attention_score", divide(a, b), flow.queries[:, None], axes | {"key": BOTH}))
    return parts


def indices(mass: Floats, keys: Floats) -> dict[str, Floats]:
    """MDI and AEI.

    Args:
        mass: Attention on text and on visual keys, [..., 2].
        keys: How many there are, [..., 2], broadcast against it.

    Returns:
        By the metric's name, [...]; NaN where a modality has no key.
    """
    keys = np.where(keys.min(-1, keepdims=True) > 0, keys, 0.0)
    each = divide(mass, keys)
    efficiency = divide(divide(mass, mass.sum(-1, keepdims=True)), divide(keys, keys.sum(-1, keepdims=True)))
    return {"mdi": divide(each[..., 0], each[..., 1]), "aei_text": efficiency[..., 0], "aei_visual": efficiency[..., 1]}


def _answers(cap: Capture, token_heads: bool) -> tuple[Flow, Flow]:
    """The flow of the answer position, the generated tokens and both, and that of each generated token."""
    tokens, fed = answer_flow(cap), generated_flow(cap)
    first = tokens.take(slice(tokens.sets.count(ANSWER_POSITION)))
    sets = joined([first.pooled(ANSWER_POSITION), fed.pooled("generated"), tokens.pooled("answer")])
    return sets, fed if token_heads else fed.over_heads()


def _prompt(cap: Capture) -> Flow:
    """The flow of all queries of the prompt: they are text, visual or special."""
    flow = modality_flow(cap)
    parts = flow.take(slice(len(flow.names)))
    total = (np.nan_to_num(parts.mass) * parts.queries[:, None]).sum(3, keepdims=True)
    counts, queries = parts.counts.sum(2, keepdims=True), parts.queries.sum(keepdims=True)
    return replace(parts, sets=[PROMPT], queries=queries, mass=divide(total, queries[:, None]), counts=counts)


def _both(flow: Flow) -> tuple[Floats, Floats]:
    """Attention on text and visual keys, with and without sinks, [2, L, X, Q, 2], and the pairs, [2, L, 1, Q, 2]."""
    at = [flow.names.index(m) if m in flow.names else None for m in BOTH]
    weighted = (flow.mass * flow.queries[:, None], flow.counts[:, :, None].astype(np.float64))
    mass, keys = (np.stack([a[..., k] if k is not None else 0.0 * a[..., 0] for k in at], -1) for a in weighted)
    return mass, keys


def _places(
    cap: Capture, flow: Flow, mass: Floats, keys: Floats, use: NDArray[np.bool_]
) -> Iterator[tuple[dict[str, Sequence[Any]], tuple[Floats, Floats]]]:
    """Attention and pairs by layer and head, then their sums over the layers to `use`, each with its axes."""
    axes: dict[str, Sequence[Any]] = {"sinks": SINKS, "layer": cap.layers.tolist(), "head": flow.heads}
    yield axes | {"query": flow.sets}, (mass, keys)
    a, b = (np.where(use, x, 0.0).sum(1, keepdims=True) for x in (mass[:, :, -1:], keys))
    yield axes | {"layer": [OVER], "head": [OVER], "query": flow.sets}, (a, b)
