"""Whether those who speak are those who have boxes, and which frames are shown while they speak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.scene.findings import Finding, listed, texts
from attnscope.scene.names import nearest_name

if TYPE_CHECKING:
    from attnscope.scene.scene import Scene


def inside_frames(start: float | None, end: float | None, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which sampled frames lie within the time of an utterance.

    Args:
        start: Seconds; an utterance with neither start nor end has all frames.
        end: Seconds; with only one of the two, the utterance is that instant.
        times: Times of the sampled frames, seconds, [F].

    Returns:
        [F]: the frames inside [start, end]; there may be none.
    """
    known = [t for t in (start, end) if t is not None]
    if not known:
        return np.ones(len(times), dtype=bool)
    return np.asarray((times >= min(known)) & (times <= max(known)))


def live_frames(start: float | None, end: float | None, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which sampled frames are live for an utterance.

    Args:
        start: Seconds; an utterance with neither start nor end is live at all frames.
        end: Seconds; with only one of the two, the utterance is that instant.
        times: Times of the sampled frames, seconds, [F].

    Returns:
        [F]: the frames inside [start, end], else the one nearest to it (the earlier of two).
    """
    inside = inside_frames(start, end, times)
    if inside.any() or not len(times):
        return inside
    known = [t for t in (start, end) if t is not None]
    distance = np.maximum(min(known) - times, times - max(known))
    return np.asarray(np.arange(len(times)) == int(np.argmin(distance)))


def speaker_notes(scene: Scene) -> list[str]:
    """The sentences of `speaker_findings`."""
    return texts(speaker_findings(scene))


def speaker_findings(scene: Scene) -> list[Finding]:
    """What a user should know about turns and boxes that do not meet.

    Turns without a speaker and speakers without boxes are legal, but all numbers of speakers are then over fewer people
    or words than the scene seems to hold. People with boxes who say nothing are named beside them, since they may be
    the ones that were meant.
    """
    turns = scene.transcript
    if not turns:
        return []
    findings = []
    unknown = [number for number, turn in enumerate(turns) if turn.speaker is None]
    if unknown:
        text = f"{len(unknown)} of {len(turns)} turns {'has' if len(unknown) == 1 else 'have'} no speaker"
        findings.append(Finding("turn_without_speaker", text, turns=tuple(unknown)))
    speaking = dict.fromkeys(turn.speaker for turn in turns if turn.speaker is not None)
    boxed = [name for name, speaker in scene.speakers.items() if speaker.segments]
    boxless = [name for name in speaking if name not in scene.speakers]
    if boxless:
        meant = [_meant(name, boxed) for name in boxless]
        text = f"{listed(meant)} {'speaks' if len(boxless) == 1 else 'speak'} and {_has(boxless)} no box"
        findings.append(Finding("speaker_without_box", text, tuple(boxless)))
    silent = [name for name in boxed if name not in speaking]
    if silent and (unknown or boxless):  # where every turn has its person, the others merely listen
        text = f"{listed(silent)} {_has(silent)} boxes and no turn"
        findings.append(Finding("speaker_without_turn", text, tuple(silent)))
    return findings


def _meant(name: str, names: Sequence[str]) -> str:
    near = nearest_name(name, names)
    return name if near is None else f"{name} (did you mean {near}?)"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
