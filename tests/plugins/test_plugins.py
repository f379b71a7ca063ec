"""A package outside adds a correction, a metric, a family and an importer; one that fails to load breaks nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLE = HERE / "example"

USE = """
import sys, torch, attnscope
from attnscope import metrics
from attnscope.attention import tapped
from attnscope.correct import bind, make, read_corrections, requested, write_corrections
from attnscope.model import build_prompt
from attnscope.model.layouts import layouts
from attnscope.scene import Sampling, Scene, read_scene_frames
from attnscope.scene.importers import find

checkpoint, scene, folder = sys.argv[1:]
model = attnscope.load(checkpoint, dtype="float32")
scene = Scene.read(scene)
(nudge,) = requested(["example-nudge"], {"strength": 2.0}, ["layers=0, 2"])
assert nudge.layers == (0, 2) and nudge == make("example-nudge", strength=2, layers=[0, 2])
write_corrections(f"{folder}/c.json", [nudge])
assert read_corrections(f"{folder}/c.json") == [nudge]
prompt = build_prompt(model, scene, read_scene_frames(scene, Sampling()))
(running,) = bind(model, prompt, [nudge])
with torch.no_grad():
    plain = model.model(**prompt.inputs).logits
    with tapped(model.model, edits=[running]):
        nudged = model.model(**prompt.inputs).logits
assert not torch.equal(plain, nudged) and running.record()["active"][1][0] == 2
cap = attnscope.capture(model, scene, f"{folder}/run.h5")
peak = metrics.example_peak(cap)
assert peak["value"].between(0, 1).all() and peak["layer"].tolist() == cap.layers.tolist()
assert type(layouts()["example_vl"]).__name__ == "SquareLayout"
(turn,) = find("example-tsv")(f"{folder}/turns.tsv")
assert (turn.speaker, turn.start, turn.text) == ("Ada", 1.5, "Look here.")
"""


def install(target: Path, project: Path) -> None:
    """Put a project into a folder as an installer does: its package, and what it says of itself."""
    about = tomllib.loads((project / "pyproject.toml").read_text())
    name, version = about["project"]["name"], about["project"]["version"]
    for package in about["tool"]["setuptools"]["packages"]:
        shutil.copytree(project / package, target / package)
    info = target / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = about["project"]["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups]
    (info / "entry_points.txt").write_text("".join(lines))


def python(target: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (target, ROOT, ROOT / "cli")))
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": path},
        cwd=target,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    install(target, EXAMPLE)
    return target


def test_a_plugin_is_on_the_command_line_and_a_broken_one_is_named(installed: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "attnscope_broken").mkdir(parents=True)
    (broken / "attnscope_broken/__init__.py").write_text("import no_such_module\n")
    (broken / "pyproject.toml").write_text(
        '[project]\nname = "attnscope-broken"\nversion = "2"\n[tool.setuptools]\npackages = ["attnscope_broken"]\n'
        '[project.entry-points."attnscope.plugins"]\ncorrections = "attnscope_broken"\nviewers = "attnscope_broken"\n'
    )
    both = tmp_path / "both"
    shutil.copytree(installed, both)
    install(both, broken)
    ran = python(both, "-m", "attnscope", "methods", "--json")
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stderr.splitlines() if "attnscope-broken" in line]
    assert said == [
        "plugin attnscope-broken (attnscope_broken): adds viewers, which is none of corrections, metrics, layouts,"
        " importers",
        "plugin attnscope-broken (attnscope_broken): does not load, and is left out: ModuleNotFoundError: No module"
        " named 'no_such_module'",
    ]
    listed = json.loads(ran.stdout)
    (nudge,) = [entry for entry in listed["corrections"] if entry["method"] == "example-nudge"]
    assert [field["name"] for field in nudge["fields"]] == ["strength", "sign", "layers"]
    assert nudge["schema"]["properties"]["sign"]["enum"] == ["up", "down"]
    assert "example_peak" in {entry["metric"] for entry in listed["metrics"]}
    assert {"subtitles", "example-tsv"} <= {entry["name"] for entry in listed["importers"]}


def test_a_family_of_a_plugin_is_listed(installed: Path) -> None:
    ran = python(installed, "-m", "attnscope", "models", "--json")
    assert ran.returncode == 0, ran.stderr
    assert "example_vl" in {family["family"] for family in json.loads(ran.stdout)}


def test_what_a_plugin_adds_works(installed: Path, tmp_path: Path, checkpoint, drawn: Path) -> None:
    (tmp_path / "turns.tsv").write_text("Ada\t1.5\t2.5\tLook here.\n")
    ran = python(installed, "-c", USE, checkpoint("qwen2_5_vl"), drawn, tmp_path)
    assert ran.returncode == 0, ran.stderr
