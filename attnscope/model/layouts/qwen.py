"""The Qwen families and those built as they are: `*_grid_thw`, a merge of 2 x 2 patches, two frames a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attnscope.model.layouts.base import Blank, Layout, View, whole

if TYPE_CHECKING:
    from attnscope.scene import Frames


class QwenLayout(Layout):
    """Frames are squashed to whole cells; a video token covers `temporal_patch_size` frames.

    Where the number of frames is odd the processor repeats the last one, so its tokens cover that frame
    alone.
    """

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
    ) -> Sequence[View | Blank]:
        """One view for each temporal step."""
        video = "video_grid_thw" in inputs
        part = processor.video_processor if video else processor.image_processor
        steps, rows, cols = inputs["video_grid_thw" if video else "image_grid_thw"][0].tolist()
        span = part.temporal_patch_size if video else 1
        last = len(frames.images) - 1
        return [
            View.even(
                rows // part.merge_size,
                cols // part.merge_size,
                whole(frames),
                first=min(step * span, last),
                last=min(step * span + span - 1, last),
            )
            for step in range(steps)
        ]


class Qwen2VLLayout(QwenLayout):
    """Qwen2-VL: 28 pixel cells, no text between frames."""


class Qwen25VLLayout(QwenLayout):
    """Qwen2.5-VL: as Qwen2-VL, with the seconds of a temporal step given to the model apart."""


class Qwen3VLLayout(QwenLayout):
    """Qwen3-VL and Qwen3.5: 32 pixel cells, a time stamp ("<0.5 seconds>") before each temporal step of frames."""

    min_frames = 2  # its resize needs a whole temporal step
    labelled = True


class QwenOmniLayout(QwenLayout):
    """Qwen2.5-Omni and Qwen3-Omni: cells of 28 and of 32 pixels, no text between frames."""

    states_rate = True


class Glm4VLayout(QwenLayout):
    """GLM-4V: 28 pixel cells, and a time stamp ("3", "3.1 seconds") behind each temporal step of frames."""

    min_frames = 2  # its resize needs a whole temporal step
    labelled = True
    label_style = "after"
