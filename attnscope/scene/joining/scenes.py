"""One clip: its records of all sources become a scene, and the questions about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attnscope.errors import AttnscopeError, MediaError, SceneError
from attnscope.scene.importers.sources import Source
from attnscope.scene.joining.clips import Clip, without_suffix
from attnscope.scene.joining.segments import Clock, Placed, place
from attnscope.scene.joining.spool import Spool
from attnscope.scene.joining.tally import Tally, general, left_out
from attnscope.scene.joining.turns import Said, turns
from attnscope.scene.joining.videos import Facts, Videos, facts
from attnscope.scene.names import name_key
from attnscope.scene.records import BoxRecord, QuestionRecord, Record, SampleRecord, SpeechRecord
from attnscope.scene.scene import Scene

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
        video: The one video that sources without clips are about.
        videos: Finds the videos of clips.
        windows: Whether questions keep the part of the clip that they ask about.
        notes: What a user should know: sentence, and the clips that it is said of.
    """

    sources: Sequence[Source]
    spool: Spool
    tally: Tally
    out: Path
    fps: float | None = None
    video: Path | None = None
    videos: Videos | None = None
    windows: bool = True
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
            known = self._facts(clip, path)
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
            scene |= self._speakers(clip, known) | self._transcript(clip, known)
        except SceneError as error:
            raise SceneError(f"{clip.name}: ", *error.args) from None
        has_parts = bool(scene.get("speakers") or scene.get("transcript"))
        if has_parts and known is not None and known.is_folder and self.fps is not None:
            scene["frame_rate"] = self.fps
        checked = Scene.model_validate(
            dict(scene), context={"source": clip.name}
        )  # else the source is wrong as a whole
        for note in checked.notes:
            self.notes.setdefault(note, []).append(clip.name)
        return scene if has_parts else None, self._asked(clip, scene)

    # ---- the video

    def _path(self, clip: Clip) -> Path | None:
        if self.video is not None:
            return self.video
        return None if self.videos is None else self.videos.find(clip.name)

    def _facts(self, clip: Clip, path: Path | None) -> Facts | None:
        """What is known of the video, if there are records that need it."""
        if path is None or next(self.spool.records(clip.numbers, BoxRecord, SpeechRecord), None) is None:
            return None
        return facts(path, self.fps)

    def _written(self, path: Path | None, clip: Clip) -> str:
        """The video as a scene file names it: relative where it lies beside the scenes, else absolute."""
        if path is None:
            return clip.name
        full, base = Path(os.path.realpath(path)), Path(os.path.realpath(self.out))
        if full.is_relative_to(base.parent):
            return Path(os.path.relpath(full, base / "scenes")).as_posix()
        return str(full)

    # ---- boxes and speech

    def _speakers(self, clip: Clip, known: Facts | None) -> dict[str, Any]:
        of: dict[int, int] = {}
        boxes = []
        for source, record in self.spool.records(clip.numbers, BoxRecord):
            box = replace(record, track=f"{source}:{record.track}")  # tracks of two sources are two
            of[id(box)] = source
            boxes.append(box)
        if not boxes:
            return {}
        times = None if known is None else known.times
        clock = Clock(self.fps, times, None if known is None else known.duration)
        placed: Placed = place(boxes, clock, None if known is None else (known.width, known.height))
        self._count(placed.rejected, of, "box", placed.imported, placed.notes, clip)
        return {"speakers": placed.speakers, "box_units": placed.box_units}

    def _transcript(self, clip: Clip, known: Facts | None) -> dict[str, Any]:
        of: dict[int, int] = {}
        speech, spans = list[SpeechRecord](), list[SpeechRecord]()
        has_words = any(self.sources[source].use == "words" for source in clip.sources)
        ignored = set()
        for source, record in self.spool.records(clip.numbers, SpeechRecord):
            of[id(record)] = source
            use = self.sources[source].use
            is_span = record.text is None or (use == "turns" and has_words)
            if is_span and record.text is not None:
                ignored.add(source)
            (spans if is_span else speech).append(record)
        if not speech and not spans:
            return {}
        if len({of[id(record)] for record in speech}) > 1:
            speech.sort(key=lambda record: record.start if record.start is not None else float("-inf"))
        said: Said = turns(speech, spans, None if known is None else known.duration)
        for source in sorted(ignored):
            said.notes.append(f"the words of {self.sources[source].title} do not count beside those given as words")
        self._count(said.rejected, of, "turn", said.imported, said.notes, clip)
        self.tally.keep("word", said.words)
        return {"transcript": said.turns}

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
        for note in notes:
            self.notes.setdefault(note, []).append(clip.name)

    def leave(self, numbers: Sequence[int], reason: str) -> None:
        """Leave out all records of some names of the spool."""
        for source, record in self.spool.records(numbers, *_WHAT):
            self.tally.leave(source, left_out(record, _WHAT[type(record)], reason, _name(record)))

    # ---- questions

    def _asked(self, clip: Clip, scene: Mapping[str, Any]) -> Iterator[Asked]:
        number = 0
        for source, record in self.spool.records(clip.numbers, QuestionRecord, SampleRecord):
            what, name = _WHAT[type(record)], without_suffix(Path(clip.name).name)
            question = question_fields(record, self.windows)
            whole, checked = dict(scene), {"video": scene["video"]}  # the rest of `scene` is checked already
            if isinstance(record, SampleRecord):
                name = record.scene_name
                checked = whole = dict(record.scene) | whole  # other sources replace what they give
            reason = _unfit(question)
            if reason is None:
                try:
                    Scene.model_validate(checked | question)
                except AttnscopeError as error:
                    reason = f"its scene is wrong: {general(str(error).removeprefix('scene: '))}"
            if reason is not None:
                self.tally.leave(source, left_out(record, what, reason, _name(record)))
                continue
            number += 1
            self.tally.keep(what)
            yield Asked(record.id or f"{name}, {number}", name, whole | question)


def question_fields(record: QuestionRecord, windows: bool = True) -> dict[str, Any]:
    """What a scene says of its question."""
    fields: dict[str, Any] = {"question": record.question, "options": list(record.options), "answer": record.answer}
    if windows and record.window is not None:
        fields["window"] = list(record.window)
    return fields | {"fields": dict(record.fields)}


def _unfit(question: Mapping[str, Any]) -> str | None:
    """Why a question cannot be scored."""
    if not str(question["question"] or "").strip():
        return "it has no question"
    options = {name_key(str(option)) for option in question["options"]}
    if len(options) < len(question["options"]):
        return "two of its options are equal"
    if len(options) < 2:
        return "it has fewer than two options"
    if question["answer"] is None:
        return "it has no answer"
    return None if name_key(str(question["answer"])) in options else "its answer is none of the options"


def _name(record: Record) -> str:
    """What else identifies a record: its id, its speaker."""
    return next((str(value) for at in ("id", "name", "speaker") if (value := getattr(record, at, None))), "")
