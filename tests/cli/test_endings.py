"""How a command ends when something outside ends it: signals, a pipe that closes, a full or closed standard output."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from attnscope.files.locks import PART
from tests.cli.bad import CAPTURE
from tests.cli.bad_inputs import asks
from tests.cli.conftest import Ran
from tests.cli.test_bad_inputs import files

LONG = [*CAPTURE.split(), "--max-new-tokens", "2000"]
INTERRUPTED = "attnscope: interrupted; no unfinished file is left\n"


def start(*words: object, ignoring: Sequence[int] = ()) -> subprocess.Popen[str]:
    """The command in a process of its own, which ignores some signals as shells and nohup make it."""

    def ignore() -> None:
        for number in ignoring:
            signal.signal(number, signal.SIG_IGN)

    return subprocess.Popen(
        [sys.executable, "-m", "attnscope_cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=ignore,
    )


@pytest.mark.parametrize(
    ("ignored", "sent", "code"),
    [
        ([signal.SIGINT], [signal.SIGHUP, signal.SIGTERM], 129),
        pytest.param(
            [signal.SIGINT, signal.SIGHUP],
            [signal.SIGHUP, signal.SIGTERM, signal.SIGTERM],
            143,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["in the background", "nohup"],
)
def test_a_scheduler_ends_a_command_as_ctrl_c_does(here: Path, ignored: list[int], sent: list[int], code: int) -> None:
    """Shells set Ctrl-C aside for commands in the background; timeout(1) sends its signal twice."""
    before = files(here)
    with start(*LONG, ignoring=ignored) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("capture of "):  # now the model runs
            assert line
        for number in sent:
            process.send_signal(number)
        assert (process.stderr.read(), process.wait(60)) == (INTERRUPTED, code)
    assert files(here) == before


@pytest.mark.usefixtures("here")
def test_what_a_killed_report_left_goes_with_the_next(cli: Callable[..., Ran]) -> None:
    with start("analyze", "stats.h5", "-o", "out") as process:
        while not list(Path().glob(f"out/{PART}*/tables/*")):
            assert process.poll() is None
        process.send_signal(signal.SIGSTOP)
        second = cli("analyze", "stats.h5", "-o", "out")
        assert second.code == 2 and second.out == ""
        assert second.err.startswith(f"attnscope: out: process {process.pid} on ")
        assert "has been writing it since 2" in second.err and "analyze stats.h5 -o out)" in second.err
        process.kill()
    assert list(Path("out").glob(f"{PART}*")) and not Path("out/report.html").exists()
    assert cli("analyze", "stats.h5", "-o", "out").code == 0
    assert not [path.name for path in Path("out").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_two_evaluations_of_one_folder(cli: Callable[..., Ran]) -> None:
    """The second is refused before it loads a model; what a killed one scored is kept."""
    asks(*({"id": str(number), "scene": "scene.json"} for number in range(40)))()
    words = ["eval", ".", "--model", "model", "-o", "out", "--batch", "1"]
    with start(*words) as process:
        while not Path("out/samples.jsonl").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGSTOP)
        before = Path("out/samples.jsonl").read_bytes()
        second = cli(*words[:3], "./gone", *words[4:])  # a model that is not there is not even looked for
        assert (second.code, second.out) == (2, "")
        assert second.err.startswith(f"attnscope: out: process {process.pid} on ")
        assert Path("out/samples.jsonl").read_bytes() == before
        process.kill()
    ran = cli(*words, "-q")
    assert (ran.code, ran.err) == (0, "")
    lines = [json.loads(line) for line in Path("out/samples.jsonl").read_text().splitlines()]
    assert [line["doc_id"] for line in lines] == list(range(40))
    assert not [path.name for path in Path("out").iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("here")
def test_scenes_begin_anew_after_a_kill(cli: Callable[..., Ran]) -> None:
    with start("demo-scenes", "-o", "scenes", "--n", "500") as process:
        while not list(Path().glob(f"scenes/{PART}*/clips/*")):
            assert process.poll() is None
        process.kill()
    ran = cli("demo-scenes", "-o", "scenes", "--n", "1")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(path.name for path in Path("scenes").iterdir()) == ["clips", "manifest.jsonl", "scenes"]


@pytest.mark.parametrize(
    ("where", "code", "err"),
    [
        ("> /dev/full", 1, "attnscope: standard output: no space left on device\n"),
        (">&-", 1, "attnscope: standard output: is closed\n"),
        ("| true", 141, ""),
        (">&- 2>&-", 1, ""),
        ("2> /dev/full", 0, ""),
    ],
)
def test_a_standard_output_that_takes_nothing(where: str, code: int, err: str) -> None:
    """Of data, and of help that typer prints."""
    for words in ("models --help", "models --json"):
        command = shlex.join([sys.executable, "-m", "attnscope_cli.main", *words.split()])
        line = f"set -o pipefail; {command} {where.replace('true', '(exec 0<&-; true)')}"
        ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
        assert (ran.returncode, ran.stderr) == (code, err), words


@pytest.mark.usefixtures("here")
def test_names_that_an_encoding_lacks_are_escapes() -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "attnscope_cli.main", "inspect", "gone\x1b[2Jé.h5"]
    ran = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (2, "attnscope: gone\\x1b[2J\\xe9.h5: no such file\n")
