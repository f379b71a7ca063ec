"""A disk that refuses a write: HDF5 goes on without noticing, ends in silence, and the error is kept."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from attnscope.capture.file import encode
from attnscope.capture.file.disk import Disk
from attnscope.capture.file.writer import CaptureWriter


def test_a_file_written_through_it_is_a_plain_file(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a.h5")
    with encode.create_file(disk) as file:
        encode.write_array(file, "a", np.arange(100_000), ["row"])
    disk.sync()
    disk.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["a"][:].tolist() == list(range(100_000))


@pytest.mark.parametrize("room", [0, 5_000, 300_000, 1_000_000])
def test_after_a_failure_everything_goes_on_in_memory(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write = os.write

    def full(fd: int, data: memoryview) -> int:
        free = room - os.lseek(fd, 0, os.SEEK_CUR)
        if free <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[:free])

    monkeypatch.setattr("attnscope.capture.file.disk.os.write", full)
    noise = np.random.default_rng(0).normal(size=(40, 10_000))
    disk = Disk(tmp_path / "a.h5")
    with encode.create_file(disk) as file:
        for number, row in enumerate(noise):
            encode.write_array(file, str(number), row, ["row"])
        file.flush()
        for number, row in enumerate(noise):
            assert np.array_equal(file[str(number)][:], row)
    with pytest.raises(OSError, match="No space left on device"):
        disk.sync()
    disk.close()
    assert (tmp_path / "a.h5").stat().st_size <= room
    assert capfd.readouterr() == ("", "")


def test_two_cannot_write_one_file(tmp_path: Path) -> None:
    first = Disk(tmp_path / "a.h5")
    first.write(b"here")
    with pytest.raises(BlockingIOError):
        Disk(tmp_path / "a.h5")
    first.close()
    assert (tmp_path / "a.h5").read_bytes() == b"here"


@pytest.mark.parametrize("when", ["leave", "finish"])
def test_ctrl_c_waits_for_hdf5(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write, presses = Disk.write, []

    def interrupted(self: Disk, data: bytes | memoryview) -> int:
        if not presses:
            presses.append(when)
            signal.raise_signal(signal.SIGINT)
        return write(self, data)

    monkeypatch.setattr(Disk, "write", interrupted)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), CaptureWriter(tmp_path / "a.h5") as writer:
            writer.create("masses/rows", (1000,), "f4", ["row"])
            if when == "finish":
                writer.finish(lambda _: None)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert presses == [when]
    assert [path.name for path in tmp_path.iterdir()] == (["a.h5"] if when == "finish" else [])
    assert capfd.readouterr() == ("", "")
