"""Work that takes seconds says how far it is, to a person who looks at a terminal, and to nobody else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attnscope.report.analyze import analyze
from attnscope_cli import analyze as analyze_command
from attnscope_cli import compare as compare_command
from attnscope_cli import correct as correct_command
from attnscope_cli import heads as heads_command
from attnscope_cli import validate as validate_command

COMMANDS = {
    "analyze run.h5 --jitter 10% -o out": (analyze_command, {"metrics", "bands from disturbed boxes", "figures"}),
    "compare run.h5 after.h5 -o out": (compare_command, {"metrics", "figures"}),
    "correct run.h5 --set layers=0-3 -o out": (correct_command, {"metrics", "figures"}),
    "heads run.h5 --heads 1.0 --knockout": (heads_command, {"metrics"}),
    "validate run.h5": (validate_command, {"reading"}),
}


@pytest.mark.parametrize(
    "words", [pytest.param(words, marks=[pytest.mark.slow] * words.endswith("-o out")) for words in COMMANDS]
)
@pytest.mark.usefixtures("here")
def test_commands_say_how_far_they_are(words: str, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int, int]] = []

    @contextmanager
    def recorded(quiet: bool) -> Iterator[Any]:
        assert not quiet
        yield lambda what, done, total: calls.append((what, done, total))

    module, phases = COMMANDS[words]
    monkeypatch.setattr(module, "progress_bar", recorded)
    ran = cli(*words.split())
    assert ran.code == 0, ran.err
    assert phases <= {what for what, _, _ in calls}
    for phase in phases:
        done = [(number, total) for what, number, total in calls if what == phase]
        assert all(number <= total or not total for number, total in done)
        assert sorted(done) == done


@pytest.mark.usefixtures("here")
def test_a_terminal_gets_a_bar() -> None:
    command = [sys.executable, "-m", "attnscope_cli.main", "heads", "run.h5", "--json"]
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    assert b"metrics" in b"".join(_read(master))
    assert process.stdout is not None
    assert json.loads(process.stdout.read())["criterion"]
    assert process.wait() == 0


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            return
        if not piece:
            return
        yield piece


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_nothing_is_counted_twice(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    analyze(["run.h5", "other.h5"], tmp_path / "out", progress=lambda *call: calls.append(call))
    metrics = [(done, total) for what, done, total in calls if what == "metrics"]
    assert len({total for _, total in metrics}) == 1
    assert metrics[0][0] == 0
    assert metrics[-1][0] == metrics[-1][1]
