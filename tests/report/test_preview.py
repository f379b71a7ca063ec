"""The page of a preview: by itself, with hostile text as text, light, and drawn where things are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnscope.model import load_skeleton, preview_model
from attnscope.report import preview
from attnscope.report.page.scenery import MOST_FRAMES
from attnscope.scene import Sampling, Scene, preview_scene
from tests.report.pages import assert_self_contained
from tests.scene.films import film

HOSTILE = "<b>Eve</b> \"&\" 'co'</title><script>alert(1)</script>\u202e"


def hostile(drawn: Path) -> Scene:
    document: dict[str, Any] = json.loads(drawn.read_text("utf-8"))
    box = {"segments": [{"start": 0, "end": 6, "keyframes": [{"t": 0, "xyxy": [20, 40, 110, 170]}]}]}
    document["speakers"][HOSTILE] = box
    document["transcript"].append({"speaker": HOSTILE, "text": HOSTILE, "start": 5.0, "end": 5.01})
    document["video"] = str(drawn.parent / document["video"])
    return Scene.model_validate(
        document | {"question": HOSTILE, "system": HOSTILE, "options": [HOSTILE], "answer": None}
    )


def test_a_page_of_a_scene(drawn: Path, tmp_path: Path) -> None:
    facts = preview(preview_scene(Scene.read(drawn)), tmp_path / "out", source="scene.json")
    page = assert_self_contained(tmp_path / "out/report.html")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "report.json"}
    assert facts["warnings"] == []
    assert json.loads(json.dumps(facts)) == facts | {"scene": json.loads(json.dumps(facts["scene"]))}
    assert "No warning." in page.text
    assert page.tags.count("image") == page.tags.count("figure") == 8
    assert page.tags.count("text") >= 16  # two names on each of eight frames
    assert {"time", "frames", "people", "words"} <= page.ids
    assert "Did you bring the tickets for tonight?" in page.text
    assert not any("None" in text or "nan" in text.split() for text in page.text)


def test_boxes_are_drawn_where_they_are(drawn: Path, tmp_path: Path) -> None:
    scene = preview_scene(Scene.read(drawn), Sampling(frames=1))
    preview(scene, tmp_path)
    source = (tmp_path / "report.html").read_text("utf-8")
    drawn_boxes = re.findall(
        r'<rect class="box"[^>]* x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', source
    )
    corners = scene.boxes.xyxy[:, 0]
    sizes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    assert np.array(drawn_boxes, float) == pytest.approx(sizes, abs=0.06)


def test_hostile_text_stays_text_and_warnings_are_listed(drawn: Path, tmp_path: Path) -> None:
    scene = preview_scene(hostile(drawn), Sampling(frames=4))
    seen = preview_model(load_skeleton("roundtable"), scene)
    facts = preview(scene, tmp_path, model=seen)
    out = tmp_path / "report.html"
    page = assert_self_contained(out)
    assert "<b>Eve" not in out.read_text("utf-8")
    assert "\u202e" not in out.read_text("utf-8")
    kinds = [warning["kind"] for warning in facts["warnings"]]
    assert "turn_without_frame" in kinds
    assert "shared_cells" in kinds
    assert all(kind in page.text for kind in kinds)
    assert "prompt" in page.ids
    assert facts["model"]["frames"][0]["cells_of_speakers"] == seen.frames[0].owners.sum(axis=1).tolist()
    assert facts["model"]["frames"][0]["size"] == (128, 64)


def test_eight_large_frames_are_light_and_many_are_chosen(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(8):  # noise is the worst case of a picture
        Image.fromarray(rng.integers(0, 256, (1080, 1920, 3), np.uint8)).save(folder / f"{number}.png")
    scene = Scene.model_validate({"video": str(folder), "frame_rate": 1})
    preview(preview_scene(scene), tmp_path / "large")
    assert (tmp_path / "large/report.html").stat().st_size < 2_000_000
    clip = film(tmp_path / "clip.mp4", frames=120, fps=30)
    preview(preview_scene(Scene.model_validate({"video": str(clip)}), Sampling(fps=30)), tmp_path / "many")
    page = assert_self_contained(tmp_path / "many/report.html")
    assert page.tags.count("image") == MOST_FRAMES
    assert "96 of 120 frames are drawn, evenly chosen; the warnings are about all." in page.text


def test_an_image_has_no_time_line(tmp_path: Path) -> None:
    Image.new("RGB", (96, 64)).save(tmp_path / "still.png")
    preview(preview_scene(Scene.model_validate({"video": str(tmp_path / "still.png")})), tmp_path / "out")
    page = assert_self_contained(tmp_path / "out/report.html")
    assert "time" not in page.ids
    assert "Image 0." in page.text
    assert "The scene has no transcript." in page.text
