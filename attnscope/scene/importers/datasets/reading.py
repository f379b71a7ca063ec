"""Records of large files one at a time: lists of JSON, JSON Lines, tables; and what a record lacks, as a reason."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attnscope.errors import SceneError
from attnscope.files import open_regular
from attnscope.scene.importers import streaming
from attnscope.scene.importers.datasets.columnar import dataset_files, is_dataset, rows
from attnscope.scene.importers.streaming import json_items, text_lines
from attnscope.scene.problems import show
from attnscope.scene.records import Note

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


class IncompleteError(Exception):
    """A record cannot be imported; the message is the reason, without the record's own values.

    Attributes:
        column: Which of its values is wrong, if it is one.
    """

    def __init__(self, reason: str = "", column: str = "") -> None:
        super().__init__(reason)
        self.column = column


class Shelf:
    """Values that JSON can hold, by name, on disk: for a file that another one refers to in any order.

    The empty name gives SQLite's temporary database: it keeps a few pages in memory and the rest in a file without a
    name.
    """

    def __enter__(self) -> Self:
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute("CREATE TABLE shelf (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        self._base.execute("BEGIN")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._base.close()

    def __setitem__(self, name: str, value: Any) -> None:
        self._base.execute("INSERT OR REPLACE INTO shelf VALUES (?, ?)", (name, json.dumps(value)))

    def get(self, name: str) -> Any:
        """The value of a name; None if there is none."""
        row = self._base.execute("SELECT value FROM shelf WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])


Entry = tuple[str, Any]  # its place, and the record, or an IncompleteError where it cannot be read


def json_entries(path: Path) -> Iterator[Entry]:
    """The items of a file that is one JSON list, or one JSON value a line.

    Returns:
        Pairs of a place (`[12]`, `line 13`) and the item. A line that is no JSON gives an IncompleteError; a list that
        breaks off cannot be read on.

    Raises:
        SceneError: If the file is neither, or the list is no valid JSON.
    """
    start = _begin(path)
    if start == b"{":
        yield from _lines(path)
    elif start == b"[":
        for place, item in enumerate(json_items(path, "item")):
            yield f"[{place}]", item
    else:
        raise SceneError(f"{path}: is no list of JSON and no JSON Lines")


def table_entries(path: Path, split: str = "") -> Iterator[Entry]:
    """The rows of a table as objects: .csv, .tsv, .jsonl, .json (a list of objects), .parquet, or a dataset's folder.

    Cells of .csv and .tsv are text; empty ones are None, as missing ones are. Cells of columns that hold files are
    their paths, or `columnar.Embedded`.

    Args:
        path: The file, or the folder of a dataset.
        split: Which part of a dataset; not needed where there is one.

    Raises:
        SceneError: If the file cannot be read as such a table.
    """
    suffix = path.suffix.lower()
    if is_dataset(path):
        yield from rows(dataset_files(path, split))
    elif split:
        raise SceneError(f"{path}: split: {show(split)} is given, and only a dataset's folder has splits")
    elif suffix in (".csv", ".tsv"):
        yield from _rows(path, "," if suffix == ".csv" else "\t")
    elif suffix in (".jsonl", ".json"):
        yield from json_entries(path)
    elif suffix == ".parquet":
        yield from rows([path])
    else:
        *first, last = TABLES
        raise SceneError(f'{path}: a table is {", ".join(first)} or {last}, not "{path.suffix}"')


def checked(path: Path, entries: Iterator[Entry], known: Collection[str], what: str) -> Iterator[Entry]:
    """The same entries; refuses a file whose first record has none of the keys that such records have.

    Raises:
        SceneError: If it has none, or if there is no record at all.
    """
    first = next(entries, None)
    if first is None:
        raise SceneError(f"{path}: holds no record")
    where, record = first
    if not isinstance(record, dict) or not set(known) & record.keys():
        raise SceneError(f"{path}: {where}: has none of the keys {', '.join(known)}, so it is not of {what}")
    yield first
    yield from entries


def notes(path: Path, counts: Counter[str]) -> Iterator[Note]:
    """A sentence about the whole source for each rule that was applied to some of its records."""
    for text, count in counts.items():
        if count:
            yield Note(text=f"{path.name}: {text}: {count:,}")


def members(record: Any) -> dict[str, Any]:
    """A record that is an object.

    Raises:
        IncompleteError: If it is none, or could not be read.
    """
    if isinstance(record, IncompleteError):
        raise record
    if not isinstance(record, dict):
        raise IncompleteError("the record is not an object")
    return record


def words(record: dict[str, Any], key: str, reason: str) -> str:
    """A text of a record; numbers count as text.

    Raises:
        IncompleteError: `reason`, if there is none, or nothing is written in it.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise IncompleteError(reason, key)
    return str(value).strip()


def number(value: Any, reason: str, column: str = "") -> float:
    """A finite number, given as one or as text.

    Raises:
        IncompleteError: `reason`, if it is none.
    """
    found = streaming.number(value)
    if found is None:
        raise IncompleteError(reason, column)
    return found


def clock(value: Any, reason: str) -> float:
    """Seconds of `MM:SS` or `H:MM:SS`.

    Raises:
        IncompleteError: `reason`, if it is no such time.
    """
    parts = value.strip().split(":") if isinstance(value, str) else []
    if not 2 <= len(parts) <= 3 or not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
        raise IncompleteError(reason)
    numbers = [int(part) for part in parts]
    if any(part > 59 for part in numbers[1:]):
        raise IncompleteError(reason)
    return float(sum(60**power * part for power, part in enumerate(reversed(numbers))))


def _begin(path: Path) -> bytes:
    """The first byte that is no white space."""
    with open_regular(path, SceneError) as file:
        return file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()[:1]


def _lines(path: Path) -> Iterator[Entry]:
    for place, line in text_lines(path):
        if not line.strip():
            continue
        try:
            yield f"line {place}", json.loads(line)
        except (ValueError, RecursionError):
            yield f"line {place}", IncompleteError("the line is not valid JSON")


def _rows(path: Path, delimiter: str) -> Iterator[Entry]:
    with (
        closing(open_regular(path, SceneError)) as file,
        io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text,
    ):
        try:
            begin = text.readline()
            if delimiter == "," and ";" in begin and "," not in begin:  # Excel, where the comma is for decimals
                delimiter = ";"
            reader = csv.reader(itertools.chain([begin], text), delimiter=delimiter, strict=True)
        except UnicodeDecodeError as error:
            raise SceneError(f"{path}: not UTF-8 text (byte 0x{error.object[error.start]:02x})") from None
        try:
            header = [name.strip() for name in next(reader, [])]
            twice = next((name for number, name in enumerate(header) if name in header[:number]), None)
            if twice is not None:
                raise SceneError(f"{path}: line 1: {show(twice)} names two columns")
            for row in reader:
                where = f"line {reader.line_num}"
                if len(row) > len(header):
                    yield where, IncompleteError("the row has more cells than the header")
                elif row:
                    cells = itertools.zip_longest(header, row, fillvalue="")
                    yield where, {name: cell.strip() or None for name, cell in cells}
        except csv.Error as error:
            raise SceneError(f"{path}: line {reader.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise SceneError(f"{path}: not UTF-8 text (byte 0x{error.object[error.start]:02x})") from None
