"""Checking a capture against docs/format.md: structure, checksums and conservation."""

from __future__ import annotations

from pathlib import Path

from attnscope.capture.check import conservation, structure
from attnscope.capture.check.problems import Problem
from attnscope.capture.file.nodes import NodeError, Store
from attnscope.errors import FormatError

__all__ = ["Problem", "validate"]


def validate(path: str | Path, *, deep: bool = False) -> list[Problem]:
    """Check a capture file: every MUST of docs/format.md, every checksum, and that its readings agree.

    Readings that say the same thing in two ways are held against each other; docs/format.md lists what that can
    notice and what it cannot.

    Args:
        path: The file. All of it is read, a chunk at a time.
        deep: Compute every row of attention once more from the stored queries and keys, which takes as long as the
            square of the positions; otherwise a few rows of each layer.

    Returns:
        The problems, each naming its node; empty if there are none.

    Raises:
        RequestError: If there is no such file, or it may not be read.

    Example:
        >>> attnscope.validate("run.h5")
        []
    """
    path = Path(path)
    try:
        store = Store(path)
    except NodeError as error:
        return [Problem(error.node, error.what)]
    except FormatError as error:
        return [Problem("/", str(error).removeprefix(f"{path}: "))]
    try:
        problems = list(structure.check(store))
        # Numbers are checked even if the structure is broken elsewhere; what cannot be read is named by now.
        named = {problem.node for problem in problems}
        problems += [problem for problem in conservation.check(path, store, deep) if problem.node not in named]
    finally:
        store.close()
    return list(dict.fromkeys(problems))
