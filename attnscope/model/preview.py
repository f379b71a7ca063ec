"""What a model's processor makes of a scene: the cells in each frame and whom they show, without running the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.families import NO_PLACES
from attnscope.model.layouts import LAYOUTS, View
from attnscope.model.place import coverage as covered_shares
from attnscope.model.positions import context_note
from attnscope.model.prompt import write_prompt
from attnscope.model.render import DEFAULT_TEMPLATE
from attnscope.model.sound import sound_note
from attnscope.scene import Finding
from attnscope.scene.findings import counts_of, listed, plural
from attnscope.transformers_names import is_pixels
from attnscope.vocabulary import COVERED, NOWHERE, covered_speakers, group_name, has_cell, is_visual

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from attnscope.model.load import LoadedModel
    from attnscope.placing import Placing
    from attnscope.scene import Frames, ScenePreview

MOST = 0.5  # of a box outside of all cells, or of the cells of two people: from there it is worth a warning (ours)
_OF_CELLS = ("box_cropped", "box_without_cell", "shared_cells")  # kinds of findings
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class FrameCells:
    """The cells of one frame.

    Attributes:
        cells: Left, top, right, bottom in source pixels, float32 [C, 4].
        owners: Whose they are: covered by the box as far as is asked for, bool [S, C].
        region: The part of the frame that has cells, in source pixels; None if there is none.
        size: Width and height that the region has in what the model receives; None if that is not known.

    Example:
        >>> scene_preview = attnscope.scene.preview_scene(scene)
        >>> preview = attnscope.model.preview_model(attnscope.model.load_skeleton("roundtable"), scene_preview)
        >>> preview.frames[0].cells.shape, preview.frames[0].region
        ((36, 4), (0.0, 0.0, 480.0, 480.0))
    """

    cells: NDArray[np.float32]
    owners: NDArray[np.bool_]
    region: Rectangle | None
    size: tuple[int, int] | None


@dataclass(frozen=True)
class ModelPreview:
    """A scene as a model's processor gives it to the model.

    Attributes:
        model: Name of the model.
        family: Its layout, or "unknown".
        text: The prompt, before media placeholders are expanded.
        tokens: The token table.
        placing: How the visual tokens got their places, or why they have none.
        coverage: Fraction of a cell that a box has to cover.
        frames: The cells of each frame.
        findings: What a user should know beyond the scene's own findings.

    Example:
        >>> scene_preview = attnscope.scene.preview_scene(scene)
        >>> preview = attnscope.model.preview_model(attnscope.model.load_skeleton("roundtable"), scene_preview)
        >>> len(preview.tokens), preview.frames[0].size, preview.findings
        (221, (96, 96), [])
    """

    model: str
    family: str
    text: str
    tokens: pd.DataFrame
    placing: Placing
    coverage: float
    frames: list[FrameCells]
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-able values, without the token table."""
        return {
            "model": self.model,
            "family": self.family,
            "placed": self.placing.how,
            "positions": len(self.tokens),
            "visual_tokens": int(is_visual(self.tokens).sum()),
            "coverage": self.coverage,
            "prompt": self.text,
            "frames": [
                {
                    "cells": len(frame.cells),
                    "region": frame.region,
                    "size": frame.size,
                    "cells_of_speakers": frame.owners.sum(axis=1).tolist(),
                }
                for frame in self.frames
            ],
        }


