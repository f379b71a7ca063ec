"""The Qwen families and those built as they are: `*_grid_thw`, a merge of 2 x 2 patches, two frames a token, or one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from attnscope.model.layouts.base import Layout, Region, View, whole
from attnscope.transformers_names import drawn_time

if TYPE_CHECKING:
    from attnscope.scene import Frames


class QwenLayout(Layout):
    """Frames are squashed to whole cells; a video token covers `temporal_patch_size` frames.

    Where the number of frames is odd the processor repeats the last one, so its tokens cover that frame
    alone.

    Attributes:
        counts_frames: The grid of a video counts its frames, not the steps that a token covers.
    """

    counts_frames: ClassVar[bool] = False

    def processor_kwargs(self, processor: Any, kind: str) -> dict[str, Any]:
        """Say how pixels are capped: as the checkpoint says, else not at all (transformers' own default)."""
        video = processor.video_processor
        if kind == "image" or "cap_pixels_per_frame" not in video.valid_kwargs.__annotations__:
            return {}
        return {"cap_pixels_per_frame": bool(video.cap_pixels_per_frame)}

    def views(
        self,
        model: Any,  # noqa: ARG002
        processor: Any,
        inputs: Mapping[str, Any],
        frames: Frames,
    ) -> Sequence[View]:
        """One view for each temporal step."""
        video = "video_grid_thw" in inputs
        part = processor.video_processor if video else processor.image_processor
        steps, rows, cols = inputs["video_grid_thw" if video else "image_grid_thw"][0].tolist()
        span = part.temporal_patch_size if video else 1
        last = len(frames.images) - 1
        if self.counts_frames:
            steps //= span
        region = self.canvas(part, rows, cols, frames)
        return [
            View.even(
                rows // part.merge_size,
                cols // part.merge_size,
                region,
                first=min(step * span, last),
                last=min(step * span + span - 1, last),
            )
            for step in range(steps)
        ]

    def canvas(self, part: Any, rows: int, cols: int, frames: Frames) -> Region:  # noqa: ARG002 (for subclasses)
        """Return what the grid of patches shows, in source pixels: the whole frame, which is squashed to it.

        Args:
            part: The image or the video processor.
            rows: Patches from top to bottom.
            cols: Patches from left to right.
            frames: What was shown.
        """
        return whole(frames)


class Qwen2VLLayout(QwenLayout):
    """Qwen2-VL: 28 pixel cells, no text between frames."""


class Qwen25VLLayout(QwenLayout):
    """Qwen2.5-VL: as Qwen2-VL, with the seconds of a temporal step given to the model apart."""


class Qwen3VLLayout(QwenLayout):
    """Qwen3-VL and Qwen3.5: 32 pixel cells, a time stamp ("<0.5 seconds>") before each temporal step of frames."""

    min_frames = 2  # its resize needs a whole temporal step
    labelled = True


class Cosmos3EdgeLayout(QwenLayout):
    """Cosmos 3 Edge: as Qwen3-VL, with one frame a token."""

    labelled = True


class QwenOmniLayout(QwenLayout):
    """Qwen2.5-Omni and Qwen3-Omni: cells of 28 and of 32 pixels, no text between frames."""

    states_rate = True


class Glm4VLayout(QwenLayout):
    """GLM-4V: 28 pixel cells, and a time stamp ("3", "3.1 seconds") behind each temporal step of frames."""

    min_frames = 2  # its resize needs a whole temporal step
    labelled = True
    label_style = "after"


class Glm5NextLayout(Glm4VLayout):
    """GLM-5.3: as GLM-4V, but a frame keeps its shape and is padded at the right and at the bottom."""

    min_frames = 1

    def canvas(self, part: Any, rows: int, cols: int, frames: Frames) -> Region:
        """The frame and its padding; a frame is scaled up only where it has less than the fewest tokens."""
        height, width = rows * part.patch_size, cols * part.patch_size
        count = part.temporal_patch_size if frames.kind == "image" else len(frames.images)
        token = part.temporal_patch_size * (part.patch_size * part.merge_size * part.patch_expand_factor) ** 2
        scale = min(height / frames.height, width / frames.width)
        if count * frames.height * frames.width >= token * part.min_image_tokens:
            scale = min(1.0, scale)
        shown_height = max(1, min(height, math.floor(frames.height * scale)))
        shown_width = max(1, min(width, math.floor(frames.width * scale)))
        return (0.0, 0.0, frames.width * width / shown_width, frames.height * height / shown_height)


class Ernie45VLLayout(QwenLayout):
    """ERNIE 4.5 VL: 28 pixel cells, joined over two frames behind the tower; no text between frames.

    The processor may draw the time into the top left corner of each frame: the cells there carry a note.
    """

    counts_frames = True

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View]:
        """One view for every two frames, with notes on the cells that the time is drawn over."""
        views = super().views(model, processor, inputs, frames)
        if "video_grid_thw" not in inputs:
            return views
        size = (frames.width, frames.height)
        edges = [drawn_time(processor.video_processor, float(time), *size) for time in frames.times]
        return [_under(view, edges[view.first : view.last + 1]) for view in views]


class VideoLlama3Layout(QwenLayout):
    """VideoLLaMA 3: one frame a token, "Time 0.7s:" before each; images are not merged, 14 pixel cells.

    A cell that is nearly what it was in the frame before has no token, but for the first of a frame that did not change
    at all. The processor's mask says which have one. A token that stands for later frames too carries a note; it has
    the frame whose pixels it is made of.
    """

    labelled = True
    label_style = "open"

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> Sequence[View]:
        """One view for each frame, with the cells that the processor kept."""
        views = super().views(model, processor, inputs, frames)
        if "video_compression_mask" not in inputs:
            return views
        kept = inputs["video_compression_mask"].numpy().reshape(len(views), len(views[0].ys), len(views[0].xs))
        repeats = np.zeros(kept.shape, int)  # frames behind in which the cell has no token
        for frame in reversed(range(len(views) - 1)):
            repeats[frame] = np.where(kept[frame + 1], 0, repeats[frame + 1] + 1)
        return [
            replace(view, kept=own, note=[_REPEATED[min(count, 2)].format(count) for count in counts.ravel()])
            for view, own, counts in zip(views, kept, repeats, strict=True)
        ]


_UNCHANGED = "unchanged, and without a token, in the next"
_REPEATED = ("", f"{_UNCHANGED} frame", f"{_UNCHANGED} {{}} frames")


def _under(view: View, edges: Sequence[tuple[int, int]]) -> View:
    """A view with a note on each cell that begins left of and above the right bottom corner of what is drawn."""
    right, bottom = (max(edge[axis] for edge in edges) for axis in (0, 1))
    covered = np.outer(view.ys[:, 0] < bottom, view.xs[:, 0] < right).ravel()
    return replace(view, note=["the processor draws the time over it" if drawn else "" for drawn in covered])
