"""Whether those who speak are those who have boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnscope.scene.names import nearest_name

if TYPE_CHECKING:
    from attnscope.scene.scene import Scene

_MOST = 5  # names in one sentence


def speaker_notes(scene: Scene) -> list[str]:
    """What a user should know about turns and boxes that do not meet, one sentence each.

    Turns without a speaker and speakers without boxes are legal, but all numbers of speakers are then over fewer people
    or words than the scene seems to hold. People with boxes who say nothing are named beside them, since they may be
    the ones that were meant.
    """
    turns = scene.transcript
    if not turns:
        return []
    notes = []
    unknown = sum(turn.speaker is None for turn in turns)
    if unknown:
        notes.append(f"{unknown} of {len(turns)} turns {'has' if unknown == 1 else 'have'} no speaker")
    speaking = dict.fromkeys(turn.speaker for turn in turns if turn.speaker is not None)
    boxed = [name for name, speaker in scene.speakers.items() if speaker.segments]
    boxless = [name for name in speaking if name not in scene.speakers]
    if boxless:
        meant = [_meant(name, boxed) for name in boxless]
        notes.append(f"{_listed(meant)} {'speaks' if len(boxless) == 1 else 'speak'} and {_has(boxless)} no box")
    silent = [name for name in boxed if name not in speaking]
    if silent and (unknown or boxless):  # where every turn has its person, the others merely listen
        notes.append(f"{_listed(silent)} {_has(silent)} boxes and no turn")
    return notes


def _meant(name: str, names: Sequence[str]) -> str:
    near = nearest_name(name, names)
    return name if near is None else f"{name} (did you mean {near}?)"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _MOST:
        return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
