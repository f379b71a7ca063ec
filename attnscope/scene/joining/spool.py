"""A file on disk that takes records in the order of their sources and hands them back clip by clip.

Sources are read once and may be larger than memory; only the records of one clip are in memory at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from attnscope.errors import RunError
from attnscope.scene.records import BoxRecord, QuestionRecord, Record, SampleRecord, SpeechRecord, Word

_KINDS: tuple[type[Record], ...] = (BoxRecord, SpeechRecord, QuestionRecord, SampleRecord)
_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in _KINDS}
_BATCH = 2000


class Spool:
    """Records on disk.

    Attributes:
        names: Every name of a clip as a source spells it: number of the source, and name.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, which must not exist.

        Raises:
            RunError: If it cannot be made.
        """
        self.path = path
        self.names: list[tuple[int, str]] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._waiting: list[tuple[int, int, str]] = []
        try:
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = OFF")
            self._file.execute("PRAGMA synchronous = OFF")
            self._file.execute(
                "CREATE TABLE records (number INTEGER PRIMARY KEY, name INTEGER, kind INTEGER, data TEXT)"
            )
            self._file.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def add(self, source: int, record: Record) -> None:
        """Keep a record of a source.

        Raises:
            RunError: If the disk is full.
        """
        key = (source, record.clip)
        name = self._numbers.get(key)
        if name is None:
            name = self._numbers[key] = len(self.names)
            self.names.append(key)
        kind = _KINDS.index(type(record))
        data = [getattr(record, field) for field in _FIELDS[type(record)]]
        self._waiting.append((name, kind, json.dumps(data, default=_plain)))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def finish(self) -> None:
        """Sort what was added, so that it can be asked for.

        Raises:
            RunError: If the disk is full.
        """
        self._flush()
        try:
            self._file.execute("CREATE INDEX by_name ON records (name, kind)")
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def records(self, names: Sequence[int], *kinds: type[Record]) -> Iterator[tuple[int, Any]]:
        """Number of the source and record, of some names (indices into `names`) and kinds, as they were added."""
        wanted = [_KINDS.index(kind) for kind in kinds]
        marks = ",".join("?" * len(names)), ",".join("?" * len(wanted))
        rows = self._file.execute(
            f"SELECT name, kind, data FROM records WHERE name IN ({marks[0]}) AND kind IN ({marks[1]}) ORDER BY number",
            [*names, *wanted],
        )
        for name, kind, data in rows:
            yield self.names[name][0], _record(_KINDS[kind], data)

    def close(self) -> None:
        """Close the file and remove it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        try:
            self._file.executemany("INSERT INTO records (name, kind, data) VALUES (?, ?, ?)", self._waiting)
        except sqlite3.Error as error:
            raise self._failed(error) from None
        self._waiting.clear()

    def _failed(self, error: sqlite3.Error) -> RunError:
        return RunError(f"{self.path.parent}: the records cannot be kept there: {str(error).splitlines()[0]}")


def _record(kind: type[Record], data: str) -> Record:
    values = dict(zip(_FIELDS[kind], json.loads(data), strict=True))
    if kind is SpeechRecord:
        values["words"] = tuple(Word(**word) for word in values["words"])
    for name in ("xyxy", "options", "window"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    return kind(**values)


def _plain(value: Any) -> Any:
    """What JSON has no type for: words, and numbers of numpy."""
    if isinstance(value, Word):
        return {"text": value.text, "start": value.start, "end": value.end, "speaker": value.speaker}
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "keys"):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no value of a record")
