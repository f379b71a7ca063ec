"""A thousand invented records of each data set, with every oddity: nothing is lost, and each reason counts right."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnscope.scene.importers.datasets  # noqa: F401 - registers them
from attnscope import Scene
from attnscope.errors import SceneError
from attnscope.scene import LeftOut, Note, SampleRecord
from attnscope.scene.importers.registry import IMPORTERS
from tests.support import datasets
from tests.support.datasets import Expected


def mmsi(folder: Path) -> tuple[Path, dict[str, Any], Expected]:
    expected = datasets.mmsi(folder, games=20, lines=60)
    named = {name: folder / name for name in ("labelled", "meta", "keypoints")}
    return folder / "plain", named | {"size": "640x360"}, expected


CASES: dict[str, Callable[[Path], tuple[Path, dict[str, Any], Expected]]] = {
    "tvqa": lambda folder: (folder, {}, datasets.tvqa(folder, 1000)),
    "mmsi": mmsi,
    "online-mmsi": lambda folder: (folder, {"task": "STI"}, datasets.online_mmsi(folder, 1000)),
    "werewolf": lambda folder: (folder, {}, datasets.werewolf(folder, 100)),
    "friends-mmc": lambda folder: (folder, {}, datasets.friends_mmc(folder, 1000)),
    "av-speakerbench": lambda folder: (
        folder / "test.parquet",
        {},
        datasets.av_speakerbench(folder / "test.parquet", 1000),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_record_is_a_sample_or_left_out_with_its_reason(name: str, tmp_path: Path) -> None:
    path, options, expected = CASES[name](tmp_path)
    samples, left, names, contents = 0, Counter[tuple[str, str]](), set[str](), dict[str, Any]()
    for record in IMPORTERS[name](path, **options):
        if isinstance(record, SampleRecord):
            samples += 1
            assert record.id not in names
            names.add(str(record.id))
            assert record.answer in record.options
            assert {"dataset", "task"} <= record.fields.keys()
            assert contents.setdefault(record.scene_name, record.scene) == record.scene
            document = {"video": "clip.mp4", **record.scene, "question": record.question, "fields": record.fields}
            scene = Scene.model_validate({**document, "options": record.options, "answer": record.answer})
            assert scene.answer == record.answer
        elif isinstance(record, LeftOut):
            left[record.what, record.reason] += 1
            assert record.where
        else:
            assert isinstance(record, Note)
    assert (samples, left) == (expected.samples, expected.left)
    assert samples > 300


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    3.5,
    1e30,
    "",
    "x",
    "\u202e",
    [],
    {},
    [[]],
    {"a": 1},
    [None],
    "00:61",
    "Player9",
)


def damaged(value: Any, rng: random.Random) -> Any:
    """The same with other things in places."""
    if rng.random() < 0.08:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        return {key if rng.random() > 0.03 else "0": damaged(inner, rng) for key, inner in value.items()}
    return [damaged(inner, rng) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(4))
def test_damaged_records_are_left_out_and_nothing_breaks(seed: int, tmp_path: Path) -> None:
    """A file may be refused as a whole, in one line, if its first record is one of them."""
    datasets.tvqa(tmp_path, 40, seed)
    datasets.werewolf(tmp_path, 10, seed)
    datasets.friends_mmc(tmp_path, 60, seed)
    datasets.av_speakerbench(tmp_path / "av.jsonl", 40, seed)
    rng, read = random.Random(seed), 0
    subtitles = tmp_path / "tvqa_plus_subtitles.json"
    said = {clip: damaged(lines, rng) for clip, lines in json.loads(subtitles.read_text()).items()}
    subtitles.write_text(json.dumps(said), encoding="utf-8")
    for name, file in (
        ("tvqa", "tvqa_plus_val.json"),
        ("werewolf", "Youtube/split/test.json"),
        ("friends-mmc", "test-metadata.json"),
        ("av-speakerbench", "av.jsonl"),
        ("table", "av.jsonl"),
    ):
        path = tmp_path / file
        is_list = path.suffix == ".json"
        rows = json.loads(path.read_text()) if is_list else [json.loads(row) for row in path.read_text().splitlines()]
        rows = [rows[0], *(damaged(row, rng) for row in rows[1:])]
        path.write_text(json.dumps(rows) if is_list else "\n".join(map(json.dumps, rows)), encoding="utf-8")
        options: dict[str, Any] = {"subtitles": subtitles} if name == "tvqa" else {}
        try:
            read += len(list(IMPORTERS[name](path, **options)))
        except SceneError as problem:
            assert "\n" not in str(problem)
    assert read > 100


def test_options_are_texts_numbers_or_paths() -> None:
    """So that a command line can give them, and none is needed by the signature alone."""
    for name in [*CASES, "table"]:
        for option in IMPORTERS[name].options.values():
            assert option.default is not option.empty, (name, option)


@pytest.mark.parametrize("name", [*CASES, "table"])
@pytest.mark.parametrize("content", ["", "{}", "[]", "[1]", '[{"nothing": 1}]', "a,b\n1,2\n", "\x00\x01", "[{"])
def test_another_file_is_refused_in_one_line(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SceneError) as problem:
        list(IMPORTERS[name](path))
    assert str(problem.value).startswith(str(path))
    assert "\n" not in str(problem.value)


def test_the_page_about_formats_names_every_data_set_and_right_options() -> None:
    page = (Path(__file__).parents[4] / "docs/importers.md").read_text(encoding="utf-8")
    section = page.split("\n## Data sets\n", 1)[1].split("\n## ", 1)[0]
    assert {name for name in [*CASES, "table"] if f"| `{name}` |" not in section} == set()
    known = {option for name in [*CASES, "table"] for option in IMPORTERS[name].options}
    assert set(re.findall(r"`(\w+)=", section)) == known - {"seed", "separator"}
