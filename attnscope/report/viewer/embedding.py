"""The viewer inside a page: its document as JSON, its script, and what the page's policy says of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from attnscope.report.viewer.document import BUDGET

if TYPE_CHECKING:
    from attnscope.report.page.output import Picture

PAGE, TEXT = 10_000_000, 500_000  # characters of a page, and of its own text at most
LEAST = 1_000_000  # of a document, however many figures a page has
# In JSON these stand inside of texts only; written so, no parser of HTML or of scripts sees anything in them.
_ESCAPED = str.maketrans({mark: f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})


@dataclass(frozen=True)
class Embedded:
    """What a template puts into a page; nothing of it shows without JavaScript.

    Attributes:
        document: The document as JSON, for a `<script type="application/json">`.
        script: The viewer, for a `<script type="module">` that holds nothing else.
    """

    document: Markup
    script: Markup

    @property
    def policy(self) -> str:
        """The source that a Content-Security-Policy must allow: the hash of the very text of the script."""
        return f"'sha256-{base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()}'"


def embed(document: Mapping[str, Any]) -> Embedded:
    """A document, ready for a page."""
    return Embedded(Markup(escaped(document)), Markup(viewer()))


def room(pictures: Iterable[Picture]) -> int:
    """Characters that a document may take so that a page of these figures stays small."""
    return max(LEAST, min(BUDGET, PAGE - TEXT - len(viewer()) - sum(len(picture.uri) for picture in pictures)))


def escaped(document: Mapping[str, Any]) -> str:
    """JSON that can stand inside of a script element whatever its texts are: ASCII, without `<`, `>` and `&`.

    Raises:
        ValueError: If a number is not finite.
    """
    return json.dumps(document, allow_nan=False, separators=(",", ":")).translate(_ESCAPED)


@cache
def viewer() -> str:
    """The built viewer: an ES module with its style inside."""
    return files("attnscope.report.viewer").joinpath("viewer.js").read_text(encoding="utf-8")
