"""What a report is called, and which files of a folder are its own: a later one replaces it as a whole."""

from __future__ import annotations

import json
from pathlib import Path

from attnscope.errors import RequestError
from attnscope.files.reading import reread

PAGE, DOCUMENT = "report.html", "report.json"  # in the folder of every command that reports
EARLIER = ("summary.json",)  # what the JSON was called once
PARTS = ("tables", "figures")  # folders of a report


def report_files(folder: Path, page: str = PAGE, document: str = DOCUMENT) -> list[Path]:
    """The files of the report that a folder holds: its page, the tables and figures that its JSON lists.

    A JSON of an earlier name is among them; that of today's name is not, since it is written over. Files that no
    report lists are somebody else's.
    """
    own = []
    for name in (document, *EARLIER):
        try:
            earlier = json.loads(reread(folder / name))
            listed = [Path(path) for part in PARTS for path in earlier[part]]
        except (RequestError, RecursionError, ValueError, KeyError, TypeError):  # there is none, or it is no report's
            continue
        own += [folder / path.parent.name / path.name for path in listed if path.parent.name in PARTS]
        own += [folder / name] if name in EARLIER else []
    return [path for path in (folder / page, *own) if path.is_file()]
