"""How densely each turn of the transcript attends to the visible cells of each speaker.

The density d[u, s] of turn u on speaker s is the attention mass of u (mean over its tokens) on the cells of s
at the frames that are live for u, over the number of those cells: the mean of the turn's map over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnscope.capture import Capture

FrameChoice = Literal["live", "all"]
FRAME_CHOICES: tuple[FrameChoice, ...] = ("live", "all")


@dataclass(frozen=True)
class Turns:
    """T turns of S speakers, and the visual tokens that count for each.

    Attributes:
        speakers: names, [S], in the scene's order.
        groups: query group of each turn, [T]; turns without tokens, or of nobody in `speakers`, are left out.
        labels: who speaks, an index into `speakers`, [T].
        tokens: tokens of each turn, [T].
        pick: tokens that show a speaker at the frames of a turn, [T, S, P].
    """

    speakers: list[str]
    groups: list[str]
    labels: NDArray[np.int64]
    tokens: NDArray[np.int64]
    pick: NDArray[np.bool_]

    @property
    def cells(self) -> NDArray[np.int64]:
        """Visual tokens of each speaker at the frames of each turn, [T, S]."""
        return np.asarray(self.pick.sum(-1), dtype=np.int64)

    @property
    def entering(self) -> NDArray[np.bool_]:
        """Speakers who have both text and a visible cell at the frames of some turn, [S]."""
        has_text = np.isin(np.arange(len(self.speakers)), self.labels)
        return np.asarray(has_text & (self.cells > 0).any(0))


def live_frames(start: float | None, end: float | None, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which sampled frames are live for an utterance.

    Args:
        start: seconds; an utterance with neither start nor end is live at all frames.
        end: seconds; with only one of the two, the utterance is that instant.
        times: of the sampled frames, seconds, [F].

    Returns:
        [F]: the frames inside [start, end], else the one nearest to it (the earlier of two).
    """
    known = [t for t in (start, end) if t is not None]
    if not known or not len(times):
        return np.ones(len(times), dtype=bool)
    low, high = min(known), max(known)
    inside = (times >= low) & (times <= high)
    if inside.any():
        return np.asarray(inside)
    distance = np.maximum(low - times, times - high)
    return np.asarray(np.arange(len(times)) == int(np.argmin(distance)))


def speaker_cells(cap: Capture, threshold: float) -> NDArray[np.bool_]:
    """Visual tokens of each speaker, [S, P]: the cells that his or her box covers by at least `threshold`."""
    covered = [cap.tokens[f"covered:{name}"].to_numpy(np.float64) for name in cap.scene.speakers]
    if not covered:
        return np.zeros((0, len(cap.tokens)), dtype=bool)
    return np.stack(covered) >= threshold  # NaN (no cell) is never at least anything


def cells_at(tokens: pd.DataFrame, frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tokens that show at least one of the chosen frames (a token may cover several), [P]."""
    first = tokens["frame_first"].to_numpy(np.int64)
    last = tokens["frame_last"].to_numpy(np.int64)
    before = np.concatenate([[0], np.cumsum(frames)])
    shown = first >= 0
    out = np.zeros(len(first), dtype=bool)
    out[shown] = before[last[shown] + 1] > before[first[shown]]
    return out


def seen_cells(cap: Capture, threshold: float, frames: FrameChoice) -> Turns:
    """Which visual tokens of each speaker count for each turn; reads no attention.

    Args:
        cap: an open capture.
        threshold: covered fraction from which a cell counts as the speaker's.
        frames: `live`: only the frames that are live for the turn; `all`: every sampled frame.
    """
    speakers = list(cap.scene.speakers)
    groups, member = cap.query_groups, cap.query_member
    said = {
        str(groups["name"].iloc[row]): (int(groups["ref"].iloc[row]), int(member[row].sum()))
        for row in np.flatnonzero((groups["kind"] == "turn").to_numpy())
    }
    said = {name: (t, n) for name, (t, n) in said.items() if n and cap.scene.transcript[t].speaker in speakers}
    turns = [cap.scene.transcript[t] for t, _ in said.values()]
    cells = speaker_cells(cap, threshold)  # [S, P]
    times = np.asarray(cap.frames.times, dtype=np.float64)
    pick = np.zeros((len(turns), *cells.shape), dtype=bool)
    for row, turn in enumerate(turns):
        live = live_frames(turn.start, turn.end, times) if frames == "live" else np.ones(len(times), dtype=bool)
        pick[row] = cells & cells_at(cap.tokens, live)
    return Turns(
        speakers=speakers,
        groups=list(said),
        labels=np.array([speakers.index(str(t.speaker)) for t in turns], dtype=np.int64),
        tokens=np.array([n for _, n in said.values()], dtype=np.int64),
        pick=pick,
    )


def densities(cap: Capture, seen: Sequence[Turns]) -> list[NDArray[np.float64]]:
    """Read how densely each turn attends to the cells of each speaker, in one pass over the maps.

    Args:
        cap: an open capture with the `maps` reading.
        seen: choices of cells for the same turns.

    Returns:
        For each choice [L, H, T, S]: the mean of the turn's map over the cells; NaN where there are none.

    Raises:
        FormatError: if the capture has no `maps` reading.
    """
    groups = seen[0].groups
    shape = (len(cap.layers), cap.heads, len(groups), len(seen[0].speakers))
    out = [np.full(shape, np.nan) for _ in seen]
    weights = [(t.pick / np.maximum(t.cells, 1)[..., None]).transpose(0, 2, 1) for t in seen]  # [T, P, S]
    for row, layer in enumerate(cap.layers if all(shape) else []):
        maps = np.asarray(cap.maps(layer=int(layer), group=groups).values, dtype=np.float64)  # [H, T, P]
        for value, weight in zip(out, weights, strict=True):
            value[row] = (maps.transpose(1, 0, 2) @ weight).transpose(1, 0, 2)
    for value, turns in zip(out, seen, strict=True):
        value[..., turns.cells == 0] = np.nan
    return out
