"""A scene: what the model is shown and asked; the rules between its fields, and reading it from files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, ValidationError, ValidationInfo, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler  # pydantic itself names it from 2.11 on

from attnscope.errors import Argument, SceneError
from attnscope.files import real_path
from attnscope.scene.findings import listed
from attnscope.scene.models import BoxUnits, SceneFields, from_capture
from attnscope.scene.names import find_name, name_key, same_but_for_case
from attnscope.scene.problems import field_path, one_line, seconds, show
from attnscope.scene.read import files_to_dict, read_scene

# A fraction may leave the frame a little (people walk in and out), but 400 is a pixel.
_LARGEST_FRACTION = 2.0


class Scene(SceneFields):
    """A video (or image, or folder of frames), who is where in it, what is said, and what is asked.

    Example:
        >>> scene = attnscope.Scene.read("scene.json")
        >>> scene.question, scene.answer, scene.speaker_names
        ('Who is Dan talking to?', 'Eva', ['Eva', 'Cleo', 'Ada', 'Dan', 'Ben'])
        >>> scene = attnscope.Scene.from_files("clip.mp4", "clip.srt", "speakers.json", "Who is first?")
        >>> scene.transcript[0].text
        'will you help me?'
    """

    _notes: list[str] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _choices(self) -> Self:
        object.__setattr__(self, "answer", _same_option(self.options, self.answer))
        for number, question in enumerate(self.questions):
            where = f".questions[{number}]"
            if question.id in (other.id for other in self.questions[:number]):
                raise ValueError(f"{where}.id: {show(question.id)} is given twice")
            object.__setattr__(question, "answer", _same_option(question.options, question.answer, where))
        for name in ("question", "options", "answer"):
            if self.questions and getattr(self, name):
                raise ValueError(f".{name}: is given beside questions")
        return self

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        for number, (before, after) in enumerate(pairwise(self.further), 1):
            if after.start <= before.start:
                raise ValueError(
                    f".further[{number}].start: {seconds(after.start)} is not after {seconds(before.start)}"
                )
        if self.further and self.window is not None:
            raise ValueError(".window: is given beside further videos or images, which are shown whole")
        return self

    @model_validator(mode="after")
    def _chat(self) -> Self:
        for number, message in enumerate(self.history):
            if message.role != ("user", "assistant")[number % 2]:
                raise ValueError(f".history[{number}].role: user and assistant take turns, from user on")
        if len(self.history) % 2:
            raise ValueError(".history: ends with a user's message; that is the question")
        if self.history and not (self.question or self.options or self.questions):
            raise ValueError(".question: is missing after the history")
        return self

    @model_validator(mode="after")
    def _one_spelling(self, info: ValidationInfo) -> Self:
        """Give each turn the speaker's name as the boxes spell it, or else the first turn."""
        if from_capture(info):
            return self
        spellings, cased = {name_key(name): name for name in self.speakers}, dict[str, str]()
        for number, turn in enumerate(self.transcript):
            if turn.speaker is None:
                continue
            name = spellings.get(name_key(turn.speaker))
            if name is None:
                others = same_but_for_case(turn.speaker, dict.fromkeys(spellings.values()))
                if len(others) > 1:
                    likely = " or ".join(map(show, others))
                    raise ValueError(f".transcript[{number}].speaker: {show(turn.speaker)} may be {likely}")
                name = spellings[name_key(turn.speaker)] = others[0] if others else turn.speaker
                if others:
                    cased[turn.speaker] = name
            if name != turn.speaker:
                self.transcript[number] = turn.model_copy(update={"speaker": name})
        if cased:
            self._notes.append(
                "names that differ in letter case alone are one speaker: "
                + ", ".join(f"{written} is {name}" for written, name in cased.items())
            )
        return self

    @model_validator(mode="after")
    def _units(self) -> Self:
        largest = 0.0
        for name, speaker in self.speakers.items():
            for s, segment in enumerate(speaker.segments):
                for k, keyframe in enumerate(segment.keyframes):
                    corner = max(range(4), key=lambda i: abs(keyframe.xyxy[i]))
                    value = keyframe.xyxy[corner]
                    largest = max(largest, abs(value))
                    if self.box_units == "fraction" and abs(value) > _LARGEST_FRACTION:
                        where = field_path(("speakers", name, "segments", s, "keyframes", k, "xyxy", corner))
                        raise ValueError(f'.{where}: {value:g} is no fraction of the frame (box_units is "fraction")')
        if self.box_units == "pixels" and 0 < largest <= 1:
            raise ValueError('.box_units: is "pixels", but every box lies within 0..1; say "fraction"')
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_line(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        try:
            scene = handler(data)
            scene._notes[:0] = (info.context or {}).get("notes", ())
            return scene
        except ValidationError as error:
            raise SceneError(one_line((info.context or {}).get("source", "scene"), error)) from None

    def __eq__(self, other: object) -> bool:
        """Whether two scenes show the same; how their files were read does not matter."""
        return isinstance(other, Scene) and self.model_dump() == other.model_dump()

    @property
    def notes(self) -> list[str]:
        """What reading the files changed, one sentence each; not kept by `to_dict`."""
        return list(self._notes)

    def asking(self, name: str | None = None) -> Self:
        """The scene with one of its `questions` as its question.

        Args:
            name: The question's id; not needed where there is one question.

        Raises:
            SceneError: There are several questions and no name, or none with this name.

        Example:
            >>> questions = [{"id": "who", "question": "Who is first?"}, {"id": "last", "question": "Who is last?"}]
            >>> several = attnscope.Scene.from_dict({"video": "clip.mp4", "questions": questions})
            >>> several.asking("last").question
            'Who is last?'
        """
        ids = [question.id for question in self.questions]
        if name is None and len(ids) <= 1:
            name = ids[0] if ids else None
        if name is None and not ids:
            return self
        known = f"choose from {listed(ids)}" if ids else "the scene has no `questions`"
        if name is None:
            raise SceneError("scene: holds ", f"{len(ids)} questions; ", Argument("question_id"), f": {known}")
        if name not in ids:
            raise SceneError(Argument("question_id", name), f": {known}")
        asked = self.questions[ids.index(name)]
        own: dict[str, Any] = {key: getattr(asked, key) for key in ("question", "options", "answer")}
        own |= {"fields": {**self.fields, **asked.fields}, "window": asked.window or self.window, "questions": []}
        scene = self.model_copy(update=own)
        scene._notes[:] = self._notes
        return scene

    @property
    def speaker_names(self) -> list[str]:
        """Everybody: speakers with boxes in their order, then those who only speak, as they come up."""
        speaking = [turn.speaker for turn in self.transcript if turn.speaker is not None]
        return list(dict.fromkeys([*self.speakers, *speaking]))

    @classmethod
    def read(cls, path: str | Path, *, video: str | Path | None = None) -> Self:
        """Read a scene file; its `video` is taken relative to the file and must exist.

        Args:
            path: A .json file as in docs/scene.md.
            video: Used in place of the file's `video` (relative to the working directory).

        Raises:
            SceneError: The file or a field is wrong; the message names both.
        """
        return read_scene(cls, Path(path), None if video is None else Path(video))

    @classmethod
    def from_files(
        cls,
        video: str | Path,
        transcript: str | Path | None = None,
        speakers: str | Path | None = None,
        question: str | None = None,
        options: Sequence[str] = (),
        answer: str | None = None,
        box_units: BoxUnits | None = None,
        *,
        system: str | None = None,
        frame_rate: float | None = None,
        merge_rolling: bool = True,
    ) -> Self:
        """Put a scene together from separate files.

        Args:
            video: A video, an image, or a folder of numbered images.
            transcript: .srt, .vtt or .json, or `FORMAT:PATH` of another importer: `whisperx:talk.json`.
            speakers: .json, the `speakers` of a scene file or a scene file; or `FORMAT:PATH`, `cvat:tracks.xml`.
            question: What the model is asked.
            options: Answers to choose from.
            answer: The right answer.
            box_units: Unit of the boxes; None = what the speakers' file says, else pixels.
            system: System message of the prompt.
            frame_rate: Frames per second of a folder of frames.
            merge_rolling: Keep each line of rolling captions once.

        Raises:
            SceneError: A file or a field is wrong; the message names both.
        """
        if not str(video).strip():  # `Path("")` is the working directory
            raise SceneError("video: is empty")
        data, notes = files_to_dict(Path(video), transcript, speakers, box_units, merge_rolling)
        data |= {"question": question, "options": list(options), "answer": answer, "system": system}
        return cls.model_validate({**data, "frame_rate": frame_rate}, context={"notes": notes})

    @classmethod
    def from_dict(cls, data: dict[str, Any], base: str | Path | None = None) -> Self:
        """Make a scene from what `to_dict` gave; a relative video path is taken relative to `base`.

        The video need not exist: a recorded scene outlives its video. Names stay as they were recorded, even
        where a scene file of today could not spell them so.

        Raises:
            SceneError: A field is wrong.
        """
        scene = cls.model_validate(data, context={"recorded": True})
        folder = Path(base or ".")
        further = [item.model_copy(update={"video": real_path(folder / item.video)}) for item in scene.further]
        return scene.model_copy(update={"video": real_path(folder / scene.video), "further": further})

    def to_dict(self) -> dict[str, Any]:
        """The scene as JSON-able values, without the fields that are not set."""
        document = self.model_dump(mode="json", exclude_none=True)
        return {
            name: value for name, value in document.items() if value or name not in ("questions", "history", "further")
        }

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of a scene file."""
        schema = cls.model_json_schema()
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **schema,
            "title": "attnscope scene",
        }


def _same_option(options: Sequence[str], answer: str | None, where: str = "") -> str | None:
    """The answer as its option is written: others compare letter by letter.

    Raises:
        ValueError: An option is given twice, or the answer is none of them.
    """
    for number, option in enumerate(options):
        if find_name(option, options[:number]) is not None:
            raise ValueError(f"{where}.options[{number}]: {show(option)} is given twice")
    if answer is None or not options:
        return answer
    same = find_name(answer, options)
    if same is None:
        raise ValueError(f"{where}.answer: {show(answer)} is not one of the options {', '.join(map(show, options))}")
    return same
