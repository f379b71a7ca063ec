"""Which cells count as whose: boxes as they are, worse than they are, or other ones in their place to compare with."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.correct.notes import HOW_BOXES, Caution, require_places
from attnscope.errors import NotApplicableError
from attnscope.metrics.heads import grid_cells
from attnscope.metrics.people.boxes import covered, disturb
from attnscope.scene import scene_boxes
from attnscope.scene.mentions import next_visible
from attnscope.vocabulary import COVERED, VISUAL, covered_speakers, group_name, is_visual

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.correct.social.bias import SocialBias
    from attnscope.model import Prompt

Bools = NDArray[np.bool_]
WHOSE = {
    "own": "",
    "other": "those of the next visible speaker, in the scene's order",
    "everyone": "those of all speakers",
    VISUAL: "all visual tokens",
    "random": "as many at a random place",
}
_ANGLES = 360  # directions that are tried
_MOVES, _PLACES = 1, 2  # what random numbers are for


@dataclass(frozen=True)
class Cells:
    """Whose cells are which tokens of a prompt of N.

    Attributes:
        boxed: Cells that a speaker's box covers, by speaker, [N].
        whole: The cells that a speaker's rows are drawn to, by speaker, those in several boxes included.
        drawn: The same as the correction has it: without those where it leaves them out.
        shared: Cells in the boxes of several speakers.
        said: What a user should know of it.
    """

    boxed: dict[str, Bools]
    whole: dict[str, Bools]
    drawn: dict[str, Bools]
    shared: Bools
    said: tuple[str, ...]

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


def find_cells(prompt: Prompt, settings: SocialBias) -> Cells:
    """The cells of each speaker, and those that the speaker's rows are drawn to.

    Raises:
        NotApplicableError: If the scene has no boxes, or nobody else's to draw to.
    """
    boxed, said = _boxed(prompt, settings)
    if boxed:
        require_places("social-bias", prompt)
    if not boxed:
        raise NotApplicableError(
            f"{prompt.scene.video}: social-bias needs speakers with boxes, and the scene has none; {HOW_BOXES}"
        )
    shared = np.sum(list(boxed.values()), axis=0) > 1
    own = {name: cells & ~shared if settings.overlap == "none" else cells for name, cells in boxed.items()}
    found = Cells(boxed, boxed, own, shared, said)
    if settings.whose == "own":
        return found
    instead = {name: _instead(prompt, found, settings, name) for name in boxed}
    whole = {name: one[0] for name, one in instead.items()}
    note = f"in place of a speaker's own cells: {WHOSE[settings.whose]}"
    if settings.whose == "random":
        note += random_note(settings.seed, [(whole[name], own[name]) for name in boxed])
    return Cells(boxed, whole, {name: one[1] for name, one in instead.items()}, shared, (*said, note))


def _instead(prompt: Prompt, found: Cells, settings: SocialBias, name: str) -> tuple[Bools, Bools]:
    """What takes the place of a speaker's cells, and the same without what is left out."""
    if settings.whose == "other":
        other = found.after(name)
        if other is None and name in found.visible:
            raise NotApplicableError(
                f'{prompt.scene.video}: social-bias.whose="other": needs a speaker with a visible box beside {name},'
                " and the scene has none"
            )
        return (found.boxed[other], found.drawn[other]) if other else (found.boxed[name], found.drawn[name])
    if settings.whose == "everyone":
        cells = found.all
    elif settings.whose == VISUAL:
        cells = placed(prompt.tokens)
    else:
        cells = elsewhere(prompt, settings.seed, name, found.drawn[name])
    return cells, cells


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
    out[to(best[int(_rng(prompt, seed, _PLACES, name).integers(len(best)))])] = True
    return out


def _boxed(prompt: Prompt, settings: SocialBias) -> tuple[dict[str, Bools], tuple[str, ...]]:
    """Cells [N] that each speaker's box covers: of the token table, or, for worse boxes, asked for anew."""
    names = covered_speakers(prompt.tokens)
    table, said = [prompt.tokens[group_name(COVERED, name)].to_numpy() for name in names], list[str]()
    if names and (settings.box_jitter or settings.box_drop or settings.box_shift):
        boxes = _worse(prompt, settings)
        table = list(covered(cast("Capture", prompt), boxes))  # tokens are all it takes
        before = np.isfinite(scene_boxes(prompt.scene, prompt.frames).xyxy[..., 0]).sum()
        worse = f"noise of {settings.box_jitter:g} and a move of {settings.box_shift:g} of their size"
        left = f"{np.isfinite(boxes[..., 0]).sum()} of {before} left (seed {settings.seed})"
        said.append(Caution(f"boxes worse than they are, for this correction alone: {worse}, {left}"))
    cells = {name: np.nan_to_num(share) >= settings.coverage for name, share in zip(names, table, strict=True)}
    return cells, tuple(said)


def _worse(prompt: Prompt, settings: SocialBias) -> NDArray[np.float32]:
    """The scene's boxes in the sampled frames [S, F, 4]: noisy and missing as in `metrics.jitter`, then moved."""
    rng = _rng(prompt, settings.seed, _MOVES)
    like = cast("Capture", prompt)  # scene and frames are all it takes
    (boxes,) = disturb(like, 1, amount=settings.box_jitter, unit="box", drop=settings.box_drop, grow=0.0, rng=rng)
    size = np.array([prompt.frames.width, prompt.frames.height] * 2)
    return np.stack([_moved(track, settings.box_shift, size, rng) for track in boxes])


def _moved(
    track: NDArray[np.float32], share: float, size: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """One speaker's boxes [F, 4] moved by a share of their mean size, by the same step in all frames.

    In a random direction; of those that were tried the first that leaves the frame least.
    """
    there = np.isfinite(track[:, 0])
    angles = rng.uniform(0, 2 * np.pi, _ANGLES)
    if not share or not there.any():
        return track
    side = (track[there, 2:] - track[there, :2]).mean(0)
    step = share * side * np.stack([np.cos(angles), np.sin(angles)], 1)  # [A, 2]
    to = track[there] + np.tile(step, 2)[:, None]  # [A, F', 4]
    outside = np.maximum(-to, 0).max((1, 2)) + np.maximum(to - size, 0).max((1, 2))
    moved = track.copy()
    moved[there] = np.clip(to[int(outside.argmin())], 0, size)
    return moved


def _rng(prompt: Prompt, seed: int, purpose: int, name: str = "") -> np.random.Generator:
    """Random numbers for a clip: the same for all its questions, others for another clip."""
    boxes = np.nan_to_num(scene_boxes(prompt.scene, prompt.frames).xyxy, nan=-1)
    clip = zlib.crc32(np.round(boxes).astype(np.int32).tobytes())
    return np.random.default_rng([seed, purpose, clip, zlib.crc32(name.encode())])
