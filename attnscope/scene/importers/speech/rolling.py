"""Rolling captions: each cue shows lines of the cue before again, and one more.

Automatic captions (YouTube) and converted television captions are of this kind. What is said once stands in two or
three cues. A line counts as a repeat if the cue begins when the one before ends and its first lines are the last lines
of that one, the last of them perhaps with more words at its end (rules: ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

_GAP = 0.1  # seconds between two cues that follow one another
_LEAST = 2  # cues that repeat lines and add to them, before a file counts as rolling
_SHARE = 0.5  # of all cues but the first


@dataclass(frozen=True)
class Line:
    """A line of a cue.

    Attributes:
        speaker: Who says it; None if the cue does not say.
        words: Without markup.
        begins: Whether a turn begins here.
    """

    speaker: str | None
    words: str
    begins: bool


def unrolled(
    times: Sequence[tuple[float, float]], cues: Sequence[Sequence[Line]]
) -> tuple[list[list[Line]], list[float], int]:
    """Leave out the lines that repeat the cue before.

    Args:
        times: Start and end of each cue, in seconds.
        cues: The lines of each cue.

    Returns:
        The new lines of each cue, the end of each cue, and how many lines were left out: 0 if these are not rolling
        captions. A line that grows in the cues after it stands whole in its first cue, whose end is then that of the
        last of them. A line without a name has the speaker of the line above it.
    """
    repeats = [0] * len(cues)
    rolled, previous = 0, None
    for number, lines in enumerate(cues):
        if not lines:
            continue
        if previous is not None and times[number][0] <= times[previous][1] + _GAP:
            repeats[number] = _overlap(cues[previous], lines)
            rolled += repeats[number] > 0 and list(lines) != list(cues[previous])
        previous = number
    repeating = sum(count > 0 for count in repeats)
    spoken = sum(bool(lines) for lines in cues)
    if rolled < _LEAST or repeating < _SHARE * (spoken - 1):
        return [list(lines) for lines in cues], [end for _, end in times], 0
    return *_left(times, cues, repeats), sum(repeats)


def _overlap(before: Sequence[Line], lines: Sequence[Line]) -> int:
    """How many lines at the beginning are the last ones of the cue before."""
    for count in range(min(len(before), len(lines)), 0, -1):
        pairs = list(zip(before[-count:], lines[:count], strict=True))
        if any(b.speaker not in (None, a.speaker) for a, b in pairs):
            continue
        *whole, (last, now) = pairs
        if all(a.words == b.words for a, b in whole) and f"{now.words} ".startswith(f"{last.words} "):
            return count
    return 0


def _left(
    times: Sequence[tuple[float, float]], cues: Sequence[Sequence[Line]], repeats: Sequence[int]
) -> tuple[list[list[Line]], list[float]]:
    left: list[list[Line]] = []
    ends = [end for _, end in times]
    previous: list[Line] = []  # the lines of the cue before, with the speakers that they inherited
    kept: tuple[int, int] | None = None  # where the last line of the cue before stands in `left`
    for number, lines in enumerate(cues):
        left.append([])
        if not lines:
            continue
        speakers = list[Line]()
        for at, line in enumerate(lines):
            if at < repeats[number]:
                speaker = line.speaker or previous[len(previous) - repeats[number] + at].speaker
            elif line.begins or at == 0:
                speaker = line.speaker
            else:
                speaker = speakers[-1].speaker
            speakers.append(replace(line, speaker=speaker))
        added = speakers[repeats[number] :]
        grown = repeats[number] > 0 and speakers[repeats[number] - 1].words != previous[-1].words
        if grown and kept is not None:
            left[kept[0]][kept[1]] = replace(left[kept[0]][kept[1]], words=speakers[repeats[number] - 1].words)
            ends[kept[0]] = max(ends[kept[0]], times[number][1])
        if added and repeats[number]:
            added[0] = replace(added[0], begins=True)  # a new cue is a new turn
        left[number].extend(added)
        if added:
            kept = (number, len(added) - 1)
        previous = speakers
    return left, ends
