"""Options of the scene editor, which `attnscope view` opens in place of captures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._common import quiet_transformers
from attnscope_cli._options import COVERAGE, TEMPLATE, Coverage, Force, SamplingOptions, Template, option

if TYPE_CHECKING:
    from attnscope.view.editor import Editor


@dataclass(frozen=True)
class EditorOptions:
    """Which scene is edited, for which model, and where it is saved."""

    panel: ClassVar[str] = "Scene editor"
    scene: Annotated[
        Path | None, option("Edit this scene file; one that does not exist yet is begun, with --video.", "FILE")
    ] = None
    video: Annotated[
        Path | None,
        option(
            "A clip, image or folder of numbered images: alone, a scene of it is begun; with --scene, it is taken for"
            " the scene's; beside captures, the clip is played with its sound under the overlay.",
            "VIDEO",
        ),
    ] = None
    transcript: Annotated[
        Path | None, option("What is said: .srt, .vtt or .json, or FORMAT:PATH (whisperx:talk.json).", "FILE")
    ] = None
    speakers: Annotated[
        Path | None,
        option("Where speakers are seen: .json with their boxes, or FORMAT:PATH (cvat:tracks.xml).", "FILE"),
    ] = None
    save: Annotated[
        Path | None, option("Save here; a new file beside the scene (SCENE-edited.json) if not given.", "FILE")
    ] = None
    force: Force = False
    model: Annotated[
        str | None,
        option("Show cells as this model gets them; only its processor is loaded.", "MODEL", complete=_choices.model),
    ] = None
    coverage: Coverage = COVERAGE
    template: Template = TEMPLATE

    def is_wanted(self, captures: bool) -> bool:
        """Whether a scene is edited.

        Args:
            captures: Whether there are captures, to which `video` belongs then.

        Raises:
            RequestError: If what is given is partly of captures and partly of a scene.
        """
        if captures and self.scene is not None:
            raise RequestError("view: give captures, or a scene to edit, not both")
        if not captures and (self.scene is not None or self.video is not None):
            return True
        others = [field for field in fields(self) if field.name != "video"]
        other = next((field.name for field in others if getattr(self, field.name) != field.default), None)
        if other is not None:
            raise RequestError(f"view: --{other} is of the scene editor, which needs --scene or --video")
        return False

    def open(self, frames: SamplingOptions) -> Editor:
        """The editor, with everything checked that can be checked before a page asks.

        Raises:
            RequestError: If a file or an option is wrong.
        """
        from attnscope.view.editor import Editor
        from attnscope.view.editor_scene import open_draft
        from attnscope.view.editor_shown import ModelOptions

        sampling = frames.sampling()
        draft = open_draft(
            self.scene,
            self.video,
            transcript=self.transcript,
            speakers=self.speakers,
            save=self.save,
            replace=self.force,
        )
        if self.model is None:
            return Editor(draft, sampling)
        quiet_transformers()
        from attnscope.model import load_skeleton

        return Editor(draft, sampling, ModelOptions(partial(load_skeleton, self.model), self.coverage, self.template))
