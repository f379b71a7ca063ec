"""Parts that a user gives as files: those that `prepare` writes, and what any importer reads, as FORMAT:PATH."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from attnscope.errors import SceneError
from attnscope.files import exists
from attnscope.prepare.parts import Made, Shot, Stretch
from attnscope.scene import BoxRecord, LeftOut, Note, SpeechRecord
from attnscope.scene.frames import END_SLACK
from attnscope.scene.models import Keyframe, Name, Seconds, Segment, Speaker
from attnscope.scene.problems import one_line, read_json, seconds, show
from attnscope.scene.records import Record
from attnscope.scene.sound import sound_start
from attnscope.scene.walk import Walk

_PLAYER_LAG = 0.1  # seconds, as for the warning about a picture that starts late


class _Row(BaseModel):
    """A shot or a stretch of speech, as `prepare` writes it; other fields are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    start: Seconds
    end: Seconds
    speaker: Name | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Any:
        if self.end < self.start:
            raise ValueError(f".end: {seconds(self.end)} is before start {seconds(self.start)}")
        return self


def given_shots(walk: Walk, path: Path) -> tuple[list[Shot], Made]:
    """Shots from shots.json: a list of {"start", "end"} in seconds. Only starts count: shots follow without a gap.

    Raises:
        SceneError: If the file is wrong, or a shot begins after the end of the clip.
    """
    starts = sorted({row.start for row in _rows(path)} | {0.0})
    if walk.duration is not None and starts[-1] >= walk.duration:
        raise SceneError(f"{path}: a shot begins at {seconds(starts[-1])} s, after the end of {walk.path.name}")
    ends = [*starts[1:], walk.end]
    shots = [Shot(start, end) for start, end in zip(starts, ends, strict=True)]
    items = [{"start": shot.start, "end": shot.end, "score": None} for shot in shots]
    return shots, Made("shots", str(path), "as the file says", {}, items)


def given_people(walk: Walk, text: str | Path, size: tuple[int, int]) -> tuple[dict[str, Speaker], Made]:
    """People from a speakers' file (people.json, or a scene), or boxes of any importer.

    Args:
        walk: The clip.
        text: A path, or FORMAT:PATH.
        size: Width and height of the clip's frames in pixels.

    Returns:
        People by name, with boxes in pixels.

    Raises:
        SceneError: If the file is wrong.
    """
    if Path(text).suffix.lower() == ".json" and exists(text, SceneError):
        from attnscope.scene.read import read_speakers

        speakers, units = read_speakers(text)
        if units == "fraction":
            speakers = {name: _in_pixels(speaker, size) for name, speaker in speakers.items()}
        for name, speaker in speakers.items():
            for number, segment in enumerate(speaker.segments):
                _refuse_late(walk, f"{text}: {name}.segments[{number}]", segment.start, segment.start)
        return speakers, _as_given(str(text), speakers)
    from attnscope.scene.joining.segments import Clock, place

    records, notes = _records(walk, text, "boxes")
    boxes = [record for record in records if isinstance(record, BoxRecord)]
    placed = place(boxes, Clock(times=walk.times.tolist(), duration=walk.duration), size)
    notes += [*placed.notes, *(_left_out(record) for record in placed.left_out)]
    speakers = TypeAdapter(dict[str, Speaker]).validate_python(placed.speakers)
    if placed.box_units == "fraction":
        speakers = {name: _in_pixels(speaker, size) for name, speaker in speakers.items()}
    return speakers, _as_given(str(text), speakers, notes)


def given_speech(walk: Walk, text: str | Path, part: str) -> tuple[list[Stretch], Made]:
    """Stretches of speech from speech.json or a transcript, or turns of any importer.

    Args:
        walk: The clip.
        text: A path, or FORMAT:PATH.
        part: "speech" (when somebody speaks), or "words" (what is said: every stretch has words).

    Raises:
        SceneError: If the file is wrong.
    """
    if part == "speech" and Path(text).suffix.lower() == ".json" and exists(text, SceneError):
        found = [Stretch(row.start, row.end, None, row.speaker) for row in _rows(Path(text))]
        for number, stretch in enumerate(found):
            _refuse_late(walk, f"{text}: [{number}]", stretch.start, stretch.end)
        return found, Made(part, str(text), "as the file says", {}, [_item(stretch) for stretch in found])
    records, notes = _speech_records(walk, text, part)
    found = []
    for record in records:
        words = " ".join(record.text.split()) if record.text else None
        if part == "words" and not words:
            notes.append(f"{record.where}: left out: it has no words")
        elif part == "speech" and (record.start is None or record.end is None):
            notes.append(f"{record.where}: left out: it does not say when")
        else:
            _refuse_late(walk, f"{text}: {record.where}", record.start, record.end)
            text_of = words if part == "words" else None
            found.append(Stretch(record.start, record.end, None, record.speaker, text_of))
    notes += _counts_from(walk, str(text))
    return found, Made(part, str(text), "as the file says", {}, [_item(stretch) for stretch in found], notes)


