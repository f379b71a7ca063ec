"""What a scene shows and says at the sampled frames, and what may be wrong with it: all before a model runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.scene.boxes import Boxes, scene_boxes
from attnscope.scene.findings import Finding, listed, plural
from attnscope.scene.frames import Frames
from attnscope.scene.media import read_scene_frames, scene_sampling
from attnscope.scene.mentions import question_notes
from attnscope.scene.models import Sampling, Turn
from attnscope.scene.names import alike_names
from attnscope.scene.problems import seconds
from attnscope.scene.scene import Scene
from attnscope.scene.speaking import inside_frames, live_frames, speaker_findings

OVERLAP = 0.5  # of the smaller of two boxes, from which they count as overlapping (ours)


@dataclass(frozen=True)
class ScenePreview:
    """A scene at its sampled frames.

    Attributes:
        scene: The scene.
        frames: The sampled frames.
        boxes: Boxes of the speakers in them.
        window: Start and end of what is sampled, in seconds; None for an image.
        inside: Which frames lie within the time of each turn, bool [T, F]; of a turn without times all of them.
        live: Which frames count for each turn: those, or else the nearest, bool [T, F].
        findings: What a user should know.

    Example:
        >>> preview = attnscope.scene.preview_scene(scene)
        >>> preview.window, preview.inside.shape, [finding.kind for finding in preview.findings]
        ((0.0, 4.0), (3, 8), [])
    """

    scene: Scene
    frames: Frames
    boxes: Boxes
    window: tuple[float, float] | None
    inside: npt.NDArray[np.bool_]
    live: npt.NDArray[np.bool_]
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-able values; boxes in pixels, null where a speaker is not visible."""
        scene, frames = self.scene, self.frames
        turns = [
            {
                "number": number,
                **{"speaker": turn.speaker, "start": turn.start, "end": turn.end, "text": turn.text},
                "frames": np.flatnonzero(self.inside[number]).tolist(),
                "live_frames": np.flatnonzero(self.live[number]).tolist(),
            }
            for number, turn in enumerate(scene.transcript)
        ]
        speakers = [
            {
                "name": name,
                "turns": [number for number, turn in enumerate(scene.transcript) if turn.speaker == name],
                "segments": len(scene.speakers[name].segments) if name in scene.speakers else None,
                "boxes": [None if np.isnan(box).any() else box.tolist() for box in self.boxes_of(name)],
            }
            for name in scene.speaker_names
        ]
        return {
            "video": str(scene.video),
            "further": [item.model_dump(mode="json") for item in scene.further],
            "kind": frames.kind,
            **{"width": frames.width, "height": frames.height, "duration": frames.duration},
            "window": self.window,
            "frames": [
                {"number": number, "source_frame": int(index), "time": float(time)}
                for number, (index, time) in enumerate(zip(frames.indices, frames.times, strict=True))
            ],
            "turns": turns,
            "speakers": speakers,
            "history": [message.model_dump() for message in scene.history],
            **{"question": scene.question, "options": list(scene.options), "answer": scene.answer},
        }

    def boxes_of(self, name: str) -> npt.NDArray[np.float32]:
        """Boxes of somebody in the frames, [F, 4]; NaN where not visible, and all NaN for who has none."""
        if name in self.boxes.speakers:
            return np.asarray(self.boxes.xyxy[self.boxes.speakers.index(name)])
        return np.full((len(self.frames.times), 4), np.nan, np.float32)


def preview_scene(scene: Scene, sampling: Sampling | None = None) -> ScenePreview:
    """Read the frames of a scene, and find what may be wrong with it.

    Args:
        scene: The scene.
        sampling: Which frames; 8 of them spread evenly by default.

    Raises:
        MediaError: See `read_frames`.
        SceneError: See `check_against`.

    Example:
        >>> late = scene.model_copy(update={"transcript": [attnscope.scene.Turn(text="Hi.", start=0.9, end=1.1)]})
        >>> [finding.text for finding in attnscope.scene.preview_scene(late, attnscope.Sampling(frames=2)).findings][:2]
        ['1 of 1 turns has no speaker', 'Eva, Cleo, Ada, Dan and Ben have boxes and no turn']
    """
    sampling = scene_sampling(scene, sampling)
    return preview_frames(scene, read_scene_frames(scene, sampling), sampling)


def preview_frames(scene: Scene, frames: Frames, sampling: Sampling) -> ScenePreview:
    """As `preview_scene`, of frames that are read already.

    Args:
        scene: The scene; its times lie within the frames' video (`check_against`).
        frames: Its frames.
        sampling: As they were read, with what the scene says about time (`scene_sampling`).
    """
    boxes, window = scene_boxes(scene, frames), _window(frames, sampling)
    turns, times = scene.transcript, frames.times
    inside = np.array([inside_frames(t.start, t.end, times) for t in turns]).reshape(len(turns), len(times))
    live = np.array([live_frames(t.start, t.end, times) for t in turns]).reshape(len(turns), len(times))
    findings = [
        *(Finding("reading", note) for note in scene.notes),
        *(Finding("frames", warning) for warning in frames.warnings),
        *_alike(scene),
        *speaker_findings(scene),
        *boxes.findings,
        *_unseen(scene, boxes, live),
        *_overlaps(boxes),
        *([] if window is None else [*_turns_without_time(turns), *_turns_without_frame(turns, inside, live, times)]),
        *([] if window is None else _window_findings(turns, window)),
        *(Finding("question_names_nobody", note) for note in question_notes(scene)),
    ]
    return ScenePreview(scene, frames, boxes, window, inside, live, findings)


