"""A folder of TVQA+ that is made of demo clips says what their scene files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnscope import Scene
from attnscope.demo.scenes import write_scenes
from attnscope.demo.tvqa import write_tvqa
from attnscope.errors import RequestError
from attnscope.scene import boxes_at, import_scenes


def test_importing_the_folder_gives_the_scenes_that_it_was_made_of(tmp_path: Path) -> None:
    """But for what TVQA+ does not say: when a line ends, and a box to a pixel of 640 x 360."""
    how = {"count": 2, "seed": 38, "tasks": ("target", "pointing", "target-hidden")}
    write_scenes(tmp_path / "made", people=(5,), **how)
    folder = write_tvqa(tmp_path / "tvqa", **how)
    assert sorted(path.name for path in folder.iterdir()) == [
        "tvqa_plus_subtitles.json",
        "tvqa_plus_val.json",
        "videos",
    ]
    imported = import_scenes(tmp_path / "scenes", [f"tvqa:{folder}"], videos=folder / "videos")
    made = [json.loads(line) for line in (tmp_path / "made" / "manifest.jsonl").read_text().splitlines()]
    lines = [json.loads(line) for line in imported.manifest.read_text().splitlines()]
    assert imported.summary() == [f"samples: imported {len(made)}"]
    for before, line in zip(made, lines, strict=True):
        expected = Scene.read(tmp_path / "made" / before["scene"])
        got = Scene.read(tmp_path / "scenes" / line["scene"])
        assert (line["question"], line["options"], line["answer"]) == (
            expected.question,
            expected.options,
            expected.answer,
        )
        assert [(turn.speaker, turn.text, turn.start) for turn in got.transcript] == [
            (turn.speaker, turn.text, turn.start) for turn in expected.transcript
        ]
        assert got.video.read_bytes() == expected.video.read_bytes()
        assert set(got.speakers) == set(expected.speakers)
        times = [0.25 + 0.5 * number for number in range(8)]
        for name, speaker in expected.speakers.items():
            box = boxes_at(speaker, times) / 480
            assert abs(boxes_at(got.speakers[name], times) - box).max() < 1.01 / 360


def test_a_task_without_five_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match='tasks="cup": is not answered by one of five names'):
        write_tvqa(tmp_path / "tvqa", tasks=("cup",))
