"""Every command on a good day: data on stdout, logs on stderr, and what it says it wrote is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command

import attnscope
from attnscope.capture.check.validate import validate
from attnscope_cli.main import app
from tests.cli.bad import CAPTURE, put
from tests.cli.conftest import Ran
from tests.scene.films import bars

Cli = Callable[..., Ran]
SHORT = ["--frames", 2, "--max-new-tokens", 2]
SUBTITLES = "1\n00:00:00,200 --> 00:00:01,200\nAnn: Are you ready?\n\n2\n00:00:01,400 --> 00:00:02,600\nBob: Yes.\n"


def pictures(folder: str, count: int) -> None:
    Path(folder).mkdir()
    for number in range(count):
        Image.fromarray(bars(number, 96, 64)).save(f"{folder}/frame_{number}.png")


def good(ran: Ran, out: str) -> None:
    """It worked; stdout holds nothing but `out`."""
    assert ran.code == 0, ran.err
    assert ran.out == out
    assert "Traceback" not in ran.err


# ---- capture


def test_capture_of_a_scene(here: Path, cli: Cli) -> None:
    ran = cli(*CAPTURE.split(), *SHORT)
    good(ran, "new.h5\n")
    said = [line.split(" ")[0] for line in ran.err.splitlines()]
    assert said == ["prompt:", "placed:", "capture", "answer:", "self-check"]
    assert validate(here / "new.h5") == []
    assert not list(here.glob("*.part"))


def test_capture_says_nothing_when_quiet(cli: Cli, here: Path) -> None:
    assert cli(*CAPTURE.split(), *SHORT, "-q") == Ran(0, "new.h5\n", "")
    assert (here / "new.h5").exists()


WILD = """1
00:00:00,200 --> 00:00:01,000
\u202aANN: Are you ready?

2
00:00:01,000 --> 00:00:01,500
Are you ready?
And you, Bob?

3
00:00:01,500 --> 00:00:02,000
And you, Bob?
Zoë: Yes.