def preview_model(
    loaded: LoadedModel, preview: ScenePreview, *, coverage: float = 0.5, template: str = DEFAULT_TEMPLATE
) -> ModelPreview:
    """Write the prompt of a scene and place its tokens; the model is not run and needs no weights.

    Args:
        loaded: The model, or what `load_skeleton` gives.
        preview: The scene at its sampled frames.
        coverage: Fraction of a visual token that a speaker's box must cover.
        template: How a turn is written, with {speaker} and {text}.

    Raises:
        RequestError: `coverage` is not above 0 and at most 1, or `template` is wrong.
        SceneError: The scene's text holds a special token of this model.
        ModelError: The chat template or the processor cannot be used, or do not fit the family's layout.

    Example:
        >>> scene_preview = attnscope.scene.preview_scene(scene)
        >>> preview = attnscope.model.preview_model(attnscope.model.load_skeleton("roundtable"), scene_preview)
        >>> dict(zip(scene_preview.boxes.speakers, preview.frames[0].owners.sum(axis=1).tolist()))
        {'Eva': 3, 'Cleo': 2, 'Ada': 2, 'Dan': 2, 'Ben': 2}
    """
    if not 0 < coverage <= 1:
        raise RequestError.of("coverage", coverage, "must be above 0 and at most 1")
    scene, frames = preview.scene, preview.frames
    written = write_prompt(loaded, scene, frames, template=template, probe=False)
    tokens = written.tokens
    alone = written.placing.how != NOWHERE and not frames.media
    views = _views(loaded, written.processed, frames) if alone else []
    size = _picture_size(loaded, written.processed, len(frames.images)) if alone else None
    owners = _owners(tokens, preview, coverage)
    cells = [_frame_cells(tokens, owners, views, number, size) for number in range(len(frames.images))]
    beyond = context_note(loaded, written.processed)
    findings = [
        *([Finding("no_places", f"{written.placing.reason}: {NO_PLACES}")] if written.placing.how == NOWHERE else []),
        *([] if beyond is None else [Finding("prompt_too_long", beyond)]),
        *(
            Finding("sound", note)
            for video in (scene.video, *(item.video for item in scene.further))
            for note in sound_note(loaded, video)
        ),
        *(cell_findings(preview, cells, coverage) if written.placing.how != NOWHERE else []),
    ]
    return ModelPreview(loaded.id, loaded.family, written.text, tokens, written.placing, coverage, cells, findings)


def move_boxes(model: ModelPreview, preview: ScenePreview) -> ModelPreview:
    """What `preview_model` gives for other boxes in the same frames and prompt, without writing the prompt again.

    Args:
        model: Of the same scene, of which nothing but `speakers` may differ.
        preview: The scene with its boxes as they are now.
    """
    old = model.tokens.drop(columns=[group_name(COVERED, name) for name in covered_speakers(model.tokens)])
    frames = old[["frame_first", "frame_last"]].to_numpy(np.int32)
    cells = old[["x0", "y0", "x1", "y1"]].to_numpy(np.float32)
    names = [group_name(COVERED, name) for name in preview.boxes.speakers]
    shares = [covered_shares(cells, frames, boxes) for boxes in preview.boxes.xyxy]
    tokens = old.assign(**dict(zip(names, shares, strict=True)))
    owners = _owners(tokens, preview, model.coverage)
    seen = [replace(frame, owners=owners[:, _in_frame(tokens, number)]) for number, frame in enumerate(model.frames)]
    kept = [finding for finding in model.findings if finding.kind not in _OF_CELLS]
    new = cell_findings(preview, seen, model.coverage) if model.placing.how != NOWHERE else []
    return replace(model, tokens=tokens, frames=seen, findings=[*kept, *new])


def _owners(tokens: pd.DataFrame, preview: ScenePreview, least: float) -> NDArray[np.bool_]:
    """Which tokens are whose, [S, N]."""
    covered = [group_name(COVERED, name) for name in preview.boxes.speakers]
    shares = tokens[covered].to_numpy(np.float64).T  # [S, N]
    return np.asarray(np.greater_equal(shares, least))  # NaN (no cell) is never at least anything


def _in_frame(tokens: pd.DataFrame, number: int) -> NDArray[np.bool_]:
    """The tokens that have a cell in a frame, [N]."""
    shown = (tokens["frame_first"] <= number) & (number <= tokens["frame_last"])
    return np.asarray(has_cell(tokens) & shown.to_numpy())


