"""The clip that is drawn by code: it reads, and its boxes are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnscope.errors import RequestError
from attnscope.scene import Sampling, Scene, boxes_at, read_scene_frames
from tests.support.clip import _PEOPLE, _draw, render_clip


@pytest.mark.parametrize("size", [(320, 180), (128, 128), (96, 160)])
def test_boxes_are_exact(tmp_path: Path, size: tuple[int, int]) -> None:
    scene = Scene.read(render_clip(tmp_path, seconds=2, size=size, fps=5))
    for share in (0.0, 0.1, 0.37, 0.65, 0.9):
        for person in _PEOPLE:
            others = tuple(p for p in _PEOPLE if p is not person)
            drawn = np.any(_draw(share, size) != _draw(share, size, others), axis=-1)
            rows, columns = np.where(drawn)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            box = boxes_at(scene.speakers[person.name], [share * 2])[0]
            assert np.abs(box - seen).max() <= 1.25, (person.name, share, box, seen)


def test_mouths_move_only_while_they_talk() -> None:
    size = (320, 180)
    pause = [_draw(share, size) for share in (0.25, 0.26)]
    assert np.abs(pause[0].astype(int) - pause[1]).mean() < 2
    ada, ben = (_draw(share, size).astype(int) for share in (0.1, 0.4))
    assert (ada != ben).any()


def test_the_clip_is_what_was_asked_for(tmp_path: Path) -> None:
    scene = Scene.read(render_clip(tmp_path / "new" / "folder", seconds=3, size=(128, 72), fps=10))
    frames = read_scene_frames(scene, Sampling(frames=5))
    assert (frames.width, frames.height, frames.total_frames) == (128, 72, 30)
    assert frames.duration == pytest.approx(3.0)
    assert frames.warnings == []
    assert [turn.speaker for turn in scene.transcript] == ["Ada", "Ben", "Ada", "Ben"]
    assert (scene.options, scene.answer) == (["Ada", "Ben"], "Ben")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"size": (321, 180)}, "size: 321x180 is not a pair of even numbers of at least 64"),
        ({"size": (32, 180)}, "size: 32x180 is not a pair of even numbers of at least 64"),
        ({"seconds": 0}, "seconds: 0 at 15 frames a second is no frame"),
    ],
)
def test_sizes_that_cannot_be(tmp_path: Path, how: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        render_clip(tmp_path, **how)  # type: ignore[arg-type]
    assert str(caught.value) == message
