"""`attnscope import`: scenes from data sets, and from what annotation tools, recognisers and diarisation write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import one_of
from attnscope_cli._common import print_entries, print_json, print_lines, progress_bar, setup_logging
from attnscope_cli._options import OutDir, OutputOptions, Videos, option

if TYPE_CHECKING:
    from attnscope.scene import Imported
    from attnscope.scene.importers.registry import Importer

_PARTS = "What is joined (FORMAT:PATH, or a path whose suffix tells the format)"
_CLIPS = "Clips"
Sources = list[str] | None


def run(
    format: Annotated[
        str | None,
        typer.Argument(
            metavar="FORMAT", help="Format of SOURCE; --list names all.", autocompletion=one_of(_choices.IMPORTERS)
        ),
    ] = None,
    source: Annotated[
        list[Path] | None, typer.Argument(metavar="SOURCE", help="Files or folders; all that they give is imported.")
    ] = None,
    out: OutDir = Path("scenes"),
    *,
    boxes: Annotated[Sources, option("Where people are; may be repeated.", "SOURCE", panel=_PARTS)] = None,
    turns: Annotated[
        Sources,
        option("Who speaks when, and what, if --words has no words; may be repeated.", "SOURCE", panel=_PARTS),
    ] = None,
    words: Annotated[Sources, option("What is said when; may be repeated.", "SOURCE", panel=_PARTS)] = None,
    questions: Annotated[
        Sources, option("What is asked, with options and answers; may be repeated.", "SOURCE", panel=_PARTS)
    ] = None,
    video: Annotated[Path | None, option("The video that all sources are about.", "FILE", panel=_CLIPS)] = None,
    videos: Videos = None,
    fps: Annotated[
        float | None,
        option(
            "Frames a second of boxes with numbers of frames, and of folders of frames; the video's own if not given.",
            "RATE",
            panel=_CLIPS,
        ),
    ] = None,
    size: Annotated[
        str | None,
        option("Picture that boxes in pixels are of, if that is not the video's: 1920x1080.", "SIZE", panel=_CLIPS),
    ] = None,
    windows: Annotated[
        bool,
        option(
            "Keep which part of its clip a question asks about; frames are then taken from there.",
            None,
            "--windows/--no-windows",
            panel=_CLIPS,
        ),
    ] = True,
    shift: Annotated[
        bool,
        option(
            "Move times that count from the beginning of the sound or of the file to those of the pictures.",
            None,
            "--shift/--no-shift",
            panel=_CLIPS,
        ),
    ] = True,
    set: Annotated[
        list[str] | None,
        option("An option of a format, NAME=VALUE or FORMAT.NAME=VALUE; may be repeated.", "NAME=VALUE"),
    ] = None,
    list_: Annotated[bool, option("List the formats with their options, and import nothing.", None, "--list")] = False,
    output: OutputOptions,
) -> None:
    """Make scenes and a manifest of a data set, or of boxes, speech and questions that different tools wrote.

    Writes scenes/, manifest.jsonl for `attnscope eval`, left-out.csv (every record that is not imported, and why) and
    import.json. Sources are joined by the names of their clips. `docs/import.md` has the rules.

    Example: `attnscope import --boxes cvat:tracks.xml --turns rttm:talk.rttm --words whisperx:talk.json
    --video clip.mp4 -o scenes/`
    """
    setup_logging(output.quiet)
    if list_:
        _list(output.json)
        return
    from attnscope.scene import import_scenes

    with progress_bar(output.quiet) as progress:
        imported = import_scenes(
            out,
            _all(format, source or []),
            boxes=boxes or (),
            turns=turns or (),
            words=words or (),
            questions=questions or (),
            video=video,
            videos=videos,
            fps=fps,
            size=_size(size),
            windows=windows,
            shift=shift,
            settings=set or (),
            force=output.force,
            progress=progress,
        )
    print_json(_document(imported)) if output.json else _print(imported, output.quiet)


def _all(format: str | None, paths: list[Path]) -> list[str]:
    """The sources of which all is imported.

    Raises:
        RequestError: If there is a format and no source.
    """
    if format is None:
        return []
    if not paths:
        raise RequestError(f"import {format}: names no SOURCE")
    from attnscope.scene.importers.sources import named

    return [f"{named(format).name}:{path}" for path in paths]


def _size(text: str | None) -> tuple[float, float] | None:
    """Width and height.

    Raises:
        RequestError: If the text is anything else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})\s*[x\u00d7]\s*(\d{1,6})", text.strip(), re.IGNORECASE)
    if match is None:
        raise RequestError(f'--size "{text}": is not a width and a height like 1920x1080')
    return float(match[1]), float(match[2])


def _document(imported: Imported) -> dict[str, Any]:
    return {
        "manifest": str(imported.manifest),
        "clips": imported.clips,
        "scenes": imported.scenes,
        "questions": imported.questions,
        "counts": imported.counts,
        "notes": imported.notes,
    }


def _print(imported: Imported, quiet: bool) -> None:
    """What was imported, what was not, and what a user should know."""
    if not quiet:
        print_lines(*imported.summary(), *imported.notes)
    print_lines(imported.manifest)


# ---- --list


def _list(json: bool) -> None:
    """Every format."""
    from attnscope.scene.importers import sources  # noqa: F401 - it knows every format
    from attnscope.scene.importers.registry import IMPORTERS

    formats = [_format(IMPORTERS[name], IMPORTERS.plugin(name)) for name in sorted(IMPORTERS)]
    if json:
        print_json(formats)
        return
    for entry in formats:
        known = f"; suffixes {', '.join(entry['reads'])}" if entry["reads"] else ""
        facts = [f"gives {', '.join(entry['gives'])}; written {entry['format']}:PATH{known}"]
        facts += [f"described at {entry['documentation']}"] * bool(entry["documentation"])
        facts += [f"not verified: {entry['unverified']}"] * bool(entry["unverified"])
        facts += [f"--set {o['name']}={o['default']} ({o['type']}): {o['meaning']}" for o in entry["options"]]
        plugin = f" (of the plugin {entry['plugin']})" if entry["plugin"] else ""
        print_entries([(f"{entry['format']}: {entry['summary']}{plugin}", facts)])


def _format(importer: Importer, plugin: str) -> dict[str, Any]:
    from attnscope.scene.importers.sources import kind_of, meaning
    from attnscope.scene.problems import written

    options = [
        {"name": name, "default": "" if p.default in ("", None) else written(p.default), "type": kind_of(p)}
        | {"meaning": meaning(importer, name)}
        for name, p in importer.options.items()
    ]
    return {
        "format": importer.name,
        "summary": importer.summary,
        "gives": importer.yields,
        "reads": importer.suffixes,
        "documentation": importer.documentation,
        "unverified": importer.unverified,
        "options": options,
        "plugin": plugin,
    }
