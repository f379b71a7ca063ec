"""A capture is complete or absent: killed, out of space, interrupted, or failing half-way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.file import disk
from attnscope.capture.file.writer import CaptureWriter
from attnscope.errors import AttnscopeError, FormatError, RequestError, RunError
from tests.capture.eager import make_prompt

ROUNDS = 20


def nothing_more(_file):
    """A capture without metadata: enough to test how it is written."""


@pytest.mark.slow
def test_sigkill_at_random_moments_never_leaves_a_file_that_opens(checkpoint, stage, tmp_path):
    command = [
        sys.executable,
        "-m",
        "tests.capture.kill_loop",
        checkpoint("qwen2_5_vl"),
        stage,
        tmp_path,
        ROUNDS,
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["killed"] >= ROUNDS // 2, (
        "too few captures were cut short to prove anything"
    )
    unfinished = 0
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.h5"
        if path.exists():  # finished before the signal came
            assert validate(path) == []
        part = path.with_name(path.name + ".part")
        if part.exists():
            unfinished += 1
            with pytest.raises(AttnscopeError):
                attnscope.open(part)
    assert unfinished >= ROUNDS // 4
    assert validate(tmp_path / "whole.h5") == []


def test_an_exception_half_way_leaves_nothing(checkpoint, stage, tmp_path):
    from attnscope.capture.run import capture_prompts

    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))

    class Fails:
        def __call__(self, call):
            if call.layer == 2:
                raise ZeroDivisionError
            return call

    with pytest.raises(RunError, match="failed while it ran") as raised:
        capture_prompts(loaded, [make_prompt(loaded, stage)], [tmp_path / "run.h5"], corrections=[Fails()])
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert list(tmp_path.iterdir()) == []


def test_no_space_left_is_one_line_and_leaves_nothing():
    """The kernel refuses to let any file of the process grow beyond a limit, as a full disk would."""
    code = """
import resource, signal, sys, tempfile
from pathlib import Path
import numpy as np
from attnscope.capture.file.writer import CaptureWriter
from attnscope.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as on a full disk: the write fails instead of killing us
folder = Path(tempfile.mkdtemp())
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(0).normal(size=(1, 2, 400, 400)).astype("f4")
try:
    with CaptureWriter(folder / "run.h5") as writer:
        writer.create("full/attention", (8, 2, 400, 400), "f4", ("layer", "head", "query", "key"))
        for layer in range(8):
            writer.put("full/attention", (slice(layer, layer + 1),), noise)
        writer.finish(lambda file: None)
except RunError as error:
    print(str(error).replace(str(folder), "DIR"))
print([p.name for p in folder.iterdir()])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["DIR/run.h5: writing failed: file too large", "[]"], done.stderr[-2000:]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_device_is_named():
    from attnscope.capture.file.writer import _reason

    with pytest.raises(OSError) as caught, Path("/dev/full").open("wb", buffering=0) as device:
        device.write(b"x")
    assert _reason(caught.value, Path("run.h5")) == "no space left on device"


def test_a_slow_disk_holds_the_model_back(tmp_path, monkeypatch):
    """The queue takes QUEUE_BYTES and no more: the next block waits until the disk has caught up."""
    monkeypatch.setattr("attnscope.capture.file.writer.QUEUE_BYTES", 100)
    may_write, queued = threading.Event(), []
    write = CaptureWriter._write
    monkeypatch.setattr(CaptureWriter, "_write", lambda self, *item: (may_write.wait(60), write(self, *item)))
    with CaptureWriter(tmp_path / "run.h5") as writer:
        writer.create("full/attention", (8, 1, 2, 8), "f4", ("layer", "head", "query", "key"))

        def fill():
            for layer in range(8):
                writer.put("full/attention", (layer,), np.zeros((1, 2, 8), dtype="f4"))
                queued.append(layer)

        model = threading.Thread(target=fill)
        model.start()
        model.join(1.0)
        assert model.is_alive() and queued == [0, 1]  # 64 bytes each: the third would exceed what may wait
        may_write.set()
        model.join(60)
        assert queued == list(range(8))
        writer.finish(nothing_more)


