"""Speakers' boxes described in the prompt, in words and numbers (ours).

Ouyang et al. (CVPR 2026) compare with a "box prompt" (2nd) and do not say how it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope.correct.base import Changed, Correction, Decoder
from attnscope.correct.params import parameter
from attnscope.correct.peers.inputs import Shown, not_shown, visible_boxes
from attnscope.correct.registry import correction
from attnscope.scene.models import Turn

if TYPE_CHECKING:
    from attnscope.model import Prompt
    from attnscope.scene import Frames, Scene

_BEGIN = "Boxes in percent of the frame (left, top, right, bottom):"


@correction
@dataclass(frozen=True)
class BoxesDescribed(Correction):
    """Write one line with the box of every speaker into the prompt; no attention is changed.

    The line stands after the transcript and before the question, as a turn that nobody speaks: numbers of turns stay as
    they are, and it belongs to no speaker's words. A prompt must be built with
    `attnscope.correct.prompted`. Speakers who are in no sampled frame are left out.

    Example:
        >>> other = attnscope.correct.prompted(model, scene, [attnscope.correct.BoxesDescribed()])
        >>> other.scene.transcript[-1].text[:67]
        'Boxes in percent of the frame (left, top, right, bottom): Eva (24, '
    """

    method: ClassVar[str] = "boxes-told"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "writes one line with the box of every speaker into the prompt"

    changes: ClassVar[tuple[Changed, ...]] = ("prompt",)

    frames: Literal["mean", "first", "all"] = parameter(
        "mean",
        "Which box is written: `mean`, the mean box of the frames that show the speaker, `first`, that of the first of"
        " them, or `all`, those of all frames with their times.",
    )

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        """The scene with one more turn, and the same frames.

        Raises:
            NotApplicableError: If no speaker is visible in a frame.
        """
        boxes = visible_boxes(self.method, scene, frames)
        percent = 100 * boxes.xyxy / np.array([frames.width, frames.height] * 2)  # [S, F, 4]
        seen = ~np.isnan(percent[..., 0])
        if self.frames == "all":
            line = "; ".join(
                f"at {time:.1f} s " + ", ".join(_described(name, percent[row, at]) for row, name in here)
                for at, time in enumerate(frames.times)
                if (here := [(row, name) for row, name in enumerate(boxes.speakers) if seen[row, at]])
            )
        else:
            chosen = [
                percent[row, shown].mean(0) if self.frames == "mean" else percent[row, shown][0]
                for row, shown in enumerate(seen)
            ]
            line = ", ".join(_described(name, box) for name, box in zip(boxes.speakers, chosen, strict=True))
        turn = Turn(speaker=None, text=f"{_BEGIN} {line}.", start=None, end=None)
        return scene.model_copy(update={"transcript": [*scene.transcript, turn]}), frames

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Shown:  # noqa: ARG002
        """Check that the prompts describe the boxes.

        Raises:
            RequestError: If one of them does not.
        """
        notes = []
        for prompt in prompts:
            texts = [turn.text for turn in prompt.scene.transcript if turn.speaker is None]
            if not (lines := [line for line in texts if line.startswith(_BEGIN)]):
                raise not_shown(self.method, prompt)
            notes.append(["no attention is changed", f"the prompt says: {lines[-1]}", *self._moving(prompt)])
        return Shown(self, notes)

    def _moving(self, prompt: Prompt) -> list[str]:
        """A note on speakers whom a mean box says little of."""
        boxes = visible_boxes(self.method, prompt.scene, prompt.frames)
        away = [name for name, xyxy in zip(boxes.speakers, boxes.xyxy, strict=True) if _leave_their_mean(xyxy)]
        if self.frames != "mean" or not away:
            return []
        return [
            "each box is the mean of the frames that show its speaker,"
            f" and those of {', '.join(away)} do not all overlap their mean;"
            " frames=all gives every frame"
        ]


def _leave_their_mean(xyxy: NDArray[np.floating]) -> bool:
    """Whether one of the boxes [F, 4] of a speaker has no point in common with their mean."""
    seen = xyxy[~np.isnan(xyxy[:, 0])]
    mean = seen.mean(0)
    return bool(((seen[:, 2:] <= mean[:2]) | (seen[:, :2] >= mean[2:])).any())


def _described(name: str, box: NDArray[np.floating]) -> str:
    return f"{name} ({', '.join(f'{edge:.0f}' for edge in box)})"