def cell_findings(preview: ScenePreview, frames: Sequence[FrameCells], coverage: float) -> list[Finding]:
    """What is wrong between boxes and cells.

    Args:
        preview: The scene.
        frames: The cells of each of its frames.
        coverage: Fraction of a cell that a box has to cover.
    """
    names, boxes = preview.boxes.speakers, preview.boxes.xyxy.astype(np.float64)
    visible = ~np.isnan(boxes[..., 0])  # [S, F]
    counts = np.stack([frame.owners.sum(axis=1) for frame in frames], axis=1)  # [S, F]
    cropped = np.zeros_like(visible)
    for row, number in zip(*np.nonzero(visible), strict=True):
        cropped[row, number] = _share_inside(boxes[row, number], frames[number].region) < MOST
    without = visible & ~cropped & (counts == 0)
    total = f"of {plural(int(visible.sum()), 'speaker box').replace('boxs', 'boxes')}"
    findings = []
    for kind, hit, what in (
        ("box_cropped", cropped, f"{total} lie for most of their area where the model has no cell"),
        ("box_without_cell", without, f"{total} cover no cell by {coverage:g} or more"),
    ):
        if hit.any():
            who = {name: int(own.sum()) for name, own in zip(names, hit, strict=True)}
            text = f"{int(hit.sum())} {what}; there no visual token is theirs ({counts_of(who)})"
            people = tuple(name for name, count in who.items() if count)
            findings.append(Finding(kind, text, people, frames=_numbers(np.asarray(hit.any(axis=0)))))
    for a, b in combinations(range(len(names)), 2):
        both = np.array([int((frame.owners[a] & frame.owners[b]).sum()) for frame in frames])
        least = np.minimum(counts[a], counts[b])
        together = np.asarray((least > 0) & (both >= MOST * least))
        if together.any():
            of = f"{int(together.sum())} of the {plural(int((least > 0).sum()), 'frame')}"
            text = f"{listed((names[a], names[b]))} share half of the cells of one of them or more in {of} in which"
            text += " both have cells; what such a cell gets counts for both"
            findings.append(Finding("shared_cells", text, (names[a], names[b]), frames=_numbers(together)))
    return findings


def _numbers(hit: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(number) for number in np.flatnonzero(hit))


def _share_inside(box: NDArray[np.float64], region: Rectangle | None) -> float:
    """Share of a box's area inside a region."""
    if region is None:
        return 0.0
    width = min(box[2], region[2]) - max(box[0], region[0])
    height = min(box[3], region[3]) - max(box[1], region[1])
    return float(max(width, 0.0) * max(height, 0.0) / ((box[2] - box[0]) * (box[3] - box[1])))


def _views(loaded: LoadedModel, processed: Mapping[str, Any], frames: Frames) -> list[View]:
    views = LAYOUTS[loaded.family].views(loaded.model, loaded.processor, processed, frames)
    return [view for view in views if isinstance(view, View)]


def _frame_cells(
    tokens: pd.DataFrame,
    owners: NDArray[np.bool_],
    views: Sequence[View],
    number: int,
    size: tuple[int, int] | None,
) -> FrameCells:
    here = _in_frame(tokens, number)
    cells = tokens.loc[here, ["x0", "y0", "x1", "y1"]].to_numpy(np.float32)
    if not len(cells):
        return FrameCells(cells, owners[:, here], None, None)
    left, top = (float(edge) for edge in cells[:, :2].min(axis=0))
    right, bottom = (float(edge) for edge in cells[:, 2:].max(axis=0))
    region = (left, top, right, bottom)
    own = [view for view in views if view.first <= number <= view.last]
    shown = _shown_size(own[0], region, size) if len(own) == 1 and size is not None else None
    return FrameCells(cells, owners[:, here], region, shown)


def _shown_size(view: View, region: Rectangle, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a region in a picture of which a view, padding included, is the whole."""
    width = (region[2] - region[0]) / float(view.xs.max() - view.xs.min()) * size[0]
    height = (region[3] - region[1]) / float(view.ys.max() - view.ys.min()) * size[1]
    return max(round(width), 1), max(round(height), 1)


def _picture_size(loaded: LoadedModel, processed: Mapping[str, Any], count: int) -> tuple[int, int] | None:
    """Width and height of what the patches of each frame show; None if it is several pictures, or not stated."""
    for kind, part in (("video", "video_processor"), ("image", "image_processor")):
        grid = processed.get(f"{kind}_grid_thw")
        patch = getattr(getattr(loaded.processor, part, None), "patch_size", None)
        if grid is not None and isinstance(patch, int):
            sizes = {(int(cols) * patch, int(rows) * patch) for _, rows, cols in grid.tolist()}
            return sizes.pop() if len(sizes) == 1 else None
    pictures = [value for name, value in processed.items() if is_pixels(name) and hasattr(value, "shape")]
    if len(pictures) != 1 or pictures[0].ndim < 4 or pictures[0].shape[-3] != 3:
        return None
    height, width = (int(side) for side in pictures[0].shape[-2:])
    if pictures[0].numel() != 3 * height * width * count:
        return None
    patch = getattr(getattr(loaded.model.config, "vision_config", None), "patch_size", None)
    whole = patch if isinstance(patch, int) else 1  # what is left over beside whole patches is in no cell
    return width // whole * whole, height // whole * whole
