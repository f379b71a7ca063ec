"""Does the answer lean on the text or on the video? Two indices of arXiv 2508.10552.

The queries are those that predict the tokens of the answer: `answer_position`, the last of the prompt, predicts the
first; `generated` are the generated tokens that were fed back, which predict the rest; `answer` is both. A_m is the
attention of these queries on modality m, |m| the number of its keys that they may see, both over all of the
queries; generated tokens are keys of the text. Special tokens are neither text nor visual. Attention is averaged
over heads (head -1), and over heads and layers (layer -1), before a ratio is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.groups import ANSWER, SINKS, Flow, answer_flow, generated_flow, joined
from attnscope.metrics.registry import OVER, metric
from attnscope.metrics.tidy import divide, tidy

if TYPE_CHECKING:
    from attnscope.capture import Capture

_ONLY = "Queries: the answer position, the generated tokens, or both. Without sinks: less those among the keys."

Floats = NDArray[np.float64]


@metric(
    name="mdi",
    title="Modality dominance index",
    definition="MDI = (A_T/|T|) / (A_V/|V|): attention of the answer's queries per text token, over that per visual "
    f"token. Above 1 a text token gets more than a visual one. {_ONLY}",
    source="paper",
    unit="1",
    range=(0, None),
    chance="1 (uniform attention)",
)
@metric(
    name="aei_text",
    title="Attention efficiency of text",
    definition="AEI_T = (A_T/(A_T+A_V)) / (|T|/(|T|+|V|)): the text's share of the attention of the answer's queries, "
    f"over its share of the tokens. {_ONLY}",
    source="paper",
    unit="1",
    range=(0, None),
    chance="1 (uniform attention)",
)
@metric(
    name="aei_visual",
    title="Attention efficiency of the video",
    definition="AEI_V = (A_V/(A_T+A_V)) / (|V|/(|T|+|V|)): the visual share of the attention of the answer's queries, "
    f"over its share of the tokens. {_ONLY}",
    source="paper",
    unit="1",
    range=(0, None),
    chance="1 (uniform attention)",
)
def balance(cap: Capture) -> pd.DataFrame:
    """MDI and AEI by layer and head, over heads (head -1) and over all (layer -1); n = queries.

    NaN where the queries may see no key of one of the two modalities, or there is no such query.

    Raises:
        FormatError: if the capture has no `masses` reading.
    """
    tokens, fed = answer_flow(cap), generated_flow(cap)
    first = tokens.take(slice(tokens.sets.count(ANSWER)))
    flow = joined([first.pooled(ANSWER), fed.pooled("generated"), tokens.pooled("answer")])
    mass, keys = _both(flow)
    both = (keys > 0).all(-1, keepdims=True)
    layers = both.sum(1, keepdims=True)
    over, over_keys = (divide(np.where(both, a, 0.0).sum(1, keepdims=True), layers) for a in (mass[:, :, -1:], keys))
    axes = {"sinks": SINKS, "layer": cap.layers.tolist(), "head": flow.heads, "query": flow.sets}
    parts = [tidy(name, value, flow.queries, axes) for name, value in indices(mass, keys).items()]
    axes |= {"layer": [OVER], "head": [OVER]}
    parts += [tidy(name, value, flow.queries, axes) for name, value in indices(over, over_keys).items()]
    columns = ["metric", "layer", "head", "query", "sinks", "value", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def indices(mass: Floats, keys: Floats) -> dict[str, Floats]:
    """MDI and AEI.

    Args:
        mass: attention on text and on visual keys, [..., 2].
        keys: how many there are, [..., 2], broadcast against it.

    Returns:
        By the metric's name, [...]; NaN where a modality has no key.
    """
    keys = np.where(keys.min(-1, keepdims=True) > 0, keys, 0.0)
    each = divide(mass, keys)
    efficiency = divide(divide(mass, mass.sum(-1, keepdims=True)), divide(keys, keys.sum(-1, keepdims=True)))
    return {"mdi": divide(each[..., 0], each[..., 1]), "aei_text": efficiency[..., 0], "aei_visual": efficiency[..., 1]}


def _both(flow: Flow) -> tuple[Floats, Floats]:
    """Mass on text and visual keys, with and without sinks, [2, L, X, Q, 2], and their number, [2, L, 1, Q, 2]."""
    at = [flow.names.index(m) if m in flow.names else None for m in ("text", "visual")]
    found = (flow.mass, flow.counts[:, :, None].astype(np.float64))
    mass, keys = (np.stack([a[..., k] if k is not None else 0.0 * a[..., 0] for k in at], -1) for a in found)
    return mass, keys
