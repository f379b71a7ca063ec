"""Who speaks when from RTTM files, as pyannote, NeMo and the tools of NIST write them.

A line is `SPEAKER file channel start duration <NA> <NA> name <NA> <NA>`, in any order, and spans may overlap. One file
may hold several recordings: each is a clip of its own. `<NA>` in place of a name is an unknown speaker. Lines of other
types (words, noise) are left out by name; comments (`;;`) and `SPKR-INFO`, which describes a speaker, are no records.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import number, text_lines
from attnscope.scene.problems import show
from attnscope.scene.records import LeftOut, SpeechRecord

_TYPES = frozenset(
    (
        "SEGMENT",
        "NOSCORE",
        "NO_RT_METADATA",
        "LEXEME",
        "NON-LEX",
        "NON-SPEECH",
        "FILLER",
        "EDIT",
        "IP",
        "CB",
        "SU",
        "A/P",
    )
)
_FEWEST = 8


@importer(
    name="rttm",
    yields=("turns",),
    suffixes=(".rttm",),
    summary="who speaks when, from RTTM files (pyannote, NeMo, NIST)",
    documentation="https://github.com/nryant/dscore#rttm",
    counts_from="sound",
)
def read_rttm(path: Path) -> Iterator[SpeechRecord | LeftOut]:
    """Read the spans of an RTTM file: turns without words."""
    first = True
    for line, text in text_lines(path):
        fields = text.split()
        if not fields or fields[0].startswith(";") or fields[0] == "SPKR-INFO":
            continue
        if first and fields[0] != "SPEAKER" and fields[0] not in _TYPES:
            raise SceneError(f"{path}: line {line}: {show(fields[0])} is no type of an RTTM file, such as SPEAKER")
        first = False
        yield _span(f"line {line}", fields)


def _span(where: str, fields: list[str]) -> SpeechRecord | LeftOut:
    clip = _given(fields[1]) or "" if len(fields) > 1 else ""
    reason = ""
    if fields[0] != "SPEAKER":
        reason = (
            f"a line of type {fields[0]} says nothing of speakers" if fields[0] in _TYPES else "the type is unknown"
        )
    elif len(fields) < _FEWEST:
        reason = f"the line has fewer than {_FEWEST} values"
    elif len(fields) > _FEWEST + 2:
        reason = f"the line has more than {_FEWEST + 2} values (a name with spaces?)"
    elif number(fields[3]) is None or number(fields[4]) is None:
        reason = "start or duration is no number"
    if reason:
        return LeftOut(where=where, clip=clip, what="turn", reason=reason)
    start, duration = number(fields[3]) or 0.0, number(fields[4]) or 0.0
    return SpeechRecord(where=where, clip=clip, speaker=_given(fields[7]), start=start, end=start + duration)


def _given(field: str) -> str | None:
    return None if field.upper() == "<NA>" else field
