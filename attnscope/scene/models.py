"""What the model is shown: the data model of a scene, and how frames are sampled from it.

The field names and rules are specified for users in docs/scene.md; docs/scene.schema.json is made from these
classes.
"""

from __future__ import annotations

import math
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from attnscope.errors import SceneError
from attnscope.scene.names import clean_name, name_key
from attnscope.scene.problems import field_path, one_line, seconds, show

BoxUnits = Literal["pixels", "fraction"]

# Coordinates and times beyond these are no such thing, and sums of them overflow.
_FARTHEST, _LATEST = 1e9, 1e9
_MOST_FRAMES = 100_000
_LONGEST_NAME = 255


def from_capture(info: ValidationInfo) -> bool:
    """Whether the scene comes out of a capture, whose tokens and columns hold the names as they are."""
    return bool((info.context or {}).get("recorded"))


def _impossible(text: str) -> str | None:
    bad = next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    return None if bad is None else f"holds the character U+{ord(bad):04X}, which no prompt can hold"


def _visible(text: str, info: ValidationInfo) -> str:
    """Refuse text that no prompt can hold, or of which nothing can be seen."""
    bad = _impossible(text)
    if bad is not None and not from_capture(info):
        raise ValueError(bad)
    if not name_key(text) and not from_capture(info):
        raise ValueError("is empty")
    return text


def _one_space(text: str) -> str:
    """Collapse white space: a turn is one line of the prompt, a name is one line of a table."""
    return " ".join(text.split())


def _clean(name: str, info: ValidationInfo) -> str:
    if from_capture(info):
        return name
    name = clean_name(name)
    control = next((c for c in name if unicodedata.category(c) == "Cc"), None)
    if control is not None:
        raise ValueError(f"holds the control character U+{ord(control):04X}")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"has {len(name)} characters, and a name has at most {_LONGEST_NAME}")
    return name


Number = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=-_FARTHEST, le=_FARTHEST)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=_LATEST, allow_inf_nan=False)]
Rate = Annotated[float, Strict(), Field(gt=0, le=1000, allow_inf_nan=False)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_visible)]
Line = Annotated[Words, AfterValidator(_one_space)]
Name = Annotated[Line, AfterValidator(_clean)]


def _described(schema: dict[str, Any]) -> None:
    """Keep the examples of docstrings out of the JSON Schema, which is no Python."""
    schema["description"] = schema["description"].partition("\n\nExample:")[0]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_described)


class Turn(_Model):
    """One utterance. Who said it and when may be unknown; turns may overlap.

    Example:
        >>> attnscope.scene.Turn(speaker="Ada", text="Will you  help me?", start=0.0, end=1.0).text
        'Will you help me?'
    """

    speaker: Name | None = Field(None, description="Who says it; null if unknown.")
    text: Line = Field(description="The words; white space is collapsed to single spaces.")
    start: Seconds | None = Field(None, description="Seconds from the first frame.")
    end: Seconds | None = Field(None, description="Seconds from the first frame; needs `start`.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end is not None and self.start is None:
            raise ValueError(f".end: {seconds(self.end)} is given without a start")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f".end: {seconds(self.end)} is before start {seconds(self.start)}")
        return self


class Keyframe(_Model):
    """A speaker's box at one moment.

    Example:
        >>> attnscope.scene.Keyframe(t=0.5, xyxy=(10, 20, 110, 150)).xyxy
        (10.0, 20.0, 110.0, 150.0)
    """

    t: Seconds = Field(description="Seconds from the first frame.")
    xyxy: tuple[Number, Number, Number, Number] = Field(
        description="Left, top, right, bottom, in the scene's box_units; x grows to the right, y down."
    )

    @field_validator("xyxy")
    @classmethod
    def _has_area(cls, box: tuple[float, ...]) -> tuple[float, ...]:
        for low, high, axis in ((0, 2, "x"), (1, 3, "y")):
            if box[high] <= box[low]:
                raise ValueError(f"[{high}]: {axis}2 = {box[high]:g} is not greater than {axis}1 = {box[low]:g}")
        return box


