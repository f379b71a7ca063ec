"""What a check of a capture finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from attnscope.capture.file.nodes import NodeError
from attnscope.errors import RequestError

Found = TypeVar("Found")


@dataclass(frozen=True)
class Problem:
    """Something that a capture breaks of the specification.

    Attributes:
        node: Path of the node.
        message: What is wrong with it, on one line.
    """

    node: str
    message: str

    def __str__(self) -> str:
        return f"{self.node}: {self.message}"


def guarded(node: str, check: Callable[[], Iterator[Found]]) -> Iterator[Found | Problem]:
    """Run a check; an error on the way becomes a problem of the node that it names, or else of `node`."""
    try:
        yield from check()
    except NodeError as error:
        yield Problem(error.node, error.what)
    except RequestError as error:
        yield Problem(node, str(error))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        yield Problem(node, f"cannot be checked, something that it refers to is wrong ({error!r})")
