"""Whose cells count as whose: the cells of each speaker, and those that take their place in a control."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.correct.notes import HOW_BOXES, require_places
from attnscope.errors import NotApplicableError
from attnscope.metrics.heads import grid_cells
from attnscope.scene import scene_boxes
from attnscope.scene.mentions import next_visible
from attnscope.vocabulary import COVERED, covered_speakers, group_name, is_visual

if TYPE_CHECKING:
    from attnscope.correct.controls.wrapper import Controlled
    from attnscope.model import Prompt

Bools = NDArray[np.bool_]
PLACES = 2  # what random numbers are for


@dataclass(frozen=True)
class Cells:
    """Whose cells are which tokens of a prompt of N.

    Attributes:
        boxed: Cells that a speaker's box covers, by speaker, [N].
        whole: The cells that a speaker's rows are drawn to, by speaker, those in several boxes included.
        targets: The same without the cells that the correction leaves out.
        shared: Cells in the boxes of several speakers.
        notes: What a user should know of it.
        instead: What takes the place of a speaker's own cells, in words; empty if nothing does.
    """

    boxed: dict[str, Bools]
    whole: dict[str, Bools]
    targets: dict[str, Bools]
    shared: Bools
    notes: tuple[str, ...]
    instead: str = ""

    @property
    def all(self) -> Bools:
        """Cells in the box of any speaker."""
        return np.asarray(np.logical_or.reduce(list(self.boxed.values())))

    @property
    def visible(self) -> list[str]:
        """Speakers whose box covers a cell."""
        return [name for name, cells in self.boxed.items() if cells.any()]

    def after(self, name: str) -> str | None:
        """The next visible speaker after another, in the scene's order and around its end; None if there is none."""
        return next_visible(name, {other: bool(cells.any()) for other, cells in self.boxed.items()})


def find_cells(
    prompt: Prompt, method: str, coverage: float, *, overlap: str = "all", control: Controlled | None = None
) -> Cells:
    """The cells of each speaker, and those that the speaker's rows are drawn to.

    Args:
        prompt: The prompt.
        method: Whose cells they are, for messages.
        coverage: Fraction of a cell that a box must cover.
        overlap: "all", a cell in several boxes belongs to each of their speakers, or "none", it is nobody's target.
        control: Of `Decoder.control`: worse boxes, or other cells in place of a speaker's own.

    Raises:
        NotApplicableError: If the scene has no boxes, or nobody else's to draw to.
    """
    names = covered_speakers(prompt.tokens)
    if not names:
        raise NotApplicableError(
            f"{prompt.scene.video}: {method} needs speakers with boxes, and the scene has none; {HOW_BOXES}"
        )
    require_places(method, prompt)
    table, notes = [prompt.tokens[group_name(COVERED, name)].to_numpy() for name in names], list[str]()
    if control is not None and control.worsens:
        table, note = control.worse(prompt)
        notes.append(note)
    boxed = {name: np.nan_to_num(share) >= coverage for name, share in zip(names, table, strict=True)}
    shared = np.sum(list(boxed.values()), axis=0) > 1
    targets = {name: cells & ~shared if overlap == "none" else cells for name, cells in boxed.items()}
    cells = Cells(boxed, boxed, targets, shared, tuple(notes))
    return cells if control is None else control.exchanged(prompt, cells)


def random_note(seed: int, pairs: list[tuple[Bools, Bools]]) -> str:
    """How a random place was drawn, and how much of it [N] is what it should keep away from [N]."""
    total, own = sum(int(cells.sum()) for cells, _ in pairs), sum(int((cells & away).sum()) for cells, away in pairs)
    return f" (seed {seed}; {own} of {total} cells are the speaker's own)" if own else f" (seed {seed})"


def placed(tokens: pd.DataFrame) -> Bools:
    """Visual tokens that stand for a rectangle of the frame."""
    return np.asarray(is_visual(tokens) & tokens["x0"].notna(), dtype=bool)


def elsewhere(prompt: Prompt, seed: int, name: str, cells: Bools) -> Bools:
    """As many cells of the same shape in every frame, moved by one step over the grid of cells (ours).

    Of all steps that leave every cell on the grid, those that keep most away from where the cells are; one is drawn.
    """
    tokens = prompt.tokens
    grid = is_visual(tokens) & (tokens["grid_y"].to_numpy() >= 0)
    spots = grid_cells(tokens, grid)  # [V, 3]
    chosen = spots[cells[grid]]
    if not len(chosen):
        return np.zeros_like(cells)
    size = spots.max(0) + 1
    at = np.full(size, -1)
    at[tuple(spots.T)] = np.flatnonzero(grid)
    low, high = chosen[:, 1:].min(0), chosen[:, 1:].max(0)
    steps = [(y, x) for y in range(-low[0], size[1] - high[0]) for x in range(-low[1], size[2] - high[1])]

    def to(step: tuple[int, int]) -> NDArray[np.int64]:
        return np.asarray(at[chosen[:, 0], chosen[:, 1] + step[0], chosen[:, 2] + step[1]])

    near = [(int(cells[to(step)].sum()), step) for step in steps if (to(step) >= 0).all()]
    fewest = min(near)[0]
    best = [step for count, step in near if count == fewest]
    out = np.zeros_like(cells)
    out[to(best[int(random_numbers(prompt, seed, PLACES, name).integers(len(best)))])] = True
    return out


def random_numbers(prompt: Prompt, seed: int, purpose: int, name: str = "") -> np.random.Generator:
    """Random numbers for a clip: the same for all its questions, others for another clip."""
    boxes = np.nan_to_num(scene_boxes(prompt.scene, prompt.frames).xyxy, nan=-1)
    clip = zlib.crc32(np.round(boxes).astype(np.int32).tobytes())
    return np.random.default_rng([seed, purpose, clip, zlib.crc32(name.encode())])