def _counts_from(walk: Walk, text: str) -> list[str]:
    """A note where sound and picture begin at different times: tools that hear the sound alone count from its start."""
    start = sound_start(walk)
    if start is None or abs(start) <= _PLAYER_LAG:
        return []
    how = f"subtract {seconds(-start)}" if start < 0 else f"add {seconds(start)}"
    when = "before" if start < 0 else "after"
    return [
        f"the sound begins {seconds(abs(start))} s {when} the picture, from which times count; if the times of {text} "
        f"count from the start of the sound, {how} s"
    ]


def _speech_records(walk: Walk, text: str | Path, part: str) -> tuple[list[SpeechRecord], list[str]]:
    if exists(text, SceneError):  # transcripts have rules of their own: names, rolling captions
        from attnscope.scene.importers.speech.transcripts import transcript_and_notes

        turns, notes = transcript_and_notes(Path(text), True)
        records = [
            SpeechRecord(where=f"turn {number}", speaker=turn.speaker, start=turn.start, end=turn.end, text=turn.text)
            for number, turn in enumerate(turns)
        ]
        return records, notes
    found, notes = _records(walk, text, "turns" if part == "speech" else "words")
    return [record for record in found if isinstance(record, SpeechRecord)], notes


def _records(walk: Walk, text: str | Path, use: Literal["boxes", "turns", "words"]) -> tuple[list[Record], list[str]]:
    """What a source has of this clip, and notes: what its importer says, and what it has of other clips.

    A source that names one clip alone is about this one, whatever the name.

    Raises:
        SceneError: If the source names several clips, and none of them is this one.
    """
    from attnscope.scene.importers.sources import source, split
    from attnscope.scene.joining.clips import clip_path

    name, path = split(text)
    if name is None and not exists(path, SceneError) and path.suffix:
        named_format, colon, _ = str(text).partition(":")
        if not colon or "/" in named_format:
            raise SceneError(f"{path}: no such file")
    of_clip: dict[str, list[Record]] = {}
    notes: list[str] = []
    for record in source(text, use).records():
        if isinstance(record, Note):
            notes.append(record.text)
        else:
            of_clip.setdefault(record.clip, []).append(record)
    wanted = clip_path(walk.path.name)[-1]
    here = [clip for clip in of_clip if not clip or clip_path(clip)[-1] == wanted]
    if not here and len(of_clip) == 1:
        here = list(of_clip)
        notes.append(f"{text} calls its clip {show(here[0])}; it is taken for {walk.path.name}")
    if not here and of_clip:
        some = ", ".join(show(clip) for clip in list(of_clip)[:3])
        raise SceneError(f"{text}: none of its {len(of_clip):,} clips is called {show(walk.path.name)}: {some}, ...")
    others = sum(len(records) for clip, records in of_clip.items() if clip not in here)
    if others:
        notes.append(f"{others:,} records of {text} are of other clips")
    found = [record for clip in here for record in of_clip[clip]]
    notes += [_left_out(record) for record in found if isinstance(record, LeftOut)]
    return [record for record in found if not isinstance(record, LeftOut)], notes


def _left_out(record: LeftOut) -> str:
    return f"{record.where}: left out: {record.reason}"


def _refuse_late(walk: Walk, where: str, start: float | None, end: float | None) -> None:
    """Refuse what is after the end of the clip, as `capture` does: the file is probably of another clip.

    Raises:
        SceneError: It begins after the end, or ends more than half a second after it.
    """
    if walk.duration is None or start is None:
        return
    if start >= walk.duration or (start if end is None else end) > walk.duration + END_SLACK:
        until = "" if end is None or end == start else f" to {seconds(end)}"
        raise SceneError(
            f"{where}: {seconds(start)}{until} s is beyond the end of {walk.path.name} at {seconds(walk.duration)} s"
        )


def _item(stretch: Stretch) -> dict[str, Any]:
    return {"start": stretch.start, "end": stretch.end, "speaker": stretch.speaker}


def _rows(path: Path) -> Sequence[_Row]:
    data = read_json(path)
    try:
        return TypeAdapter(list[_Row]).validate_python(data)
    except ValidationError as error:
        raise SceneError(one_line(str(path), error)) from None


def _as_given(text: str, speakers: dict[str, Speaker], notes: Sequence[str] = ()) -> Made:
    items = [{"name": name, "segments": len(speaker.segments)} for name, speaker in speakers.items()]
    return Made("people", text, "as the file says", {}, items, list(notes))


def _in_pixels(speaker: Speaker, size: tuple[int, int]) -> Speaker:
    """A speaker whose boxes are fractions of the frame, with boxes in pixels."""
    scale = (*size, *size)
    segments = []
    for segment in speaker.segments:
        keyframes = []
        for keyframe in segment.keyframes:
            left, top, right, bottom = (edge * side for edge, side in zip(keyframe.xyxy, scale, strict=True))
            keyframes.append(Keyframe(t=keyframe.t, xyxy=(left, top, right, bottom)))
        segments.append(Segment(start=segment.start, end=segment.end, keyframes=keyframes))
    return Speaker(segments=segments)
