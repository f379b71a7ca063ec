"""Packages with the entry point `attnscope.plugins`, installed for real, at work on the command line."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import attnscope
from attnscope import plugins
from tests.support.clip import render_clip

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parent / "example"
NAME = "attnscope-example"
LINES = "0.2 1.2 Ada Are you ready over there?\n1.4 2.6 Ben Yes, whenever you are.\n"

BROKEN = """\
from attnscope import scene
from attnscope.correct import Temperature, correction


@scene.importer(name="half", suffixes=(".half",), yields=("turns",))
def read_half(path):
    yield from ()


@correction
class Other(Temperature):
    method = "pai"
"""


def install(source: Path, folder: Path) -> Path:
    """Install a package without a network; a build leaves files beside its source, so it gets a copy."""
    copy = folder / "source"
    shutil.copytree(source, copy)
    target = folder / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(copy)], check=True)
    return target


def ran(site: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own that finds the installed package."""
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(EXAMPLE, tmp_path_factory.mktemp("example"))


def test_what_a_plugin_adds_is_listed_with_its_name(site: Path, tmp_path: Path) -> None:
    done = ran(site, tmp_path, "-m", "attnscope", "methods", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    listed = json.loads(done.stdout)
    assert {c["method"] for c in listed["corrections"] if c["plugin"] == NAME} == {"soften"}
    assert {m["metric"] for m in listed["metrics"] if m["plugin"] == NAME} == {"entropy_range"}
    assert {entry["plugin"] for part in listed.values() for entry in part} == {"", NAME}
    done = ran(site, tmp_path, "-m", "attnscope", "models", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {family["family"]: family["plugin"] for family in json.loads(done.stdout)}["glm_ocr"] == NAME


@pytest.mark.slow
def test_capture_correct_and_analyze_with_a_plugin(site: Path, tmp_path: Path) -> None:
    """Its transcript is read, its correction applied, and its metric in the tables with the definition."""
    render_clip(tmp_path)
    (tmp_path / "clip.lines").write_text(LINES, encoding="utf-8")
    question = ["--question", "Who is it?", "--frames", 2, "--max-new-tokens", 1, "--plan", "masses,stats"]
    capture = ["capture", "roundtable", "clip.mp4", "--transcript", "clip.lines", *question, "--no-verify"]
    correct = ["correct", "run.h5", "--method", "soften", "--set", "by=4", "--no-verify", "-o", "corrected"]
    for words in (capture, correct, ["analyze", "run.h5", "-o", "out"]):
        done = ran(site, tmp_path, "-m", "attnscope", *words)
        assert done.returncode == 0, done.stderr
    with attnscope.open(tmp_path / "run.h5") as run, attnscope.open(tmp_path / "corrected/after.h5") as after:
        spoken = [(turn.speaker, turn.start, turn.text) for turn in run.scene.transcript]
        assert spoken == [("Ada", 0.2, "Are you ready over there?"), ("Ben", 1.4, "Yes, whenever you are.")]
        # Queries are divided by 4 in every layer, so attention of the first one, whose inputs are equal, is flatter.
        plain, soft = (cap.stat("entropy").sel(layer=0, query=cap.prompt_length - 1) for cap in (run, after))
        assert (soft > plain + 0.1).all()
        entropy = run.stat("entropy").sel(query=run.prompt_length - 1)
        by_hand = (entropy.max("head") - entropy.min("head")).values
    with (tmp_path / "out/tables/attnscope_example.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "entropy_range"]
    assert [float(row["value"]) for row in rows] == pytest.approx(by_hand.tolist())
    with (tmp_path / "out/tables/definitions.csv").open(encoding="utf-8") as file:
        (definition,) = [row for row in csv.DictReader(file) if row["metric"] == "entropy_range"]
    assert definition["plugin"] == NAME
    assert "Largest less smallest entropy" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_a_layout_of_a_plugin_places_the_tokens_of_a_checkpoint(site: Path, checkpoint, drawn: Path) -> None:
    code = """if True:
        import sys, attnscope
        from attnscope.model import build_prompt
        from attnscope.scene import read_scene_frames
        model = attnscope.load(sys.argv[1], device="cpu")
        scene = attnscope.Scene.read(sys.argv[2])
        tokens = build_prompt(model, scene, read_scene_frames(scene, attnscope.Sampling(frames=4))).tokens
        visual = tokens[tokens["modality"] == "visual"]
        print(model.family, sorted(set(zip(visual["frame_first"], visual["frame_last"]))), visual["x0"].isna().any())
    """
    done = ran(site, drawn.parent, "-c", code, checkpoint("glm_ocr"), drawn)
    assert done.stdout == "glm_ocr [(0, 1), (2, 3)] False\n", done.stderr


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        (BROKEN, "ValueError: correction 'pai' is defined twice"),
    ],
)
def test_a_broken_plugin_is_one_warning_and_adds_nothing(module: str, reason: str, tmp_path: Path) -> None:
    source = tmp_path / "broken"
    shutil.copytree(EXAMPLE, source)
    project = (source / "pyproject.toml").read_text(encoding="utf-8")
    (source / "pyproject.toml").write_text(project.replace("example", "broken"), encoding="utf-8")
    (source / "attnscope_example.py").unlink()
    (source / "attnscope_broken.py").write_text(module, encoding="utf-8")
    site = install(source, tmp_path)
    done = ran(site, tmp_path, "-m", "attnscope", "models", "--json")
    assert done.returncode == 0
    assert done.stderr == f"warning: the plugin attnscope-broken adds nothing: {reason}\n"
    assert {family["plugin"] for family in json.loads(done.stdout)} == {""}
    code = "import attnscope.scene as s; s.read_transcript('a.half')"
    assert (
        'a transcript is .ass, .eaf, .srt, .ssa, .textgrid, .vtt or .json, not ".half"'
        in ran(site, tmp_path, "-c", code).stderr
    )


def test_no_plugin_is_loaded_before_a_list_is_asked_for(site: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.lines").write_text(LINES, encoding="utf-8")
    code = """if True:
        import sys, attnscope
        from attnscope import correct, metrics, model, scene
        correct.make("temperature"), metrics.get("gap")
        assert "attnscope_example" not in sys.modules
        print(scene.read_transcript("clip.lines")[1].speaker, "attnscope_example" in sys.modules)
    """
    done = ran(site, tmp_path, "-c", code)
    assert (done.stdout, done.stderr) == ("Ben True\n", "")


def test_a_registry_keeps_what_it_has() -> None:
    registry: plugins.Registry[type] = plugins.Registry("thing", "words")

    class Thing:
        words = "of a thing"

    registry.add("thing", Thing, __name__)
    registry.add("thing", Thing, __name__)  # a cell of a notebook, run again
    with pytest.raises(ValueError, match="thing 'thing' is defined twice"):
        registry.add("thing", type("Thing", (), {"words": ""}), __name__)
    with pytest.raises(TypeError, match="thing 'bare' has no `words`"):
        registry.add("bare", type("Bare", (), {}), __name__)
    assert dict(registry) == {"thing": Thing}
