"""Attention rollout: what reaches the answer position through all layers (Abnar and Zuidema 2020, arXiv 2005.00928).

A layer passes on the mean over its heads of A, and by its residual connection what was there: (A + I) / 2. The rollout
through layers 0..l is the product of these, here its row of the answer position, the last of the prompt. A
product of L maps N x N is never formed: its row is carried down from layer l to 0 by L products of a vector and a map,
and the map is computed a few rows at a time. That still takes every row of every head, time that grows with N^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.groups import query_sets
from attnscope.metrics.people.density import speaker_cells
from attnscope.metrics.registry import Metric
from attnscope.metrics.tables import Part, divide
from attnscope.vocabulary import VISUAL, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

LIMIT = 1 << 28  # weights (layers x heads x prompt^2) up to which the rollout is computed by default: seconds
SCRATCH = 8 << 20  # bytes of one head's rows held at once: few rows waste less on keys that only later ones may see

Floats = NDArray[np.float64]


@family(
    Metric(
        "rollout_mass",
        "Rollout of the answer on a group",
        "Attention rollout from the answer position through layers 0 to l, the product of (A + I) / 2 with A "
        "the mean over heads, summed over the keys of a modality (on visual keys: its cross-modal part) or the cells "
        "of a speaker. The last layer's is that of the whole model.",
        source="paper",
        chance="that of uniform attention (see rollout_lift)",
    ),
    Metric(
        "rollout_lift",
        "Lift of the rollout",
        "Rollout on the keys of a modality or the cells of a speaker, divided by the same product with "
        "attention spread evenly over each query's allowed keys.",
        range=(0, None),
        chance="1 (uniform attention)",
    ),
    keys=("key", "threshold"),
    needs=(),
    one_of=("qk", "full"),
)
def rollout(cap: Capture, *, threshold: float = 0.5, rollout_limit: float = LIMIT) -> list[Part]:
    """Rollout of the answer position by modality and speaker; n = keys of the prompt in the group.

    Args:
        cap: An open capture with the `qk` or `full` reading.
        threshold: Covered fraction from which a cell counts as a speaker's.
        rollout_limit: No rows for a capture with more weights than this (layers x heads x prompt^2), see `obstacle`.

    Returns:
        One row a layer and group (head -1). NaN from the first layer on that was not recorded: all below must be known.
    """
    keys = _keys(cap, threshold)
    layers, names = cap.layers.tolist(), list(keys)
    if not (cap.has("qk") or cap.has("full")) or _size(cap) > rollout_limit:
        layers = []
    rows, even = rollout_rows(cap) if layers else (np.zeros((0, cap.prompt_length)),) * 2
    member = np.stack(list(keys.values())).astype(np.float64)  # [K, N]
    count = member.sum(1)
    mass, base = (np.where(count > 0, rollout_row @ member.T, np.nan) for rollout_row in (rows, even))
    axes = {"layer": layers, "key": names}
    values = {"rollout_mass": mass, "rollout_lift": divide(mass, base)}
    return [Part(name, value, count, axes) for name, value in values.items()]


def obstacle(cap: Capture, rollout_limit: float = LIMIT) -> str | None:
    """Why there is no rollout of this capture, or not of all its layers, as a sentence; None if there is."""
    if not (cap.has("qk") or cap.has("full")):
        return "No attention rollout: the capture has neither the 'qk' nor the 'full' reading."
    if _size(cap) > rollout_limit:
        return (
            f"No attention rollout: it would take {_size(cap):.2g} attention weights, over the limit of "
            f"{rollout_limit:.2g}; metrics.rollout_mass(cap, rollout_limit=math.inf) computes it all the same."
        )
    known = _known(cap)
    if known < len(cap.layers):
        return f"No attention rollout from layer {cap.layers[known]} on: layer {known} was not recorded."
    return None


def rollout_rows(cap: Capture) -> tuple[Floats, Floats]:
    """The rollout's row of the answer position through layers 0 to l, for every recorded layer l.

    Args:
        cap: An open capture with the `qk` or `full` reading.

    Returns:
        That of the attention and that of uniform attention, each [L, N]; rows sum to 1, less what learned sink logits
        take. NaN from the first layer on that was not recorded.

    Raises:
        FormatError: If the capture has neither reading.
    """
    numbers, count = cap.layers, cap.prompt_length
    known = _known(cap)
    rollouts = np.full((2, len(numbers), count), np.nan)
    rollouts[:, :known] = 0
    for row in range(known - 1, -1, -1):
        rollouts[:, row, -1] = 1  # the rollout through layers 0 to `row` starts here; those of higher layers come along
        passing = rollouts[:, row:known]
        rollouts[:, row:known] = (passing + _step(cap, int(numbers[row]), passing)) / 2
    return rollouts[0], rollouts[1]


def _size(cap: Capture) -> int:
    """How many attention weights the rollout would take."""
    return int(len(cap.layers) * cap.heads * cap.prompt_length**2)


def _known(cap: Capture) -> int:
    """How many layers are recorded from layer 0 on without a gap."""
    return int((cap.layers == np.arange(len(cap.layers))).sum())  # they increase: beyond a gap none is equal


def _step(cap: Capture, layer: int, rows: Floats) -> Floats:
    """Rows [2, R, N] times the mean over heads of A, and times uniform attention."""
    count = rows.shape[-1]
    out = np.zeros_like(rows)
    needed = np.flatnonzero(rows.any((0, 1)))  # of the topmost layer only the answer position's
    size = max(1, SCRATCH // (4 * count))
    for start in range(0, len(needed), size):
        queries = needed[start : start + size]
        weight = rows[..., queries].astype(np.float32)
        allowed = cap.allowed(layer, queries)[:, :count]
        out[1] += weight[1] @ (allowed / np.maximum(allowed.sum(1, keepdims=True), 1)).astype(np.float32)
        keys = slice(0, int(np.flatnonzero(allowed.any(0)).max(initial=-1)) + 1)
        mean = np.zeros((len(queries), keys.stop), np.float32)
        for head in range(cap.heads):
            mean += np.nan_to_num(cap.attention(layer, head, queries, keys), copy=False)
        out[0, :, keys] += weight[0] @ (mean / cap.heads)
    return out


def _keys(cap: Capture, threshold: float) -> dict[str, NDArray[np.bool_]]:
    """The groups of keys in the prompt, each bool [N]: modalities, and the cells of each speaker."""
    modalities = {name: keys for name, keys in query_sets(cap).items() if name in cap.modalities}
    cells = dict(
        zip((group_name(VISUAL, name) for name in cap.scene.speakers), speaker_cells(cap, threshold), strict=True)
    )
    return {name: keys[: cap.prompt_length] for name, keys in (modalities | cells).items()}
