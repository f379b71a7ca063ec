"""One process at a time writes an output, the second learns who does, and what the dead left behind is removed.

The lock is a file with the holder's name in it, held with flock: the system takes it away from a process that ends in
any way. Where a file system has no flock, the holder's name decides: it counts as dead only if this very machine has no
such process any more.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attnscope.errors import BusyError, RequestError
from attnscope.files.reading import is_folder, reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".attnscope.lock"
PART = ".part-attnscope-"  # how names of unfinished files and folders begin
_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}
_BUSY = {errno.EWOULDBLOCK, errno.EACCES}
_LONGEST = 4096  # bytes of a lock file


@dataclass
class _Hold:
    """A lock that this process has."""

    process: int
    thread: int
    depth: int


_holds: dict[str, _Hold] = {}
_guard = threading.Lock()


@contextmanager
def locked(target: str | Path) -> Iterator[None]:
    """Keep other processes from writing an output during a block.

    The same thread may lock an output again inside; the lock ends with the outermost block.

    Args:
        target: A folder that exists, or a file, which need not exist.

    Raises:
        BusyError: If another process, or another thread of this one, is writing it: who, where and since when.
        RequestError: If no lock file can be made there.
    """
    target = Path(target)
    path = target / LOCK if is_folder(target) else target.with_name(f".{target.name}.lock")
    key = os.path.realpath(path)
    with _guard:
        hold = _holds.get(key)
        if hold is not None and hold.process == os.getpid():
            if hold.thread != threading.get_ident():
                raise BusyError(f"{target}: another thread of this process is writing it")
            hold.depth += 1
            handle = -1
        else:
            handle = _acquire(target, path)
            _holds[key] = hold = _Hold(os.getpid(), threading.get_ident(), 1)
    try:
        yield
    finally:
        with _guard:
            hold.depth -= 1
            if not hold.depth and hold.process == os.getpid():
                del _holds[key]
                with suppress(OSError):  # removed while it is held: a process that opened it before looks again
                    path.unlink()
        if handle >= 0:
            os.close(handle)


def held(handle: int) -> bool | None:
    """Lock an open file or folder for as long as it is open.

    Args:
        handle: Its descriptor.

    Returns:
        True if it is locked now, False if another process has it, None if the file system cannot tell.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def same(handle: int, path: Path) -> bool:
    """Whether an open file still stands at its path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def sweep(folder: str | Path) -> None:
    """Remove unfinished files and folders whose process has ended.

    Only what attnscope named, and only what no process holds any more; where the file system cannot tell, all stays.
    """
    try:
        parts = [path for path in Path(folder).iterdir() if path.name.startswith(PART)]
    except OSError:
        return
    for part in parts:
        with suppress(OSError):
            handle = os.open(part, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
            try:
                if held(handle):
                    if stat.S_ISDIR(os.fstat(handle).st_mode):
                        shutil.rmtree(part, ignore_errors=True)
                    else:
                        part.unlink()
            finally:
                os.close(handle)


def _acquire(target: Path, path: Path) -> int:
    """The descriptor of a lock file that this process holds."""
    while True:
        handle, new = _open(target, path)
        try:
            state = held(handle)
            if state is False:
                raise _busy(target, _read(handle))
            if state is None and not new:
                holder = _read(handle)
                if not _dead(holder):
                    raise _busy(target, holder, f"; its file system has no locks: remove {path} if that is not so")
                path.unlink()
            elif same(handle, path):
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(_self()).encode())
                return handle
        except OSError as error:
            os.close(handle)
            raise RequestError(f"{target}: cannot be locked: {reason(error)}") from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # another process ended just now and took its lock file away


def _open(target: Path, path: Path) -> tuple[int, bool]:
    """The lock file, and whether it is new."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        try:
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            handle = os.open(path, flags | os.O_CREAT, 0o666)
    except (OSError, ValueError) as error:
        raise RequestError(f"{target}: cannot be written: {reason(error)}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RequestError(f"{target}: cannot be locked: {path} is not a regular file")
    return handle, False


def _self() -> dict[str, Any]:
    """Who this process is."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": now, "command": command[:200]}
    return who | {"machine": _machine(), "started": _started(os.getpid())}


def _read(handle: int) -> dict[str, Any]:
    """Who a lock file names; empty if it names nobody."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(handle, _LONGEST))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _busy(target: Path, holder: dict[str, Any], more: str = "") -> BusyError:
    """What the second process says."""
    who = f"process {holder.get('pid')} on {holder.get('host')}" if holder else "another process"
    since = f" since {holder['since']}" if holder.get("since") else ""
    command = f" ({holder['command']})" if holder.get("command") else ""
    return BusyError(f"{target}: {who} has been writing it{since}{command}{more}")


def _dead(holder: dict[str, Any]) -> bool:
    """Whether it is certain that a holder has ended: it ran on this machine, which has no such process now."""
    pid = holder.get("pid")
    if (
        type(pid) is not int
        or pid <= 0
        or (holder.get("host"), holder.get("machine"))
        != (
            socket.gethostname(),
            _machine(),
        )
    ):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    started = _started(pid)
    return started is not None and holder.get("started") is not None and started != holder["started"]


def _machine() -> str:
    """This boot of this machine, and the set of processes that is visible here (containers have their own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except (OSError, ValueError):
        return ""


def _started(pid: int) -> str | None:
    """When a process began, so that a number that was given again is not taken for it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[19]
    except (OSError, IndexError):
        return None
