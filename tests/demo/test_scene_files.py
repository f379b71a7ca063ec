"""Round-table clips as files: what attnscope reads from them is what the models were trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from attnscope.demo.cast import CENTRE, FPS, FRAMES, THINGS, UNITS, Picture, Thing
from attnscope.demo.draw import draw
from attnscope.demo.questions import questions
from attnscope.demo.scenes import MOTION, SCALE, write_scenes
from attnscope.demo.script import Clip, ClipSampler
from attnscope.errors import RequestError, RunError
from attnscope.scene import Sampling, Scene, boxes_at, read_scene_frames

PEOPLE = (3, 0, 1)
ARGUMENTS: dict[str, Any] = {"count": 4, "seed": 5, "split": "calibration", "people": PEOPLE}


def clip_of(number: int) -> Clip:
    """The clip that a number stands for, drawn once more."""
    return ClipSampler("calibration", 5, number).clip(PEOPLE[number % len(PEOPLE)])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("written") / "a", **ARGUMENTS)


def entries(manifest: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def scenes_of(manifest: Path, number: int) -> list[Scene]:
    """All scenes of one clip."""
    names = [entry["scene"] for entry in entries(manifest) if f"-{number:05d}-" in entry["id"]]
    return [Scene.read(manifest.parent / name) for name in names]


def reduced(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Means over squares of SCALE x SCALE pixels, [..., 96, 96, 3]."""
    return images.reshape(*images.shape[:-3], UNITS, SCALE, UNITS, SCALE, 3).mean(axis=(-4, -2))


