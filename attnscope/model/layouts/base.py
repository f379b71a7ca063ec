"""What a layout is: the grids of cells that a family's visual tokens stand for, in source pixels.

Every family resizes, crops, pads or tiles separably along x and y, so a group of tokens is a grid: one span
of source pixels for each row and one for each column. A layout only has to say which, in the order of the
tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnscope.scene import Frames

Region = tuple[float, float, float, float]

# Of the text that belongs to a frame, in what order it stands:
LabelStyle = Literal[
    "closed",  # label, opening token, the frame's tokens, closing token
    "open",  # label, the frame's tokens
    "after",  # opening token, the frame's tokens, closing token, label
]


@dataclass(frozen=True)
class View:
    """A grid of cells, row by row, in one or more frames.

    Attributes:
        ys: Top and bottom of each row in source pixels, may reach over the source's edge (padding); [rows,
            2].
        xs: Left and right of each column; [cols, 2].
        first: First sampled frame that its tokens cover.
        last: Last sampled frame that its tokens cover.
        newline: Each row ends with one more token that has no cell.
        note: What else a reader must know of the cells, "" nothing; one a cell, row by row, or None.
        kept: Cells that have a token, where the processor drops some; bool [rows, cols], None for all of them.

    Example:
        >>> attnscope.model.View.even(2, 2, (0, 0, 640, 360)).ys.tolist()
        [[0.0, 180.0], [180.0, 360.0]]
    """

    ys: NDArray[np.float64]
    xs: NDArray[np.float64]
    first: int = 0
    last: int = 0
    newline: bool = False
    note: Sequence[str] | None = None
    kept: NDArray[np.bool_] | None = None

    @classmethod
    def even(cls, rows: int, cols: int, region: Region, first: int = 0, last: int = 0) -> View:
        """A grid of equal cells over a rectangle (x0, y0, x1, y1) of the source."""
        x0, y0, x1, y1 = region
        return cls(even_spans(y0, y1, rows), even_spans(x0, x1, cols), first, last)


@dataclass(frozen=True)
class Blank:
    """Visual tokens that have no place (a learned separator).

    Example:
        >>> attnscope.model.Blank(count=2).count
        2
    """

    count: int = 1


@dataclass(frozen=True)
class Places:
    """Where the visual tokens of a prompt are, in their order.

    Attributes:
        frames: First and last sampled frame, -1 none; int32 [V, 2].
        grid: Row and column in the grid of its view, -1 none; int32 [V, 2].
        box: x0, y0, x1, y1 in source pixels, clipped to the source, NaN none; float32 [V, 4].
        note: What else a reader must know of each token, "" nothing; V of them, or None if there is nothing of any.
    """

    frames: NDArray[np.int32]
    grid: NDArray[np.int32]
    box: NDArray[np.float32]
    note: Sequence[str] | None = None

    def __len__(self) -> int:
        """Number of visual tokens."""
        return len(self.frames)


class Layout(ABC):
    """How one family shows frames to its model; one subclass a family, registered with `layout`.

    Attributes:
        family: `model_type` of the configuration; this and the next four are for `layout`, which plugins use.
        models: Published models that belong to it.
        video: What one token of a video covers, in words.
        image: What one token of a single image covers, in words.
        frames_per_token: Sampled frames that one token of a video covers.
        min_frames: Fewest frames of a video that the processor takes; the last one is repeated to reach it.
        labelled: Text beside each frame's tokens belongs to that frame ("Frame1: ", "<0.5 seconds>").
        label_style: Where that text stands: before the tokens, which one token opens and one closes ("closed"), before
            them and nothing closes them ("open"), or after what closes them ("after").
        states_rate: The processor takes the frames for a rate of its own unless `fps` tells it theirs.

    Example:
        >>> class Whole(attnscope.model.Layout):
        ...     family, models = "one_token_vl", "OneToken-VL"
        ...     video = image = "the whole frame"
        ...
        ...     def views(self, model, processor, inputs, frames):
        ...         return [attnscope.model.View.even(1, 1, (0, 0, frames.width, frames.height))]
        >>> Whole().views(None, None, {}, frames)[0].xs.tolist()
        [[0.0, 480.0]]
    """

    family: ClassVar[str]
    models: ClassVar[str]
    video: ClassVar[str]
    image: ClassVar[str]
    frames_per_token: ClassVar[int] = 1
    min_frames = 1
    labelled = False
    label_style: ClassVar[LabelStyle] = "closed"
    states_rate = False

    def processor_kwargs(self, processor: Any, kind: str) -> dict[str, Any]:  # noqa: ARG002 (for subclasses)
        """Return keyword arguments that this family's processor needs besides the usual ones."""
        return {}

    @abstractmethod
    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:
        """Return the grids of the visual tokens, in the order of the tokens.

        Args:
            model: The Hugging Face model.
            processor: Its processor.
            inputs: What the processor returned for `frames`.
            frames: What was shown.
        """


