"""What TAB offers where a list of values is closed. Written out: a shell does not wait for torch to be imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attnscope import vocabulary

METHODS = (
    "adaptvis",
    "boxes-drawn",
    "boxes-told",
    "knockout",
    "moda-align",
    "moda-calibrate",
    "moda-mask",
    "moda-pseudo",
    "pai",
    "social-bias",
    "temperature",
    "vaf",
    "var",
)
CRITERIA = ("speaker-lift", "grounding-auc", "cross-mass", "answer-lift", "active", "localization")
READINGS = tuple(vocabulary.READINGS)
ROWS = ("utterances", vocabulary.QUESTION, vocabulary.ANSWER, vocabulary.TEXT, vocabulary.VISUAL, "all")
EMBEDDED = ("roundtable", "roundtable-full")
Complete = Callable[[str], list[str]]


def one_of(values: Sequence[str]) -> Complete:
    """Complete one of some values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def list_of(values: Sequence[str]) -> Complete:
    """Complete the last of several values with commas between them; each is offered once."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [f"{before}{comma}{value}" for value in values if value.startswith(last) and value not in given]

    return complete


def model(incomplete: str) -> list[str]:
    """Complete an embedded model or a folder."""
    folder, slash, begin = incomplete.rpartition("/")
    try:
        inside = sorted(path.name for path in Path(f"{folder}{slash}" or ".").iterdir() if path.is_dir())
    except (OSError, ValueError):
        inside = []
    shown = [name for name in inside if name.startswith(begin) and (begin or not name.startswith("."))]
    return one_of(EMBEDDED)(incomplete) + [f"{folder}{slash}{name}/" for name in shown]
