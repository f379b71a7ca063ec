from __future__ import annotations

import io
import json
from pathlib import Path

import h5py
import pytest
from rich.console import Console

import attnscope
from attnscope.capture.read.describe import describe, render, size_text
from attnscope.errors import FormatError
from tests.capture.by_hand import build, write_json


def described(path: Path) -> dict:  # type: ignore[type-arg]
    with attnscope.open(path) as cap:
        return describe(cap)


def drawn(description: dict) -> str:  # type: ignore[type-arg]
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    console.print(render(description))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_description_is_json_with_every_node(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", numbers=[1, 2, 5, 8])
    found = json.loads(json.dumps(described(tmp_path / "run.h5")))
    assert found["layers"] == [1, 2, 5, 8]
    assert found["positions"] == {"prompt": 60, "generated": 2}
    assert found["scene"]["speakers"] == ["Ann", "Ben"]
    assert found["readings"] == ["masses", "maps", "stats", "qk", "full", "hidden"]
    assert found["size"] == (tmp_path / "run.h5").stat().st_size
    nodes = {node["path"]: node for node in found["nodes"]}
    with h5py.File(tmp_path / "run.h5") as file:
        names: list[str] = []
        file.visit(names.append)
    assert set(nodes) == {f"/{name}" for name in names}
    rows = nodes["/maps/rows"]
    assert rows["shape"] == [4, 4, 9, 62]
    assert rows["dims"] == ["layer", "head", "query_group", "key"]
    assert rows["raw"] == 4 * 4 * 9 * 62 * 4
    assert 0 < rows["stored"] < rows["raw"]
    assert rows["ratio"] == pytest.approx(rows["raw"] / rows["stored"], abs=1e-3)
    assert nodes["/masses"] == {"path": "/masses", "type": "masses"}
    assert nodes["/scene"]["shape"] == []


def test_the_tree_shows_what_a_reader_wants_to_know(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", numbers=[1, 2, 5, 8])
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        write_json(file, "correction", [{"method": "social-bias", "params": {"alpha": 1}, "active": [], "notes": []}])
    text = drawn(described(tmp_path / "run.h5"))
    for line in (
        "model  by-hand/random (ByHand, float32, sdpa)",
        "scene  /nowhere/clip.mp4: 4 frames of 96 x 64, 3 turns; speakers: Ann, Ben",
        "positions  60 of the prompt, 2 generated",
        "layers  4 of 9, 4 heads, 2 key heads",
        "correction  social-bias {'alpha': 1}",
        "self-check  passed  logits 2e-06 (tolerance 0.0001)",
        "rows  4 x 4 x 9 x 62  layer head query_group key  float32, 34.9 KiB",
        "20 columns",
        "4 layers, each with q and k",
    ):
        assert line in text, text


def test_brackets_in_names_are_not_markup(tmp_path: Path) -> None:
    build(tmp_path / "[bold]run.h5", names=["[red]Ann", "Ben[/]"])
    text = drawn(described(tmp_path / "[bold]run.h5"))
    assert "[red]Ann, Ben[/]" in text
    assert "[bold]run.h5" in text


@pytest.mark.parametrize(("verified", "passed", "shown"), [(False, None, "not run"), (True, False, "failed")])
def test_the_self_check_is_shown_as_it_is(tmp_path: Path, verified: bool, passed: bool | None, shown: str) -> None:
    build(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["check"]
        write_json(file, "check", {"verified": verified, "passed": passed, "checks": []})
    assert f"self-check  {shown}" in drawn(described(tmp_path / "run.h5"))


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.h5").write_text("no")
    with pytest.raises(FormatError, match=r"run\.h5: not an HDF5 file, so not a capture"):
        described(tmp_path / "run.h5")


def test_sizes_for_people() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 1536, 5 * 2**30)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 GiB",
    ]
