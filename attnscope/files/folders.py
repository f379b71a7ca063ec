"""Folders for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attnscope.errors import RequestError
from attnscope.files.locks import locked, sweep
from attnscope.files.reading import exists, reason


def unusable_folder(folder: Path, error: OSError | ValueError) -> RequestError:
    """What is wrong with an output folder that the system refuses."""
    return RequestError(f"{folder}: cannot be used as the output folder: {reason(error)}")


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Have a folder, and those above it, during a block; after it, those that it made and left empty are taken away.

    Raises:
        RequestError: If it cannot be made.
    """
    missing = [parent for parent in (folder, *folder.parents) if not exists(parent)]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise unusable_folder(folder, error) from None
        yield
    finally:
        for parent in missing:
            with suppress(OSError, ValueError):  # not empty: it holds results
                parent.rmdir()


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have a folder that no other process writes during a block, without what killed processes left unfinished.

    Raises:
        BusyError: If another process is writing it.
        RequestError: If it cannot be made.
    """
    with made(folder), locked(folder):
        sweep(folder)
        yield
