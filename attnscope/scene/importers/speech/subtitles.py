"""Transcripts from subtitle files (.srt, .vtt, .ass, .ssa): who says which words in each cue.

Subtitles name speakers in several ways; these are understood, and nothing else is guessed (rules: ours): `<v
Name>words` (WebVTT), the field Name (SubStation Alpha), `Name: words`, `[Name]: words`, `[Name] words` and `(Name)
words` where the file shows that these are names (labels.py), and a leading dash or `>>` for a change of speaker.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attnscope.scene.importers.registry import importer
from attnscope.scene.importers.speech import labels
from attnscope.scene.importers.speech.cues import read_cues
from attnscope.scene.importers.speech.rolling import Line, unrolled
from attnscope.scene.importers.speech.substation import read_events
from attnscope.scene.names import clean_name, is_word_character, without_format
from attnscope.scene.problems import show
from attnscope.scene.records import LeftOut, Note, SpeechRecord

_VOICE = re.compile(r"<v(?:\.[^\s.<>]+)*\s+([^>\s][^>]*)>|(</v>)", re.IGNORECASE)
# Tags that players know; `<word>` with another word in it is text.
_TAGS = "[abcispuv]|br|lang|ruby|r[tp]|font|span|div|em|strong|small|big|su[bp]|tt|strike|del|ins|center|h[1-6]|img"
_MARKUP = re.compile(rf"</?(?:{_TAGS})(?=[\s.:/>])[^<>]*>|<\d+:[\d:.]+>|\{{\\[^}}]*\}}", re.IGNORECASE)
_BREAK = re.compile(r"(?i:<br\s*/?>)|\\N")
_CHANGE = re.compile(r"^(?:[-\u2010-\u2015\u2212]+|>>+)\s*")
_BRACKETED = re.compile(r"^[\[\u3010\uff3b]([^\[\]\u3010\u3011]{1,60})[\]\u3011\uff3d]\s*[:\uff1a]\s*(.*)$")
# Signs that stand for a colon. White space follows all but the full-width ones, and 10:30 is a time in either.
_COLON = re.compile(r"[:\u2236\ua789](?=\s|$)|(?<!\d)[\uff1a\ufe55\ufe13]|[\uff1a\ufe55\ufe13](?!\d)")
_ANY_COLON = re.compile(r"[:\u2236\ua789\uff1a\ufe55\ufe13]")
_ASIDE = re.compile(r"\s*[(\uff08][^()\uff08\uff09]{1,30}[)\uff09]$")
_IN_NAMES = frozenset(".'\u2019\u02bc&-\u2010\u2011\u00b7\u30fb\u2022#/")
_MOST_WORDS, _LONGEST_NAME = 4, 60
# A head that ends in one of these goes on after its colon: "The answer is: yes".
_GOES_ON = frozenset(
    (
        *(
            "is",
            "are",
            "was",
            "were",
            "be",
            "has",
            "have",
            "had",
            "say",
            "says",
            "said",
            "ask",
            "asks",
            "asked",
            "means",
        ),
        *(
            "the",
            "a",
            "an",
            "and",
            "or",
            "but",
            "that",
            "this",
            "these",
            "those",
            "it",
            "of",
            "to",
            "for",
            "like",
            "not",
        ),
    )
)
_USUAL = 0.5  # share of cues with a speaker, from which on a file labels its lines
REPEATS = "its lines repeat the cue before"
_SUBSTATION = (".ass", ".ssa")
_SIGNS = re.compile(r"[\s.'\u2019-]")
# Where a voice comes from, as scripts say it after a name, without spaces and signs.
_DIRECTIONS = re.compile(
    r"off(?:screen|camera|stage)?|o[sc]|vo|cont(?:d|inuing)?|onscreen|voiceover|(?:on|over)(?:the)?(?:phone|radio|tv|speaker)"
)


@dataclass(frozen=True)
class _Shown:
    """What is shown for a while: a cue, or an event of SubStation Alpha."""

    start: float
    end: float
    line: int
    lines: list[Line]


@importer(
    name="subtitles",
    suffixes=(".srt", ".vtt", ".ass", ".ssa"),
    yields=("turns", "words"),
    summary="subtitles (SubRip, WebVTT, SubStation Alpha)",
    documentation="https://www.w3.org/TR/webvtt1/",
    counts_from="file",
)
def read_subtitles(
    path: Path, *, merge_rolling: bool = True, names: str = ""
) -> Iterator[SpeechRecord | LeftOut | Note]:
    """Read the turns of subtitles, and say in one sentence each what a user should know about them.

    Args:
        path: The file; it is read whole, up to the limit of text files.
        merge_rolling: Keep each line of rolling captions once.
        names: People who may speak, with commas between them (or each on a line), so that `(Ada) words` is hers.
    """
    known = [name.strip() for name in names.split("\n" if "\n" in names else ",") if name.strip()]
    if path.suffix.lower() in _SUBSTATION:
        shown, notes, comments = _events(path, known)
        for line in comments:
            yield LeftOut(where=f"line {line}", what="turn", reason="a comment, which players do not show")
    else:
        shown, notes = _cues(path, known)
    lines = [cue.lines for cue in shown]
    ends = [cue.end for cue in shown]
    merged, merged_ends, repeats = unrolled([(cue.start, cue.end) for cue in shown], lines)
    if repeats and merge_rolling:
        lines, ends = merged, merged_ends
        notes.append(
            f"rolling captions: {repeats} lines that repeat the cue before are left out, so that each stands once in "
            "the prompt; merge_rolling=False keeps them"
        )
    elif repeats:
        notes.append(
            f"rolling captions: {repeats} lines repeat the cue before and stand in the prompt again; "
            "merge_rolling=True leaves them out"
        )
    for note in notes:
        yield Note(text=f"{path.name}: {note}")
    for cue, spoken, end in zip(shown, lines, ends, strict=True):
        turns = _joined(spoken)
        if not turns:
            reason = REPEATS if cue.lines else "it holds no words"
            yield LeftOut(where=f"line {cue.line}", what="turn", reason=reason)
        for speaker, words in turns:
            where = f"line {cue.line}: cue {show(words)}"
            yield SpeechRecord(where=where, speaker=speaker, text=words, start=cue.start, end=end)


def _cues(path: Path, known: list[str]) -> tuple[list[_Shown], list[str]]:
    """The cues of a .srt or .vtt file, and what is to be said about names."""
    cues = read_cues(path)
    brackets, notes = _brackets([cue.text for cue in cues], known)
    return [_Shown(cue.start, cue.end, cue.line, spoken_lines(cue.text, brackets)) for cue in cues], notes


def _events(path: Path, known: list[str]) -> tuple[list[_Shown], list[str], list[int]]:
    """The events of a .ass or .ssa file, what is to be said about names, and the lines of its comments.

    An event with an actor is the actor's alone; the text of another is looked through like a cue.
    """
    events = list(read_events(path))
    texts = [html.escape(event.text, quote=False) for event in events]  # `<` and `&` are plain characters here
    free = [text for text, event in zip(texts, events, strict=True) if not event.name and not event.is_comment]
    brackets, notes = _brackets(free, [*known, *(event.name for event in events if event.name)])
    shown = []
    for text, event in zip(texts, events, strict=True):
        lines = spoken_lines(text, brackets)
        if event.name:
            actor = clean_name(event.name) or None
            plain = enumerate(filter(None, _plain_lines(text)))
            lines = [Line(actor, words, at == 0) for at, words in plain]
        if not event.is_comment:
            shown.append(_Shown(event.start, event.end, event.line, lines))
    return shown, notes, [event.line for event in events if event.is_comment]


def _brackets(texts: list[str], known: list[str]) -> tuple[frozenset[str], list[str]]:
    """What stands in brackets and is a name, and a sentence for whatever was decided about names."""
    cues = [[_CHANGE.sub("", line) for line in _plain_lines(text) if line] for text in texts]
    voices = [voice for text in texts for voice, _ in _voices(text) if voice]
    brackets = labels.labels(cues, lambda line: _name(line, frozenset())[0], [*known, *voices])
    lines = [line for cue in cues for line in cue]
    inside = [found[0] for line in lines if (found := labels.bracketed(line)) and labels.key(found[0]) in brackets]
    heads = [line.partition(":")[0] for line in lines if _name(line, frozenset())[0]]
    moved = [head for head in heads if _without_direction(head) != head]
    notes = []
    if inside:
        notes.append(f"names in brackets before words are those of speakers: {_listed(inside)}")
    if moved:
        notes.append(f"a bracket that says where a voice comes from is no part of a name: {_listed(moved)}")
    once = _once(cues, brackets, [*known, *voices])
    if once and not voices:
        notes.append(f"most lines name no speaker, and these names stand once, before a colon: {_listed(once)}")
    return brackets, notes


def _once(cues: list[list[str]], brackets: frozenset[str], known: list[str]) -> list[str]:
    """Names before a colon that stand once, where most cues name no speaker: they may be no names."""
    named = [[name for line in cue if (name := _name(line, brackets)[0])] for cue in cues if cue]
    if sum(map(bool, named)) >= _USUAL * len(named):
        return []
    counts = Counter(name for names in named for name in names)
    keys = brackets | {labels.key(name) for name in known}
    return [name for name, count in counts.items() if count == 1 and labels.key(name) not in keys]


def _listed(texts: list[str]) -> str:
    different = list(dict.fromkeys(texts))
    return ", ".join(different[:5]) + (f" and {len(different) - 5} more" if len(different) > 5 else "")


def split_speakers(raw: str) -> list[tuple[str | None, str]]:
    """Split the text of one cue into (speaker, words).

    Args:
        raw: The cue's text with its markup and line breaks.

    Returns:
        One pair for each speaker in order; speaker None where the cue does not say. Cues without words give
        none.
    """
    return _joined(spoken_lines(raw))


def spoken_lines(raw: str, brackets: frozenset[str] = frozenset()) -> list[Line]:
    """The lines of a cue without their markup, and who says each; `brackets` are keys of names, see `labels.labels`."""
    lines: list[Line] = []
    for voice, text in _voices(raw):
        fresh, speaker = True, voice
        for plain in filter(None, _plain_lines(text)):
            words = _CHANGE.sub("", plain)
            name, words = _name(words, brackets) if voice is None else (voice, words)
            if fresh or words != plain:  # a dash, an arrow or a name was taken off: somebody else speaks
                fresh, speaker = True, name
            lines.append(Line(speaker, words, fresh))
            fresh = False
    return lines


def _plain_lines(text: str) -> Iterator[str]:
    """The lines of a text without markup, entities and needless white space."""
    for line in _BREAK.sub("\n", text).split("\n"):
        yield " ".join(without_format(html.unescape(_MARKUP.sub("", line))).split())


def _joined(lines: Iterable[Line]) -> list[tuple[str | None, str]]:
    turns: list[tuple[str | None, list[str]]] = []
    for line in lines:
        if line.begins or not turns:
            turns.append((line.speaker, []))
        turns[-1][1].append(line.words)
    joined = [(name, " ".join(" ".join(words).split())) for name, words in turns]
    return [(name, words) for name, words in joined if words]


def _voices(raw: str) -> list[tuple[str | None, str]]:
    """Cut at voice spans: [(None, before), ("Ann", hers), ...]."""
    pieces: list[tuple[str | None, str]] = []
    voice, at = None, 0
    for tag in _VOICE.finditer(raw):
        pieces.append((voice, raw[at : tag.start()]))
        voice, at = (clean_name(html.unescape(tag[1])) or None if tag[1] else None), tag.end()
    pieces.append((voice, raw[at:]))
    return pieces


def _name(line: str, brackets: frozenset[str]) -> tuple[str | None, str]:
    """The name that a line begins with, and the words after it."""
    bracketed = _BRACKETED.match(line)
    if bracketed:
        return clean_name(bracketed[1]) or None, bracketed[2]
    label = labels.bracketed(line)
    if label and labels.key(label[0]) in brackets:
        return clean_name(label[0]) or None, label[1]
    colon = _ANY_COLON.search(line)
    if colon and _COLON.match(line, colon.start()) and _looks_like_a_name(line[: colon.start()].strip()):
        return clean_name(_without_direction(line[: colon.start()].strip())), line[colon.end() :].strip()
    return None, line


def _without_direction(name: str) -> str:
    """`ADA (OFF)` -> `ADA`: a bracket that says where the voice comes from is no part of a name, others are."""
    aside = _ASIDE.search(name)
    if aside is None:
        return name
    parts = re.split(r"[,;/]", aside[0].strip(" ()\uff08\uff09"))
    return (
        name[: aside.start()] if all(_DIRECTIONS.fullmatch(_SIGNS.sub("", part.casefold())) for part in parts) else name
    )


def _looks_like_a_name(text: str) -> bool:
    """One to four words, the first not in lower case: "Dr. Smith", but not "and then". "(off)" may follow."""
    words = _ASIDE.sub("", text).split()
    return (
        len(text) <= _LONGEST_NAME
        and 1 <= len(words) <= _MOST_WORDS
        and words[0][0].isalpha()
        and not words[0][0].islower()
        and not _goes_on(words)
        and all(is_word_character(c) or c in _IN_NAMES for word in words for c in word)
    )


def _goes_on(words: list[str]) -> bool:
    """Whether several words are the beginning of a sentence rather than a name: "The answer is", "At 10"."""
    last = words[-1]
    if len(words) == 1:
        return False
    is_place = words[0].casefold() in labels.PLACES and (last.isdecimal() or last[0].islower())
    return is_place or last in _GOES_ON
