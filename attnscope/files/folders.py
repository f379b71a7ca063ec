"""Folders for results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attnscope.errors import Argument, RequestError, RunError
from attnscope.files.locks import LOCK, locked, sweep
from attnscope.files.reading import exists, is_folder, reason
from attnscope.files.writing import unfinished_folder


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


@contextmanager
def whole_folder(out: Path, parts: Sequence[str], *, force: bool = False) -> Iterator[Path]:
    """A draft inside a folder, whose parts move up together when the block ends well; else nothing of them is left.

    Args:
        out: The folder; it is made if it is not there.
        parts: Files and folders that the block writes into the draft, in the order in which they appear.
        force: Replace the parts that the folder holds already; without it the folder must be empty.

    Raises:
        BusyError: If another process is writing the folder.
        RequestError: If the folder is not empty, or cannot be used.
        RunError: If a file cannot be written.
    """
    remedy = [Argument("out")]
    if exists(out) and not is_folder(out):
        raise RequestError(f"{out}: is not an empty folder; choose another for ", *remedy)
    with claimed(out), ExitStack() as stack:
        try:
            if not force and any(path.name != LOCK for path in out.iterdir()):
                raise RequestError(f"{out}: is not an empty folder; choose another for ", *remedy)
            draft = stack.enter_context(unfinished_folder(out))
            old = stack.enter_context(unfinished_folder(out))
        except OSError as error:
            raise unusable_folder(out, error) from None
        moved: list[tuple[Path, Path]] = []
        try:
            yield draft
            for folder, to in ((out, old), (draft, out)):
                for part in parts:
                    if exists(folder / part):
                        (folder / part).replace(to / part)
                        moved.append((to / part, folder / part))
        except BaseException as error:
            for now, before in reversed(moved):  # back to where they were
                now.replace(before)
            if isinstance(error, OSError):
                raise RunError(f"{out}: cannot be written: {reason(error)}") from error
            raise