class Segment(_Model):
    """A stretch of time, start <= t < end, in which a speaker is visible.

    Example:
        >>> box = attnscope.scene.Keyframe(t=0.0, xyxy=(10, 20, 110, 150))
        >>> attnscope.scene.Segment(start=0.0, end=4.0, keyframes=[box]).end
        4.0
    """

    start: Seconds
    end: Seconds
    keyframes: list[Keyframe] = Field(
        min_length=1, description="In any order; interpolated linearly, the nearest is held outside them."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(f".end: {seconds(self.end)} is before start {seconds(self.start)}")
        seen: dict[float, int] = {}
        for number, keyframe in enumerate(self.keyframes):
            where = f".keyframes[{number}].t: {seconds(keyframe.t)}"
            if not self.start <= keyframe.t <= self.end:
                raise ValueError(f"{where} is outside its segment, {seconds(self.start)} to {seconds(self.end)}")
            if keyframe.t in seen:
                raise ValueError(f"{where} is also the time of keyframes[{seen[keyframe.t]}]")
            seen[keyframe.t] = number
        self.keyframes.sort(key=lambda keyframe: keyframe.t)
        return self


class Speaker(_Model):
    """Where a speaker is visible; no segments means never.

    Example:
        >>> box = attnscope.scene.Keyframe(t=0.0, xyxy=(10, 20, 110, 150))
        >>> segment = attnscope.scene.Segment(start=0.0, end=4.0, keyframes=[box])
        >>> speaker = attnscope.scene.Speaker(segments=[segment])
        >>> attnscope.scene.boxes_at(speaker, [2.0, 5.0])[:, 0].tolist()
        [10.0, nan]
    """

    segments: list[Segment] = Field(description="In any order, not overlapping.")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        order = sorted(range(len(self.segments)), key=lambda i: (self.segments[i].start, self.segments[i].end))
        for before, after in pairwise(order):
            if self.segments[after].start < self.segments[before].end:
                raise ValueError(
                    f".segments[{after}].start: {seconds(self.segments[after].start)} is before the end of "
                    f"segments[{before}] at {seconds(self.segments[before].end)}"
                )
        self.segments.sort(key=lambda segment: (segment.start, segment.end))
        return self


def _names_differ(speakers: Any, info: ValidationInfo) -> Any:
    """The second of two equal names would silently replace the first."""
    key, seen = _one_space if from_capture(info) else name_key, set[str]()
    for name in speakers if isinstance(speakers, dict) else ():
        if isinstance(name, str) and key(name) in seen:
            raise ValueError(f"[{show(name)}]: names the same speaker as another entry")
        seen.add(key(str(name)))
    return speakers


Speakers = Annotated[dict[Name, Speaker], BeforeValidator(_names_differ)]


def _are_labels(fields: Any) -> Any:
    """One message for a wrong label, where a union would give one for each of its types."""
    for name, label in fields.items() if isinstance(fields, dict) else ():
        where = field_path(("fields", str(name))).removeprefix("fields")
        for value in label if isinstance(label, list) else [label]:
            if not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"{where}: {show(label)} is not text, a number, true or false, or a list of these")
            if isinstance(value, int) and abs(value) >= 2**63:
                raise ValueError(f"{where}: {show(value)} is a whole number of more than 64 bits")
            bad = _impossible(value) if isinstance(value, str) else None
            if bad is not None:
                raise ValueError(f"{where}: {bad}")
    return fields


def _is_ordered(window: tuple[float, float]) -> tuple[float, float]:
    if window[1] <= window[0]:
        raise ValueError(f"[1]: end {seconds(window[1])} is not after start {seconds(window[0])}")
    return window


Window = Annotated[tuple[Seconds, Seconds], AfterValidator(_is_ordered)]
Label = str | int | float | bool
Fields = Annotated[dict[Line, Label | list[Label]], BeforeValidator(_are_labels)]


def _is_path(path: Any) -> Any:
    """An empty path would mean the folder in which the scene file lies."""
    if isinstance(path, str | Path):
        text = str(path)
        if isinstance(path, str) and not text.strip():
            raise ValueError("is empty")
        if _impossible(text) is not None:
            raise ValueError(f"{show(text)} is not a path")
    return path


