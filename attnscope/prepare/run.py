"""Preparing a scene: each part is made or read, one after the other, and all are written as files."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from attnscope._version import __version__
from attnscope.errors import RequestError
from attnscope.files import real_path
from attnscope.files.folders import whole_folder
from attnscope.prepare.given import given_people, given_shots, given_speech
from attnscope.prepare.parts import PARTS, Guess, Made, Person, Shot, Stretch, counted
from attnscope.prepare.segments import speakers_of
from attnscope.progress import Progress
from attnscope.scene import Sampling, Scene, Speaker, read_scene_frames
from attnscope.scene.walk import Walk, open_walk

FILES = ("shots.json", "people.json", "words.json", "speech.json", "prepare.json", "scene.json")  # the scene last
BOXES = ("person", "face")
MOST = 12  # people of a scene, by default


@dataclass(frozen=True)
class Options:
    """What a scene is prepared with; see `prepare_scene`."""

    shots: Path | None = None
    people: str | Path | None = None
    words: str | Path | None = None
    speech: str | Path | None = None
    detector: str | None = None
    recogniser: str | None = None
    boxes: str = "person"
    fps: float = 5.0
    cut: float = 8.0
    most: int = MOST
    frame_rate: float | None = None


@dataclass
class Prepared:
    """What was proposed.

    Attributes:
        scene: The scene's file.
        made: How each part came about, in the order in which they were made.
        speakers: Names of the people with boxes.
        turns: How many turns the scene has.
        notes: What a user should know, one sentence each.

    Example:
        >>> prepared = attnscope.prepare.prepare_scene("clip.mp4", "prepared", only=["shots"])
        >>> prepared.scene.name, [made.part for made in prepared.made]
        ('scene.json', ['shots'])
    """

    scene: Path
    made: list[Made] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    turns: int = 0
    notes: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """A line for each part, then the notes."""
        lines = [str(self.scene)]
        lines += [f"  {made.part}: {made.sure}{f' ({made.made_by})' if made.made_by else ''}" for made in self.made]
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        parts = {made.part: {"made_by": made.made_by, "sure": made.sure} for made in self.made}
        return {
            "scene": str(self.scene),
            "parts": parts,
            "speakers": self.speakers,
            "turns": self.turns,
            "notes": self.notes,
        }


def prepare_scene(
    video: str | Path,
    out: str | Path,
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    shots: str | Path | None = None,
    people: str | Path | None = None,
    words: str | Path | None = None,
    speech: str | Path | None = None,
    detector: str | None = None,
    recogniser: str | None = None,
    boxes: str = "person",
    fps: float = 5.0,
    cut: float = 8.0,
    most: int = MOST,
    frame_rate: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Propose a scene for a clip: shots, people, speech, and a first guess who speaks; all of it is to be edited.

    The parts are "shots", "people", "words", "speech" and "speaking". A part for which a file is given is read from it.
    Words are made only of a file or by a recogniser that is named. Nothing is downloaded unless `detector` or
    `recogniser` names a model of the hub.

    Args:
        video: Video, image or folder of numbered images.
        out: Folder for scene.json, prepare.json and a file of each part; must be new or empty without `force`.
        only: Parts that are made; all if empty.
        without: Parts that are left out.
        shots: A shots.json.
        people: A people.json, a scene, or FORMAT:PATH of an importer of boxes.
        words: A transcript, or FORMAT:PATH of an importer of words.
        speech: A speech.json, or FORMAT:PATH of an importer of turns.
        detector: An object detection model of transformers (folder or name) in place of the face detector.
        recogniser: A Whisper model of transformers (folder or name) that writes down the words.
        boxes: What boxes are around: "person" or "face".
        fps: Frames a second in which people are looked for.
        cut: Score from which a change of the picture is a cut, 0 to 100.
        most: How many people the scene has at most; those seen largest and longest.
        frame_rate: Frames a second of a folder of images.
        force: Replace what an earlier run wrote into the folder, edits included.
        progress: Called with (what, done, total).

    Raises:
        BusyError: Another process is writing the folder.
        InstallError: A package of `attnscope[prepare]` is missing.
        MediaError: The clip cannot be read.
        RequestError: An argument is wrong, or the folder is not empty.

    Example:
        >>> prepared = attnscope.prepare.prepare_scene("clip.mp4", "proposed", only=["shots"])
        >>> attnscope.Scene.read(prepared.scene).video.name
        'clip.mp4'
    """
    video, out = Path(video), Path(out)
    options = Options(
        None if shots is None else Path(shots), people, words, speech, detector, recogniser, boxes, fps, cut, most,
        frame_rate,
    )  # fmt: skip
    parts = _wanted(only, without, options)
    walk = open_walk(video, frame_rate)
    with whole_folder(out, FILES, force=force) as draft:
        work = _Work(walk, options, progress)
        # what is given comes first: a mistake in a file must not cost an hour
        for part in sorted(parts, key=lambda part: getattr(options, part, None) is None):
            getattr(work, part)()
        prepared = work.prepared(out)
        for name, content in work.files(out, prepared).items():
            text = json.dumps(content, indent=1, ensure_ascii=False)
            (draft / name).write_text(text + "\n", encoding="utf-8")
        scene = Scene.read(draft / "scene.json", video=video)
        read_scene_frames(scene, Sampling(frames=1))  # refuses what capture would refuse
    return prepared


