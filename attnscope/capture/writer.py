"""Writing a capture while the model runs: one thread, a bounded queue, and a file that is complete or absent."""

from __future__ import annotations

import gc
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from attnscope._version import __version__
from attnscope.capture import schema
from attnscope.errors import RequestError, RunError

QUEUE_BYTES = 64 * 2**20
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
            self.file = schema.create_file(self.part)
        except OSError as error:
            raise RequestError(f"{self.path}: cannot be written: {_reason(error, self.path)}") from None
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting = 0  # bytes in the queue
        self._room = threading.Condition()
        self._error: BaseException | None = None
        # Kept open until the end: HDF5 would write on closing a dataset, where h5py cannot report a full disk.
        self._datasets: dict[str, h5py.Dataset] = {}
        self._thread = threading.Thread(target=self._work, name="attnscope-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> CaptureWriter:
        """Start."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Remove the unfinished file, if it was not finished."""
        self._stop()
        if self.file:
            self._close_quietly()
        self.part.unlink(missing_ok=True)

    def create(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        dims: Sequence[str],
        unit: str = "1",
        fill: float = 0,
    ) -> None:
        """Create a dataset that may shrink at the end; missing groups get the encoding of their name.

        Args:
            name: Path in the file, such as "masses/rows".
            shape: Largest shape.
            dtype: Stored type.
            dims: Names of the dimensions.
            unit: Unit of the values.
            fill: What unwritten places hold.
        """
        with self._failing():
            group, _, leaf = name.rpartition("/")
            parent = self.file.require_group(group) if group else self.file
            if group and schema.ENCODING_TYPE not in parent.attrs:
                top = group.split("/")[0]
                schema.stamp(self.file[top], top)
                schema.stamp(parent, top)
            schema.create_array(parent, leaf, shape, dtype, dims, unit, fill=fill, maxshape=tuple(shape))

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
            for dataset in self._datasets.values():
                dataset.flush()
            self._datasets.clear()
            now = np.datetime_as_string(np.datetime64("now"), unit="s") + "Z"
            schema.set_attributes(self.file, attnscope_version=__version__, created=now)
            self.file.flush()
            self.file.attrs["complete"] = True
            self.file.close()
            with self.part.open("rb") as done:
                os.fsync(done.fileno())
            self.part.replace(self.path)
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
        if name not in self._datasets:
            self._datasets[name] = self.file[name]
        self._datasets[name][where] = values

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise RunError(f"{self.path}: writing failed: {_reason(self._error, self.path)}") from self._error

    def _close_quietly(self) -> None:
        """Close a file that will be removed; a full disk fails again here, where h5py lets nobody catch it."""
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            self._datasets.clear()
            self.file.close()
        except (OSError, RuntimeError):
            pass
        finally:
            gc.collect()
            sys.unraisablehook = hook

    def _failing(self) -> _Failing:
        return _Failing(self.path)


class _Failing:
    """Turns any failure of HDF5 or the disk into one line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Re-raise as RunError."""
        if isinstance(error, (OSError, RuntimeError)) and not isinstance(error, RunError):
            raise RunError(f"{self.path}: writing failed: {_reason(error, self.path)}") from error


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
    text = str(error)
    if not path.parent.is_dir():
        return f"folder {path.parent} does not exist"
    if "unable to lock file" in text or "already open" in text:
        return "another process is writing it"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    from_hdf5 = re.search(r"error message = '([^']+)'", text)
    return from_hdf5[1].lower() if from_hdf5 else (text or type(error).__name__).splitlines()[0]
