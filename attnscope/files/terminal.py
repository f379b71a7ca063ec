r"""Text from outside on a terminal: names and answers may hold sequences that move the cursor.

Control characters, lone surrogates, line separators and the marks that change the direction of text are shown as
escapes (`\x1b`, `\u202e`), and so are the two non-characters that XML forbids. Letters of all
scripts, and the joiners that some need, stay.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks of direction
    "\u2028\u2029\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
)
_CONTROL = re.compile(f"[{_UNSAFE}]")
_CONTROL_OR_BREAK = re.compile(f"[{_UNSAFE}\t\n]")


def printable(text: str, *, lines: bool = True) -> str:
    r"""Text without anything that a terminal would act on.

    Args:
        text: Any text.
        lines: Keep line feeds and tabs; without it they are escaped too, so that one entry is one line.

    Returns:
        The text with escapes, for example `\x1b[31mAda` for a name that would colour the terminal.
    """
    return (_CONTROL if lines else _CONTROL_OR_BREAK).sub(lambda match: _escape(match[0]), text)


def printable_json(document: Any, indent: int | None = 2) -> str:
    """JSON that reads back as the same document and holds nothing that a terminal would act on."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    return _CONTROL.sub(lambda match: json.dumps(match[0])[1:-1] if match[0] > "\x7f" else "\\u007f", text)


def _escape(character: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or character.encode("unicode_escape").decode()
