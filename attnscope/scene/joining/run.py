"""Importing: sources are read once into a spool, and each clip becomes a scene and its questions."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attnscope._version import __version__
from attnscope.errors import RequestError, SceneError
from attnscope.files import exists, is_folder, real_path
from attnscope.files.folders import whole_folder
from attnscope.progress import Progress
from attnscope.scene.importers.registry import Yield
from attnscope.scene.importers.sources import Source, check_settings, source
from attnscope.scene.joining.clips import Clip, clip_path, clips, without_suffix
from attnscope.scene.joining.scenes import Assembly
from attnscope.scene.joining.spool import Spool
from attnscope.scene.joining.tally import Tally, sentences
from attnscope.scene.joining.videos import Videos
from attnscope.scene.manifests.fields import MANIFEST, SCENES
from attnscope.scene.manifests.writing import ManifestWriter
from attnscope.scene.problems import show
from attnscope.scene.records import BoxRecord, LeftOut, Note, QuestionRecord, Record, SpeechRecord

logger = logging.getLogger("attnscope")
Sources = str | Path | Sequence[str | Path]
LEFT_OUT, RECORD = "left-out.csv", "import.json"
PARTS = (SCENES, LEFT_OUT, RECORD, MANIFEST)  # the manifest last: where it is, all is
_WANTED: dict[Yield | None, tuple[type[Record], tuple[str, ...]]] = {  # record, and what is said of those left out
    "boxes": (BoxRecord, ("box",)),
    "turns": (SpeechRecord, ("turn", "word")),
    "words": (SpeechRecord, ("turn", "word")),
    "questions": (QuestionRecord, ("question",)),
}
_OFTEN = 1000  # records between two words about progress
_MOST = 5  # names in one sentence
_MOST_NAMES = 10_000


@dataclass(frozen=True)
class Imported:
    """What an import gave.

    Attributes:
        manifest: The questions, one a line; the scenes, if there are no questions.
        scenes: How many scene files there are.
        questions: How many questions there are.
        clips: How many clips the sources have, also those that are left out.
        counts: Of each kind of record: `records`, `imported`, `left_out`, and `reasons` with their numbers.
        notes: What a user should know, one sentence each.

    Example:
        >>> imported = attnscope.scene.import_scenes("imported", turns="clip.srt", video="clip.mp4")
        >>> imported.scenes, imported.summary()[0]
        (1, 'turns: imported 3')
    """

    manifest: Path
    scenes: int
    questions: int
    clips: int
    counts: dict[str, dict[str, Any]]
    notes: list[str]

    def summary(self) -> list[str]:
        """The counts for people, one line for each kind of record."""
        return sentences(self.counts)


def import_scenes(
    out: str | Path,
    sources: Sources = (),
    *,
    boxes: Sources = (),
    turns: Sources = (),
    words: Sources = (),
    questions: Sources = (),
    video: str | Path | None = None,
    videos: str | Path | None = None,
    fps: float | None = None,
    size: tuple[float, float] | None = None,
    windows: bool = True,
    shift: bool = True,
    settings: Sequence[str] | Mapping[str, Any] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Make scenes and a manifest of data sets and of what other tools wrote; docs/import.md has the rules.

    A source is a path whose suffix tells the format, or `FORMAT:PATH`. Sources are joined by the names of their clips.

    Args:
        out: Folder for `scenes/`, `manifest.jsonl`, `left-out.csv` and `import.json`; it must be new or empty.
        sources: All that these give is imported.
        boxes: Sources of boxes.
        turns: Sources of who speaks when; of what is said, too, if there are no `words`.
        words: Sources of what is said when; `turns` tell who says it, if there are any.
        questions: Sources of questions.
        video: The video that all sources are about.
        videos: Folder in which the videos of clips are found by name; a clip without one is left out.
        fps: Frames a second of boxes that have numbers of frames, and of folders of frames; the video's own if None.
        size: Width and height of the picture that boxes in pixels are of, if that is not the video's.
        windows: Keep which part of its clip a question asks about, so that frames are taken from there.
        shift: Move times that count from the beginning of the sound or of the file to those of the pictures.
        settings: Options of formats: `NAME=VALUE` or `FORMAT.NAME=VALUE`, or a mapping.
        force: Replace an import that the folder holds.
        progress: Called with (what, done, total).

    Raises:
        BusyError: If another process is writing the folder.
        RequestError: If an argument or a source is wrong. Single records that are wrong are left out and counted.
        RunError: If the disk is full. Nothing is left then.

    Example:
        >>> imported = attnscope.scene.import_scenes("joined", turns="subtitles:clip.srt", video="clip.mp4")
        >>> imported.manifest.as_posix(), imported.counts["turn"]["left_out"]
        ('joined/manifest.jsonl', 0)
    """
    given = _sources(settings, {None: sources, "boxes": boxes, "turns": turns, "words": words, "questions": questions})
    if video is not None and videos is not None:
        raise RequestError.of("videos", str(videos), "is given beside a video; give one of them")
    if video is not None and not exists(video):
        raise SceneError(f"{video}: no such file")
    if fps is not None and not 0 < fps <= 1000:
        raise RequestError.of("fps", fps, "must be above 0 and at most 1000")
    if size is not None and not (len(size) == 2 and all(0 < side <= 1e6 for side in size)):
        raise RequestError.of("size", size, "is no width and height of a picture")
    found = None if videos is None else Videos(videos)
    out, film = Path(out), None if video is None else real_path(video)
    with whole_folder(out, PARTS, force=force) as draft:
        spool = Spool(draft / "spool.sqlite")
        try:
            with (draft / LEFT_OUT).open("w", encoding="utf-8", newline="") as file:
                tally = Tally.to(file, [of.title for of in given])
                assembly = Assembly(given, spool, tally, out, fps, size, film, found, windows, shift)
                notes = _read(given, spool, tally, film, fps, progress)
                imported = _write(assembly, draft, notes, progress)
        finally:
            spool.close()
        document = _record(
            given,
            imported,
            {"video": video, "videos": videos, "fps": fps, "size": size, "windows": windows, "shift": shift},
        )
        (draft / RECORD).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return replace(imported, manifest=out / MANIFEST)


