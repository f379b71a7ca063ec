"""Who speaks when, which visual tokens show whom, and how densely each turn attends to them.

The density d[u, s] of turn u on speaker s is the attention mass of u (mean over its tokens) on the cells of s
at the frames that count for u, over the number of those cells: the mean of the turn's map over them. Masses are
summed within temporal units first (frames that share visual tokens), from which every choice of frames follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.scene.speaking import live_frames as live_frames
from attnscope.vocabulary import COVERED, group_name

if TYPE_CHECKING:
    from attnscope.capture import Capture

FrameChoice = Literal["live", "all"]
FRAME_CHOICES: tuple[FrameChoice, ...] = ("live", "all")


@dataclass(frozen=True)
class Units:
    """The F temporal units of the visual tokens, in the order of time.

    Attributes:
        frames: First and last frame of each, [F, 2].
        times: Seconds, mean over the frames, [F].
        of: Unit of each token, -1 for one without a cell, [P].
    """

    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    of: NDArray[np.int64]

    @property
    def tokens(self) -> list[NDArray[np.int64]]:
        """Positions of the tokens of each unit."""
        return [np.flatnonzero(self.of == unit) for unit in range(len(self.times))]


@dataclass(frozen=True)
class Turns:
    """T turns of S speakers, and the visual tokens that count for each.

    Attributes:
        speakers: Names, [S], in the scene's order.
        groups: Query group of each turn, [T]; turns without tokens, or of nobody in `speakers`, are left out.
        numbers: Numbers of the turns in the transcript, [T].
        labels: Who speaks, an index into `speakers`, [T].
        tokens: Tokens of each turn, [T].
        live: Units that count for a turn, [T, F].
        cells: Visual tokens that show a speaker in those units, [T, S].
    """

    speakers: list[str]
    groups: list[str]
    numbers: list[int]
    labels: NDArray[np.int64]
    tokens: NDArray[np.int64]
    live: NDArray[np.bool_]
    cells: NDArray[np.int64]

    @property
    def entering(self) -> NDArray[np.bool_]:
        """Speakers who have both words and a visible cell at the frames of some turn, [S]: the rows of the score.

        Its columns are all who are visible, whether they say anything or not.
        """
        has_text = np.isin(np.arange(len(self.speakers)), self.labels)
        return np.asarray(has_text & (self.cells > 0).any(0))

    def showing(self, counts: NDArray[np.int64]) -> Turns:
        """The same turns where the boxes cover other cells: `counts` [F, S] of them in each unit."""
        return replace(self, cells=self.live.astype(np.int64) @ counts)


def speaker_cells(cap: Capture, threshold: float) -> NDArray[np.bool_]:
    """Visual tokens of each speaker, [S, P]: the cells that his or her box covers by at least `threshold`."""
    covered = [cap.tokens[group_name(COVERED, name)].to_numpy(np.float64) for name in cap.scene.speakers]
    if not covered:
        return np.zeros((0, len(cap.tokens)), dtype=bool)
    return np.stack(covered) >= threshold  # NaN (no cell) is never at least anything


def cells_at(tokens: pd.DataFrame, frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tokens that show at least one of the chosen frames (a token may cover several), [P]."""
    return _shown(tokens[["frame_first", "frame_last"]].to_numpy(np.int64), frames)


def units_of(cap: Capture) -> Units:
    """The temporal units of a capture: runs of frames that visual tokens stand for together."""
    frames = cap.tokens[["frame_first", "frame_last"]].to_numpy(np.int64)
    placed = np.isfinite(cap.tokens["x0"].to_numpy(np.float64)) & (frames[:, 0] >= 0)
    spans, which = np.unique(frames[placed], axis=0, return_inverse=True)
    of = np.full(len(frames), -1, dtype=np.int64)
    of[placed] = which.reshape(-1)
    times = np.asarray(cap.frames.times, dtype=np.float64)
    return Units(spans, np.array([times[a : b + 1].mean() for a, b in spans], dtype=np.float64), of)


def seen_cells(cap: Capture, threshold: float, frames: FrameChoice) -> Turns:
    """Which turns there are, and how many visual tokens of each speaker count for each; reads no attention.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as the speaker's.
        frames: `live`: only the frames that are live for the turn; `all`: every sampled frame.
    """
    speakers = list(cap.scene.speakers)
    groups, member = cap.query_groups, cap.query_member
    turns_of = {
        str(groups["name"].iloc[row]): (int(groups["ref"].iloc[row]), int(member[row].sum()))
        for row in np.flatnonzero((groups["kind"] == "turn").to_numpy())
    }
    turns_of = {name: (t, n) for name, (t, n) in turns_of.items() if n and cap.scene.transcript[t].speaker in speakers}
    turns = [cap.scene.transcript[t] for t, _ in turns_of.values()]
    units, times = units_of(cap), np.asarray(cap.frames.times, dtype=np.float64)
    live = np.ones((len(turns), len(units.times)), dtype=bool)
    if frames == "live":
        for row, turn in enumerate(turns):
            live[row] = _shown(units.frames, live_frames(turn.start, turn.end, times))
    all_turns = Turns(
        speakers=speakers,
        groups=list(turns_of),
        numbers=[t for t, _ in turns_of.values()],
        labels=np.array([speakers.index(str(t.speaker)) for t in turns], dtype=np.int64),
        tokens=np.array([n for _, n in turns_of.values()], dtype=np.int64),
        live=live,
        cells=np.zeros((len(turns), len(speakers)), dtype=np.int64),
    )
    return all_turns.showing(unit_counts(units, speaker_cells(cap, threshold)[None])[0])


def unit_counts(units: Units, cells: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Cells of each speaker in each unit, [D, F, S], for D ways [D, S, P] in which they may lie."""
    counts = [cells[:, :, tokens].sum(-1) for tokens in units.tokens]
    return np.stack(counts, axis=1) if counts else np.zeros((len(cells), 0, cells.shape[1]), dtype=np.int64)


def _shown(spans: NDArray[np.int64], frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which spans [N, 2] of frames hold one of the chosen ones; a span that begins below 0 is none, [N]."""
    before = np.concatenate([[0], np.cumsum(frames)])
    first, last = spans[:, 0], spans[:, 1]
    out = np.zeros(len(spans), dtype=bool)
    placed = first >= 0
    out[placed] = before[last[placed] + 1] > before[first[placed]]
    return out
