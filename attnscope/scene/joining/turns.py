"""Speech of any source as turns: who says which words, and when.

Rules (ours), which docs/import.md states for users:

- A record with words is a turn. If its words name different speakers, it is cut where the speaker changes.
- Where another source tells who speaks when, each word belongs to the speaker whose spans it overlaps most, of equal
  ones to the one whose span begins first; words that overlap no span keep the speaker that their own source names.
  Words of one span that follow one another are one turn, other words one for each record. A record whose words have no
  times is one word.
- A span into which no words fall is left out: a turn is words.
- Turns stand in the order of their beginnings; one without a time stays behind that before it in its source.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from pydantic import ValidationError

from attnscope.scene.frames import END_SLACK
from attnscope.scene.joining.spelling import one_spelling
from attnscope.scene.joining.tally import left_out, why_not
from attnscope.scene.models import Turn
from attnscope.scene.names import clean_name, name_key
from attnscope.scene.records import LeftOut, SpeechRecord

_LATEST = 1e9


@dataclass
class Said:
    """Turns of a clip.

    Attributes:
        turns: As the `transcript` of a scene file.
        imported: How many records are in `turns`.
        words: How many words with times of their own these hold.
        rejected: The other records, each with the reason.
        notes: What a user should know, one sentence each.
    """

    turns: list[dict[str, Any]] = field(default_factory=list)
    imported: int = 0
    words: int = 0
    rejected: list[tuple[SpeechRecord, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> list[LeftOut]:
        """What is rejected, as an importer yields it."""
        return [left_out(record, "turn", reason, record.speaker or "") for record, reason in self.rejected]


@dataclass
class _Unit:
    """A word, or a whole record where its words have no times."""

    record: SpeechRecord
    begin: int  # where it stands in the text of the record
    end: int
    start: float | None
    stop: float | None
    speaker: str | None
    is_record: bool = False
    span: int | None = None


def turns(
    speech: Iterable[SpeechRecord],
    spans: Iterable[SpeechRecord] = (),
    duration: float | None = None,
    names: Iterable[str] = (),
) -> Said:
    """Make turns of the speech of one clip.

    Args:
        speech: Records with words, in the order of their source.
        spans: Who speaks when, from another source; their text does not count.
        duration: Seconds of the video; None if it is not known.
        names: People as their boxes spell them.
    """
    said = Said()
    spoken = list(_usable(speech, said, duration, needs_words=True))
    units = [unit for record in spoken for unit in _units(record)]
    given = list(spans)
    telling = sorted(_usable(given, said, duration, needs_words=False), key=_start)
    counts = Counter([_called(span.speaker) for span in telling] + [_called(unit.speaker) for unit in units])
    spelled, notes = one_spelling({name: count for name, count in counts.items() if name}, names)
    said.notes += notes
    if given:
        _assign(units, telling, spelled, said)
    else:
        for unit in units:
            unit.speaker = spelled.get(_called(unit.speaker))
    made: set[int] = set()
    bad: dict[int, str] = {}
    for _, group in groupby(units, key=_whose):
        several = list(group)
        turn = _turn(several)
        if isinstance(turn, str):
            bad.update((id(unit.record), turn) for unit in several)
        else:
            said.turns.append(turn)
            made.update(id(unit.record) for unit in several)
    _cut(said, duration)
    foreign = {id(unit.record) for unit in units if unit.is_record and _tells_more(unit.record)}
    if foreign:
        whose = "1 record has" if len(foreign) == 1 else f"{len(foreign):,} records have"
        said.notes.append(
            f"{whose} words that are not those of their text in its order; times and speakers of these single words do "
            "not count"
        )
    for record in spoken:
        if id(record) in made:
            said.imported += 1
            said.words += len(record.words) if id(record) not in foreign else 0
        else:
            said.rejected.append((record, bad[id(record)]))
    return said


def in_order(speech: Sequence[tuple[int, SpeechRecord]]) -> tuple[list[SpeechRecord], bool]:
    """Records of speech in the order of their beginnings; one without a time stays behind that before it in its source.

    Args:
        speech: Number of the source, and record.

    Returns:
        The records, and whether they stood in another order.
    """
    latest: dict[int, float] = {}
    keyed = []
    for source, record in speech:
        if record.start is not None and _is_time(record.start):
            latest[source] = float(record.start)
        keyed.append((latest.get(source, 0.0), record))
    ordered = sorted(keyed, key=lambda pair: pair[0])
    return [record for _, record in ordered], any(a is not b for a, b in zip(keyed, ordered, strict=True))


def _usable(
    records: Iterable[SpeechRecord], said: Said, duration: float | None, *, needs_words: bool
) -> Iterable[SpeechRecord]:
    for record in records:
        reason = _wrong(record, duration, needs_words)
        if reason is None:
            yield record
        else:
            said.rejected.append((record, reason))


def _wrong(record: SpeechRecord, duration: float | None, needs_words: bool) -> str | None:
    """Why a record is no turn or span, None if it is one."""
    start, end = record.start, record.end
    if needs_words and record.text is None:
        return "it has no words, and no other source has them"
    if needs_words and not " ".join(str(record.text).split()):
        return "it has no words"
    if not needs_words and not clean_name(record.speaker or ""):
        return "it does not say who speaks"
    if not needs_words and (start is None or end is None):
        return "it does not say when"
    if any(time is not None and not _is_time(max(time, 0.0)) for time in (start, end)):
        return "a time is no number of seconds"
    if start is None and end is not None:
        return "it has an end and no start"
    if start is not None and start < 0:
        return "it begins before the first frame"
    if start is not None and end is not None and end < start:
        return "it ends before it begins"
    if not needs_words and start == end:
        return "it lasts no time"
    if duration is not None and start is not None and start >= duration:
        return "it begins after the end of the video"
    return None


def _called(speaker: str | None) -> str:
    """Who speaks, as a scene writes it; "" if that is not said."""
    return clean_name(speaker or "")


def _start(record: SpeechRecord) -> float:
    return float(record.start or 0)


def _cut(said: Said, duration: float | None) -> None:
    """End turns with the video, as far as they go on longer than subtitles are rounded."""
    late = [t for t in said.turns if duration is not None and t.get("end", 0) > duration + END_SLACK]
    for turn in late:
        turn["end"] = duration
    if late:
        said.notes.append(f"{len(late):,} of {len(said.turns):,} turns end after the video, and are cut at its end")


# ---- words


def _units(record: SpeechRecord) -> list[_Unit]:
    """The words of a record; one for all if they have neither times nor speakers."""
    text = str(record.text)
    if not _tells_more(record):
        return [_Unit(record, 0, len(text), record.start, record.end, record.speaker, is_record=True)]
    units: list[_Unit] = []
    at = 0
    for word in record.words:
        begin = text.find(word.text.strip(), at)
        if begin < 0 or not word.text.strip():  # the words are not those of the text: its time and speaker for all
            return [_Unit(record, 0, len(text), record.start, record.end, record.speaker, is_record=True)]
        at = begin + len(word.text.strip())
        start, end = (time if _is_time(time) else None for time in (word.start, word.end))
        units.append(_Unit(record, begin, at, start, end, word.speaker or record.speaker))
    for before, unit in pairwise(units):
        before.end = unit.begin  # signs between two words belong to the first
    units[0].begin, units[-1].end = 0, len(text)
    return units


def _tells_more(record: SpeechRecord) -> bool:
    """Whether single words have times or speakers."""
    return any(word.start is not None or word.speaker for word in record.words)


def _is_time(time: float | None) -> bool:
    return time is not None and math.isfinite(time) and 0 <= time <= _LATEST


def _assign(units: Sequence[_Unit], spans: Sequence[SpeechRecord], spelled: Mapping[str, str], said: Said) -> None:
    """Give every word the span that it belongs to; count the spans, and say what is unsure."""
    starts = [_start(span) for span in spans]
    who = [spelled[_called(span.speaker)] for span in spans]
    latest = list[float]()
    for span in spans:
        latest.append(max(float(span.end or 0), latest[-1] if latest else 0.0))
    unsure = nobody = several = other = 0
    for unit in units:
        if unit.start is None:
            continue
        overlaps = _overlaps(unit.start, unit.start if unit.stop is None else unit.stop, spans, starts, latest)
        if overlaps:
            unit.span, tied = _most(overlaps, who)
            unsure += tied
            several += not tied and unit.is_record and len({who[number] for number, _ in overlaps}) > 1
    _lend(units)
    for unit in units:
        own = _called(unit.speaker)
        if unit.span is not None:
            unit.speaker = who[unit.span]
            other += bool(own) and name_key(own).casefold() != name_key(unit.speaker).casefold()
        else:
            unit.speaker = spelled.get(own, own) or None
            nobody += unit.speaker is None
    filled = {unit.span for unit in units if unit.span is not None}
    for number, span in enumerate(spans):
        if number not in filled:
            reason = "no words fall into it" if units else "it has no words, and no other source has them"
            said.rejected.append((span, reason))
    said.imported += len(filled)
    for count, what in (
        (unsure, "are said while several speak alike, and go to the one who began first"),
        (several, "are records whose words have no times, said while several speak; each goes to one as a whole"),
        (other, "go to another speaker than their own source names"),
        (nobody, "are said while nobody speaks, or have no time, and have no speaker"),
    ):
        if count:
            said.notes.append(f"{count:,} of {len(units):,} words {what}")


def _overlaps(
    start: float, end: float, spans: Sequence[SpeechRecord], starts: Sequence[float], latest: Sequence[float]
) -> list[tuple[int, float]]:
    """Spans that a word overlaps, and for how many seconds; a moment overlaps what holds it."""
    found = []
    at = bisect_left(starts, end) if end > start else bisect_left(starts, math.nextafter(end, math.inf))
    while at > 0 and latest[at - 1] > start:
        at -= 1
        seconds = min(end, float(spans[at].end or 0)) - max(start, starts[at])
        if seconds > 0 or (start == end and starts[at] <= start < float(spans[at].end or 0)):
            found.append((at, seconds))
    return found[::-1]


def _most(overlaps: Sequence[tuple[int, float]], who: Sequence[str]) -> tuple[int, bool]:
    """The span of the speaker with the largest overlap, and whether another one has as much."""
    seconds: dict[str, float] = {}
    best: dict[str, tuple[float, int]] = {}
    for number, overlap in overlaps:
        name = who[number]
        seconds[name] = seconds.get(name, 0.0) + overlap
        best[name] = max(best.get(name, (-1.0, -1)), (overlap, number), key=lambda pair: (pair[0], -pair[1]))
    most = max(seconds.values())
    first, *others = [name for name in seconds if math.isclose(seconds[name], most, abs_tol=1e-9)]
    return best[first][1], bool(others)


def _lend(units: Sequence[_Unit]) -> None:
    """A word without a time belongs to the span of the word before it in its record, at the beginning of that after."""
    for _, group in groupby(units, key=lambda unit: id(unit.record)):
        several = list(group)
        for order in (several, several[::-1]):
            before: _Unit | None = None
            for unit in order:
                if unit.start is None and unit.span is None and before is not None:
                    unit.span = before.span
                if unit.start is not None or unit.span is not None:
                    before = unit


# ---- turns


def _whose(unit: _Unit) -> tuple[Any, ...]:
    """What neighbours of one turn have in common."""
    return ("span", unit.span) if unit.span is not None else (id(unit.record), unit.speaker)


def _turn(units: Sequence[_Unit]) -> dict[str, Any] | str:
    """One turn, or why there is none."""
    pieces = []
    for _, group in groupby(units, key=lambda unit: id(unit.record)):
        several = list(group)
        pieces.append(str(several[0].record.text)[several[0].begin : several[-1].end].strip())
    timed = [unit for unit in units if unit.start is not None]
    whole = len(pieces) == 1 and _is_whole(units)
    record = units[0].record
    start = record.start if whole else min((unit.start for unit in timed if unit.start is not None), default=None)
    ends = [unit.stop if unit.stop is not None else unit.start for unit in timed]
    end = record.end if whole else max((end for end in ends if end is not None), default=None)
    try:
        turn = Turn(speaker=units[0].speaker, text=" ".join(filter(None, pieces)), start=start, end=end)
    except ValidationError as error:
        return why_not(error)
    return turn.model_dump(exclude_none=True)


def _is_whole(units: Sequence[_Unit]) -> bool:
    """Whether these are all words of their record, whose own times then count."""
    return units[0].begin == 0 and units[-1].end == len(str(units[-1].record.text))
