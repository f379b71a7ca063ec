"""What a user should know of a scene before a model runs: each finding is a kind, a sentence, and whom it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST = 5  # names, turns or frames in one sentence

KINDS: dict[str, str] = {
    "reading": "reading the files changed something",
    "frames": "the frames are not what was asked for, or not what they seem",
    "turn_without_frame": "no sampled frame lies within the time of a turn",
    "turn_without_time": "a turn has no times",
    "turn_without_speaker": "a turn has no speaker",
    "turn_cut_by_window": "the window begins or ends in the middle of a turn",
    "turn_outside_window": "a turn lies outside the window",
    "speaker_without_box": "somebody speaks and has no box",
    "speaker_without_turn": "somebody has boxes and no turn, while other turns or boxes lack their person",
    "speaker_not_seen": "somebody has boxes, and none of them at a sampled frame",
    "speaker_hidden_while_speaking": "a speaker has no box at any frame of a turn",
    "box_clipped": "a box reaches outside the picture",
    "box_outside": "a box lies outside the picture",
    "boxes_overlap": "two boxes share at least half of the smaller one",
    "names_alike": "two names look alike",
    "question_names_nobody": "the question names somebody in other letter case alone",
    "box_cropped": "a box lies where the model has no cell",
    "box_without_cell": "a box covers no cell far enough",
    "shared_cells": "two people have most of their cells together",
    "no_places": "the places of the visual tokens are not known",
    "prompt_too_long": "the prompt reaches beyond the model's context window",
    "sound": "the model could hear, and is not given the sound",
}


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: A key of `KINDS`.
        text: A sentence without a full stop.
        speakers: Names of those it is about.
        turns: Their numbers in the transcript, from 0.
        frames: Numbers of the sampled frames, from 0.

    Example:
        >>> finding = attnscope.scene.Finding("turn_without_speaker", "1 of 4 turns has no speaker", turns=(2,))
        >>> finding.to_dict()["turns"]
        [2]
    """

    kind: str
    text: str
    speakers: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a kind that has no meaning.

        Raises:
            KeyError: It is not in `KINDS`.
        """
        KINDS[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-able values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def texts(findings: Iterable[Finding]) -> list[str]:
    """Their sentences."""
    return [finding.text for finding in findings]


def listed(items: Iterable[object]) -> str:
    """Things in a sentence: `Ann`, `Ann and Ben`, `Ann, Ben and Cleo`; of many the first, and how many more."""
    words = [str(item) for item in items]
    if len(words) > MOST:
        return f"{', '.join(words[:MOST])} and {len(words) - MOST} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def plural(count: int, word: str) -> str:
    """`1 turn`, `2 turns`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def counts_of(counts: Mapping[str, int]) -> str:
    """Names with a number each, those with 0 left out: `Ann 2, Ben 1`."""
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)
