"""What the scene that is edited is for a model: sampled frames, cells, covered cells and findings, while boxes move."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from attnscope.errors import RequestError
from attnscope.report.page.scenery import as_given
from attnscope.report.preview import model_facts
from attnscope.scene import Frames, Sampling, Scene, ScenePreview, check_against, read_scene_frames
from attnscope.scene.media import scene_sampling
from attnscope.scene.preview import preview_frames
from attnscope.view.editor_frames import encoded

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, ModelPreview


@dataclass(frozen=True)
class ModelOptions:
    """The model for which a scene is made.

    Attributes:
        load: Gives the model without its weights (`attnscope.model.load_skeleton`).
        coverage: Fraction of a visual token that a box must cover.
        template: How a turn is written.
    """

    load: Callable[[], LoadedModel]
    coverage: float
    template: str


@dataclass(frozen=True)
class Shown:
    """A scene at its sampled frames, and for the model if there is one.

    Attributes:
        preview: The scene.
        model: What the model's processor makes of it; None without a model.
        problem: Why there is nothing of the model; "" otherwise.
    """

    preview: ScenePreview
    model: ModelPreview | None
    problem: str = ""


class ShownFrames:
    """Looks at one scene again and again, and reads and writes anew only what a change has touched."""

    def __init__(self, sampling: Sampling, model: ModelOptions | None) -> None:
        """Load the model's configuration and processor, if there is a model.

        Raises:
            RequestError: `coverage` is out of range.
            ModelError: The model cannot be used.
        """
        self.sampling, self.options = sampling, model
        if model is not None and not 0 < model.coverage <= 1:
            raise RequestError.of("coverage", model.coverage, "must be above 0 and at most 1")
        self.model = None if model is None else model.load()
        self._lock = threading.Lock()
        self._frames: tuple[Any, Frames] | None = None
        self._written: tuple[Any, ModelPreview] | None = None
        self.last: Shown | None = None

    def look(self, scene: Scene, coverage: float | None = None) -> Shown:
        """The scene as it is now.

        Args:
            scene: With the question that is asked.
            coverage: In place of the one of the options.

        Raises:
            MediaError: Frames cannot be read.
            SceneError: The scene's times run past its video.
            RequestError: `coverage` is out of range.
        """
        with self._lock:
            sampling = scene_sampling(scene, self.sampling)
            preview = preview_frames(scene, self._read(scene, sampling), sampling)
            self.last = Shown(preview, None)
            if self.model is not None and self.options is not None:
                try:
                    self.last = Shown(preview, self._of_model(preview, coverage or self.options.coverage))
                except RequestError as error:  # a special token in a text, a template that does not fit
                    self.last = Shown(preview, None, str(error))
            return self.last

    def check(self, scene: Scene) -> None:
        """Refuse what `attnscope capture` would refuse of a scene's times.

        Raises:
            MediaError: As `look`.
            SceneError: As `look`.
        """
        with self._lock:
            self._read(scene, scene_sampling(scene, self.sampling))

    def _read(self, scene: Scene, sampling: Sampling) -> Frames:
        key = (scene.video, scene.further, sampling)
        if self._frames is None or self._frames[0] != key:
            nobody = scene.model_copy(update={"speakers": {}, "transcript": []})
            self._frames, self._written = (key, read_scene_frames(nobody, sampling)), None
        frames = self._frames[1]
        check_against(scene, frames)
        return frames

    def _of_model(self, preview: ScenePreview, coverage: float) -> ModelPreview:
        """What the processor makes of the scene; the prompt is written anew where more than boxes has changed."""
        from attnscope.model.preview import move_boxes, preview_model

        assert self.model is not None
        assert self.options is not None
        words = preview.scene.model_copy(update={"speakers": {}})
        key = (words.model_dump(), preview.frames.times.tolist())
        if self._written is None or self._written[0] != key:
            written = preview_model(self.model, preview, coverage=coverage, template=self.options.template)
            self._written = (key, written)
            return written
        return move_boxes(replace(self._written[1], coverage=coverage), preview)

    def jpeg(self, number: int) -> bytes:
        """A sampled frame as the model gets it: resized and cropped, drawn at that resolution.

        Raises:
            RequestError: There is no such frame.
        """
        with self._lock:
            shown = self.last
        count = 0 if shown is None else len(shown.preview.frames.times)
        if shown is None or not 0 <= number < count:
            raise RequestError(f"frame {number:,}: is not one of the {count} sampled frames")
        seen = None if shown.model is None else shown.model.frames[number]
        return encoded(as_given(Image.fromarray(shown.preview.frames.images[number]), seen))


def cells_document(model: ModelPreview, preview: ScenePreview, known: str | None) -> dict[str, Any]:
    """Cells and whose they are, for the page.

    Args:
        model: What the model's processor makes of the scene.
        preview: The scene.
        known: The key of the cells that the page has already, which are then left out.

    Returns:
        `frames` holds for each frame its `owners`: numbers of cells by person, in the order of the scene's speakers.
    """
    digest = hashlib.sha256()
    for frame in model.frames:
        digest.update(str(frame.cells.shape).encode() + frame.cells.tobytes())
    key = digest.hexdigest()[:16]
    return {
        "key": key,
        "model": model.model,
        "family": model.family,
        "coverage": model.coverage,
        "facts": model_facts(preview, model),
        "cells": None
        if key == known
        else [{"cells": frame.cells.tolist(), "region": frame.region, "size": frame.size} for frame in model.frames],
        "owners": [[[int(i) for i in own.nonzero()[0]] for own in frame.owners] for frame in model.frames],
    }