4
00:00:02,400 --> 00:00:02,600
(a door closes)
"""


def test_capture_says_who_is_who(cli: Cli, here: Path) -> None:
    put("talk.srt", WILD)()
    ran = cli(*CAPTURE.split(), *SHORT, "--transcript", "talk.srt", "--question", "What does bob do?")
    good(ran, "new.h5\n")
    said = [line for line in ran.err.splitlines() if line.startswith("warning: ")]
    assert said == [
        "warning: talk.srt: rolling captions: 2 lines that repeat the cue before are left out, so that each stands once"
        " in the prompt; merge_rolling=False keeps them",
        "warning: names that differ in letter case alone are one speaker: ANN is Ann",
        "warning: 1 of 4 turns has no speaker",
        "warning: Zoë speaks and has no box",
        "warning: Bob has boxes and no turn",
        "warning: the question names no speaker; letter case aside it names Bob",
    ]
    with attnscope.open(here / "new.h5") as cap:
        assert [(turn.speaker, turn.text) for turn in cap.scene.transcript] == [
            ("Ann", "Are you ready?"),
            ("Ann", "And you, Bob?"),
            ("Zoë", "Yes."),
            (None, "(a door closes)"),
        ]
        assert set(cap.tokens["speaker"]) == {"", "Ann", "Zoë"}
    ran = cli(*CAPTURE.split(), *SHORT, "--transcript", "talk.srt", "--no-merge-rolling", "--force")
    good(ran, "new.h5\n")
    assert "2 lines repeat the cue before and stand in the prompt again; merge_rolling=True leaves them out" in ran.err
    with attnscope.open(here / "new.h5") as cap:
        text = " ".join(turn.text for turn in cap.scene.transcript)
        assert text.count("Are you ready?") == text.count("And you, Bob?") == 2


@pytest.mark.usefixtures("here")
def test_capture_from_single_files_and_words(cli: Cli) -> None:
    put("talk.srt", SUBTITLES)()
    put("who.json", {"Ann": {"segments": [{"start": 0, "end": 3, "keyframes": [{"t": 0, "xyxy": [2, 4, 46, 60]}]}]}})()
    words = ["--question", "Who is ready?", "--options", "Ann", "--options", "Bob, I think", "--answer", "Ann"]
    what = ["--plan", "stats,qk", "--layers", "1-2", "--maps-dtype", "float16", "--fps", 1, "--start", 1, "--end", 3]
    files = ["--transcript", "talk.srt", "--speakers", "who.json"]
    more = ["--template", "<{speaker}> {text}", "--max-new-tokens", 1, "--no-verify", "--dtype", "bfloat16"]
    good(cli("capture", "model", "clip.mp4", *files, *words, *what, *more, "-o", "new.h5"), "new.h5\n")
    with attnscope.open("new.h5") as cap:
        assert [turn.speaker for turn in cap.scene.transcript] == ["Ann", "Bob"]
        assert list(cap.scene.speakers) == ["Ann"]
        assert [option["text"] for option in cap.answer["options"]] == ["Ann", "Bob, I think"]
        assert "<Ann> Are you ready?" in cap.prompt_text
        assert cap.readings == ["stats", "qk"]
        assert cap.layers.tolist() == [1, 2]
        assert cap.frames.times.tolist() == [1, 2]
        assert cap.model["dtype"] == "bfloat16"
        assert not cap.check["verified"]
    assert validate("new.h5") == []


@pytest.mark.usefixtures("here")
def test_flags_replace_what_the_scene_file_says(cli: Cli) -> None:
    good(cli(*CAPTURE.split(), *SHORT, "--question", "Who is tall?", "--layers", "0.5-1.0"), "new.h5\n")
    with attnscope.open("new.h5") as cap:
        assert (cap.scene.question, cap.scene.options, cap.scene.answer) == ("Who is tall?", [], None)
        assert list(cap.scene.speakers) == ["Ann", "Bob"]
        assert cap.layers.tolist() == [2, 3]


@pytest.mark.usefixtures("here")
def test_capture_of_an_image(cli: Cli) -> None:
    Image.fromarray(bars(3, 96, 64)).save("a.png")
    good(cli("capture", "model", "a.png", "--question", "What is it?", *SHORT, "-o", "new.h5"), "new.h5\n")
    with attnscope.open("new.h5") as cap:
        assert (cap.frames.kind, len(cap.frames)) == ("image", 1)
    assert validate("new.h5") == []


@pytest.mark.usefixtures("here")
def test_capture_of_a_folder_of_frames(cli: Cli) -> None:
    pictures("frames", 4)
    good(cli("capture", "model", "frames", "--question", "What is it?", *SHORT, "-o", "new.h5"), "new.h5\n")
    with attnscope.open("new.h5") as cap:
        assert (cap.frames.kind, cap.frames.indices.tolist()) == ("folder", [1, 3])
    assert validate("new.h5") == []


@pytest.mark.usefixtures("here")
def test_capture_prints_json(cli: Cli) -> None:
    ran = cli(*CAPTURE.split(), *SHORT, "--json")
    found = json.loads(ran.out)
    assert (found["capture"], found["layers"], found["heads"]) == ("new.h5", 4, 4)
    assert found["check"]["passed"] is True
    assert {option["text"] for option in found["options"]} == {"Ann", "Bob"}


def test_force_replaces_a_capture(here: Path, cli: Cli) -> None:
    put("run.h5", "something else")()
    good(cli("capture", "model", "--scene", "scene.json", "-o", "run.h5", "--force", *SHORT), "run.h5\n")
    assert validate(here / "run.h5") == []


@pytest.mark.usefixtures("here")
def test_a_config_file_gives_defaults_and_flags_override_them(cli: Cli) -> None:
    put(
        "run.toml",
        '[capture]\nscene = "scene.json"\nout = "new.h5"\nframes = 2\nmax-new-tokens = 2\nplan = "stats"\n'
        'layers = "0-1"\nverify = false\noptions = ["yes", "no"]\n[analyze]\nthreshold = 0.7\n',
    )()
    good(cli("--config", "run.toml", "capture", "model", "--layers", "2", "--frames", 4), "new.h5\n")
    with attnscope.open("new.h5") as cap:
        assert cap.layers.tolist() == [2]
        assert cap.run["sampling"]["frames"] == 4
        assert cap.run["max_new_tokens"] == 2
        assert cap.scene.options == ["yes", "no"]
        assert not cap.check["verified"]


# ---- what reads captures


@pytest.mark.usefixtures("here")
def test_inspect(cli: Cli) -> None:
    ran = cli("inspect", "run.h5")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("run.h5")
    assert all(word in ran.out for word in ("self-check  passed", "masses, maps, stats, qk", "Ann, Bob"))
    as_json = cli("inspect", "run.h5", "--json")
    found = json.loads(as_json.out)
    assert found["layers"] == [0, 1, 2, 3]
    assert {"/masses/rows", "/qk/0/q", "/tokens"} <= {node["path"] for node in found["nodes"]}


@pytest.mark.usefixtures("here")
def test_validate(cli: Cli) -> None:
    assert cli("validate", "run.h5") == Ran(0, "run.h5: valid\n", "")
    ran = cli("validate", "after.h5", "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"capture": "after.h5", "valid": True, "problems": []})


@pytest.mark.usefixtures("here")
def test_analyze(cli: Cli) -> None:
    ran = cli("analyze", "run.h5", "-o", "out", "--speaker", "Bob", "--denominator", "sum", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["report"] == "out/report.html"
    plain = {"by": None, "jitter": None, "style": "paper", "films": False}
    assert found["settings"] == {"speaker": "Bob", "threshold": 0.5, "denominator": "sum"} | plain
    written = [found["report"], *found["tables"], *found["figures"]]
    assert all(Path(path).stat().st_size for path in written)
    assert {Path(path).suffix for path in written} == {".html", ".csv", ".parquet", ".png", ".svg"}


@pytest.mark.usefixtures("here")
def test_analyze_without_a_reading_says_what_is_missing(cli: Cli) -> None:
    found = json.loads(cli("analyze", "stats.h5", "-o", "out", "--json").out)
    assert any("masses" in note for note in found["notes"])
    assert Path("out/report.html").exists()


# ---- correct, demo


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_correct_with_a_model_that_has_moved(cli: Cli) -> None:
    how = ["--alpha", 2, "--layers", "0-3", "--negative", "gap"]
    ran = cli("correct", "no_model.h5", "--model", "model", *how, "-o", "deep/out", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["before"], found["after"]) == ("no_model.h5", "deep/out/after.h5")
    assert found["active_heads"]
    with attnscope.open("deep/out/after.h5") as cap:
        assert cap.correction[0]["method"] == "social-bias"
        assert cap.correction[0]["params"]["alpha"] == 2
        assert cap.correction[0]["params"]["threshold"] == attnscope.SocialBias().threshold
    assert validate("deep/out/after.h5") == []


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_demo(cli: Cli) -> None:
    ran = cli("demo", "-o", "out", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert "at most three people" in found["note"]
    runs = found["runs"]
    # wrong without, right with the correction; a control that touches everything alike moves next to nothing
    assert [runs[what]["right"] for what in ("plain", "corrected", "control")] == [False, True, False]
    assert runs["corrected"]["answer"] == found["expected"] != runs["plain"]["answer"] == runs["control"]["answer"]
    assert runs["corrected"]["probability"] > 0.5 > runs["plain"]["probability"]
    assert abs(runs["control"]["probability"] - runs["plain"]["probability"]) < 0.1
    assert all(validate(run["capture"]) == [] for run in runs.values())
    assert all(Path(found[page]).exists() for page in ("scene", "report", "comparison"))
    leads = " ".join(found["verdict"])
    assert "It confuses Eva with Ben" in leads and "layers 3 to 5" in leads
    assert "The correction turns the answer right; its control does not." in leads


# ---- lists


def test_methods(cli: Cli) -> None:
    ran = cli("methods")
    assert (ran.code, ran.err) == (0, "")
    assert "speaker_consistency" in ran.out
    assert "social-bias" in ran.out
    found = json.loads(cli("methods", "--json").out)
    assert {metric["source"] for metric in found["metrics"]} <= {"paper", "code", "2nd", "ours"}
    assert {"knockout", "social-bias"} <= {correction["method"] for correction in found["corrections"]}


def test_models(cli: Cli) -> None:
    from attnscope.model import SUPPORTED_FAMILIES

    found = json.loads(cli("models", "--json").out)
    assert tuple(family["family"] for family in found) == SUPPORTED_FAMILIES
    ran = cli("models")
    assert (ran.code, ran.err) == (0, "")
    assert all(name in ran.out for name in SUPPORTED_FAMILIES)


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version") == Ran(0, f"attnscope {attnscope.__version__}\n", "")
    for command in ([], ["capture"], ["analyze"]):
        for flag in ("--help", "-h"):
            ran = cli(*command, flag)
            assert (ran.code, ran.err) == (0, "")
            assert re.search("Examples?: attnscope", ran.out)


# ---- what is imported

HEAVY = {"torch", "transformers", "accelerate", "torchvision", "av", "num2words"}
TABLES = {"pandas", "pyarrow", "xarray", "matplotlib", "scipy", "PIL"}
LIBRARIES = HEAVY | TABLES | {"numpy", "h5py", "pydantic"}
PROBE = """
import sys
sys.argv = ["attnscope", *sys.argv[1:]]
from attnscope_cli.main import app
try:
    app()
