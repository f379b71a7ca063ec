"""The index of a folder of reports: one page that lists them with question, answer and verdict, and links to each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attnscope.errors import Argument, RequestError
from attnscope.files import exists, is_folder, printable, reread, write_whole
from attnscope.files.reports import DOCUMENT, EARLIER, PAGE
from attnscope.report.page.render import MADE_BY, render

NAME = "index.html"
KINDS = {
    "analysis": "analysis",
    "before-after": "before and after",
    "sweep": "dose and response",
    "what-if": "what if",
    "preview": "preview",
    "evaluation": "accuracy",
    "heads": "ranking of heads",
}
_DEEPEST = 12  # folders below each other
_MOST_ANSWERS = 6


def index(folder: str | Path, *, force: bool = False) -> dict[str, Any]:
    """Write `index.html` into a folder: a list of all reports below it.

    Args:
        folder: Reports of any command lie in it, or in folders below it.
        force: Replace an `index.html` that attnscope did not write.

    Returns:
        JSON-able: `page`, and `reports` with `path`, `kind`, `title`, `question`, `answers` and `sentence` of each
        (null or empty where a report does not say it).

    Raises:
        RequestError: If there is no such folder, no report below it, or an `index.html` of somebody else.
        RunError: If the page cannot be written.

    Example:
        >>> _ = attnscope.report.preview(attnscope.scene.preview_scene(scene), "reports/clip")
        >>> [(report["path"], report["kind"]) for report in attnscope.report.index("reports")["reports"]]
        [('clip/report.html', 'preview')]
    """
    root = Path(folder)
    if not exists(root):
        raise RequestError(f"{root}: there is no such folder")
    if not is_folder(root):
        raise RequestError(f"{root}: is a file; an index is of a folder")
    target = root / NAME
    if exists(target) and not force and MADE_BY not in _beginning(target):
        raise RequestError(
            f"{target}: exists, and attnscope did not write it; replace it with ", Argument("force", True)
        )
    reports = [_entry(path, document, root) for path, document in _reports(root)]
    if not reports:
        raise RequestError(f"{root}: no report is below it (a folder with {PAGE} and {DOCUMENT})")
    write_whole(
        target,
        render(
            "index.html.j2",
            title=os.fsencode(root.resolve().name or str(root)).decode("utf-8", "replace"),
            reports=reports,
            kinds=KINDS,
        ),
    )
    return {
        "page": str(target),
        "reports": [{key: own for key, own in one.items() if key != "href"} for one in reports],
    }


def _reports(root: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The pages below a folder, each with its JSON, in the order of their paths; hidden folders and links are left."""
    for where, folders, files in os.walk(root):
        at = Path(where)
        deep = len(at.relative_to(root).parts) >= _DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith("."))
        document = next((name for name in (DOCUMENT, *EARLIER) if name in files), None)
        if PAGE in files and document is not None and (read := _read(at / document)) is not None:
            yield at / PAGE, read


def _read(path: Path) -> Mapping[str, Any] | None:
    """The JSON of a report; None for anything else of that name."""
    try:
        document = json.loads(reread(path))
    except (RequestError, RecursionError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("kind") in KINDS else None


def _entry(page: Path, document: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What the index says of a report; older ones say less of themselves."""
    about = document.get("about")
    about = about if isinstance(about, dict) else {}
    place = page.relative_to(root)
    answers = about.get("answers")
    named = [one for one in answers if isinstance(one, dict)] if isinstance(answers, list) else []
    return {
        "path": printable(os.fsencode(place.as_posix()).decode("utf-8", "replace")),
        "href": quote(os.fsencode(place.as_posix())),
        "kind": str(document["kind"]),
        "title": _text(about.get("title")) or os.fsencode(place.parent.as_posix()).decode("utf-8", "replace"),
        "question": _text(about.get("question")),
        "answers": [
            {key: _text(one.get(key)) or "" for key in ("name", "answer", "verdict")} for one in named[:_MOST_ANSWERS]
        ],
        "sentence": _text(about.get("sentence")),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _beginning(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
