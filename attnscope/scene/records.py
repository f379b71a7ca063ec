"""What an importer yields: the records of a source one at a time, or the reason why one is left out.

An importer reads a format and decides nothing that is common to all formats: how boxes become segments, whom a span of
speech belongs to, which records fit together. That is done by `attnscope.scene.joining`. Every record of a source
becomes exactly one record or one `LeftOut`, so that counts add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attnscope.scene.models import BoxUnits


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of a source.

    Attributes:
        where: Its place in the source, as messages show it: `line 12`, `tracks[3].boxes[7]`.
        clip: Name of the video as the source has it, with or without a suffix; empty if the source names none.
    """

    where: str
    clip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRecord(Record):
    """Where somebody is at one moment; either `time` or `frame` is given.

    Attributes:
        name: Who it is, as the source spells it, or the name of the track where it has no names.
        xyxy: Left, top, right, bottom, in `units`.
        units: "pixels" of the upright frame, or "fraction" of it. An importer whose source states the size of the
            picture gives fractions, since the video may have been scaled since.
        time: Seconds from the first frame.
        frame: Number of the frame, from 0; the rate of the source or of the video makes a time of it.
        track: What keeps apart boxes of one name that are not interpolated between: a track, a shot.
        keyframe: Whether boxes between this one and the next of its track are interpolated, however far it is. If
            not, the track has a box for every frame that was annotated, and a gap ends the segment.
        ends: Whether nothing is visible from this moment on (CVAT's `outside`); its box then counts for nothing.
        until: Number of the frame from which on the source was not looked at: a keyframe that is the last of its track
            holds no longer than that. None if it holds to the end of the video.
        score: How sure the source is, 0 to 1.

    Example:
        >>> box = attnscope.scene.BoxRecord(
        ...     where="line 7", clip="clip.mp4", name="Ada", xyxy=(0.1, 0.2, 0.4, 0.9), units="fraction", frame=25
        ... )
        >>> box.name, box.frame, box.keyframe
        ('Ada', 25, False)
    """

    name: str
    xyxy: tuple[float, float, float, float]
    units: BoxUnits
    time: float | None = None
    frame: int | None = None
    track: str = ""
    keyframe: bool = False
    ends: bool = False
    until: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word with its time.

    Attributes:
        text: As it is written.
        start: Seconds; None if the source does not say.
        end: Seconds; None if the source does not say.
        speaker: Who says it, if the source says so of single words.

    Example:
        >>> attnscope.scene.Word(text="Yes", start=0.5, end=0.75).speaker is None
        True
    """

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRecord(Record):
    """A stretch of speech: who, when, what; each may be unknown.

    Attributes:
        speaker: Who speaks.
        start: Seconds from the first frame.
        end: Seconds from the first frame.
        text: What is said; None if the source holds no words (diarisation).
        words: The same words with their times, if the source has them.

    Example:
        >>> attnscope.scene.SpeechRecord(where="line 3", speaker="Ada", start=0.5, end=2.0).text is None
        True
    """

    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRecord(Record):
    """A question about a clip.

    Attributes:
        id: Its name in the source; None if it has none.
        question: What the model is asked.
        options: Answers to choose from, in the order of the source.
        answer: The right one, spelt as in `options`.
        fields: Labels by which results are grouped.
        window: Start and end of the part of the clip that is asked about, in seconds.

    Example:
        >>> question = attnscope.scene.QuestionRecord(
        ...     where="line 2", clip="clip.mp4", question="Who is first?", options=("Ada", "Ben"), answer="Ada"
        ... )
        >>> question.options
        ('Ada', 'Ben')
    """

    question: str
    id: str | None = None
    options: tuple[str, ...] = ()
    answer: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    window: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord(QuestionRecord):
    """A question of a data set, with all that its scene holds.

    Attributes:
        scene_name: Names the scene's file. Samples of one scene have one name and equal contents.
        scene: Fields of a scene file (docs/scene.md), without its video, question, options and answer.

    Example:
        >>> sample = attnscope.scene.SampleRecord(
        ...     where="[0]", clip="clip.mp4", question="Who is first?", scene_name="clip", scene={"transcript": []}
        ... )
        >>> sample.scene_name
        'clip'
    """

    scene_name: str
    scene: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut(Record):
    """A record that is not imported.

    Attributes:
        what: "box", "turn", "word", "question" or "sample".
        reason: Why, without the values of this record, so that equal reasons can be counted: `the box has no area`.
        name: What else identifies the record: its id, its speaker.
        detail: The field that is wrong and its value, for a message about this record alone.

    Example:
        >>> attnscope.scene.LeftOut(where="line 9", what="box", reason="the box has no area").reason
        'the box has no area'
    """

    what: str
    reason: str
    name: str = ""
    detail: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence about the whole source that a user should know; it counts as no record.

    Example:
        >>> attnscope.scene.Note(text="talk.srt: rolling captions").text
        'talk.srt: rolling captions'
    """

    text: str
