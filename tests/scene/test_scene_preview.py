"""Each warning of a preview, from a scene that is made for it, and none from one that is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnscope.scene import Finding, Sampling, Scene, preview_scene
from attnscope.scene.findings import KINDS, listed
from attnscope.scene.names import alike_names
from attnscope.scene.preview import overlap
from tests.scene.films import film

LEFT, RIGHT = (2.0, 4.0, 46.0, 60.0), (50.0, 4.0, 94.0, 60.0)  # of a film of 96x64 pixels and three seconds


def box(*parts: tuple[float, float, tuple[float, ...]]) -> dict[str, Any]:
    segments = [{"start": a, "end": b, "keyframes": [{"t": a, "xyxy": list(xyxy)}]} for a, b, xyxy in parts]
    return {"segments": segments}


def turn(speaker: str | None, start: float | None, end: float | None, text: str = "Yes.") -> dict[str, Any]:
    return {"speaker": speaker, "start": start, "end": end, "text": text}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30, fps=10)


def scene_of(clip: Path, **fields: Any) -> Scene:
    document: dict[str, Any] = {
        "video": str(clip),
        "speakers": {"Ann": box((0, 3, LEFT)), "Bob": box((0, 3, RIGHT))},
        "transcript": [turn("Ann", 0.2, 1.2), turn("Bob", 1.4, 2.6)],
        "question": "Who speaks, Ann or Bob?",
    }
    return Scene.model_validate(document | fields)


def findings(clip: Path, sampling: Sampling | None = None, **fields: Any) -> dict[str, Finding]:
    found = preview_scene(scene_of(clip, **fields), sampling or Sampling(frames=6)).findings
    assert len({finding.kind for finding in found}) == len(found)
    return {finding.kind: finding for finding in found}


def test_a_scene_that_is_right_has_no_warning(clip: Path) -> None:
    preview = preview_scene(scene_of(clip), Sampling(frames=6))  # frames at 0.2, 0.7, 1.2, 1.7, 2.2 and 2.7 s
    assert preview.findings == []
    assert preview.inside.astype(int).tolist() == [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]]
    assert preview.window == (0.0, 3.0)
    document = preview.to_dict()
    assert json.loads(json.dumps(document)) == document | {"window": [0.0, 3.0]}
    assert document["turns"][1]["frames"] == [3, 4]
    assert document["speakers"][0]["boxes"][0] == list(LEFT)


def test_turns_without_a_frame_name_the_nearest(clip: Path) -> None:
    found = findings(clip, transcript=[turn("Ann", 0.3, 0.5), turn("Bob", 1.4, 2.6), turn("Ann", 2.8, 2.9)])
    assert list(found) == ["turn_without_frame"]
    assert found["turn_without_frame"].turns == (0, 2)
    assert found["turn_without_frame"].text == (
        "2 of 3 turns have no sampled frame, so the nearest stands in: turn 0 (Ann, 0.3 to 0.5 s) has the frame at "
        "0.2 s and turn 2 (Ann, 2.8 to 2.9 s) has the frame at 2.7 s"
    )


def test_turns_without_times_or_speaker(clip: Path) -> None:
    found = findings(clip, transcript=[turn("Ann", None, None), turn(None, 1.4, 2.6), turn("Bob", 1.4, 2.6)])
    assert list(found) == ["turn_without_speaker", "turn_without_time"]
    assert found["turn_without_time"].text == "1 of 3 turns has no times, so every frame counts as theirs"
    assert found["turn_without_speaker"].turns == (1,)


def test_a_speaker_without_a_box_and_whom_it_may_be(clip: Path) -> None:
    found = findings(clip, transcript=[turn("Anne", 0.2, 1.2), turn("Bob", 1.4, 2.6)])
    assert list(found) == ["names_alike", "speaker_without_box", "speaker_without_turn"]
    assert found["speaker_without_box"].text == "Anne (did you mean Ann?) speaks and has no box"
    assert found["names_alike"].speakers == ("Ann", "Anne")


def test_boxes_beyond_the_picture(clip: Path) -> None:
    speakers = {"Ann": box((0, 1, (-5, 4, 46, 60)), (1, 3, LEFT)), "Bob": box((0, 2, RIGHT), (2, 3, (96, 4, 120, 60)))}
    found = findings(clip, speakers=speakers)
    assert list(found) == ["box_clipped", "box_outside"]
    assert (found["box_clipped"].speakers, found["box_clipped"].frames) == (("Ann",), (0, 1))
    assert (found["box_outside"].speakers, found["box_outside"].frames) == (("Bob",), (4, 5))


def test_who_is_not_seen(clip: Path) -> None:
    """Bob never, at the sampled frames; Ann not while she speaks."""
    speakers = {"Ann": box((2, 3, LEFT)), "Bob": box((0.3, 0.5, RIGHT))}
    found = findings(clip, speakers=speakers)
    assert list(found) == ["speaker_not_seen", "speaker_hidden_while_speaking"]
    assert found["speaker_not_seen"].text == "Bob has boxes, and none at a sampled frame"
    assert found["speaker_hidden_while_speaking"].turns == (0,)
    nobody = findings(clip, speakers={"Ann": box((0.3, 0.5, LEFT)), "Bob": box((0.3, 0.5, RIGHT))})
    assert nobody["speaker_not_seen"].text == "no speaker is visible in any sampled frame"


def test_boxes_on_top_of_each_other(clip: Path) -> None:
    over = (10.0, 10.0, 40.0, 50.0)  # wholly inside LEFT
    found = findings(clip, speakers={"Ann": box((0, 3, LEFT)), "Bob": box((0, 1, over), (1, 3, RIGHT))})
    assert list(found) == ["boxes_overlap"]
    assert found["boxes_overlap"].frames == (0, 1)
    assert "in 2 of the 6 frames that show both" in found["boxes_overlap"].text


def test_overlap_by_hand() -> None:
    nan = [np.nan] * 4
    left = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], nan], np.float32)
    right = np.array([[5, 0, 25, 10], [2, 2, 4, 4], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    assert overlap(left, right).tolist() == [0.5, 1.0, 0.0, 0.0]


def test_a_window_that_cuts_turns_and_leaves_some_out(clip: Path) -> None:
    turns = [turn("Ann", 0.2, 0.6), turn("Ann", 0.7, 1.2), turn("Bob", 1.4, 2.6)]
    found = findings(clip, Sampling(frames=4, start=1.0, end=2.0), transcript=turns)
    assert found["turn_cut_by_window"].turns == (1, 2)
    assert found["turn_outside_window"].text == (
        "the window of 1 to 2 s leaves out 1 turn, which the prompt holds whole: turn 0 (Ann, 0.2 to 0.6 s)"
    )
    assert "turn_cut_by_window" not in findings(clip, Sampling(frames=4, end=2.6), transcript=turns)  # it ends with it


def test_frames_reading_and_question(clip: Path) -> None:
    found = findings(clip, Sampling(fps=100), transcript=[turn("ANN", 0.2, 1.2)], question="what does ann say?")
    assert list(found) == ["reading", "frames", "question_names_nobody"]
    assert found["frames"].text.endswith("no frame is taken twice")


def test_an_image_has_no_time(tmp_path: Path) -> None:
    Image.new("RGB", (96, 64)).save(tmp_path / "still.png")
    preview = preview_scene(scene_of(tmp_path / "still.png"))
    assert preview.window is None
    assert preview.findings == []
    assert preview.to_dict()["window"] is None


def test_names_that_look_alike() -> None:
    names = [
        "SPEAKER_00",
        "SPEAKER_01",
        "Ann",
        "\u0410nn",
        "Al",
        "AI",
        "Zoe",
        "Zoé",
        "Bernard",
        "Bernard (V.O.)",
        "Dan",
    ]
    assert alike_names(names) == [("Ann", "\u0410nn"), ("Al", "AI"), ("Zoe", "Zoé"), ("Bernard", "Bernard (V.O.)")]


def test_every_kind_has_a_meaning_and_sentences_stay_short() -> None:
    with pytest.raises(KeyError):
        Finding("unheard_of", "nothing")
    page = (Path(__file__).parents[2] / "docs" / "scene.md").read_text("utf-8")
    assert [f"| `{kind}` | {meaning} |" in page for kind, meaning in KINDS.items()] == [True] * len(KINDS)
    assert all(meaning and not meaning.endswith(".") for meaning in KINDS.values())
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
    assert listed([1, 2]) == "1 and 2"
    assert listed([]) == ""