def _sources(settings: Sequence[str] | Mapping[str, Any], by_use: Mapping[Yield | None, Sources]) -> list[Source]:
    """All sources, in the order in which they are read.

    Raises:
        RequestError: If there is none, or one is wrong.
    """
    given = []
    for use, several in by_use.items():
        for text in [several] if isinstance(several, str | Path) else several:
            given.append(source(text, use, settings))
    if not given:
        raise SceneError("import: names no source")
    check_settings([of.importer for of in given], settings)
    return given


def _read(
    sources: Sequence[Source],
    spool: Spool,
    tally: Tally,
    video: Path | None,
    fps: float | None,
    progress: Progress | None,
) -> list[str]:
    """Put the records of all sources into the spool; what is left out there is counted; notes come back."""
    notes: list[str] = []
    people: dict[str, None] = {}  # who has boxes, which tells speakers in brackets from sounds
    read = 0
    for number, of in enumerate(sources):
        stem = of.path.name if is_folder(of.path) else of.path.stem
        own = stem if video is None else without_suffix(video.name)  # what a source is about that names no clip
        unwanted, timed, counted = 0, 0, 0
        for record in of.records(people):
            read += 1
            if progress is not None and read % _OFTEN == 0:
                progress("reading records", read, 0)
            if isinstance(record, Note):
                notes.append(record.text)
            elif not _is_wanted(record, of.use):
                unwanted += 1
            elif isinstance(record, LeftOut):
                tally.leave(number, record)
            else:
                if isinstance(record, BoxRecord):
                    timed, counted = timed + (record.time is not None), counted + (record.time is None)
                    if len(people) < _MOST_NAMES:
                        people[record.name] = None
                spool.add(number, record if record.clip else replace(record, clip=own))
        if fps is not None and timed and not counted:
            notes.append(
                f"{of.title}: its boxes have times of their own; the {fps:g} frames a second do not count for them"
            )
        if unwanted:
            verb = "record is" if unwanted == 1 else "records are"
            notes.append(f"{of.title}: {unwanted:,} {verb} not {of.use}, for which it is given")
    spool.finish()
    if not spool.names:
        raise SceneError(
            f"{', '.join(of.title for of in sources)}: no record can be imported{_why(tally)}"
            + "".join(f"; {note}" for note in notes)
        )
    return notes


def _why(tally: Tally) -> str:
    lines = sentences(tally.counts())
    return f" ({'; '.join(lines)})" if lines else ""


def _is_wanted(record: Record, use: Yield | None) -> bool:
    if use not in _WANTED:
        return True
    kind, left = _WANTED[use]
    return record.what in left if isinstance(record, LeftOut) else isinstance(record, kind)


