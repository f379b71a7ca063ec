"""From the files of tools to a scene: where people are and who says what, at moments worked out by hand."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.scene import Scene, boxes_at, import_scenes
from tests.scene.films import film

DATA = Path(__file__).parent / "data"
BOXES, SPEECH = DATA / "boxes", DATA / "speech"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "talk.mp4", frames=600, fps=25)


def joined(clip: Path, folder: Path, **sources: Any) -> Scene:
    imported = import_scenes(folder / "out", video=clip, **sources)
    assert imported.scenes == 1
    for count in imported.counts.values():
        assert count["records"] == count["imported"] + count["left_out"]
    (path,) = (folder / "out" / "scenes").glob("*.json")
    return Scene.read(path)


def percent(scene: Scene, name: str, time: float) -> list[float] | None:
    (box,) = boxes_at(scene.speakers[name], [time])
    return None if np.isnan(box[0]) else [round(100 * side, 2) for side in box.tolist()]


def turns(scene: Scene) -> list[tuple[str | None, str]]:
    return [(turn.speaker, turn.text) for turn in scene.transcript]


def test_cvat_with_diarisation_and_a_recogniser(clip: Path, tmp_path: Path) -> None:
    scene = joined(
        clip,
        tmp_path,
        boxes=f"cvat:{BOXES / 'cvat_video.xml'}",
        turns=f"rttm:{SPEECH / 'talk.rttm'}",
        words=f"whisperx:{SPEECH / 'whisperx.json'}",
    )
    assert percent(scene, "Ada", 0.5) == [12.5, 10, 22.5, 50]  # between frames 10 and 15
    assert percent(scene, "Ada", 0.39) is None
    assert percent(scene, "Ada", 2.39) == [15, 10, 25, 50]  # held to frame 60, which says outside
    assert percent(scene, "Ada", 2.41) is None
    assert percent(scene, "person 1", 0.8) == [45, 31.67, 65, 45]
    assert percent(scene, "person 1", 20) == [45, 31.67, 65, 45]  # nothing says outside
    assert turns(scene)[0] == ("speaker_0", "Did you bring the 2 tickets? Yes.")


def test_label_studio_with_subtitles(clip: Path, tmp_path: Path) -> None:
    scene = joined(clip, tmp_path, boxes=f"label-studio:{BOXES / 'label_studio.json'}", turns=str(SPEECH / "talk.ass"))
    assert percent(scene, "Ada", 0.0) == [10, 20, 30, 70]
    assert percent(scene, "Ada", 1.25) == [30, 20, 50, 70]  # the keyframe that is not enabled
    assert percent(scene, "Ada", 1.35) is None  # and nothing after it
    assert turns(scene) == [
        ("Ada", "Did you bring the tickets, (Ben)?"),
        ("Ben", "2 < 3 &amp; so on"),
        ("Ada", "look at this"),  # (ADA) in the file
    ]


def test_coco_with_a_textgrid(clip: Path, tmp_path: Path) -> None:
    scene = joined(
        clip, tmp_path, boxes=f"coco:{BOXES / 'coco_images.json'}", turns=f"textgrid:{SPEECH / 'long.TextGrid'}"
    )
    assert percent(scene, "Ada", 1.2) == [10, 10, 20, 30]  # frame 30
    assert percent(scene, "Ada", 1.1) is None
    assert turns(scene) == [("Ada", 'She said "intervals [9]: and 3 more".'), ("Ben", "Yes")]


def test_mot_with_elan(clip: Path, tmp_path: Path) -> None:
    scene = joined(clip, tmp_path, boxes=f"mot:{BOXES / 'mot-seq'}", turns=f"elan:{SPEECH / 'talk.eaf'}")
    assert percent(scene, "pedestrian 3", 0.0) == [41.37, 22.93, 45.08, 39.12]  # frame 1
    assert turns(scene) == [("Ada", "Did you bring the tickets?"), ("Ben", "Yes.")]


def test_talknet_says_who_speaks(clip: Path, tmp_path: Path) -> None:
    work = tmp_path / "talk" / "pywork"
    work.mkdir(parents=True)
    boxes = np.tile(np.array([24.0, 16.0, 48.0, 48.0]), (200, 1))  # of 96 x 64
    tracks = [{"track": {"frame": np.arange(50, 250), "bbox": boxes}, "proc_track": {}}]
    (work / "tracks.pckl").write_bytes(pickle.dumps(tracks))
    (work / "scores.pckl").write_bytes(pickle.dumps([np.r_[np.full(100, -1.0), np.full(98, 2.0)]]))
    words = tmp_path / "a.srt"
    words.write_text("1\n00:00:03,000 --> 00:00:05,000\nnobody\n\n2\n00:00:06,500 --> 00:00:07,000\nthe face\n")
    source = f"talknet:{tmp_path / 'talk'}"
    scene = joined(clip, tmp_path, boxes=source, turns=source, words=str(words))
    assert scene.box_units == "pixels"
    assert boxes_at(scene.speakers["face 0"], [2.0])[0].tolist() == [24, 16, 48, 48]
    assert np.isnan(boxes_at(scene.speakers["face 0"], [1.9]))[0].all()
    assert turns(scene) == [(None, "nobody"), ("face 0", "the face")]