def _wanted(only: Collection[str], without: Collection[str], options: Options) -> list[str]:
    """The parts that are made, in order.

    Raises:
        RequestError: An argument is out of range, or two contradict each other.
    """
    for part in (*only, *without):
        if part not in PARTS:
            raise RequestError.of("only", part, f"is not a part; parts: {', '.join(PARTS)}")
    if not 0 < options.fps <= 100:
        raise RequestError.of("fps", options.fps, "is not between 0 and 100")
    if options.most < 1:
        raise RequestError.of("most", options.most, "must be at least 1")
    if options.boxes not in BOXES:
        raise RequestError.of("boxes", options.boxes, f"is not one of {', '.join(BOXES)}")
    if options.boxes == "face" and options.detector is not None:
        raise RequestError.of("boxes", "face", "a detector that is named finds no faces")
    if options.words is not None and options.recogniser is not None:
        raise RequestError.of("recogniser", options.recogniser, "words are given as a file too; give one of them")
    if options.people is not None and options.detector is not None:
        raise RequestError.of("detector", options.detector, "people are given as a file too; give one of them")
    wanted = [part for part in PARTS if (not only or part in only) and part not in without]
    if not wanted:
        raise RequestError("prepare: every part is left out")
    for part in ("shots", "people", "words", "speech"):
        if getattr(options, part) is not None and part not in wanted:
            raise RequestError(f"{part}: {getattr(options, part)} is given, and the part is left out")
    if options.words is None and options.recogniser is None:
        if "words" in only:
            raise RequestError("words: give a file (words) or a recogniser; attnscope has none of its own")
        wanted = [part for part in wanted if part != "words"]
    return wanted


