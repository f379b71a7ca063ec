"""Corrections that change what a model is shown, and no attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.correct.base import Correction, Running
from attnscope.correct.notes import HOW_BOXES
from attnscope.errors import NotApplicableError, RequestError
from attnscope.scene import Boxes, scene_boxes

if TYPE_CHECKING:
    from attnscope.attention import AttentionCall
    from attnscope.model import Prompt
    from attnscope.scene import Frames, Scene


class Shown(Running):
    """A correction that has done its work before the model runs.

    Attributes:
        notes: One list a prompt.
    """

    def __init__(self, settings: Correction, notes: Sequence[Sequence[str]]) -> None:
        self.settings, self.notes = settings, [list(some) for some in notes]

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Change nothing."""
        return call

    def records(self) -> list[dict[str, Any]]:
        """Method, parameters, no heads, and what was shown, one a prompt."""
        return [self.settings.record({}, notes) for notes in self.notes]


def visible_boxes(method: str, scene: Scene, frames: Frames) -> Boxes:
    """Boxes in the sampled frames, of speakers that are visible in at least one.

    Raises:
        NotApplicableError: If there are none.
    """
    boxes = scene_boxes(scene, frames)
    seen = [row for row in range(len(boxes.speakers)) if not np.isnan(boxes.xyxy[row]).all()]
    if not seen:
        raise NotApplicableError(
            f"{scene.video}: {method} needs a speaker with a box in a sampled frame, and there is none; {HOW_BOXES}"
        )
    return Boxes(boxes.xyxy[seen], [boxes.speakers[row] for row in seen])


def not_shown(method: str, prompt: Prompt) -> RequestError:
    """What is wrong with a prompt that was built from the plain scene."""
    return RequestError(
        f"{prompt.scene.video}: {method} changes what the model is shown, and this prompt was built without it;"
        " build it with attnscope.correct.prompted"
    )
