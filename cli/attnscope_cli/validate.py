"""`attnscope validate`: is a capture what its specification says, and is a manifest one that can be evaluated?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope.files import is_folder
from attnscope_cli._common import print_json, print_lines, progress_bar
from attnscope_cli._options import Json, Videos, option


def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A capture (.h5), or questions: a manifest (.jsonl, or a folder with one), a table, or a dataset.",
        ),
    ],
    deep: Annotated[
        bool, option("Compute every row of a capture once more from queries and keys, not a few.", None, "--deep")
    ] = False,
    videos: Videos = None,
    json: Json = False,
) -> None:
    """Check a capture, or a manifest; exits with 1 if something is wrong.

    A capture: its structure and checksums, and that its readings agree. Questions: every line, every scene and every
    video; each problem is one line. Videos may be missing unless --videos is given.

    Example: `attnscope validate run.h5`
    """
    from attnscope.scene.manifests.fields import SUFFIXES

    is_manifest = file.suffix.lower() in SUFFIXES or is_folder(file) or (not file.suffix and is_folder(file.parent))
    if file.suffix.lower() == ".json" and not is_manifest:
        raise RequestError(f"{file}: validate checks captures and questions; attnscope preview checks a scene")
    if deep and is_manifest:
        raise RequestError(f"--deep: {file} is a manifest, not a capture")
    if videos is not None and not is_manifest:
        raise RequestError(f"--videos: {file} is a capture, not a manifest")
    with progress_bar(quiet=json) as progress:
        document, valid = _manifest(file, videos, progress) if is_manifest else _capture(file, deep, progress)
    problems = document["problems"]
    if json:
        print_json(document)
    else:
        print_lines("\n".join(problems) or valid)
    if problems:
        raise typer.Exit(1)


def _capture(path: Path, deep: bool, progress: Any) -> tuple[dict[str, Any], str]:
    """What is wrong with a capture, and what is said if nothing is."""
    from attnscope.capture.check.validate import validate

    if progress is not None:
        progress("reading", 0, 0)  # how much there is to check is not known
    problems = [str(problem) for problem in validate(path, deep=deep)]
    return {"capture": str(path), "valid": not problems, "problems": problems}, f"{path}: valid"


def _manifest(path: Path, videos: Path | None, progress: Any) -> tuple[dict[str, Any], str]:
    """What is wrong with a manifest, and what is said if nothing is."""
    from attnscope.scene.manifests.checking import check_manifest

    checked = check_manifest(path, videos, progress)
    document = {
        "manifest": str(checked.path),
        "valid": not checked.problems,
        "lines": checked.lines,
        "questions": checked.questions,
        "videos": checked.videos,
        "missing_videos": checked.missing,
        "problems": checked.problems,
    }
    missing = f", of which {len(checked.missing):,} are not there" if checked.missing else ""
    counts = f"questions {checked.questions:,}, lines {checked.lines:,}, videos {checked.videos:,}"
    return document, f"{checked.path}: valid: {counts}{missing}"
