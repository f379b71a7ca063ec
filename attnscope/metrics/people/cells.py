"""The attention of a query group on every key, over uniform attention: what an overlay shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics.registry import OVER
from attnscope.scene.names import find_name

if TYPE_CHECKING:
    from attnscope.capture import Capture


def cell_lift(cap: Capture, group: str, layer: int | None = None, head: int | None = None) -> NDArray[np.float64]:
    """Attention of a query group on each key, as a multiple of what uniform attention would give.

    The map of each layer is divided by the mean over the group's queries of 1 / (keys that it may see),
    then averaged over the layers and heads asked for (ours).

    Args:
        cap: An open capture with the `maps` reading.
        group: Name of a query group, for example `speaker:Ann`.
        layer: Number of a layer in the model; all recorded layers by default.
        head: A head; all by default.

    Returns:
        [P], unit 1: 1 is uniform attention; NaN for a key that no query of the group may see in any of these layers,
        which is not 0.

    Raises:
        RequestError: If the capture has no such query group.
        FormatError: If the capture has no `maps` reading.
    """
    names = cap.query_groups["name"].tolist()
    same = find_name(group, names)
    if same is None:
        raise RequestError(f"{cap.path}: no query group '{group}'; it has {', '.join(names) or 'none'}")
    layers = [int(n) for n in cap.layers] if layer is None else [layer]
    total, seen, even = np.zeros(len(cap.tokens)), np.zeros(len(cap.tokens), bool), Uniform(cap, [same])
    for number in layers:
        maps = np.asarray(cap.maps(layer=number, head=head, group=same).values, dtype=np.float64)  # [H, P] or [P]
        total += (maps.mean(0) if head is None else maps) / even.of(number)[0]
        seen |= even.seen(number)[0]
    return np.where(seen, total / len(layers), np.nan)


class Uniform:
    """What uniform attention would give a key: of each query group the mean over its queries of 1 / (keys seen).

    A key that no query of a group may see has no attention to compare: its 0 is no measurement.

    Args:
        cap: An open capture.
        groups: Names of query groups, [G].
    """

    def __init__(self, cap: Capture, groups: Sequence[str]) -> None:
        names = cap.query_groups["name"].tolist()
        self._cap = cap
        self._queries = [np.flatnonzero(np.asarray(cap.query_member)[names.index(name)]) for name in groups]
        self._known: dict[object, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}

    def of(self, layer: int) -> NDArray[np.float64]:
        """In a layer, given by its number in the model: [G], NaN of a group without a query."""
        return self._of_mask(layer)[0]

    def seen(self, layer: int) -> NDArray[np.bool_]:
        """Keys that some query of each group may see in a layer, [G, P]."""
        return self._of_mask(layer)[1]

    def _of_mask(self, layer: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        mask = self._cap.mask(layer)
        if mask not in self._known:  # most models have one mask in all layers: it is unfolded once
            even = np.full(len(self._queries), np.nan)
            seen = np.zeros((len(self._queries), len(self._cap.tokens)), bool)
            for row, queries in enumerate(self._queries):
                if len(queries):
                    allowed = np.asarray(self._cap.allowed(layer, queries))
                    even[row], seen[row] = (1 / allowed.sum(1)).mean(), allowed.any(0)
            self._known[mask] = even, seen
        return self._known[mask]


def best_head(speakers: pd.DataFrame) -> tuple[int, int, str] | None:
    """The head with the highest lift of speaker consistency, from a `speakers` table.

    Returns:
        (layer, head, frames), at live frames if the score is defined there, else over all frames; None if it
        is not defined at all.
    """
    for frames in ("live", "all"):
        heads = speakers[
            (speakers["metric"] == "speaker_consistency_lift")
            & (speakers["frames"] == frames)
            & (speakers["layer"] != OVER)
            & (speakers["head"] != OVER)
            & speakers["value"].notna()
        ]
        if len(heads):
            top = heads.iloc[int(heads["value"].to_numpy().argmax())]
            return int(top["layer"]), int(top["head"]), frames
    return None


def best_answer_head(answer: pd.DataFrame) -> tuple[int, int] | None:
    """The head (layer, head) whose answer position has the highest lift on the asked speaker, from an `answer` table.

    None if the question does not name exactly one speaker with a visible box.
    """
    heads = answer[
        (answer["metric"] == "answer_lift")
        & answer["asked"]
        & (answer["named"] == 1)
        & (answer["layer"] != OVER)
        & (answer["head"] != OVER)
        & answer["value"].notna()
    ]
    if heads.empty:
        return None
    top = heads.iloc[int(heads["value"].to_numpy().argmax())]
    return int(top["layer"]), int(top["head"])
