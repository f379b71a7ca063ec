"""`attnscope demo-scenes`: round-table clips as files; its mistakes are in the table of bad inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from attnscope.scene import Scene
from tests.cli.conftest import Ran

Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory of one test."""
    monkeypatch.chdir(tmp_path)


def scenes(manifest: str) -> dict[str, Scene]:
    entries = [json.loads(line) for line in Path(manifest).read_text().splitlines()]
    return {entry["id"]: Scene.read(Path(manifest).parent / entry["scene"]) for entry in entries}


def test_clips_scenes_and_manifest(cli: Cli) -> None:
    ran = cli("demo-scenes", "-o", "deep/out", "--n", 2, "--people", "1,0", "--seed", 3, "--split", "train", "-q")
    assert ran == Ran(0, "deep/out/manifest.jsonl\n", "")
    found = scenes("deep/out/manifest.jsonl")
    assert {scene.fields["split"] for scene in found.values()} == {"train"}
    assert found["train-3-00000-cup"].fields["people"] == 1
    assert found["train-3-00001-thing"].fields["people"] == 0
    assert sorted(path.name for path in Path("deep/out/clips").iterdir()) == [
        "train-3-00000.mp4",
        "train-3-00001.mp4",
    ]


@pytest.mark.parametrize(("numbers", "people"), [("0-1", [0, 1, 0]), (" 1, 0-0 ,0", [1, 0, 0]), ("00,1-1", [0, 1, 0])])
def test_numbers_of_people_are_dealt_in_turn(cli: Cli, numbers: str, people: list[int]) -> None:
    ran = cli("demo-scenes", "-o", ".", "--n", 3, "--people", numbers, "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"manifest": "manifest.jsonl"})
    of_clip = {scene.video.stem: scene.fields["people"] for scene in scenes("manifest.jsonl").values()}
    assert of_clip == {f"test-0-{number:05d}": count for number, count in enumerate(people)}


def test_flags_reach_the_library(cli: Cli) -> None:
    from attnscope.demo.scenes import write_scenes

    cli("demo-scenes", "-o", "a", "--n", 2, "--people", "1", "--seed", 9, "--split", "calibration")
    write_scenes("b", count=2, people=(1,), seed=9, split="calibration")
    files = sorted(path.relative_to("a") for path in Path("a").rglob("*.*"))
    assert len(files) > 5
    assert [("a" / path).read_bytes() for path in files] == [("b" / path).read_bytes() for path in files]


def test_the_layout_of_tvqa(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "tvqa"
    ran = cli(
        "demo-scenes", "-o", out, "--as", "tvqa", "--n", "1", "--tasks", "pointing,target,target-hidden", "--json"
    )
    assert (ran.code, json.loads(ran.out)) == (0, {"folder": str(out)})
    (question,) = json.loads((out / "tvqa_plus_val.json").read_text(encoding="utf-8"))[:1]
    assert {"qid", "q", "a0", "a4", "answer_idx", "ts", "vid_name", "bbox"} <= question.keys()
    assert (out / "videos" / f"{question['vid_name']}.mp4").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--as", "mmsi"), '--as "mmsi": choose from scenes, tvqa'),
        (("--as", "tvqa", "--people", "3"), "--people 3: clips of TVQA+ have 5 people, for it has five answers"),
        (("--as", "tvqa", "--tasks", "cup"), 'tasks="cup": is not answered by one of five names'),
    ],
)
def test_a_layout_that_cannot_be(words: tuple[str, ...], message: str, cli: Cli, tmp_path: Path) -> None:
    ran = cli("demo-scenes", "-o", tmp_path / "out", *words)
    assert (ran.code, message in ran.err) == (2, True), ran.err
    assert not (tmp_path / "out").exists()
