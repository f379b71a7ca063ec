"""One clip: its records of all sources become a scene, and the questions about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from attnscope.errors import Argument, AttnscopeError, MediaError, SceneError
from attnscope.scene.frames import END_SLACK
from attnscope.scene.importers.sources import Source
from attnscope.scene.joining.boxes import Clock, Size
from attnscope.scene.joining.clips import Clip, without_suffix
from attnscope.scene.joining.origins import moved, origin, told
from attnscope.scene.joining.segments import Placed, place
from attnscope.scene.joining.spool import Spool
from attnscope.scene.joining.tally import Tally, general, left_out
from attnscope.scene.joining.turns import Said, in_order, turns
from attnscope.scene.joining.videos import Facts, Videos, facts
from attnscope.scene.media import check_against
from attnscope.scene.names import name_key
from attnscope.scene.records import BoxRecord, QuestionRecord, Record, SampleRecord, SpeechRecord
from attnscope.scene.scene import Scene

_RATES_DIFFER = 0.05
_WHAT = {BoxRecord: "box", SpeechRecord: "turn", QuestionRecord: "question", SampleRecord: "sample"}


@dataclass
class Asked:
    """A question that is imported.

    Attributes:
        id: Its name in the source, or one made of the clip's.
        scene_name: What the file of its scene is called.
        scene: All fields of its scene.
    """

    id: str
    scene_name: str
    scene: dict[str, Any]


@dataclass
class Assembly:
    """What is the same for all clips of an import.

    Attributes:
        sources: Where the records come from.
        spool: The records.
        tally: Counts them.
        out: The folder of the scenes, from whose `scenes/` videos are named.
        fps: Frames a second of frame numbers and folders of frames.
        size: Width and height of the picture that boxes in pixels are of; None if that is the video's.
        video: The one video that sources without clips are about.
        videos: Finds the videos of clips.
        shift: Whether times that count from the sound or the file are moved to those of the pictures.
        windows: Whether questions keep the part of the clip that they ask about.
        notes: What a user should know: sentence, and the clips that it is said of.
    """

    sources: Sequence[Source]
    spool: Spool
    tally: Tally
    out: Path
    fps: float | None = None
    size: Size | None = None
    video: Path | None = None
    videos: Videos | None = None
    windows: bool = True
    shift: bool = True
    notes: dict[str, list[str]] = field(default_factory=dict)

    def clip(self, clip: Clip) -> tuple[dict[str, Any] | None, Iterator[Asked]]:
        """The scene of a clip, None if no source has boxes or speech of it, and the questions about it.

        Raises:
            MediaError: If the one video cannot be read.
            SceneError: If times cannot be made of its frames, units are wrong, or names cannot be told apart.
        """
        path = known = None
        try:
            path = self._path(clip)
            known = None if path is None else facts(path, self.fps)
            missing = "" if path is not None or self.videos is None else f"its video is not in {self.videos.folder}"
        except (MediaError, SceneError) as error:
            if self.video is not None:
                raise
            missing = general(str(error).removeprefix(f"{path}: "))
        if missing:
            self.leave(clip.numbers, missing)
            return None, iter(())
        scene: dict[str, Any] = {"video": self._written(path, clip)}
        try:
            zeros = self._origins(clip, known)
            scene |= self._speakers(clip, known, zeros)
            scene |= self._transcript(clip, known, zeros, list(scene.get("speakers", ())))
            has_parts = bool(scene.get("speakers") or scene.get("transcript"))
            if has_parts and known is not None and known.is_folder and self.fps is not None:
                scene["frame_rate"] = self.fps
            self._check_rate(clip, known, scene)
            checked = Scene.model_validate(dict(scene))  # else a source is wrong as a whole
        except SceneError as error:
            if str(error).startswith(f"{clip.name}: "):
                raise
            raise SceneError(f"{clip.name}: {str(error).removeprefix('scene: ')}") from None
        for turn, spelled in zip(scene.get("transcript", ()), checked.transcript, strict=True):
            if spelled.speaker is not None:
                turn["speaker"] = spelled.speaker  # as the boxes spell it
        self._note(checked.notes, clip)
        return scene if has_parts else None, self._asked(clip, scene, known)

    # ---- the video

    def _path(self, clip: Clip) -> Path | None:
        if self.video is not None:
            return self.video
        return None if self.videos is None else self.videos.find(clip.fullest)

    def _written(self, path: Path | None, clip: Clip) -> str:
        """The video as a scene file names it: relative where it lies beside the scenes, else absolute."""
        if path is None:
            return clip.name
        full, base = Path(os.path.realpath(path)), Path(os.path.realpath(self.out))
        if full.is_relative_to(base.parent):
            return Path(os.path.relpath(full, base / "scenes")).as_posix()
        return str(full)

    # ---- boxes and speech

    def _speakers(self, clip: Clip, known: Facts | None, zeros: Mapping[int, float]) -> dict[str, Any]:
        of: dict[int, int] = {}
        boxes = []
        for source, record in self.spool.records(clip.numbers, BoxRecord):
            box = moved(record, zeros[source])
            box = replace(box, track=f"{source}:{box.track}")  # tracks of two sources are two
            of[id(box)] = source
            boxes.append(box)
        if not boxes:
            return {}
        self._check_units(boxes, of)
        known_times = None if known is None else known.times
        clock = Clock(self.fps, known_times, None if known is None else known.duration)
        placed: Placed = place(boxes, clock, None if known is None else known.size, self.size)
        own = None if known is None else known.rate
        is_counted = any(box.time is None for box in boxes)
        if is_counted and self.fps is not None and own is not None and abs(own / self.fps - 1) > _RATES_DIFFER:
            placed.notes.append(f"frames are counted at {self.fps:g} a second, and the video has {own:.4g}")
        self._count(placed.rejected, of, "box", placed.imported, placed.notes, clip)
        return {"speakers": placed.speakers, "box_units": placed.box_units}

    def _check_units(self, boxes: Sequence[BoxRecord], of: Mapping[int, int]) -> None:
        """Refuse a source whose pixels can only be fractions.

        Raises:
            SceneError: Naming the source.
        """
        largest: dict[int, float] = {}
        for box in boxes:
            if box.units == "pixels" and not box.ends:
                size = max((abs(value) for value in box.xyxy if isfinite(value)), default=0.0)
                largest[of[id(box)]] = max(largest.get(of[id(box)], 0.0), size)
        for source, size in largest.items():
            if 0 < size <= 1:
                given = self.sources[source]
                hint = "; its option units=fraction says so" if "units" in given.importer.options else ""
                raise SceneError(
                    f"{given.title}: every box lies within 0..1, so they are fractions of the picture, not pixels{hint}"
                )

    def _transcript(
        self, clip: Clip, known: Facts | None, zeros: Mapping[int, float], names: Sequence[str]
    ) -> dict[str, Any]:
        of: dict[int, int] = {}
        speech, spans = list[tuple[int, SpeechRecord]](), list[tuple[int, SpeechRecord]]()
        has_words = any(self.sources[source].use == "words" for source in clip.sources)
        ignored = set()
        for source, given in self.spool.records(clip.numbers, SpeechRecord):
            record = moved(given, zeros[source])
            of[id(record)] = source
            use = self.sources[source].use
            is_span = record.text is None or (use == "turns" and has_words)
            if is_span and record.text is not None:
                ignored.add(source)
            (spans if is_span else speech).append((source, record))
        if not speech and not spans:
            return {}
        ordered, differs = in_order(speech)
        said: Said = turns(ordered, [span for _, span in spans], None if known is None else known.duration, names)
        if differs and len({source for source, _ in speech}) == 1:
            said.notes.append("its turns stand in the order of their beginnings, which is not that of the source")
        for source in sorted(ignored):
            said.notes.append(f"the words of {self.sources[source].title} do not count beside those given as words")
        self._count(said.rejected, of, "turn", said.imported, said.notes, clip)
        self.tally.keep("word", said.words)
        return {"transcript": said.turns}

    def _origins(self, clip: Clip, known: Facts | None) -> dict[int, float]:
        """When the zero of each source is, in seconds from the first picture of a video."""
        if known is None or not self.shift:
            return dict.fromkeys(clip.sources, 0.0)
        zeros = {}
        for source in sorted(clip.sources):
            importer = self.sources[source].importer
            zeros[source] = seconds = origin(importer, known.sound)
            self._note(told(importer, seconds), clip)
        return zeros

    def _count(
        self,
        rejected: Sequence[tuple[Record, str]],
        of: Mapping[int, int],
        what: str,
        imported: int,
        notes: Sequence[str],
        clip: Clip,
    ) -> None:
        self.tally.keep(what, imported)
        for record, reason in rejected:
            name = getattr(record, "name", None) or getattr(record, "speaker", None) or ""
            left = replace(left_out(record, what, reason, name), clip=record.clip or clip.name)
            self.tally.leave(of[id(record)], left)
        self._note(notes, clip)

    def _note(self, notes: Sequence[str], clip: Clip) -> None:
        for note in dict.fromkeys(notes):
            clips = self.notes.setdefault(note, [])
            if not clips or clips[-1] != clip.name:
                clips.append(clip.name)

    def leave(self, numbers: Sequence[int], reason: str) -> None:
        """Leave out all records of some names of the spool."""
        for source, record in self.spool.records(numbers, *_WHAT):
            self.tally.leave(source, left_out(record, _WHAT[type(record)], reason, _name(record)))

    # ---- questions

    def _check_rate(self, clip: Clip, known: Facts | None, scene: Mapping[str, Any]) -> None:
        """Refuse times of a folder of frames that has no clock.

        Raises:
            SceneError: Naming the clip.
        """
        is_timed = any(scene.get(name) for name in ("speakers", "transcript", "window"))
        if known is not None and known.is_folder and is_timed and scene.get("frame_rate") is None:
            raise SceneError(
                f"{clip.name}: is a folder of frames, which has no clock: state its frames a second with ",
                Argument("fps"),
            )

    def _asked(self, clip: Clip, scene: Mapping[str, Any], known: Facts | None) -> Iterator[Asked]:
        number = cut = 0
        for source, record in self.spool.records(clip.numbers, QuestionRecord, SampleRecord):
            what, name = _WHAT[type(record)], without_suffix(Path(clip.name).name)
            question = question_fields(record, self.windows)
            whole, checked = dict(scene), {"video": scene["video"]}  # the rest of `scene` is checked already
            if isinstance(record, SampleRecord):
                name = record.scene_name
                checked = whole = dict(record.scene) | whole  # other sources replace what they give
                if known is not None and known.is_folder and self.fps is not None:
                    whole["frame_rate"] = self.fps
            self._check_rate(clip, known, whole | question)
            at_rate = None if known is None else known.at_rate(whole.get("frame_rate"))
            reason = unfit(question) or _late(question, at_rate) or _wrong(checked | question, at_rate)
            if reason:
                self.tally.leave(source, left_out(record, what, reason, _name(record)))
                continue
            cut += cut_window(question, None if at_rate is None else at_rate.duration)
            number += 1
            self.tally.keep(what)
            yield Asked(record.id or f"{name}, {number}", name, whole | question)
        if cut:
            whose = "part of 1 question ends" if cut == 1 else f"parts of {cut:,} questions end"
            self._note([f"the {whose} after the video, and {'is' if cut == 1 else 'are'} cut at its end"], clip)


def question_fields(record: QuestionRecord, windows: bool = True) -> dict[str, Any]:
    """What a scene says of its question."""
    fields: dict[str, Any] = {"question": record.question, "options": list(record.options), "answer": record.answer}
    if windows and record.window is not None:
        fields["window"] = list(record.window)
    return fields | {"fields": dict(record.fields)}


def unfit(question: Mapping[str, Any]) -> str:
    """Why a question cannot be scored; "" if it can."""
    if not str(question["question"] or "").strip():
        return "it has no question"
    options = {name_key(str(option)) for option in question["options"]}
    if len(options) < len(question["options"]):
        return "two of its options are equal"
    if len(options) < 2:
        return "it has fewer than two options"
    if question["answer"] is None:
        return "it has no answer"
    return "" if name_key(str(question["answer"])) in options else "its answer is none of its options"


def cut_window(question: dict[str, Any], duration: float | None) -> bool:
    """End the part that is asked about with the video, as sampling allows for rounding; whether it was longer."""
    if duration is None or "window" not in question or question["window"][1] <= duration + END_SLACK:
        return False
    question["window"][1] = duration
    return True


def _late(question: Mapping[str, Any], known: Facts | None) -> str:
    """Why the part that is asked about cannot be shown; "" if it can."""
    if known is None or "window" not in question:
        return ""
    if known.frames.kind == "image":
        return "it asks about a part, and an image has none"
    is_late = known.duration is not None and question["window"][0] >= known.duration
    return "its part begins after the end of the video" if is_late else ""


def _wrong(scene: dict[str, Any], known: Facts | None) -> str:
    """What is wrong with the scene of a question, without its values; "" if nothing is."""
    try:
        checked = Scene.model_validate(scene)
        if known is not None and known.duration is not None:
            check_against(checked, known.frames)
    except AttnscopeError as error:
        return f"its scene is wrong: {general(str(error).removeprefix('scene: '))}"
    return ""


def _name(record: Record) -> str:
    """What else identifies a record: its id, its speaker."""
    return next((str(value) for at in ("id", "name", "speaker") if (value := getattr(record, at, None))), "")
