"""Every bad input of the table is one line on stderr, the right exit code, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.bad import CAPTURE, Bad, put
from tests.cli.bad_inputs import TABLE as ROWS
from tests.cli.conftest import Ran
from tests.cli.hostile_inputs import HOSTILE

TABLE = [*ROWS, *HOSTILE]


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything in a folder, with what would change if it were written."""
    found = {str(p.relative_to(folder)): p.lstat() for p in sorted(folder.rglob("*"))}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


def says(err: str, bad: Bad, here: Path, things: Path) -> bool:
    """Whether stderr is the row's one line, letter for letter but for the words of other libraries."""
    import transformers

    places = {
        "here": here,
        "things": things,
        "model": (here / "model").resolve(),
        "transformers": transformers.__version__,
    }
    line = "attnscope: " + bad.message.format(**places) + "\n"
    if "…" not in line:
        assert err == line  # pytest shows the difference
    return re.fullmatch(re.escape(line).replace("…", ".+"), err) is not None


def attnscope(*words: object, before: str = "", **how: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own, after some shell commands."""
    command = Path(sys.executable).with_name("attnscope")
    line = f"{before or ':'} && exec {shlex.join([str(command), *map(str, words)])}"
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=env, timeout=120, check=False, **how
    )


def name_of(bad: Bad) -> str:
    return f"{bad.command} - {bad.message}"[:90]


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) >= 45
    assert {bad.code for bad in TABLE} == {2}  # work that fails, and its exit code 1, is tested below the table


@pytest.mark.parametrize("bad", TABLE, ids=map(name_of, TABLE))
def test_bad_input(bad: Bad, here: Path, things: Path, cli: Callable[..., Ran]) -> None:
    if bad.spoil is not None:
        bad.spoil()
    before = files(here)
    ran = cli(*bad.words)
    assert says(ran.err, bad, here, things), ran.err
    assert (ran.out, ran.code) == ("", bad.code)
    assert files(here) == before


REAL = [
    "nope",
    "C --frames 0",
    "capture model a.mp4 -o new.h5",
    "capture ./gone --scene scene.json -o new.h5",
    "compare run.h5 other.h5 -o out",
]


@pytest.mark.slow
@pytest.mark.parametrize("command", REAL)
def test_in_a_real_process(command: str, here: Path, things: Path) -> None:
    bad = next(bad for bad in TABLE if bad.command == command)
    if bad.spoil is not None:
        bad.spoil()
    before = files(here)
    ran = attnscope(*bad.words)
    assert says(ran.stderr, bad, here, things), ran.stderr
    assert (ran.stdout, ran.returncode) == ("", bad.code)
    assert files(here) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_cuda_where_there_is_none(here: Path, cli: Callable[..., Ran]) -> None:
    ran = cli(*CAPTURE.split(), "--device", "cuda")
    assert ran == Ran(2, "", "attnscope: model: device 'cuda' asked for, but torch sees no CUDA device\n")
    assert not (here / "new.h5").exists()


FULL = "attnscope: new.h5: writing failed: file too large\n"


def test_a_file_that_may_not_grow(here: Path, cli: Callable[..., Ran]) -> None:
    """The kernel refuses to let any file of this process grow beyond 64 KiB."""
    before = files(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
        ran = cli(*CAPTURE.split(), "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran == Ran(1, "", FULL)
    assert files(here) == before


@pytest.mark.slow
def test_a_process_whose_files_may_not_grow(here: Path) -> None:
    """The same of a whole process: nothing is added when it ends."""
    before = files(here)
    ran = attnscope(*CAPTURE.split(), "-q", before="ulimit -f 64")
    assert ran.stderr == FULL
    assert (ran.stdout, ran.returncode) == ("", 1)
    assert files(here) == before


@pytest.mark.slow
def test_no_space_left_on_the_device(here: Path) -> None:
    """A file system of 100 KiB, in a mount namespace of the process's own."""
    full = here / "full"
    full.mkdir()
    mount = f"mount -t tmpfs -o size=100k none {shlex.quote(str(full))}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a file system")
    command = [Path(sys.executable).with_name("attnscope"), *CAPTURE.split()[:-1], "full/new.h5", "-q"]
    script = f"{mount} && {shlex.join(map(str, command))}; code=$?; ls -A full; exit $code"
    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    said = r"full/new.h5: the capture takes up to [\d,]+ bytes before compression, and [\d,]+ are free on its disk"
    assert re.fullmatch(f"attnscope: {said}\n", ran.stderr), ran.stderr
    assert (ran.stdout, ran.returncode) == ("", 2)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches this process and its children, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_nothing(here: Path) -> None:
    command = [Path(sys.executable).with_name("attnscope"), *CAPTURE.split(), "--max-new-tokens", "2000"]
    before = files(here)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(3)]  # the prompt's size, its places, the capture's size
        process.send_signal(signal.SIGINT)
        rest, out = process.stderr.read(), process.stdout.read()
    assert said[0].startswith("prompt: ")
    assert rest == "attnscope: interrupted; no unfinished file is left\n"
    assert (out, process.returncode) == ("", 130)
    assert files(here) == before


@pytest.mark.usefixtures("here", "interruptible")
def test_ctrl_c_in_a_destructor_counts_too(cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    def describes(path: Path) -> None:
        found = [Interrupted(), path]
        found.clear()
        time.sleep(30)

    monkeypatch.setattr("attnscope.capture.read.describe.describe", describes)
    assert cli("inspect", "run.h5") == Ran(130, "", "attnscope: interrupted; no unfinished file is left\n")


@pytest.mark.parametrize("json", [False, True])
def test_validate_names_what_is_wrong_and_exits_with_1(json: bool, here: Path, cli: Callable[..., Ran]) -> None:
    content = bytearray((here / "run.h5").read_bytes())
    at = content.index(b'"Are you ready over there?"') + 1  # quoted: in the scene, not in the prompt
    content[at : at + 3] = b"Was"
    put("run.h5", bytes(content))()
    ran = cli("validate", "run.h5", *(["--json"] if json else []))
    assert (ran.code, ran.err) == (1, "")
    assert "/scene: sha256 does not match its content, the file is damaged" in ran.out


@pytest.mark.usefixtures("here")
def test_an_error_that_nobody_foresaw_is_one_line_too(cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(cap: attnscope.Capture) -> None:
        raise ZeroDivisionError(f"{cap.path}\nand more")

    monkeypatch.setattr("attnscope.capture.read.describe.describe", fails)
    ran = cli("inspect", "run.h5")
    hint = "attnscope --debug shows where, attnscope doctor checks the installation"
    assert ran == Ran(1, "", f"attnscope: unexpected ZeroDivisionError: run.h5 ({hint})\n")


@pytest.mark.usefixtures("here")
def test_debug_shows_the_traceback() -> None:
    ran = attnscope("--debug", "inspect", "gone.h5")
    assert ran.returncode == 1
    assert "Traceback (most recent call last)" in ran.stderr
    assert ran.stderr.endswith("attnscope.errors.RequestError: gone.h5: no such file\n")


@pytest.mark.usefixtures("here")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = Path(sys.executable).with_name("attnscope")
    piped = f"{shlex.quote(str(command))} inspect run.h5 --json | head -c 1"
    ran = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("{", "")
