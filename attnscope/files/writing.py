"""Files that are complete or absent, whoever else writes them at the same time, and whether they will fit."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attnscope.errors import RunError, SizeError
from attnscope.files.locks import PART, held, same, sweep
from attnscope.files.reading import path_status, reason

_SPARE = 16 * 2**20  # bytes that are left free


@contextmanager
def unfinished(path: str | Path) -> Iterator[Path]:
    """A name to write a file under, which takes its own name when the block ends well; else nothing is left of it.

    Two processes never share that name, so the later file wins as a whole. Unfinished files that processes left when
    they were killed are removed.

    Raises:
        RunError: If the file cannot be written; an OSError of the block counts.
    """
    path = Path(path)
    part: Path | None = None
    try:
        sweep(path.parent)
        part, handle = _new(path.parent, _file)
        try:
            yield part
            if os.name != "nt":
                part.replace(path)
        finally:
            os.close(handle)
        if os.name == "nt":  # where no open file can be renamed
            part.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {reason(error)}") from None
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file, whole or not at all, in place of what is there.

    Args:
        path: The file.
        content: Text is written in UTF-8; a lone surrogate becomes an escape.

    Raises:
        RunError: If it cannot be written; nothing is left then.
    """
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    with unfinished(path) as part:
        part.write_bytes(data)


@contextmanager
def unfinished_folder(folder: Path) -> Iterator[Path]:
    """A new folder inside another, which is removed after the block, or by the next run if this process is killed.

    Raises:
        OSError: If it cannot be made.
    """
    sweep(folder)
    part, handle = _new(folder, _folder)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if handle >= 0:
            os.close(handle)


def _new(folder: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """A name that nobody else has, and a descriptor that holds it against the sweep of another process."""
    while True:
        part = folder / f"{PART}{secrets.token_hex(6)}"
        handle = make(part)
        if handle < 0 or (held(handle) is not False and same(handle, part)):
            return part, handle
        os.close(handle)  # swept between its making and its lock


def _file(part: Path) -> int:
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _folder(part: Path) -> int:
    part.mkdir()
    return os.open(part, os.O_RDONLY) if os.name != "nt" else -1


def check_space(path: str | Path, size: int, what: str, how: str = "") -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        path: File or folder that will be written; its nearest folder that exists is asked.
        size: Bytes that will be written.
        what: Its name in the message, such as "the capture".
        how: How its size is counted, for the message.

    Raises:
        SizeError: If less is free.
    """
    folder = Path(path).absolute()
    while path_status(folder) is None and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # a file system that does not say
        return
    if size + _SPARE > free:
        counted = f" {how}" if how else ""
        raise SizeError(f"{path}: {what} takes up to {size:,} bytes{counted}, and {free:,} are free on its disk")