class _Work:
    """A scene in the making; a method for each part."""

    def __init__(self, walk: Walk, options: Options, progress: Progress | None) -> None:
        self._walk, self._options, self._progress = walk, options, progress
        self._shots = [Shot(0.0, walk.end)]
        self._speakers: dict[str, Speaker] = {}
        self._people: list[Person] = []
        self._words: list[Stretch] | None = None
        self._speech: list[Stretch] = []
        self._guesses: list[Guess] = []
        self._made: list[Made] = []

    def shots(self) -> None:
        """Where the picture is cut."""
        from attnscope.prepare.shots import find_shots

        if self._options.shots is not None:
            self._shots, made = given_shots(self._walk, self._options.shots)
        else:
            self._shots, made = find_shots(self._walk, self._options.cut, self._progress)
        self._made.append(made)

    def people(self) -> None:
        """Who is seen where."""
        from attnscope.prepare.people import find_people

        if self._options.people is not None:
            _, _, pixels = next(self._walk.frames([0]))
            size = (pixels.shape[1], pixels.shape[0])
            self._speakers, made = given_people(self._walk, self._options.people, size)
        else:
            given = self._options
            self._people, made = find_people(
                self._walk, self._shots, given.detector, given.fps, given.most, self._progress
            )
            self._speakers = speakers_of(self._people, self._shots, given.fps, of_faces=given.boxes == "face")
        self._made.append(made)

    def words(self) -> None:
        """What is said."""
        if self._options.words is not None:
            self._words, made = given_speech(self._walk, self._options.words, "words")
        else:
            from attnscope.prepare.recogniser import recognise

            self._words, made = recognise(self._walk, str(self._options.recogniser), self._progress)
        self._made.append(made)

    def speech(self) -> None:
        """When somebody speaks."""
        from attnscope.prepare.speech import cut_at, find_speech

        if self._options.speech is not None:
            self._speech, made = given_speech(self._walk, self._options.speech, "speech")
        else:
            found, made = find_speech(self._walk, self._progress)
            self._speech = list(cut_at(found, self._shots))
        self._made.append(made)

    def speaking(self) -> None:
        """Who speaks: in each turn if there are words, else in each stretch of speech."""
        from attnscope.prepare.speaking import guess_speakers

        stretches = self._words if self._words is not None else self._speech
        self._guesses, made = guess_speakers(
            self._walk, stretches, self._speakers, self._people, progress=self._progress
        )
        named = [replace(guess.stretch, speaker=guess.speaker) for guess in self._guesses]
        if self._words is not None:
            self._words = named
        else:
            self._speech = named
        self._made.append(made)

    def prepared(self, out: Path) -> Prepared:
        """What the parts made, in their order, and notes for the user."""
        notes = [f"{made.part}: {note}" for made in self._made for note in made.notes]
        if self._speech and self._words is None:
            notes.append(
                f"speech: {counted(len(self._speech), 'stretch', 'stretches')} without words, so scene.json has no "
                "turns; give a transcript or name a recogniser"
            )
        self._made.sort(key=lambda made: PARTS.index(made.part))
        return Prepared(out / "scene.json", self._made, list(self._speakers), len(self._words or ()), notes)

    def files(self, out: Path, prepared: Prepared) -> dict[str, Any]:
        """The content of each file."""
        speakers = {name: speaker.model_dump(mode="json") for name, speaker in self._speakers.items()}
        turns = [_turn(stretch) for stretch in self._words or ()]
        scene: dict[str, Any] = {
            "video": os.path.relpath(real_path(self._walk.path), real_path(out)),
            "speakers": speakers,
            "transcript": turns,
        }
        if self._walk.kind == "folder" and self._options.frame_rate is not None:
            scene["frame_rate"] = self._options.frame_rate
        record = {
            "attnscope": __version__,
            "video": str(self._walk.path),
            "options": {name: _plain(value) for name, value in asdict(self._options).items()},
            "parts": {made.part: _record(made) for made in self._made},
            "notes": prepared.notes,
        }
        files: dict[str, Any] = {"prepare.json": record, "scene.json": scene}
        done = {made.part for made in self._made}
        if "shots" in done:
            files["shots.json"] = [{"start": shot.start, "end": shot.end} for shot in self._shots]
        if "people" in done:
            files["people.json"] = speakers
        if self._words is not None:
            files["words.json"] = turns
        if "speech" in done:
            files["speech.json"] = [
                {"start": stretch.start, "end": stretch.end, "speaker": stretch.speaker} for stretch in self._speech
            ]
        return files


def _turn(stretch: Stretch) -> dict[str, Any]:
    turn = {"speaker": stretch.speaker, "text": stretch.text, "start": stretch.start, "end": stretch.end}
    return {name: value for name, value in turn.items() if value is not None or name == "speaker"}


def _record(made: Made) -> dict[str, Any]:
    return {"made_by": made.made_by, "sure": made.sure, "settings": made.settings, "found": made.items}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
