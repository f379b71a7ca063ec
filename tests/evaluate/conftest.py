"""Eight questions about three short films, with labels, one film without boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import attnscope
from attnscope.evaluate import read_manifest
from attnscope.model import LoadedModel, Prompt, build_prompt
from attnscope.scene import read_scene_frames
from tests.scene.films import film


def visible(x0: float, x1: float) -> dict[str, Any]:
    return {"segments": [{"start": 0, "end": 3, "keyframes": [{"t": 0, "xyxy": [x0, 4, x1, 60]}]}]}


BOXES = {"Ann": visible(2, 46), "Bob": visible(50, 94)}
TURNS = [
    {"speaker": "Ann", "start": 0.2, "end": 1.2, "text": "Are you ready over there?"},
    {"speaker": "Bob", "start": 1.4, "end": 2.6, "text": "Yes, whenever you are."},
    {"speaker": "Ann", "text": "Then we can begin with the long one."},
]
# clip, question, options, answer, turns, fields
ASKED: list[tuple[int, str, list[str], str, int, dict[str, Any]]] = [
    (0, "What does Ann ask?", ["a", "the long way round"], "a", 2, {"task": "what", "people": 2}),
    (0, "Who speaks?", ["Ann", "Bob", "nobody at all"], "Bob", 1, {"task": "who", "people": 2}),
    (0, "Is Bob ready?", ["yes", "no"], "yes", 3, {"task": "what", "people": 2}),
    (1, "Where is Ann?", ["left", "right"], "left", 0, {"task": "where", "people": 3, "seats": ["left", 2]}),
    (1, "Where is Bob?", ["left", "right"], "right", 2, {"task": "where", "people": 3, "seats": ["left", 2]}),
    (2, "Who is Ann?", ["Ann", "Bob"], "Ann", 1, {"task": "who", "people": 3}),
    (2, "Who is Bob?", ["Ann", "Bob"], "Bob", 1, {"task": "who", "people": 3}),
    (2, "Who is there?", ["Ann", "Bob", "both of them"], "both of them", 2, {}),
]


def make(model: LoadedModel, questions: Path, numbers: Sequence[int] = range(8), frames: int = 4) -> list[Prompt]:
    """Prompts of some of the questions."""
    scenes = [question.scene for question in read_manifest(questions).questions]
    return [
        build_prompt(model, scenes[n], read_scene_frames(scenes[n], attnscope.Sampling(frames=frames))) for n in numbers
    ]


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with manifest.jsonl, its scenes and its films."""
    folder = tmp_path_factory.mktemp("questions")
    for clip in range(3):
        film(folder / f"clip{clip}.mp4")
    lines = []
    for number, (clip, question, options, answer, turns, fields) in enumerate(ASKED):
        scene = {"video": f"clip{clip}.mp4", "speakers": BOXES, "transcript": TURNS[:turns], "fields": fields}
        scene |= {"question": question, "options": options, "answer": answer}
        (folder / f"q{number}.json").write_text(json.dumps(scene))
        lines.append(json.dumps({"id": f"film {clip}, {number}", "scene": f"q{number}.json"}) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def model(checkpoint: Callable[[str], Path]) -> LoadedModel:
    return attnscope.load(checkpoint("qwen2_5_vl"), dtype="float32", device="cpu")
