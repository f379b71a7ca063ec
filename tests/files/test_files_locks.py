"""An output is written by one process at a time, a killed holder holds nothing, and what it left goes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attnscope.errors import BusyError, RequestError, RunError, SizeError
from attnscope.files import check_space, locked, locks, sweep, unfinished, unfinished_folder, write_whole
from attnscope.files.folders import claimed

HOLDER = """
import sys, time
from pathlib import Path
from attnscope.files import locked, unfinished, unfinished_folder
out = Path(sys.argv[1])
with locked(out), unfinished_folder(out) as folder, unfinished(out / "file") as file:
    (folder / "figures").mkdir()
    (folder / "figures" / "half.png").write_bytes(bytes(1000))
    file.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(out: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of writing a folder."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_process_says_who_writes(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(BusyError) as error, claimed(tmp_path):
            pytest.fail("two processes write one folder")
        sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == before  # nothing of a living process is removed
    said = str(error.value)
    assert f"{tmp_path}: process {process.pid} on {socket.gethostname()} has been writing it since 2" in said
    assert "(-c " in said and error.value.exit_code == 2


def test_what_a_killed_process_left_goes_and_its_lock_too(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list(tmp_path.iterdir())) == 3  # the lock, the folder and the file
        (tmp_path / ".part-mine").mkdir()
        with claimed(tmp_path):
            assert sorted(path.name for path in tmp_path.iterdir()) == [locks.LOCK, ".part-mine"]
    assert [path.name for path in tmp_path.iterdir()] == [".part-mine"]


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose locks do not work, as some network mounts answer."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_flock")
def test_without_locks_of_the_file_system_the_name_of_the_holder_decides(tmp_path: Path) -> None:
    path = tmp_path / locks.LOCK
    with locked(tmp_path):
        alive = json.loads(path.read_text())
    assert not path.exists() and alive["pid"] == os.getpid()
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    for change in ({}, {"pid": ended.pid, "host": "elsewhere"}, {"pid": ended.pid, "machine": "rebooted"}, None):
        path.write_text("" if change is None else json.dumps(alive | change))
        with pytest.raises(BusyError, match=f"no locks: remove {path}"), locked(tmp_path):
            pytest.fail("it may be alive")
    for change in ({"pid": ended.pid}, {"started": "0"}):  # gone, or its number was given to another
        path.write_text(json.dumps(alive | change))
        with locked(tmp_path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
    part = tmp_path / f"{locks.PART}0"
    part.mkdir()
    sweep(tmp_path)
    assert part.exists()  # whether its process lives cannot be known


def test_a_thread_may_lock_twice_and_another_may_not(tmp_path: Path) -> None:
    said: list[str] = []

    def other() -> None:
        try:
            with locked(tmp_path / "run.h5"):
                pass
        except BusyError as error:
            said.append(str(error))

    with locked(tmp_path / "run.h5"):
        with locked(tmp_path / "run.h5"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [".run.h5.lock"]
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert said == [f"{tmp_path}/run.h5: another thread of this process is writing it"]
    assert not list(tmp_path.iterdir())


def test_many_processes_take_turns(tmp_path: Path) -> None:
    """Each adds one to a number in a file, under the lock; an update that is lost shows in the sum."""
    script = """
import sys
from pathlib import Path
from attnscope.errors import BusyError
from attnscope.files import locked
out = Path(sys.argv[1])
for _ in range(150):
    while True:
        try:
            with locked(out):
                number = int((out / "n").read_text())
                (out / "n").write_text(str(number + 1))
            break
        except BusyError:
            pass
"""
    (tmp_path / "n").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "n").read_text() == "450" and len(list(tmp_path.iterdir())) == 1


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "heads.json"
    write_whole(path, "old")
    with pytest.raises(KeyboardInterrupt), unfinished(path) as part:
        part.write_text("half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    with pytest.raises(RunError, match=r"heads.json: cannot be written: no space left on device"), unfinished(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with unfinished_folder(tmp_path) as folder:
        (folder / "half").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["heads.json"]
    write_whole(path, "new \ud800")
    assert path.read_text() == "new \\ud800"
    with pytest.raises(RunError, match="cannot be written: the name is longer"):
        write_whole(tmp_path / ("a" * 256), "")
    assert [path.name for path in tmp_path.iterdir()] == ["heads.json"]


def test_a_lock_file_that_is_something_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / locks.LOCK)
    with pytest.raises(RequestError, match="is not a regular file"), locked(tmp_path):
        pytest.fail("a FIFO is no lock")


def test_what_cannot_fit_is_refused_before_it_begins(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_space(tmp_path / "new" / "run.h5", 1000, "the capture")
    with pytest.raises(SizeError, match=r"run.h5: the capture takes up to [\d,]+ bytes before compression, and [\d,]+"):
        check_space(tmp_path / "new" / "run.h5", 2 * free, "the capture", "before compression")