def difference(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("number", range(4))
def test_default_sampling_finds_the_frames_of_the_training(manifest: Path, number: int) -> None:
    clip, scene = clip_of(number), scenes_of(manifest, number)[0]
    shown = read_scene_frames(scene)
    assert (shown.width, shown.height, shown.duration) == (UNITS * SCALE, UNITS * SCALE, FRAMES / FPS)
    assert shown.warnings == []
    assert shown.indices.tolist() == [frame * MOTION + MOTION // 2 for frame in range(FRAMES)]
    wanted = np.stack([draw(clip.picture, frame) for frame in range(FRAMES)])
    assert max(difference(*pair) for pair in zip(reduced(shown.images), wanted, strict=True)) < 3


def test_the_frames_in_between_are_others(manifest: Path) -> None:
    """By the speaker's mouth, the only thing that moves between them."""
    clip, scene = clip_of(0), scenes_of(manifest, 0)[0]
    film = reduced(read_scene_frames(scene, Sampling(fps=FPS * MOTION)).images)
    assert len(film) == FRAMES * MOTION
    right, wrong = [], []
    for frame in range(FRAMES):
        wanted = draw(clip.picture, frame).astype(float)
        speaking = next(turn.speaker for turn in clip.turns if turn.start <= frame < turn.end)
        x, y = round(clip.people[speaking].x), round(clip.people[speaking].y)
        mouth = np.s_[y - 2 : y + 7, x - 4 : x + 5]
        off = [difference(film[frame * MOTION + part][mouth], wanted[mouth]) for part in range(MOTION)]
        right.append(off.pop(MOTION // 2))
        wrong += off
    assert max(right) < 8
    assert sum(value > 2 * max(right) for value in wrong) >= FRAMES  # others show the same mouth by chance


@pytest.mark.parametrize("number", range(4))
def test_scenes_tell_the_clip(manifest: Path, number: int) -> None:
    clip, scenes = clip_of(number), scenes_of(manifest, number)
    asked = {(q.task, q.text, q.answer): q for q in questions(clip)}
    assert {scene.fields["task"] for scene in scenes} == {task for task, _, _ in asked}
    assert len(scenes) == len({scene.fields["task"] for scene in scenes})  # one of each
    for scene in scenes:
        question = asked[str(scene.fields["task"]), scene.question or "", scene.answer or ""]
        assert set(question.options) <= set(scene.options)
        told = {"people": len(clip.people), "seats": clip.seats, "turns": len(clip.turns), "named": clip.named}
        assert scene.fields == told | {"task": question.task, "about": question.about, "split": "calibration"}
        said = [(clip.people[t.speaker].name if clip.named else None, t.text, t.start / FPS) for t in clip.turns]
        assert [(turn.speaker, turn.text, turn.start) for turn in scene.transcript] == said
        assert [turn.end for turn in scene.transcript] == [turn.end / FPS for turn in clip.turns]


@pytest.mark.parametrize("number", range(4))
def test_boxes_are_those_of_the_picture(manifest: Path, number: int) -> None:
    clip = clip_of(number)
    for scene in scenes_of(manifest, number):
        boxes = {person.name: person.box for person in clip.people}
        asked_about = scene.fields["about"]
        boxes |= {thing.name: thing.box for thing in clip.picture.things if thing.name == asked_about}
        assert list(scene.speakers) == list(boxes)
        assert asked_about in {"", *boxes}
        times = np.array([0.0, 1.75, FRAMES / FPS - 1e-3])
        for name, box in boxes.items():
            found = boxes_at(scene.speakers[name], times)
            assert found == pytest.approx(np.tile(np.multiply(box, SCALE), (3, 1)), abs=0.005)


@pytest.mark.parametrize("kind", range(len(THINGS)))
def test_a_thing_fills_its_box(kind: int) -> None:
    thing = Thing(kind, 0, 0, *CENTRE)
    seen = np.abs(draw(Picture(things=(thing,)), 0).astype(int) - draw(Picture(), 0)).max(axis=2) > 30
    (top, bottom), (left, right) = ((at.min(), at.max() + 1) for at in np.nonzero(seen))
    box = thing.box
    assert box[0] - 1 <= left < right <= box[2] + 1 and box[1] - 1 <= top < bottom <= box[3] + 1
    assert (right - left) * (bottom - top) > 0.6 * (box[2] - box[0]) * (box[3] - box[1])


def test_the_same_arguments_write_the_same_bytes(manifest: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    again = write_scenes(tmp_path / "deep" / "b", **ARGUMENTS | {"count": 2}, progress=lambda *call: calls.append(call))
    files = sorted(path.relative_to(again.parent) for path in again.parent.rglob("*.*"))
    assert sum(path.suffix == ".mp4" for path in files) == 2 and len(files) > 5
    for path in files:
        ours, theirs = (again.parent / path).read_bytes(), (manifest.parent / path).read_bytes()
        assert theirs.startswith(ours) if path == Path("manifest.jsonl") else theirs == ours, path
    assert calls == [("clips", 1, 2), ("clips", 2, 2)]


def test_another_seed_writes_other_scenes(manifest: Path, tmp_path: Path) -> None:
    other = write_scenes(tmp_path, **ARGUMENTS | {"count": 1, "people": (0,), "seed": 6})
    (film,) = (other.parent / "clips").iterdir()
    assert film.name == "calibration-6-00000.mp4"
    assert film.read_bytes() not in [path.read_bytes() for path in (manifest.parent / "clips").iterdir()]


def test_the_manifest_lists_every_scene_once(manifest: Path) -> None:
    found = entries(manifest)
    assert all(set(entry) == {"id", "scene"} for entry in found)
    assert len({entry["id"] for entry in found}) == len(found)
    on_disk = {f"scenes/{path.name}" for path in (manifest.parent / "scenes").iterdir()}
    assert {entry["scene"] for entry in found} == on_disk and len(on_disk) == len(found)
    films = {scene.video for number in range(4) for scene in scenes_of(manifest, number)}
    assert films == {path.resolve() for path in (manifest.parent / "clips").iterdir()}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "count=0: must be at least 1"),
        ({"seed": -1}, "seed=-1: must be at least 0"),
        ({"split": "dev"}, 'split="dev": choose from train, calibration, test'),
        ({"people": (2, 7)}, "people=7: must be from 0 to 6"),
        ({"people": (-1,)}, "people=-1: must be from 0 to 6"),
        ({"people": ()}, "people: names no number"),
    ],
)
def test_wrong_arguments_are_one_line(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as error:
        write_scenes(tmp_path / "new", **ARGUMENTS | wrong)
    assert str(error.value) == message
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("error", "seen"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "full"), RunError)])
def test_stopped_half_way_nothing_is_left(
    there: bool, error: BaseException, seen: type[BaseException], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 2:
            raise error

    with pytest.raises(seen):
        write_scenes(out, count=3, seed=0, progress=stop)
    assert list(tmp_path.rglob("*")) == ([out] if there else [])
    assert write_scenes(out, count=1, seed=0).exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    for place, problem in (
        (tmp_path, "is not an empty folder; choose another for out"),
        (tmp_path / "mine", "is not an empty folder; choose another for out"),
        (tmp_path / "mine" / "new", "cannot be used as the output folder: not a directory"),
    ):
        with pytest.raises(RequestError) as error:
            write_scenes(place, **ARGUMENTS)
        assert str(error.value) == f"{place}: {problem}"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_tasks_and_a_number_of_questions_of_each(tmp_path):
    """The same questions as without the choice, exactly as many as asked; what cannot be filled leaves nothing."""
    whole = write_scenes(tmp_path / "all", count=12, seed=3, people=[4])
    asked = {"tasks": ["target", "cup"], "per_task": 3}
    manifest = write_scenes(tmp_path / "some", count=60, seed=3, people=[4], **asked)
    ids = [json.loads(line)["id"] for line in manifest.read_text().splitlines()]
    assert sorted(name.rsplit("-", 1)[1] for name in ids) == ["cup"] * 3 + ["target"] * 3
    known = {json.loads(line)["id"] for line in whole.read_text().splitlines()}
    for name in known & set(ids):
        one, other = (tmp_path / folder / "scenes" / f"{name}.json" for folder in ("all", "some"))
        assert one.read_bytes() == other.read_bytes()
    assert known & set(ids)
    with pytest.raises(RequestError, match=r"per_task=9: 2 clips hold . questions of target; try more"):
        write_scenes(tmp_path / "few", count=2, seed=3, people=[4], tasks=["target"], per_task=9)
    assert not (tmp_path / "few").exists()
    with pytest.raises(RequestError, match='tasks="who": choose from'):
        write_scenes(tmp_path / "few", tasks=["who"])