def test_blocks_are_written_in_order(tmp_path):
    with CaptureWriter(tmp_path / "run.h5") as writer:
        writer.create("full/attention", (64, 1, 2, 2), "f4", ("layer", "head", "query", "key"))
        for layer in range(64):
            writer.put("full/attention", (layer,), np.full((1, 2, 2), layer, dtype="f4"))
        writer.finish(nothing_more)
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["full/attention"][:, 0, 0, 0].tolist() == list(range(64))


def test_leaving_without_finish_removes_the_file(tmp_path):
    with CaptureWriter(tmp_path / "run.h5") as writer:
        assert writer.part.exists()
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_are_refused(tmp_path):
    with (
        CaptureWriter(tmp_path / "run.h5"),
        pytest.raises(RequestError, match=r"run.h5: cannot be written: "),
    ):
        CaptureWriter(tmp_path / "run.h5")


SECOND = """
import sys
from attnscope.capture.file.writer import CaptureWriter
from attnscope.errors import RequestError
try:
    with CaptureWriter(sys.argv[1]):
        print("writes")
except RequestError as error:
    print(error)
"""


def test_another_process_cannot_come_between_the_last_byte_and_the_name(tmp_path, monkeypatch):
    """The lock outlives the rename: a process that took the unfinished name in between would empty the file."""
    path, outcome = tmp_path / "run.h5", []
    rename = Path.replace

    def interrupted(self, target):
        second = [sys.executable, "-c", SECOND, str(path)]
        done = subprocess.run(second, capture_output=True, text=True, timeout=120, check=False)
        outcome.append(done.stdout.strip() or done.stderr)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with CaptureWriter(path) as writer:
        writer.create("full/attention", (1, 1, 2, 2), "f4", ("layer", "head", "query", "key"))
        writer.finish(nothing_more)
    assert outcome == [f"{path}: cannot be written: another process is writing it"]
    with h5py.File(path) as file:
        assert file.attrs["complete"]
    assert [found.name for found in tmp_path.iterdir()] == ["run.h5"]


def test_a_writer_that_opened_the_file_before_it_got_its_name_leaves_it_alone(tmp_path, monkeypatch):
    """It has the finished file in hand when it gets the lock, and opens the unfinished name anew."""
    path, lock = tmp_path / "run.h5", disk._lock
    with CaptureWriter(path) as first:

        def finished_meanwhile(fd):
            if not path.exists():
                first.finish(nothing_more)
            lock(fd)

        monkeypatch.setattr(disk, "_lock", finished_meanwhile)
        with CaptureWriter(path) as second:
            with h5py.File(path) as file:
                assert file.attrs["complete"]
            first.__exit__(None, None, None)
            assert second.part.exists()  # the first removes nothing of the second
    assert [found.name for found in tmp_path.iterdir()] == ["run.h5"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RequestError, match=f"run.h5: cannot be written: folder {tmp_path}/nowhere does not exist"):
        CaptureWriter(tmp_path / "nowhere" / "run.h5")


def test_a_part_file_is_not_a_capture(tmp_path):
    writer = CaptureWriter(tmp_path / "run.h5")
    writer.file.flush()
    writer.file.close()
    with pytest.raises(FormatError):
        attnscope.open(writer.part)
    writer.__exit__(None, None, None)


def test_errors_of_the_writing_thread_reach_the_caller(tmp_path):
    with pytest.raises(RunError, match="writing failed"), CaptureWriter(tmp_path / "run.h5") as writer:
        writer.put("nowhere/at/all", (0,), np.zeros(1))
        for _ in range(100):
            writer.put("nowhere/at/all", (0,), np.zeros(1))
        writer.finish(nothing_more)
    assert list(tmp_path.iterdir()) == []
