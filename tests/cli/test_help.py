"""Help in words, completion on TAB, and the other names of the command."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import attnscope
from attnscope.families import EMBEDDED
from attnscope_cli import _choices
from tests.cli.conftest import Ran

COMMANDS = ("", "capture", "analyze", "heads", "correct", "compare", "eval", "inspect", "demo-scenes", "methods")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_no_types_of_python(command: str, cli: Callable[..., Ran]) -> None:
    ran = cli(*[command] * bool(command), "--help")
    assert ran.code == 0
    assert not re.search(r"<\w+|list\[|Path\b", ran.out), ran.out
    assert command in ("", "methods", "inspect") or re.search(r"--out.*(DIR|FILE)", ran.out)


def test_everything_that_is_printed_goes_through_one_escape() -> None:
    """Only these print: `print_lines` and `print_json`, and the line of an error."""
    folder = Path(_choices.__file__).parent
    found = {path.name: re.findall(r"(?<![\w.])print\(.*", path.read_text()) for path in sorted(folder.glob("*.py"))}
    assert {name: lines for name, lines in found.items() if lines} == {
        "_common.py": ["print(printable(str(line)))", "print(printable_json(document))"],
        "main.py": ['print(f"attnscope: {line}", file=sys.stderr, flush=True)'],
    }


def completed(typed: str) -> list[str]:
    """What bash is offered for a line."""
    words = typed.split(" ")
    env = os.environ | {"_ATTNSCOPE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    script = "from attnscope_cli.main import app; app(prog_name='attnscope')"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("attnscope correct run.h5 --method moda-c", ["moda-calibrate"]),
        ("attnscope eval M m.jsonl --correct so", ["social-bias"]),
        ("attnscope heads run.h5 --by a", ["answer-lift", "active"]),
        ("attnscope correct run.h5 --rows question,a", ["question,answer", "question,all"]),
        ("attnscope capture M --plan masses,m", ["masses,maps"]),
        ("attnscope capture round", ["roundtable", "roundtable-full"]),
    ],
)
def test_closed_lists_complete(typed: str, offered: list[str]) -> None:
    assert completed(typed) == offered


def test_what_is_completed_is_what_there_is() -> None:
    from attnscope.correct import corrections
    from attnscope.correct.peers.tokens import ROWS
    from attnscope.correct.social.rows import ROWS as SOCIAL
    from attnscope.metrics.choosing.criteria import criteria
    from attnscope.vocabulary import READINGS

    assert tuple(sorted(corrections())) == _choices.METHODS
    assert tuple(criteria()) == _choices.CRITERIA
    assert set(READINGS) <= set(_choices.READINGS)
    assert tuple(EMBEDDED) == _choices.EMBEDDED
    assert {*ROWS, *SOCIAL} <= set(_choices.ROWS)


def test_a_model_completes_to_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/one").mkdir(parents=True)
    Path("rune.txt").write_text("")
    assert _choices.model("ru") == ["runs/"] and _choices.model("runs/o") == ["runs/one/"]
    assert _choices.model("gone/x") == []


def test_the_package_runs_as_a_module() -> None:
    ran = subprocess.run([sys.executable, "-m", "attnscope", "--version"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, f"attnscope {attnscope.__version__}\n")


def test_the_signature_of_the_callable_package_is_that_of_the_function() -> None:
    from attnscope.capture.run import capture

    assert inspect.signature(attnscope.capture) == inspect.signature(capture)
    assert list(inspect.signature(attnscope.capture).parameters)[:3] == ["model", "scene", "out"]
