"""Writing a capture while the model runs: one thread, a bounded queue, and a file that is complete or absent."""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from attnscope._version import __version__
from attnscope.capture.file import encode
from attnscope.capture.file.disk import Disk, unbroken
from attnscope.errors import RequestError, RunError

QUEUE_BYTES = 64 * 2**20
_CACHED_BYTES = 2**20  # larger blocks leave HDF5's cache at once, which holds up to 8 MiB of every open dataset
_Item = tuple[str, Any, npt.NDArray[Any]]


class CaptureWriter:
    """Streams arrays into `<path>.part`; `finish` makes it `<path>`, leaving the block without that removes it.

    Args:
        path: Where the capture will be.

    Raises:
        RequestError: If the folder does not exist or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_target(self.path)
        self.part = self.path.with_name(self.path.name + ".part")
        try:
            self._disk = Disk(self.part)
        except OSError as error:
            raise RequestError(f"{self.path}: cannot be written: {_reason(error, self.path)}") from None
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._datasets: dict[str, h5py.Dataset] = {}
        self._waiting = 0  # bytes in the queue
        self._room = threading.Condition()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="attnscope-writer", daemon=True)
        try:
            with unbroken():
                self.file = encode.create_file(self._disk)  # what the disk refuses, put and finish say
            self._thread.start()
        except BaseException:  # Ctrl-C
            self._remove()
            raise

    def __enter__(self) -> CaptureWriter:
        """Start."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Remove the unfinished file, if it was not finished."""
        try:
            self._stop()
            self._datasets.clear()
            with unbroken():
                self.file.close()
        finally:
            self._remove()

    def create(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        dims: Sequence[str],
        unit: str = "1",
        fill: float = 0,
    ) -> None:
        """Create a dataset that may shrink at the end; missing groups get their encoding.

        Args:
            name: Path in the file, such as "masses/rows".
            shape: Largest shape.
            dtype: Stored type.
            dims: Names of the dimensions.
            unit: Unit of the values.
            fill: What unwritten places hold.
        """
        with self._failing():
            group, _, leaf = f"/{name}".rpartition("/")
            parent = encode.require_group(self.file, group)
            self._datasets[name] = encode.create_array(
                parent, leaf, shape, dtype, dims, unit, fill=fill, maxshape=tuple(shape)
            )

    def put(self, name: str, where: Any, values: npt.NDArray[Any]) -> None:
        """Queue a block of a dataset; waits while more than QUEUE_BYTES are queued.

        Args:
            name: Dataset.
            where: Index into it.
            values: The block; must not be changed afterwards.

        Raises:
            RunError: If an earlier block could not be written.
        """
        with self._room:
            self._room.wait_for(lambda: self._waiting < QUEUE_BYTES or self._error is not None)
            self._check()
            self._waiting += values.nbytes
        self._queue.put((name, where, values))

    def finish(self, describe: Callable[[h5py.File], None]) -> Path:
        """Write what is left, describe the capture, and give it its name.

        Args:
            describe: Called with the open file to write its metadata.

        Returns:
            The path of the complete capture.

        Raises:
            RunError: If anything could not be written.
        """
        self._stop()
        self._check()
        with self._failing():
            describe(self.file)
            now = np.datetime_as_string(np.datetime64("now"), unit="s") + "Z"
            encode.set_attributes(self.file, attnscope_version=__version__, created=now)
            self.file.flush()
            self._disk.sync()
            self.file.attrs["complete"] = True
            self._datasets.clear()
            self.file.close()
            self._disk.sync()
            self._disk.rename(self.path)
        return self.path

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            name, where, values = item
            try:
                if self._error is None:
                    self._write(name, where, values)
            except BaseException as error:
                self._error = error
            finally:
                with self._room:
                    self._waiting -= values.nbytes
                    self._room.notify()

    def _write(self, name: str, where: Any, values: npt.NDArray[Any]) -> None:
        dataset = self._datasets.pop(name) if name in self._datasets else self.file[name]
        whole = isinstance(where, tuple) and len(where) == dataset.ndim
        if whole and all(isinstance(at, int) or (isinstance(at, slice) and at.stop is not None) for at in where):
            _write_block(dataset.id, where, values)  # in a fifth of h5py's time
        else:
            dataset[where] = values
        if values.nbytes <= _CACHED_BYTES:
            self._datasets[name] = dataset  # opening it again takes longer than such a block
        self._error = self._disk.error

    def _remove(self) -> None:
        self._disk.remove()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise RunError(f"{self.path}: writing failed: {_reason(self._error, self.path)}") from self._error

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turns any failure of HDF5 or the disk into one line."""
        try:
            with unbroken():
                yield
        except RunError:
            raise
        except (OSError, RuntimeError) as error:
            raise RunError(f"{self.path}: writing failed: {_reason(error, self.path)}") from error


def _write_block(dataset: h5py.h5d.DatasetID, where: tuple[int | slice, ...], values: npt.NDArray[Any]) -> None:
    """Write a block of a dataset, whose index has a number or a slice of known end for each dimension."""
    start = tuple(at if isinstance(at, int) else at.start or 0 for at in where)
    count = tuple(1 if isinstance(at, int) else at.stop - (at.start or 0) for at in where)
    if [n for at, n in zip(where, count, strict=True) if not isinstance(at, int)] != list(values.shape):
        raise ValueError(f"a block of {values.shape} for {count} places")
    space = dataset.get_space()
    space.select_hyperslab(start, count)
    values = np.ascontiguousarray(values)
    dataset.write(h5py.h5s.create_simple(count), space, values, h5py.h5t.py_create(values.dtype))


def check_target(path: Path) -> None:
    """Refuse a place where no file can be written, before any work is done.

    Raises:
        RequestError: If the folder does not exist or may not be written to, or the path is a folder.
    """
    if path.is_dir():
        raise RequestError(f"{path}: cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: cannot be written: folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise RequestError(f"{path}: cannot be written: no permission to write to folder {path.parent}")


def _reason(error: BaseException, path: Path) -> str:
    """The cause of a failed write in a few words."""
    if not path.parent.is_dir():
        return f"folder {path.parent} does not exist"
    if isinstance(error, OSError) and error.errno == errno.EWOULDBLOCK:
        return "another process is writing it"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return (str(error) or type(error).__name__).splitlines()[0]
