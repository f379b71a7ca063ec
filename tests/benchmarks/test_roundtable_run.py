"""The benchmark at work: parts, processes, resumption, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnscope.errors import RequestError
from attnscope.evaluate import score
from attnscope.model import build_prompt, load
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.studies import worker
from benchmarks.studies.conditions import Choice, Condition, on_test, plain
from benchmarks.studies.looks import check_against_captures
from benchmarks.studies.scenes import Item, Part, choose, plan_parts, write_part
from benchmarks.studies.settings import Model, Settings, find_model

CHOICE = Choice(4.0, ((3, 1), (4, 2)), ((0, 0), (0, 1)), ((2, 2), (3, 3)))


def part(folder: Path, number: int, tasks: list[str]) -> Part:
    """A part of one clip, as its files: one question of each task."""
    (folder / "scenes").mkdir(parents=True)
    lines = []
    for task in tasks:
        fields = {"task": task, "people": 4, "named": True, "seats": "0-1-2-3"}
        scene = {"video": f"../clips/{number}.mp4", "options": ["Ada", "Ben"], "fields": fields}
        (folder / "scenes" / f"{number}-{task}.json").write_text(json.dumps(scene), encoding="utf-8")
        lines.append(json.dumps({"id": task, "scene": f"scenes/{number}-{task}.json"}))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Part("test", 4, number, 1, folder)


def test_the_first_questions_of_each_task_are_asked(tmp_path: Path) -> None:
    parts = [part(tmp_path / str(n), n, ["cup", "target"] if n else ["cup"]) for n in range(3)]
    chosen = choose(parts, 2, 1)
    asked = [[(item.task, item.dose) for item in chosen[one]] for one in parts]
    assert asked == [[("cup", True)], [("cup", False), ("target", True)], [("target", False)]]


def test_splits_are_planned_with_seeds_of_their_own(tmp_path: Path, models: tuple[Model, Model]) -> None:
    settings = Settings(models, 1.0, tmp_path, tmp_path, 2)
    for split, people in (("calibration", {0, 4, 5}), ("test", {0, 1, 2, 3, 4, 5, 6})):
        parts = plan_parts(settings, split)  # type: ignore[arg-type]
        assert {one.people for one in parts} == people
        assert len({one.folder for one in parts}) == len(parts)
        assert sum(one.count for one in parts if one.people == 4) == settings.clips(split, 4)


def test_a_folder_that_is_no_trained_model_is_refused(tmp_path: Path, models: tuple[Model, Model]) -> None:
    with pytest.raises(RequestError, match=r"is no checkpoint of training"):
        find_model("limited", str(tmp_path))
    with pytest.raises(RequestError, match="was trained on more than 3 people"):
        find_model("limited", str(models[1].folder))


@pytest.fixture
def items(work: Path) -> list[Item]:
    """The questions of two clips with four people; more of the second's."""
    clips = Part("test", 4, 0, 2, work / "part")
    write_part(clips)
    return choose([clips], 2, 1)[clips]


@pytest.mark.slow
def test_a_job_answers_as_evaluate_does_and_looks_as_captures_do(
    work: Path, models: tuple[Model, Model], items: list[Item]
) -> None:
    conditions = [*plain(), *(c for c in on_test(CHOICE) if c.name in ("asked", "jitter 20", "nobody named"))]
    worker.start(models)
    result = worker.run(worker.Job(items, conditions, True, work / "result.json"))
    found = json.loads(result.read_text(encoding="utf-8"))
    scores = {(row["id"], row["role"], row["condition"]): row for row in found["scores"]}
    assert len(scores) == len(found["scores"])
    assert len(scores) == sum(condition.wants(item) for condition in conditions for item in items)

    loaded = load(models[0].folder, device="cpu")
    scenes = [Scene.read(item.scene) for item in items]
    prompts = [build_prompt(loaded, scene, read_scene_frames(scene, Sampling())) for scene in scenes]
    for item, one in zip(items, score(loaded, prompts), strict=True):
        assert scores[item.id, "limited", "plain"]["prediction"] == one.prediction
    named = [n for n, item in enumerate(items) if Condition("asked").wants(item)]
    biases = next(c.corrections for c in conditions if c.name == "asked" and c.role == "limited")
    for n, one in zip(named, score(loaded, [prompts[n] for n in named], biases), strict=True):
        assert scores[items[n].id, "limited", "asked"]["prediction"] == one.prediction
    assert all("names no" in r["reason"] for (_, _, name), r in scores.items() if name == "nobody named")

    looks = {row["id"]: row for row in found["looks"] if row["role"] == "limited"}
    of_people = [n for n in named if items[n].id in looks]
    assert of_people
    compared = [prompts[n] for n in of_people], [looks[items[n].id] for n in of_people]
    assert check_against_captures(loaded, *compared) < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a minute on an idle machine
def test_a_whole_run_writes_its_page_and_a_second_one_finds_the_results(
    tmp_path: Path, work: Path, models: tuple[Model, Model]
) -> None:
    from benchmarks.studies.roundtable.run import run

    settings = Settings(models, 0.01, work, tmp_path / "docs", 1)
    text = run(settings).read_text(encoding="utf-8")
    assert "too few questions" in text
    assert "nan" not in text
    for name in ("scenes", "accuracy", "dose", "contrast"):
        picture = tmp_path / "docs" / "images" / f"roundtable-{name}.png"
        assert 0 < picture.stat().st_size < 200_000
    tables = {path.name: path.read_bytes() for path in (tmp_path / "docs" / "data").glob("*.csv")}
    next((work / "results").glob("test-*")).unlink()  # as if it had been stopped
    again = run(settings).read_text(encoding="utf-8")
    assert "in part from an earlier run" in again
    assert {path.name: path.read_bytes() for path in (tmp_path / "docs" / "data").glob("*.csv")} == tables