MediaPath = Annotated[Path, BeforeValidator(_is_path)]


class Message(_Model):
    """An earlier message of the chat in which the question is asked.

    Example:
        >>> attnscope.scene.Message(role="assistant", text="Ada is.").text
        'Ada is.'
    """

    role: Literal["user", "assistant"] = Field(description="Who wrote it.")
    text: Words = Field(description="The words, as they are.")


class SceneQuestion(_Model):
    """One of several questions about a scene.

    Example:
        >>> attnscope.scene.SceneQuestion(id="first", question="Who is first?", options=["Ada", "Ben"], answer="Ada").id
        'first'
    """

    id: Line = Field(description="Its name, different from those of the others.")
    question: Words = Field(description="What the model is asked.")
    options: list[Line] = Field(default_factory=list, description="Answers to choose from.")
    answer: Line | None = Field(None, description="The right answer; one of the options if there are any.")
    fields: Fields = Field(default_factory=dict, description="Labels of this question; they replace the scene's.")
    window: Window | None = Field(None, description="In place of the scene's `window`.")


class Further(_Model):
    """Another video or image that is shown in the same prompt.

    Example:
        >>> attnscope.scene.Further(video="later.mp4", start=10.0).start
        10.0
    """

    video: MediaPath = Field(description="Video file, image, or folder of numbered images; relative to this file.")
    start: Annotated[Seconds, Field(gt=0)] = Field(description="When it begins, on the clock of the scene.")


class SceneFields(_Model):
    """The fields of a scene file; `Scene` adds the rules between them."""

    video: MediaPath = Field(description="Video file, image, or folder of numbered images; relative to this file.")
    further: list[Further] = Field(
        default_factory=list, description="More videos and images in the same prompt, in the order of their starts."
    )
    speakers: Speakers = Field(default_factory=dict, description="Speakers by name.")
    transcript: list[Turn] = Field(default_factory=list, description="Turns, in the order of the prompt.")
    question: Words | None = None
    options: list[Line] = Field(default_factory=list, description="Answers to choose from.")
    answer: Line | None = Field(None, description="The right answer; one of the options if there are any.")
    questions: list[SceneQuestion] = Field(
        default_factory=list, description="Questions to choose from, in place of `question`, `options` and `answer`."
    )
    history: list[Message] = Field(
        default_factory=list, description="What was asked and answered before the question, from the user on, in turns."
    )
    box_units: BoxUnits = Field("pixels", description="pixels of the upright frame, or fractions 0..1 of it.")
    system: Words | None = Field(None, description="System message of the prompt.")
    frame_rate: Rate | None = Field(None, description="Frames per second of a folder of frames.")
    fields: Fields = Field(
        default_factory=dict, description="Free labels by which results are grouped; not shown to the model."
    )
    window: Window | None = Field(
        None, description="Start and end of the part of the video that is shown, in seconds; all of it if not given."
    )


class Sampling(_Model):
    """Which frames are taken: `frames` of them spread evenly, or `fps` a second, inside a window of time.

    Neither given means 8 frames. `frame_rate` is the time base of a folder of frames and says nothing to a
    video.

    Example:
        >>> attnscope.Sampling().frames, attnscope.Sampling(fps=2, end=3.0).fps
        (8, 2.0)
    """

    frames: Annotated[int, Strict(), Field(ge=1, le=_MOST_FRAMES)] | None = None
    fps: Rate | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    frame_rate: Rate | None = None

    def __init__(
        self,
        *,
        frames: int | None = None,
        fps: float | None = None,
        start: float | None = None,
        end: float | None = None,
        frame_rate: float | None = None,
    ) -> None:
        if frames is None and fps is None:
            frames = 8
        try:
            super().__init__(**{"frames": frames, "fps": fps, "start": start, "end": end, "frame_rate": frame_rate})
        except ValidationError as error:
            raise SceneError(one_line("sampling", error)) from None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frames is not None and self.fps is not None:
            raise ValueError(f".fps: {seconds(self.fps)} is given beside frames = {self.frames}; give one of them")
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError(f".end: {seconds(self.end)} is not after start {seconds(self.start or 0)}")
        return self
