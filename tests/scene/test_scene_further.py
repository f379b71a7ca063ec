"""Several videos and images on the clock of one scene: where they begin, how they are sampled, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnscope.errors import MediaError, RequestError, SceneError
from attnscope.scene import Sampling, Scene, preview_scene, read_scene_frames
from tests.scene.films import film, number_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("further")
    film(folder / "a.mp4", frames=20, fps=10)
    film(folder / "b.mp4", frames=30, fps=10)
    film(folder / "wide.mp4", frames=10, fps=10, size=(128, 64))
    Image.new("RGB", (96, 64), "red").save(folder / "c.png")
    return folder


def written(folder: Path, further: list[dict[str, Any]], **fields: Any) -> Scene:
    path = folder / "scene.json"
    path.write_text(json.dumps({"video": "a.mp4", "further": further, **fields}))
    return Scene.read(path)


def test_each_is_sampled_by_itself_and_put_on_the_clock(folder: Path) -> None:
    scene = written(folder, [{"video": "b.mp4", "start": 10.0}, {"video": "c.png", "start": 20}])
    frames = read_scene_frames(scene, Sampling(frames=2))
    assert frames.times.tolist() == pytest.approx([0.5, 1.5, 10.7, 12.2, 20.0])
    assert [number_in(image) for image in frames.images[:4]] == frames.indices[:4].tolist() == [5, 15, 7, 22]
    assert (frames.images[4] == [255, 0, 0]).all()
    assert [(m.first, m.end, m.start, m.kind) for m in frames.media] == [
        (0, 2, 0.0, "video"),
        (2, 4, 10.0, "video"),
        (4, 5, 20.0, "image"),
    ]
    assert (frames.kind, frames.duration) == ("video", 21.0)
    parts = frames.parts()
    assert [part.times.tolist() for part in parts] == [pytest.approx([0.5, 1.5]), pytest.approx([0.7, 2.2]), [0.0]]
    assert [(part.kind, part.duration, part.media) for part in parts] == [
        ("video", 2.0, ()),
        ("video", 3.0, ()),
        ("image", None, ()),
    ]
    assert np.concatenate([part.images for part in parts]).shape == frames.images.shape
    again = Scene.from_dict(scene.to_dict())
    assert again.to_dict() == scene.to_dict()
    assert preview_scene(scene, Sampling(frames=2)).window == (0.0, 21.0)


@pytest.mark.parametrize(
    ("further", "sampling", "error", "message"),
    [
        ([{"video": "b.mp4", "start": 1.5}], {}, MediaError, "start: 1.5 s is before the end of"),
        ([{"video": "wide.mp4", "start": 3}], {}, MediaError, "is 128x64, and"),
        ([{"video": "b.mp4", "start": 3}], {"start": 1.0}, SceneError, "a window is given"),
    ],
)
def test_what_cannot_be_shown_together(
    folder: Path, further: list[dict[str, Any]], sampling: dict[str, float], error: type[RequestError], message: str
) -> None:
    scene = written(folder, further)
    with pytest.raises(error, match=message):
        read_scene_frames(scene, Sampling(frames=2, **sampling))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("further", "fields", "message"),
    [
        ([{"video": "missing.mp4", "start": 3}], {}, r"further\[0\].video: missing.mp4: no such file"),
        ([{"video": "b.mp4", "start": 0}], {}, r"further\[0\].start: 0 is not greater than 0"),
        ([{"video": "b.mp4"}], {}, r"further\[0\].start: is missing"),
        ([{"video": "b.mp4", "start": 9}, {"video": "c.png", "start": 9}], {}, r"further\[1\].start: 9 is not after 9"),
        ([{"video": "b.mp4", "start": 3}], {"window": [0, 1]}, "window: is given beside further"),
    ],
)
def test_what_a_file_may_not_say(
    folder: Path, further: list[dict[str, Any]], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(SceneError, match=message):
        written(folder, further, **fields)
