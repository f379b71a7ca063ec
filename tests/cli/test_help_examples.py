"""The examples of the help pages run as they are printed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from attnscope.correct import requested
from attnscope.demo.walkthrough import CORRECTION
from attnscope_cli.main import app
from tests.cli.conftest import Ran

GROUP: Any = get_command(app)
NAMED = ("alpha", "threshold", "layers", "negative", "rows", "toward", "heads", "edges", "strength")


def examples() -> list[str]:
    """Every command line that a help page names as an example."""
    pages = [GROUP.help, *(command.help for command in GROUP.commands.values())]
    named = [line for page in pages for line in re.split(r"\n\s*\n", page) if re.match(r"\s*Examples?:", line)]
    found = [" ".join(words.split()) for line in named for words in re.findall(r"`(attnscope [^`]*)`", line)]
    assert len(found) >= len(GROUP.commands)
    return found


QUICK = ("capture", "heads", "inspect", "validate", "models", "methods")
RUN = [  # as a whole; others take long
    pytest.param(line, marks=[pytest.mark.slow] * (line.split()[1] == "compare"))
    for line in examples()
    if line.split()[1] in (*QUICK, "compare") and "--control" not in line  # tests/cli/test_correct_control.py runs that
]


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """Command and values of its parameters, checked as the command line checks them."""
    _, name, *words = shlex.split(line)
    command = GROUP.commands[name]
    return name, command.make_context(name, words).params


@pytest.mark.parametrize("line", examples())
def test_an_example_is_a_right_request(line: str) -> None:
    """Options exist and have values of their types; corrections, with all their parameters, are made."""
    name, given = parsed(line)
    methods = given.get("correct" if name == "eval" else "method") or []
    if name in ("eval", "correct") and not given.get("sweep"):
        requested(methods or ["social-bias"], {key: given[key] for key in NAMED}, given["set"] or ())


def test_the_example_of_eval_is_the_setting_that_helps() -> None:
    """The one that was chosen on other clips, and not the published rule on the same rows, which does harm."""
    (line,) = (line for line in examples() if line.startswith("attnscope eval"))
    _, given = parsed(line)
    (correction,) = requested(given["method"], {key: given[key] for key in NAMED}, given["set"] or ())
    assert correction == CORRECTION


@pytest.mark.parametrize("line", RUN)
def test_a_quick_example_runs(line: str, here: Path, cli: Callable[..., Ran]) -> None:
    for name, source in {"more.h5": "other.h5", "before.h5": "run.h5"}.items():
        shutil.copyfile(here / source, here / name)
    words = [{"MODEL": "model", "Qwen/Qwen2.5-VL-7B-Instruct": "model"}.get(word, word) for word in shlex.split(line)]
    (here / "runs").mkdir()
    words = ["new.h5" if word == "run.h5" and "capture" in words else word for word in words]
    ran = cli(*words[1:])
    assert (ran.code, "unexpected" in ran.err) == (0, False), ran.err
