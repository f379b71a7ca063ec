"""What TAB offers: the values of every closed list, quickly, and the shell's file names where a value is open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli.main import app


def shell(typed: str) -> dict[str, str]:
    """What bash says about a line when TAB is pressed at its end."""
    words = len(typed.split(" ")) - 1
    return {"_ATTNSCOPE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(words)}


def completed(typed: str) -> list[str]:
    """What bash is offered for a line."""
    return CliRunner().invoke(app, [], prog_name="attnscope", env=shell(typed)).stdout.split()


def in_a_process(typed: str, after: str = "") -> list[str]:
    """The same in a process of its own; `after` is run at its end."""
    script = f"import atexit, sys\natexit.register(lambda: ({after or None}))\nfrom attnscope_cli.main import entry\n"
    script += "sys.argv = ['attnscope']\nentry()"
    env = os.environ | shell(typed)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("attnscope correct run.h5 --method moda-c", ["moda-calibrate"]),
        ("attnscope import wh", ["whisperx"]),
        ("attnscope eval m.jsonl --method so", ["social-bias"]),
        ("attnscope eval m.jsonl --correct so", ["social-bias"]),
        ("attnscope eval m.jsonl --model roundtable-", ["roundtable-full"]),
        ("attnscope eval m.jsonl --score ", ["logprob", "generate"]),
        ("attnscope eval m.jsonl --by task,p", ["task,people"]),
        ("attnscope eval m.jsonl --tasks target,p", ["target,pronoun", "target,pointing"]),
        ("attnscope heads run.h5 --by a", ["answer-lift", "active"]),
        ("attnscope heads run.h5 --edges answer:visual,own", []),
        ("attnscope heads run.h5 --edges utterances:o", ["utterances:own"]),
        ("attnscope heads run.h5 --model round", ["roundtable", "roundtable-full"]),
        ("attnscope correct run.h5 --rows question,a", ["question,answer", "question,all"]),
        ("attnscope correct run.h5 --toward o", ["other"]),
        ("attnscope correct run.h5 --negative ", ["paper", "clamp", "gap"]),
        ("attnscope correct run.h5 --strength c", ["constant"]),
        ("attnscope correct run.h5 --model roundtable-", ["roundtable-full"]),
        ("attnscope capture M --plan masses,m", ["masses,maps"]),
        ("attnscope capture M --maps-dtype ", ["float32", "float16"]),
        ("attnscope capture M --dtype b", ["bfloat16"]),
        ("attnscope capture M --device c", ["cpu", "cuda"]),
        ("attnscope capture M --device-map a", ["auto"]),
        ("attnscope capture M --attn flash", ["flash_attention_2", "flash_attention_3"]),
        ("attnscope capture M --quantize ", ["int8"]),
        ("attnscope capture round", ["roundtable", "roundtable-full"]),
        ("attnscope doctor round", ["roundtable", "roundtable-full"]),
        ("attnscope analyze run.h5 --denominator s", ["sum", "self"]),
        ("attnscope analyze run.h5 --style ", ["paper", "slides"]),
        ("attnscope analyze run.h5 --by s", ["speakers", "seats", "split"]),
        ("attnscope demo-scenes --split c", ["calibration"]),
        ("attnscope prepare clip.mp4 --only shots,sp", ["shots,speech", "shots,speaking"]),
        ("attnscope prepare clip.mp4 --boxes f", ["face"]),
        ("attnscope demo-scenes --tasks c", ["cup", "count", "colour"]),
        ("attnscope capture M --scene ", []),  # nothing is offered: the shell completes names of files
        ("attnscope correct run.h5 --heads he", []),
        ("attnscope analyze ru", []),
    ],
)
def test_closed_lists_complete(typed: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed(typed) == offered


def test_the_shell_does_not_wait_for_torch() -> None:
    slow = "torch transformers pandas matplotlib h5py numpy"
    after = f"print(*(name for name in {slow.split()} if name in sys.modules), 'none')"
    assert in_a_process("attnscope heads run.h5 --by loc", after) == ["localization", "none"]


def test_what_is_completed_is_what_there_is() -> None:
    from attnscope.correct import corrections
    from attnscope.correct.knockout.edges import KEYS, QUERIES
    from attnscope.correct.peers.tokens import ROWS
    from attnscope.correct.social.rows import ROWS as SOCIAL
    from attnscope.correct.social.toward import TOWARD
    from attnscope.demo.questions import TASKS
    from attnscope.demo.script import SPLITS
    from attnscope.evaluate.score import RULES
    from attnscope.families import EMBEDDED
    from attnscope.metrics.choosing.criteria import criteria
    from attnscope.metrics.modality import DENOMINATORS
    from attnscope.model.load import DTYPES, QUANTIZED
    from attnscope.prepare.parts import PARTS
    from attnscope.prepare.run import BOXES
    from attnscope.report.figures.style import STYLES
    from attnscope.scene.importers.sources import IMPORTERS
    from attnscope.vocabulary import READINGS

    assert tuple(sorted(corrections())) == _choices.METHODS
    assert tuple(sorted(IMPORTERS)) == _choices.IMPORTERS
    assert {*ROWS, *SOCIAL, *QUERIES} == set(_choices.ROWS)
    assert TOWARD == _choices.TOWARD
    assert QUERIES == _choices.CUT_QUERIES
    assert {edge.partition(":")[2] for edge in _choices.EDGES} == set(KEYS)
    assert tuple(READINGS) == _choices.READINGS
    assert tuple(criteria()) == _choices.CRITERIA
    assert DENOMINATORS == _choices.DENOMINATORS
    assert tuple(STYLES) == _choices.STYLES
    assert RULES == _choices.SCORES
    assert tuple(EMBEDDED) == _choices.EMBEDDED
    assert DTYPES == _choices.DTYPES
    assert PARTS == _choices.PARTS
    assert BOXES == _choices.PERSON_BOXES
    assert QUANTIZED == _choices.QUANTIZED
    assert SPLITS == _choices.SPLITS
    assert tuple(TASKS) == _choices.TASKS


@pytest.mark.parametrize(("name", "values"), [("negative", _choices.NEGATIVE), ("strength", _choices.STRENGTHS)])
def test_the_words_of_a_correction_are_those_that_it_takes(name: str, values: tuple[str, ...]) -> None:
    from attnscope.correct import make

    for value in values:
        assert make("social-bias", **{name: value})
    with pytest.raises(RequestError) as refused:
        make("social-bias", **{name: "nothing"})
    assert all(value in str(refused.value) for value in values)


def test_the_fields_are_those_of_the_scenes_of_the_demo(tmp_path: Path) -> None:
    from attnscope.demo.scenes import write_scenes

    manifest = write_scenes(tmp_path / "scenes", count=1, people=[2])
    line = json.loads(manifest.read_text(encoding="utf-8").splitlines()[0])
    scene = json.loads((manifest.parent / line["scene"]).read_text(encoding="utf-8"))
    assert tuple(scene["fields"]) == _choices.FIELDS


def test_a_model_completes_to_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/one").mkdir(parents=True)
    Path("rune.txt").write_text("")
    assert _choices.model("ru") == ["runs/"] and _choices.model("runs/o") == ["runs/one/"]
    assert _choices.model("gone/x") == []
