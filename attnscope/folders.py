"""Folders for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attnscope.errors import unusable_folder


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Have a folder, and those above it, during a block; after it, those that it made and left empty are taken away.

    Raises:
        RequestError: If it cannot be made.
    """
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable_folder(folder, error) from None
        yield
    finally:
        for one in new:
            with suppress(OSError):  # not empty: it holds results
                one.rmdir()
