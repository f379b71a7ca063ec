"""What is between HDF5 and the disk: a file whose failures are remembered instead of raised."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PAGE = 2**16
_ENDINGS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]


class Disk:
    """A file object for HDF5. From the first write that the disk refuses on, what is written stays in memory.

    HDF5 cannot live with a failed write: it tries again whenever an object, the file or the process is closed, each
    time prints an error that nobody can catch, and may crash. This way it ends in good order; the writer looks at
    `error`.

    Args:
        path: Created, or emptied if it exists.

    Raises:
        OSError: If it cannot be opened, or another process is writing it.

    Attributes:
        error: The first failure, None as long as all is well.
    """

    def __init__(self, path: str | Path) -> None:
        self.error: OSError | None = None
        self._at = 0
        self._size = 0
        self._kept: dict[int, bytearray] = {}  # number of a page -> its content, once writing has failed
        self._path: Path | None = Path(path)  # of what would be left behind: None once it is renamed or removed
        self._fd = _open_locked(self._path)
        try:
            os.ftruncate(self._fd, 0)
        except OSError:
            os.close(self._fd)
            raise

    def sync(self) -> None:
        """Wait until all of it is on the disk.

        Raises:
            OSError: If it is not, and cannot be.
        """
        if self.error is None:
            os.fsync(self._fd)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Release the file; further calls do nothing."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def rename(self, to: Path) -> None:
        """Give the file another name and release it.

        The lock is held until the name is the new one: a process that took the old name in between would empty the
        finished file.

        Args:
            to: The new name, in the same folder.

        Raises:
            OSError: If it cannot be renamed.
        """
        if fcntl is None:  # Windows renames no open file
            self.close()
        if self._path is not None:
            self._path.replace(to)
        self._path = None
        self.close()

    def remove(self) -> None:
        """Remove the file and release it, in this order: what stands there after the release may be another's."""
        if fcntl is None:
            self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._path = None
        self.close()

    # ---- what HDF5 calls

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Where we are."""
        return self._at

    def write(self, data: bytes | memoryview) -> int:
        """Write at the current position."""
        view = memoryview(data).cast("B")
        done = 0
        while self.error is None and done < len(view):
            try:
                os.lseek(self._fd, self._at + done, os.SEEK_SET)
                done += os.write(self._fd, view[done:])
            except OSError as error:
                self.error = error
        for page, start, first, last in _pages(self._at + done, self._at + len(view)):
            self._page(page)[start : start + last - first] = view[first - self._at : last - self._at]
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def read(self, size: int) -> bytes:
        """Read from the current position; beyond the end there are zeros."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """As `read`, into a buffer."""
        view = memoryview(buffer).cast("B")
        view[:] = self._stored(self._at, len(view))
        for page, start, first, last in _pages(self._at, self._at + len(view)):
            if page in self._kept:
                view[first - self._at : last - self._at] = self._kept[page][start : start + last - first]
        self._at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        self._size = self._at if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def flush(self) -> None:
        """Nothing is held back here."""

    # ---- inside

    def _page(self, number: int) -> bytearray:
        if number not in self._kept:
            self._kept[number] = bytearray(self._stored(number * _PAGE, _PAGE))
        return self._kept[number]

    def _stored(self, at: int, length: int) -> bytes:
        """What the disk has, filled up with zeros."""
        os.lseek(self._fd, at, os.SEEK_SET)
        data = b""
        while len(data) < length and (more := os.read(self._fd, length - len(data))):
            data += more
        return data.ljust(length, b"\0")


@contextmanager
def unbroken() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of the block: raised inside a file object, HDF5 prints them and may crash."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: handler for number in _ENDINGS if callable(handler := signal.getsignal(number))}
    pressed: list[tuple[int, Any]] = []
    for number in usual:
        signal.signal(number, lambda number, frame: pressed.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        if pressed:
            usual[pressed[0][0]](*pressed[0])


def _pages(start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a stretch of the file at page borders: number of the page, offset in it, first byte, one past the last."""
    while start < end:
        page, offset = divmod(start, _PAGE)
        last = min(end, (page + 1) * _PAGE)
        yield page, offset, start, last
        start = last


def _open_locked(path: Path) -> int:
    """Open a file for writing, locked, and by the time it is locked still the one of this name."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _lock(fd)
            try:
                same = os.path.samestat(os.fstat(fd), path.stat())
            except FileNotFoundError:
                same = False
        except OSError:
            os.close(fd)
            raise
        if same:
            return fd
        os.close(fd)  # its writer finished and renamed it while we waited for the lock


def _lock(fd: int) -> None:
    """Keep other processes from writing the same file, where the file system can do that."""
    if fcntl is None:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            raise