def _write(assembly: Assembly, draft: Path, notes: list[str], progress: Progress | None) -> Imported:
    """Go through the clips, and write their scenes and questions."""
    tally = assembly.tally
    joined = _joined(assembly, notes)
    writer = ManifestWriter(draft)
    silent: list[tuple[str, str]] = []  # scenes that nobody asks about
    for number, clip in enumerate(joined):
        if progress is not None:
            progress("clips", number, len(joined))
        scene, asked = assembly.clip(clip)
        lines = writer.lines
        for question in asked:
            path = writer.scene(question.scene_name, question.scene)
            writer.line(question.id, path, question.scene)
        if scene is not None and writer.lines == lines:
            name = without_suffix(Path(clip.name).name)
            silent.append((name, writer.scene(name, scene)))
    questions = writer.lines
    if not questions:
        for name, path in silent:
            writer.line(name, path, {})
    elif silent:
        some = _some([name for name, _ in silent], "scene")
        notes.append(f"nobody asks about {some}; only questions are in the manifest")
    writer.close()
    if writer.renamed:
        some = ", ".join(writer.renamed[:_MOST]) + (", ..." if len(writer.renamed) > _MOST else "")
        who = "1 question has" if len(writer.renamed) == 1 else f"{len(writer.renamed):,} questions have"
        notes.append(f"{who} the id of another one, and got a number: {some}")
    if not writer.scenes:
        raise SceneError(f"no scene is left{_why(tally)}" + "".join(f"; {note}" for note in notes))
    notes += [_of_clips(note, names, len(joined)) for note, names in assembly.notes.items()]
    if assembly.video is None and assembly.videos is None:
        for of in assembly.sources if assembly.shift else ():
            if of.importer.counts_from != "picture":
                whose = f"times of {of.importer.name} count from the beginning of the {of.importer.counts_from}"
                notes.append(f"{whose}, which without the video is taken to be that of the picture")
        notes.append("no video was looked for: scenes name theirs as the sources do")
    return Imported(draft / MANIFEST, writer.scenes, questions, len(joined), tally.counts(), notes)


def _joined(assembly: Assembly, notes: list[str]) -> list[Clip]:
    """The clips, and notes about those that not all sources have."""
    spool, sources = assembly.spool, assembly.sources
    titles = [of.title for of in sources]
    if assembly.video is not None:
        return [_of_video(assembly, notes)]
    joined = clips(spool.names, titles)
    if len(sources) > 1:
        for number, title in enumerate(titles):
            alone = [clip.name for clip in joined if clip.sources == {number}]
            if alone:
                notes.append(f"{_some(alone, 'clip')} {'are' if len(alone) > 1 else 'is'} in {title} alone")
    return joined


def _of_video(assembly: Assembly, notes: list[str]) -> Clip:
    """All names are one clip, that of the video.

    Raises:
        SceneError: If a source has several clips, none of which is called as the video.
    """
    spool, sources, video = assembly.spool, assembly.sources, assembly.video
    assert video is not None
    wanted = clip_path(video.name)[-1]
    clip = Clip(video.name, video.name)
    for number, of in enumerate(sources):
        names = [(at, name) for at, (source, name) in enumerate(spool.names) if source == number]
        fits = [at for at, name in names if clip_path(name)[-1] == wanted]
        if not fits and len(names) == 1:
            fits = [names[0][0]]
            note = f"{of.title} calls its clip {show(names[0][1])}; it is taken for {video.name}"
            notes += [note] if note not in notes else []  # one file may be given twice
        if not fits and names:
            some = ", ".join(show(name) for _, name in names[:3]) + (", ..." if len(names) > 3 else "")
            raise SceneError(f"{of.title}: none of its {len(names):,} clips is called {show(video.name)}: {some}")
        clip.numbers += fits
        clip.sources |= {number} if fits else set()
        for at, _ in names:
            if at not in fits:
                assembly.leave([at], f"it is of another clip than {video.name}")
    return clip


def _some(names: Sequence[str], what: str) -> str:
    """`3 scenes (a, b, c)`."""
    shown = ", ".join(names[:_MOST]) + (", ..." if len(names) > _MOST else "")
    return f"{len(names):,} {what}{'s' * (len(names) > 1)} ({shown})"


def _of_clips(note: str, names: Sequence[str], count: int) -> str:
    if count == 1:
        return note
    more = f" and {len(names) - 1:,} more clips" if len(names) > 1 else ""
    return f"{names[0]}{more}: {note}"


def _record(sources: Sequence[Source], imported: Imported, options: Mapping[str, Any]) -> dict[str, Any]:
    """import.json."""
    return {
        "attnscope": __version__,
        "sources": [
            {"format": of.importer.name, "path": str(of.path), "use": of.use or "all"}
            | {
                "options": {
                    name: str(value) if isinstance(value, Path) else value for name, value in of.options.items()
                }
            }
            for of in sources
        ],
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
        "clips": imported.clips,
        "scenes": imported.scenes,
        "questions": imported.questions,
        "counts": imported.counts,
        "notes": imported.notes,
    }
