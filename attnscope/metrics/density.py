"""How densely each turn of the transcript attends to the visible cells of each speaker.

The density d[u, s] of turn u on speaker s is the attention mass of u (mean over its tokens) on the cells of s at the
frames that are live for u, over the number of those cells: the mean of the turn's map over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnscope.capture import Capture

FrameChoice = Literal["live", "all"]
FRAME_CHOICES: tuple[FrameChoice, ...] = ("live", "all")


@dataclass(frozen=True)
class Densities:
    """Densities of T turns on S speakers, for every layer and head.

    Attributes:
        speakers: names, [S], in the scene's order.
        turns: index of each turn in the transcript, [T]; turns without tokens, speaker or map are left out.
        labels: who speaks, an index into `speakers`, [T].
        tokens: tokens of each turn, [T].
        cells: visual tokens of each speaker at the turn's frames, [T, S].
        value: [L, H, T, S]; NaN where there is no such cell.
    """

    speakers: list[str]
    turns: NDArray[np.int64]
    labels: NDArray[np.int64]
    tokens: NDArray[np.int64]
    cells: NDArray[np.int64]
    value: NDArray[np.float64]


def live_frames(start: float | None, end: float | None, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which sampled frames are live for an utterance.

    Args:
        start, end: seconds; an utterance with neither is live at all frames, one with a single bound is that instant.
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


def cells_at(cap: Capture, frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tokens that show at least one of the chosen frames (a token may cover several), [P]."""
    first = cap.tokens["frame_first"].to_numpy(np.int64)
    last = cap.tokens["frame_last"].to_numpy(np.int64)
    before = np.concatenate([[0], np.cumsum(frames)])
    shown = first >= 0
    out = np.zeros(len(first), dtype=bool)
    out[shown] = before[last[shown] + 1] > before[first[shown]]
    return out


def densities(cap: Capture, threshold: float, frames: FrameChoice) -> Densities:
    """Read the density of every turn on every speaker.

    Args:
        cap: an open capture with the `maps` reading.
        threshold: covered fraction from which a cell counts as the speaker's.
        frames: `live`: only the frames that are live for the turn; `all`: every sampled frame.

    Raises:
        FormatError: if the capture has no `maps` reading.
    """
    speakers = list(cap.scene.speakers)
    groups, member = cap.query_groups, np.asarray(cap.query_member).astype(bool)
    rows, turns = [], []
    for row in np.flatnonzero((groups["kind"] == "turn").to_numpy()):
        turn = int(groups["ref"].iloc[row])
        if member[row].any() and cap.scene.transcript[turn].speaker in speakers:
            rows.append(int(row))
            turns.append(turn)
    cells = speaker_cells(cap, threshold)
    said = [cap.scene.transcript[turn] for turn in turns]
    times = np.asarray(cap.frames.times, dtype=np.float64)
    live = [
        live_frames(t.start, t.end, times) if frames == "live" else np.ones(len(times), bool) for t in said
    ]
    at = np.array([cells_at(cap, f) for f in live], dtype=bool).reshape(len(turns), cells.shape[1])
    pick = at[:, None] & cells[None]  # [T, S, P]
    size = pick.sum(-1)
    value = np.full((len(cap.layers), cap.heads, len(rows), len(speakers)), np.nan)
    weight = pick / np.maximum(size, 1)[..., None]
    for li, layer in enumerate(cap.layers if rows and speakers else []):
        maps = np.asarray(cap.maps(layer=int(layer)).values, dtype=np.float64)[:, rows]  # [H, T, P]
        value[li] = np.einsum("htp,tsp->hts", maps, weight)
    value[..., size == 0] = np.nan
    return Densities(
        speakers=speakers,
        turns=np.array(turns, dtype=np.int64),
        labels=np.array([speakers.index(str(t.speaker)) for t in said], dtype=np.int64),
        tokens=member[rows].sum(1).astype(np.int64),
        cells=size.astype(np.int64),
        value=value,
    )
