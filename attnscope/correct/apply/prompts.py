"""The prompt of a scene as corrections have the model see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.capture.run import DEFAULT_TEMPLATE
from attnscope.correct.base import Correction
from attnscope.scene import Frames, Sampling, Scene, read_scene_frames

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt


def prompted(
    model: LoadedModel,
    scene: Scene | str | Path,
    corrections: Sequence[Correction] = (),
    sampling: Sampling | None = None,
    template: str = DEFAULT_TEMPLATE,
    *,
    frames: Frames | None = None,
) -> Prompt:
    """Build the prompt of a scene under corrections; most change nothing here, some what the model is shown.

    Args:
        model: A loaded model.
        scene: A scene, or the path of a scene.json.
        corrections: Asked in order, each for what it makes of the scene and frames of the one before.
        sampling: Which frames to show; 8 uniform frames by default.
        template: How a turn is written, with {speaker} and {text}.
        frames: The plain frames of the scene, where they are read already.

    Raises:
        NotApplicableError: If the scene lacks what a correction shows.
        RequestError: If the scene, its video or the template is wrong.

    Example:
        >>> attnscope.correct.prompted(model, "scene.json").text == prompt.text
        True
    """
    from attnscope.model import build_prompt
    from attnscope.model.render import check_template

    check_template(template)
    scene = scene if isinstance(scene, Scene) else Scene.read(Path(scene))
    frames = read_scene_frames(scene, sampling or Sampling()) if frames is None else frames
    for correction in corrections:
        scene, frames = correction.show(scene, frames)
    return build_prompt(model, scene, frames, template=template)
