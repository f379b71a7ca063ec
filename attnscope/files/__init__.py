"""Files as other processes and strangers leave them: only regular files are read, outputs are locked, text is escaped.

`read_bytes`, `open_regular` and `check_regular` read what a user names; `locked` guards an output against a second
process; `write_whole` writes a file that is complete or absent; `printable` is what a terminal may be sent.
"""

from __future__ import annotations

from attnscope.files.locks import LOCK, locked, sweep
from attnscope.files.reading import (
    DATA_LIMIT,
    TEXT_LIMIT,
    check_regular,
    exists,
    is_folder,
    open_regular,
    path_status,
    read_bytes,
    real_path,
    reason,
    reread,
)
from attnscope.files.terminal import printable, printable_json
from attnscope.files.writing import check_space, unfinished, unfinished_folder, write_whole

__all__ = [
    "DATA_LIMIT",
    "LOCK",
    "TEXT_LIMIT",
    "check_regular",
    "check_space",
    "exists",
    "is_folder",
    "locked",
    "open_regular",
    "path_status",
    "printable",
    "printable_json",
    "read_bytes",
    "real_path",
    "reason",
    "reread",
    "sweep",
    "unfinished",
    "unfinished_folder",
    "write_whole",
]