class NoLayout(Layout):
    """A family that is not known: nothing special for its processor, no token placed."""

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View | Blank]:  # noqa: ARG002
        """Return no grid: the places are unknown."""
        return []


def place(views: Sequence[View | Blank], frames: Frames) -> Places:
    """Turn grids into one row for each token."""
    parts = [_blank(view.count) if isinstance(view, Blank) else _cells(view, frames) for view in views]
    parts = parts or [_blank(0)]
    return Places(
        frames=np.concatenate([part.frames for part in parts]),
        grid=np.concatenate([part.grid for part in parts]),
        box=np.concatenate([part.box for part in parts]),
        note=_notes(parts),
    )


def _notes(parts: Sequence[Places]) -> list[str] | None:
    if all(part.note is None for part in parts):
        return None
    return [note for part in parts for note in (part.note or [""] * len(part))]


def of_each_image(views: Sequence[View | Blank], frames: Frames) -> list[View | Blank]:
    """Return the views of one image for each of a row of images, which is how a model without video sees a clip.

    Args:
        views: Of one image; all images of a clip have the same size, so they have the same views.
        frames: What was shown.
    """
    return [
        view if isinstance(view, Blank) else replace(view, first=i, last=i)
        for i in range(len(frames.images))
        for view in views
    ]


def even_spans(start: float, end: float, count: int) -> NDArray[np.float64]:
    """Cut a span into equal ones; [count, 2]."""
    edges = np.linspace(start, end, count + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def corner(region: Region, share: float) -> Region:
    """Top left part of a rectangle, `share` of its width and of its height."""
    x0, y0, x1, y1 = region
    return (x0, y0, x0 + share * (x1 - x0), y0 + share * (y1 - y0))


def tile(region: Region, row: int, col: int, rows: int, cols: int) -> Region:
    """One of rows x cols equal tiles of a rectangle."""
    x0, y0, x1, y1 = region
    width, height = (x1 - x0) / cols, (y1 - y0) / rows
    return (x0 + col * width, y0 + row * height, x0 + (col + 1) * width, y0 + (row + 1) * height)


def whole(frames: Frames) -> Region:
    """Return the rectangle of the whole source image."""
    return (0.0, 0.0, float(frames.width), float(frames.height))


def _blank(count: int) -> Places:
    none = np.full((count, 2), -1, np.int32)
    return Places(frames=none, grid=none.copy(), box=np.full((count, 4), np.nan, np.float32))


def _cells(view: View, frames: Frames) -> Places:
    rows, cols = len(view.ys), len(view.xs)
    xs, ys = np.clip(view.xs, 0, frames.width), np.clip(view.ys, 0, frames.height)
    row, col = np.divmod(np.arange(rows * cols), cols)
    box = np.stack([xs[col, 0], ys[row, 0], xs[col, 1], ys[row, 1]], axis=1).astype(np.float32)  # [V, 4]
    box[(box[:, 0] >= box[:, 2]) | (box[:, 1] >= box[:, 3])] = np.nan  # wholly in the padding
    grid = np.stack([row, col], axis=1).astype(np.int32)
    notes = _cell_notes(view)
    if view.kept is not None:
        own = np.flatnonzero(view.kept.reshape(rows * cols))
        grid, box, notes = grid[own], box[own], None if notes is None else [notes[cell] for cell in own]
    elif view.newline:
        # [rows, cols, 2 or 4] -> one more column, without a cell
        grid = _with_column(grid.reshape(rows, cols, 2), -1)
        box = _with_column(box.reshape(rows, cols, 4), np.nan)
    covered = np.tile(np.array([[view.first, view.last]], np.int32), (len(grid), 1))
    return Places(frames=covered, grid=grid, box=box, note=notes)


def _cell_notes(view: View) -> list[str] | None:
    """The notes of a grid's tokens, none of a newline's.

    Raises:
        ValueError: If there is not one for each cell.
    """
    if view.note is None:
        return None
    notes = np.array(view.note, object).reshape(len(view.ys), len(view.xs))
    return [*(np.column_stack([notes, [""] * len(notes)]) if view.newline else notes).ravel()]


def _with_column(values: NDArray[Any], fill: float) -> NDArray[Any]:
    rows, _, width = values.shape
    column = np.full((rows, 1, width), fill, values.dtype)
    return np.concatenate([values, column], axis=1).reshape(-1, width)
