"""Values by name on disk: a file that another one refers to in any order, without holding it in memory."""

from __future__ import annotations

import json
import sqlite3
from types import TracebackType
from typing import Any, Self


class Shelf:
    """Values that JSON can hold, by name; gone when it is closed.

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
