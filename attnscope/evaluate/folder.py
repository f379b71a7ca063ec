"""The folder of an evaluation: what was run, one line a question as soon as it is scored, and the tables.

run.json is there before the first line of samples.jsonl. A line is complete once it ends in a line feed; what a killed
run left after the last one is dropped, and the next run goes on there.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.errors import Argument, RequestError, RunError
from attnscope.files import DATA_LIMIT, exists, read_bytes, reason, reread, write_whole
from attnscope.files.folders import unusable_folder
from attnscope.files.reports import DOCUMENT, PARTS, report_files
from attnscope.scene.problems import field_path, show

logger = logging.getLogger("attnscope")
RUN, SAMPLES = "run.json", "samples.jsonl"
EARLIER = "accuracy.json"  # what report.json was called once
TABLES = ("accuracy.csv", DOCUMENT, EARLIER, "comparison.csv")
_REMEDY = ("; choose another folder, or pass ", Argument("force", True), " to start over")


def read_run(folder: Path) -> dict[str, Any]:
    """What a folder's evaluation ran.

    Raises:
        RequestError: If there is none, or it cannot be read.
    """
    try:
        if not exists(folder / RUN):
            raise RequestError(f"{folder}: holds no evaluation ({RUN} is missing)")
        run = json.loads(reread(folder / RUN))
    except (RecursionError, ValueError):
        raise RequestError(f"{folder / RUN}: cannot be read", *_REMEDY) from None
    if not isinstance(run, dict):
        raise RequestError(f"{folder / RUN}: is not an object", *_REMEDY)
    return run


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The complete lines of samples.jsonl.

    Raises:
        RequestError: If a line is not what an evaluation writes there.
    """
    path = folder / SAMPLES
    if not exists(path):
        return []
    lines = read_bytes(path, DATA_LIMIT).split(b"\n")[:-1]
    samples = []
    for number, line in enumerate(lines):
        try:
            sample = json.loads(line)
            if sample["doc_id"] != number:
                raise ValueError
        except (RecursionError, ValueError, KeyError, TypeError):
            raise RequestError(
                f"{path}: line {number + 1}: is not question {number} of an evaluation", *_REMEDY
            ) from None
        samples.append(sample)
    return samples


def check_same(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to mix two evaluations in one folder.

    Args:
        folder: The folder, which need not exist.
        settings: Those parts of run.json that must be equal.

    Raises:
        RequestError: What differs, with both values.
    """
    if not exists(folder / RUN):
        if exists(folder / SAMPLES):
            raise RequestError(f"{folder}: holds {SAMPLES} without {RUN}", *_REMEDY)
        return
    differs = _difference(read_run(folder), json.loads(json.dumps(settings)))
    if differs is not None:
        where, old, new = differs
        values = f"{_short(old)}, not {_short(new)}"
        raise RequestError(f"{folder}: holds an evaluation with another {field_path(where)}: {values}", *_REMEDY)


def _difference(old: Any, new: Any, where: tuple[str | int, ...] = ()) -> tuple[tuple[str | int, ...], Any, Any] | None:
    """The first value of `new` that is another in `old`; keys of `old` alone do not count."""
    inner: list[tuple[str | int, Any, Any]]
    if isinstance(old, dict) and isinstance(new, dict):
        inner = [(key, old.get(key), value) for key, value in new.items()]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        inner = [(number, *pair) for number, pair in enumerate(zip(old, new, strict=True))]
    else:
        return None if old == new else (where, old, new)
    places = (_difference(before, after, (*where, key)) for key, before, after in inner)
    return next((place for place in places if place is not None), None)


def _short(value: Any) -> str:
    """A value for a message; of a hash the beginning."""
    is_hash = isinstance(value, str) and len(value) == 64 and " " not in value
    return value[:12] if is_hash else show(value)


class Folder:
    """The folder while an evaluation runs. It is made, or cleared, with the first lines.

    What fails before leaves nothing.

    Attributes:
        path: The folder.
        run: What is run, the content of run.json.
        done: Lines of the questions that are scored.
    """

    def __init__(self, path: Path, run: dict[str, Any], *, force: bool) -> None:
        """Take it over after `check_same`; with `force`, whatever it holds.

        Raises:
            RequestError: If it holds lines of something else.
        """
        self.path, self.run, self._force, self._begun = path, run, force, False
        self.done = [] if force else read_samples(path)

    def begin(self) -> None:
        """Make the folder, clear it if that was asked for, and drop the line that a killed run left unfinished.

        Raises:
            RequestError: If the folder cannot be made.
            RunError: If run.json cannot be written.
        """
        if self._begun:
            return
        path = self.path / SAMPLES
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self._force:
                own = [self.path / name for name in (SAMPLES, RUN, *TABLES)]
                for old in [*report_files(self.path), *own]:
                    old.unlink(missing_ok=True)
            data = read_bytes(path, DATA_LIMIT) if exists(path) else b""
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(path, whole)
                logger.info("%s: dropped an unfinished last line", path)
        except OSError as error:
            raise unusable_folder(self.path, error) from None
        if not (self.path / RUN).exists():
            self._write(RUN, json.dumps(self.run, indent=2, ensure_ascii=False) + "\n")
        self._begun = True

    def append(self, samples: Sequence[dict[str, Any]]) -> None:
        """Add lines, and hand them to the operating system: a killed process loses none of them.

        Raises:
            RequestError: If the folder cannot be made.
            RunError: If they cannot be written.
        """
        self.begin()
        text = "".join(json.dumps(sample, ensure_ascii=False, allow_nan=False) + "\n" for sample in samples)
        try:
            with (self.path / SAMPLES).open("ab") as file:
                file.write(text.encode())
        except OSError as error:
            raise RunError(f"{self.path / SAMPLES}: cannot be written: {reason(error)}") from None
        self.done += samples

    def write_tables(self, document: dict[str, Any]) -> None:
        """Write report.json, and its two tables as CSV.

        Raises:
            RunError: If they cannot be written.
        """
        whole = document | self._page_of_before()
        self._write(DOCUMENT, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
        with suppress(OSError):
            (self.path / EARLIER).unlink()
        for name in ("accuracy", "comparison"):
            if document[name]:
                self._write(f"{name}.csv", pd.DataFrame(document[name]).to_csv(index=False))

    def _page_of_before(self) -> dict[str, Any]:
        """Which tables and figures belong to a page that is there: the next one takes them away."""
        try:
            earlier = json.loads(reread(self.path / DOCUMENT))
            return {part: [str(path) for path in earlier[part]] for part in PARTS}
        except (RequestError, RecursionError, ValueError, KeyError, TypeError):
            return {}

    def _write(self, name: str, text: str) -> None:
        """Write a file that is complete or absent."""
        write_whole(self.path / name, text)
