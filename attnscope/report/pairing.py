"""Which positions of two captures belong together: those of one prompt, or of one whose words a correction changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.vocabulary import is_visual

if TYPE_CHECKING:
    from attnscope.capture import Capture

PLACES = ["frame_first", "frame_last", "x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class Pairing:
    """How the prompt positions of a first capture stand to those of a second.

    Attributes:
        partner: [N] position in the second of each position of the first; -1 where it has none.
        same: Whether both prompts are the same tokens.
        note: What a reader must know where they are not; "".
    """

    partner: NDArray[np.int64]
    same: bool
    note: str = ""

    def brought(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers of the second's positions [P] in the places of the first's [N]; NaN where there is none."""
        return np.where(self.partner >= 0, values[self.partner], np.nan)


def pair(first: Capture, second: Capture) -> Pairing:
    """Pair the positions of two captures of one scene.

    Prompts may differ only where a correction changed what the model was shown, and only in words: the visual tokens
    must show the same places. Positions are then paired from both ends of the prompts, and visual tokens by place.

    Raises:
        RequestError: Naming the first difference.
    """
    ids = [cap.tokens["token_id"].to_numpy()[: cap.prompt_length] for cap in (first, second)]
    if np.array_equal(ids[0], ids[1]):
        return Pairing(np.arange(len(ids[0])), same=True)
    shows = shown_by([*first.correction, *second.correction])
    seen = [np.flatnonzero(is_visual(cap.tokens)[: cap.prompt_length]) for cap in (first, second)]
    places = [cap.tokens[PLACES].to_numpy(np.float64)[at] for cap, at in zip((first, second), seen, strict=True)]
    if not shows or not np.array_equal(places[0], places[1], equal_nan=True):
        raise _other_prompt(first, second, ids[0], ids[1])
    least = min(map(len, ids))
    head = _alike(ids[0][:least], ids[1][:least])
    tail = min(_alike(ids[0][::-1][:least], ids[1][::-1][:least]), least - head)
    partner = np.full(len(ids[0]), -1, dtype=np.int64)
    partner[:head] = np.arange(head)
    partner[len(ids[0]) - tail :] = np.arange(len(ids[1]) - tail, len(ids[1]))
    partner[seen[0]] = seen[1]
    note = (
        f"{' and '.join(shows)} changed what the model was shown: the prompt has {len(ids[0])} tokens before and "
        f"{len(ids[1])} after; numbers of text queries are over other words after than before; visual tokens are "
        "compared place by place."
    )
    return Pairing(partner, same=False, note=note)


def shown_by(records: list[dict[str, object]]) -> list[str]:
    """Methods among the corrections of a capture that changed what the model was shown."""
    return list(dict.fromkeys(str(record.get("method")) for record in records if record.get("shows")))


def _alike(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """How many of the first tokens are the same."""
    differ = np.flatnonzero(first != second)
    return int(differ[0]) if len(differ) else len(first)


def _other_prompt(first: Capture, second: Capture, ids: NDArray[np.int64], others: NDArray[np.int64]) -> RequestError:
    if len(ids) != len(others):
        return RequestError(
            f"{second.path}: the prompt has {len(others)} tokens, that of {first.path} has "
            f"{len(ids)}; only captures of one scene can be compared"
        )
    at = _alike(ids, others)
    return RequestError(
        f"{second.path}: token {at} of the prompt is {int(others[at])}, in {first.path} it is "
        f"{int(ids[at])}; only captures of one scene can be compared"
    )
