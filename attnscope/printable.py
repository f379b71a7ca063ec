"""Text from files and models where it is shown: characters that are no text are written as escapes."""

from __future__ import annotations

import unicodedata

# Marks that turn the order of the text after them, in whatever sentence they stand
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, lone surrogates, separators of lines


def printable(text: str, keep: str = "") -> str:
    r"""A text in which what is no text is written as an escape: it is one line, valid XML, and safe for a terminal.

    Control characters, lone surrogates, separators of lines, marks that turn the direction of what follows, and the
    non-characters that XML forbids become escapes like those of Python. All else stays, joiners of letters too.

    Args:
        text: of any kind.
        keep: characters to leave as they are, such as a line break.

    >>> printable("Ann\u0007\nBen"), printable("two\nlines", keep="\n")
    ('Ann\\x07\\nBen', 'two\nlines')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(letter) if letter not in keep and _hidden(letter) else letter for letter in text)


def _hidden(letter: str) -> bool:
    code = ord(letter)
    return unicodedata.category(letter) in _CONTROL or letter in _TURNING or code & 0xFFFE == 0xFFFE


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