def turn_words(number: int, turn: Turn) -> str:
    """A turn in a sentence: `turn 3 (Ann, 1.2 to 2.5 s)`."""
    when = [seconds(time) for time in (turn.start, turn.end) if time is not None]
    inner = ", ".join(filter(None, [turn.speaker, f"{' to '.join(when)} s" if when else None]))
    return f"turn {number} ({inner})" if inner else f"turn {number}"


def _window(frames: Frames, sampling: Sampling) -> tuple[float, float] | None:
    if frames.kind == "image" or frames.duration is None:
        return None
    end = frames.duration if sampling.end is None else min(sampling.end, frames.duration)
    return sampling.start or 0.0, end


def _alike(scene: Scene) -> list[Finding]:
    return [
        Finding("names_alike", f"{a} and {b} look alike; are they one person?", (a, b))
        for a, b in alike_names(scene.speaker_names)
    ]


def _unseen(scene: Scene, boxes: Boxes, live: npt.NDArray[np.bool_]) -> list[Finding]:
    """Who is never visible, and who is not visible at the frames of a turn of theirs."""
    visible = ~np.isnan(boxes.xyxy[..., 0])  # [S, F]
    never = [
        name
        for name, own in zip(boxes.speakers, visible, strict=True)
        if scene.speakers[name].segments and not own.any()
    ]
    findings = []
    if never and visible.any():
        text = f"{listed(never)} {'has' if len(never) == 1 else 'have'} boxes, and none at a sampled frame"
        findings.append(Finding("speaker_not_seen", text, tuple(never)))
    hidden = [
        number
        for number, turn in enumerate(scene.transcript)
        if turn.speaker in boxes.speakers
        and turn.speaker not in never
        and scene.speakers[turn.speaker].segments
        and not (live[number] & visible[boxes.speakers.index(turn.speaker)]).any()
    ]
    if hidden:
        named = listed(turn_words(number, scene.transcript[number]) for number in hidden)
        people = tuple(dict.fromkeys(str(scene.transcript[number].speaker) for number in hidden))
        text = f"the speaker of {named} has no box at any frame of the turn"
        findings.append(Finding("speaker_hidden_while_speaking", text, people, tuple(hidden)))
    return findings


def _overlaps(boxes: Boxes) -> list[Finding]:
    """Pairs whose boxes share at least `OVERLAP` of the smaller one."""
    findings = []
    for a, b in combinations(range(len(boxes.speakers)), 2):
        frames = np.flatnonzero(overlap(boxes.xyxy[a], boxes.xyxy[b]) >= OVERLAP)
        if len(frames):
            names = boxes.speakers[a], boxes.speakers[b]
            both = int((~np.isnan(boxes.xyxy[[a, b], :, 0])).all(axis=0).sum())
            text = f"the boxes of {listed(names)} share half of the smaller one or more in {len(frames)} of the "
            text += f"{plural(both, 'frame')} that show both"
            findings.append(Finding("boxes_overlap", text, names, frames=tuple(map(int, frames))))
    return findings


def overlap(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Area that two boxes share over that of the smaller one, [F]; 0 where one is not visible.

    Args:
        left: Boxes in each frame, xyxy, NaN where not visible, [F, 4].
        right: Others.
    """
    left, right = left.astype(np.float64), right.astype(np.float64)
    size = np.minimum(left[:, 2:], right[:, 2:]) - np.maximum(left[:, :2], right[:, :2])  # [F, 2]
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (left, right)]
    return np.asarray(np.nan_to_num(np.prod(np.clip(size, 0, None), axis=1) / np.minimum(*areas)))


def _turns_without_time(turns: list[Turn]) -> list[Finding]:
    numbers = tuple(number for number, turn in enumerate(turns) if turn.start is None)
    if not numbers:
        return []
    has = "has" if len(numbers) == 1 else "have"
    text = f"{len(numbers)} of {plural(len(turns), 'turn')} {has} no times, so every frame counts as theirs"
    return [Finding("turn_without_time", text, turns=numbers)]


def _turns_without_frame(
    turns: list[Turn],
    inside: npt.NDArray[np.bool_],
    live: npt.NDArray[np.bool_],
    times: npt.NDArray[np.float64],
) -> list[Finding]:
    numbers = [number for number, own in enumerate(inside) if not own.any()]
    if not numbers:
        return []
    words = listed(
        f"{turn_words(number, turns[number])} has the frame at {seconds(float(times[live[number]][0]))} s"
        for number in numbers
    )
    has = "has" if len(numbers) == 1 else "have"
    text = f"{len(numbers)} of {plural(len(turns), 'turn')} {has} no sampled frame, so the nearest stands in: {words}"
    return [Finding("turn_without_frame", text, turns=tuple(numbers))]


def _window_findings(turns: list[Turn], window: tuple[float, float]) -> list[Finding]:
    """Turns that the window cuts or leaves out; the prompt holds them all the same."""
    low, high = window
    cut, beyond = [], []
    for number, turn in enumerate(turns):
        if turn.start is None:
            continue
        end = turn.start if turn.end is None else turn.end
        if end < low or turn.start > high:
            beyond.append(number)
        elif turn.start < low < end or turn.start < high < end:
            cut.append(number)
    findings = []
    where = f"the window of {seconds(low)} to {seconds(high)} s"
    for kind, numbers, what in (
        ("turn_cut_by_window", cut, f"{where} cuts"),
        ("turn_outside_window", beyond, f"{where} leaves out"),
    ):
        if numbers:
            words = listed(turn_words(number, turns[number]) for number in numbers)
            text = f"{what} {plural(len(numbers), 'turn')}, which the prompt holds whole: {words}"
            findings.append(Finding(kind, text, turns=tuple(numbers)))
    return findings
