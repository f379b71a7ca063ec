"""Speech from Praat's TextGrid files, in the long and the short text form.

As Praat reads them (manual page "TextGrid file formats"): numbers and quoted texts that stand free are data, `<exists>`
is a flag, and everything else, such as `xmin =` or `intervals [2]:`, is there for people. So both forms are one, and
one piece after another is read.

A tier of intervals is a speaker of its name, and each interval with a label a turn. Two kinds of tiers are known by
their names, as forced aligners write them: `words` or `Ada - words` holds single words, `phones` or `Ada - phones` no
words at all. An empty label is silence and no record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

from attnscope.errors import SceneError
from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.streaming import text_lines
from attnscope.scene.problems import show
from attnscope.scene.records import LeftOut, Note, SpeechRecord, Word

Labels = Literal["words", "speakers"]
_SILENCE = frozenset(("sil", "sp", "spn", "<sil>", "<sp>", "<eps>", "<p:>", "#"))
_KIND = re.compile(r"(?:(?P<speaker>.+?)\s*[-_/:|]\s*)?(?P<kind>words?|phones?|phonemes?|segments)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MOST_NAMES = 5  # in one sentence
_LONGEST_TEXT = 2**20  # characters of one label
Token = tuple[int, str, str]  # number of the line; "number", "text" or "flag"; the value


@importer(
    name="textgrid",
    yields=("turns", "words"),
    suffixes=(".textgrid",),
    summary="speech from Praat's TextGrid files; each tier of intervals is a speaker",
    documentation="https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html",
    counts_from="sound",
)
def read_textgrid(path: Path, *, tiers: str = "", labels: Labels = "words") -> Iterator[SpeechRecord | LeftOut | Note]:
    """Read the intervals of a TextGrid file.

    Args:
        path: The file, in UTF-8 or in UTF-16 with a byte order mark.
        tiers: Names of the tiers to read, with commas between them; all if empty.
        labels: What the labels are: "words" that the speaker of the tier says, or the names of "speakers".
    """
    if labels not in get_args(Labels):
        raise ValueError(f"labels: {labels} is not one of {', '.join(get_args(Labels))}")
    wanted = {name.strip() for name in tiers.split(",") if name.strip()}
    missing = set(wanted)
    speakers: dict[str, None] = {}
    tokens = _tokens(path, text_lines(path))
    _head(path, tokens)
    _skip_span(path, tokens)
    _, kind, value = next(tokens, (0, "flag", "<absent>"))
    if (kind, value) != ("flag", "<exists>"):
        return
    for _ in range(_count(path, tokens)):
        form, name = _value(path, tokens, "text"), _value(path, tokens, "text")
        _skip_span(path, tokens)
        if form not in ("IntervalTier", "TextTier"):
            raise SceneError(f"{path}: {show(form)} is neither IntervalTier nor TextTier")
        missing.discard(name.strip())
        for at in range(_count(path, tokens)):
            start = float(_value(path, tokens, "number"))
            end = float(_value(path, tokens, "number")) if form == "IntervalTier" else start
            label = " ".join(_value(path, tokens, "text").split())
            if not label:
                continue
            where = f"tier {show(name)} {at + 1}"
            if wanted and name.strip() not in wanted:
                yield LeftOut(where=where, what="turn", reason="the tier is not among those to read", name=name)
            elif form == "TextTier":
                yield LeftOut(where=where, what="turn", reason="a point is no stretch of speech", name=name)
            else:
                record = _interval(where, name.strip(), label, start, end, labels, bool(wanted))
                if isinstance(record, SpeechRecord) and record.speaker and labels == "words":
                    speakers[record.speaker] = None
                yield record
    if speakers and not wanted:
        yield Note(text=tiers_are_speakers(path, speakers))
    if missing:
        raise SceneError(f"{path}: there is no tier {show(sorted(missing)[0])}")


def tiers_are_speakers(path: Path, speakers: Iterable[str]) -> str:
    """What a user should know whose file may hold tiers of other things than speech."""
    names = list(speakers)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (
        f"{path.name}: tiers are taken for speakers: {', '.join(names[:_MOST_NAMES])}{more}; tiers= names those to read"
    )


def _interval(
    where: str, tier: str, label: str, start: float, end: float, labels: str, is_chosen: bool
) -> SpeechRecord | LeftOut:
    if label.casefold() in _SILENCE:
        return LeftOut(where=where, what="turn", reason="the label is a mark of silence", name=tier)
    if labels == "speakers":
        return SpeechRecord(where=where, speaker=label, start=start, end=end)
    kind = _KIND.fullmatch(tier)
    if kind is None:
        return SpeechRecord(where=where, speaker=tier or None, start=start, end=end, text=label)
    if not kind["kind"].casefold().startswith("word") and not is_chosen:
        return LeftOut(where=where, what="turn", reason=f"the tier holds {kind['kind']}, no words", name=tier)
    words = (Word(text=label, start=start, end=end),)
    return SpeechRecord(where=where, speaker=kind["speaker"], start=start, end=end, text=label, words=words)


def _head(path: Path, tokens: Iterator[Token]) -> None:
    """File type and object class; the class alone in some files of old."""
    first = next(tokens, (1, "flag", ""))
    if first[1] == "text" and first[2].startswith("ooTextFile"):
        first = next(tokens, first)
    if first[1:] != ("text", "TextGrid"):
        raise SceneError(f'{path}: line {first[0]}: is no TextGrid in text form ("ooTextFile" and "TextGrid")')


def _skip_span(path: Path, tokens: Iterator[Token]) -> None:
    """First and last second of the file or of a tier."""
    for _ in range(2):
        _value(path, tokens, "number")


def _count(path: Path, tokens: Iterator[Token]) -> int:
    text = _value(path, tokens, "number")
    if not text.isdecimal():
        raise SceneError(f"{path}: {show(text)} is not a number of tiers or intervals")
    return int(text)


def _value(path: Path, tokens: Iterator[Token], kind: str) -> str:
    token = next(tokens, None)
    if token is None:
        raise SceneError(f"{path}: the file ends where a {kind} was expected; is it cut short?")
    line, found, value = token
    if found != kind:
        raise SceneError(f"{path}: line {line}: {show(value)} stands where a {kind} was expected")
    return value


def _tokens(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Token]:
    """The free-standing numbers, quoted texts and flags; a text may go over several lines."""
    for number, line in lines:
        rest = line
        while rest := rest.lstrip():
            if rest[0] == "!":  # a comment, to the end of the line
                break
            if rest[0] == '"':
                value, rest = _quoted(path, number, rest[1:], lines)
                yield number, "text", value
                continue
            word, _, rest = rest.partition(" ") if " " in rest else (rest, "", "")
            word, tab, after = word.partition("\t")
            rest = f"{after} {rest}" if tab else rest
            if _NUMBER.fullmatch(word):
                yield number, "number", word
            elif word.startswith("<") and word.endswith(">"):
                yield number, "flag", word


def _quoted(path: Path, number: int, rest: str, lines: Iterator[tuple[int, str]]) -> tuple[str, str]:
    """The text up to its closing quote, two of which stand for one, and what follows it."""
    parts: list[str] = []
    for line in chain([rest], (line for _, line in lines)):
        at = 0
        while (quote := line.find('"', at)) >= 0 and line[quote + 1 : quote + 2] == '"':
            at = quote + 2
        parts.append((line if quote < 0 else line[:quote]).replace('""', '"'))
        if quote >= 0:
            return "\n".join(parts), line[quote + 1 :]
        if sum(map(len, parts)) > _LONGEST_TEXT:
            break
    raise SceneError(f"{path}: line {number}: a text begins and does not end")
