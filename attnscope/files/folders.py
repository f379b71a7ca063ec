"""Folders for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attnscope.errors import unusable_folder
from attnscope.files import exists, locked, sweep


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Have a folder, and those above it, during a block; after it, those that it made and left empty are taken away.

    Raises:
        RequestError: If it cannot be made.
    """
    new = [one for one in (folder, *folder.parents) if not exists(one)]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise unusable_folder(folder, error) from None
        yield
    finally:
        for one in new:
            with suppress(OSError, ValueError):  # not empty: it holds results
                one.rmdir()


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
