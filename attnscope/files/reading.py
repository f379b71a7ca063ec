"""Reading what a user names: regular files alone, of a limited size, and one reason where a path cannot be used.

A FIFO, a device or a socket would block or never end. A file is opened without waiting and looked at once it is open,
so nothing can be exchanged between the look and the reading.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from attnscope.errors import AttnscopeError, RequestError

TEXT_LIMIT = 64 * 2**20  # scenes, transcripts, manifests, corrections, heads files, configurations
DATA_LIMIT = 4 * 2**30  # results that grow with the work: samples.jsonl of an evaluation
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_WORDS = {
    errno.ENAMETOOLONG: "the name is longer than the file system allows",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.ENXIO: "a socket or device, not a regular file",
}


def reason(error: BaseException) -> str:
    """Why a path cannot be used, in a few words, from what Python raised.

    Args:
        error: An OSError, or the ValueError that Python raises for a path that no file can have.

    Returns:
        For example "no such file or directory", "the path holds a NUL character".
    """
    if isinstance(error, UnicodeEncodeError):
        return "the path holds a lone surrogate, which no file name can"
    if isinstance(error, ValueError):
        return "the path holds a NUL character"
    if isinstance(error, OSError) and error.errno:
        return _WORDS.get(error.errno, os.strerror(error.errno).lower())
    return (str(error) or type(error).__name__).splitlines()[0]


def path_status(path: str | Path, error: type[AttnscopeError] = RequestError) -> os.stat_result | None:
    """What stands at a path, links followed; None if nothing does.

    Unlike `Path.exists` and its siblings it says what is wrong with a path that cannot be asked about.

    Raises:
        AttnscopeError: `error`, if the path is too long, holds what no name can, leads in a circle or may not be seen.
    """
    try:
        return Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be used: {reason(problem)}") from None


def real_path(path: str | Path) -> Path:
    """A path with its links followed; one that no file can have comes back as it is, for its reader to refuse."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return Path(path)


def exists(path: str | Path, error: type[AttnscopeError] = RequestError) -> bool:
    """Whether anything stands at a path. Raises as `path_status`."""
    return path_status(path, error) is not None


def is_folder(path: str | Path, error: type[AttnscopeError] = RequestError) -> bool:
    """Whether a folder stands at a path. Raises as `path_status`."""
    status = path_status(path, error)
    return status is not None and stat.S_ISDIR(status.st_mode)


def open_regular(path: str | Path, error: type[AttnscopeError] = RequestError) -> IO[bytes]:
    """Open a regular file for reading; never waits for another process.

    Args:
        path: The file; a symbolic link to a regular file is one.
        error: What is raised.

    Raises:
        AttnscopeError: `error`, if there is no such file, or it is a folder, FIFO, device or socket, or unreadable.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _flag("O_NONBLOCK") | _flag("O_CLOEXEC") | _flag("O_BINARY"))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be read ({reason(problem)})") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise error(f"{path}: is {_kind(mode)}")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: str | Path, error: type[AttnscopeError] = RequestError) -> int:
    """Refuse what is no regular file, for readers that open a path themselves.

    Returns:
        Its size in bytes.

    Raises:
        AttnscopeError: As `open_regular`.
    """
    with open_regular(path, error) as file:
        return os.fstat(file.fileno()).st_size


def read_bytes(path: str | Path, limit: int = TEXT_LIMIT, error: type[AttnscopeError] = RequestError) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        limit: Most bytes that it may hold; a larger one is refused before it is read.
        error: What is raised.

    Raises:
        AttnscopeError: `error`, as `open_regular`, or if the file is larger than `limit`.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            content = file.read(limit + 1) if size <= limit else b""
        except OSError as problem:
            raise error(f"{path}: cannot be read ({reason(problem)})") from None
    if size > limit or len(content) > limit:
        raise error(f"{path}: holds {max(size, len(content)):,} bytes; at most {limit:,} are read")
    return content


def reread(path: str | Path, limit: int = TEXT_LIMIT, error: type[AttnscopeError] = RequestError) -> str:
    """The content of a file that attnscope wrote, as text.

    Raises:
        AttnscopeError: As `read_bytes`, or if the file is not UTF-8.
    """
    try:
        return read_bytes(path, limit, error).decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: not UTF-8 text (at byte {problem.start:,})") from None


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder, a file was expected"
    return f"{next((name for test, name in _KINDS if test(mode)), 'something else')}, a regular file was expected"


def _flag(name: str) -> int:
    """A flag of `os.open`; 0 where the system has none."""
    return int(getattr(os, name, 0))