finally:
    print("IMPORTED", *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""
HELP = """
import contextlib, sys
from attnscope_cli.main import app
for command in sys.argv[1:]:
    with contextlib.suppress(SystemExit):
        app([command, "--help"], prog_name="attnscope")
print("IMPORTED", *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def imported(*words: str, code: str = PROBE) -> set[str]:
    """Packages that a command imports in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *words]
    ran = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    *logs, names = ran.stderr.splitlines()
    assert logs == []
    return set(names.split())


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["models", "--json"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    assert imported(*words) & LIBRARIES == set()


def test_help_of_every_command_imports_nothing_heavy() -> None:
    commands: Any = get_command(app)
    assert imported(*commands.commands, code=HELP) & LIBRARIES == set()


def test_the_library_imports_nothing_heavy() -> None:
    names = 'print("IMPORTED", *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)'
    assert imported(code=f"import sys, attnscope\n{names}") & LIBRARIES == set()
    found = imported(code=f"import sys, attnscope\nattnscope.open\n{names}")
    assert found & (HEAVY | TABLES | {"pydantic"}) == set()


@pytest.mark.usefixtures("here")
def test_inspecting_needs_no_tables() -> None:
    for more in ([], ["--json"]):
        found = imported("inspect", "run.h5", *more)
        assert "h5py" in found
        assert found & (HEAVY | TABLES) == set()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words",
    [
        ["validate", "run.h5"],
        pytest.param(["analyze", "run.h5", "-o", "out"], marks=pytest.mark.slow),
        pytest.param(["compare", "run.h5", "after.h5", "-o", "out"], marks=pytest.mark.slow),
    ],
)
def test_reading_needs_no_torch(words: list[str]) -> None:
    found = imported(*words)
    assert "h5py" in found
    assert found & HEAVY == set()
    assert ("out" in words) == Path("out/report.html").exists()


@pytest.mark.usefixtures("here")
def test_a_mistake_is_told_before_torch_is_imported() -> None:
    command = [sys.executable, "-c", PROBE, *CAPTURE.split(), "--plan", "nonsense"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert set(ran.stderr.splitlines()[-1].split()) & HEAVY == set()
