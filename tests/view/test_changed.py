"""A file that is deleted, replaced or written while somebody looks at it: no number of another file is shown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

import attnscope
from attnscope.errors import FormatError, RequestError
from attnscope.view.api import viewing
from tests.capture.by_hand import build
from tests.view.asking import served


def replace(path: Path) -> None:
    other = path.with_name("other.h5")
    build(other, seed=1)
    other.replace(path)


def overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    state = path.stat()
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:  # the same file, as long as before
        file.write(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "deleted": (Path.unlink, "was deleted"),
    "replaced": (replace, "was changed"),
    "overwritten": (overwrite, "was changed"),
    "a folder": (folder_instead, "was changed"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_file_that_changes_is_not_answered_from(tmp_path: Path, how: str) -> None:
    change, what = CHANGES[how]
    path, still = tmp_path / "run.h5", tmp_path / "still.h5"
    build(path)
    shutil.copy(path, still)
    with served(path, still) as client:
        row = {"position": 40, "layer": 1, "head": 1}
        before = client.ask("row", capture=0, **row)
        assert before.status == 200
        change(path)
        reason = f"run.h5: {what} since it was opened; end the viewer and start it again"
        for question, more in (("row", row), ("maps", {}), ("frame", {"index": 0}), ("queries", {})):
            reply = client.ask(question, capture=0, **more)
            assert (reply.status, reply.reason) == (410, reason)
        for question in ("document", "measures"):
            reply = client.ask(question)
            assert (reply.status, reply.reason) == (410, reason)
        assert client.ask("row", capture=1, **row).body == before.body  # the other capture is as it was


def test_a_damaged_part_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    oracle = build(path, readings=("masses", "maps", "stats", "qk"))
    with h5py.File(path, "r+") as file:
        dataset = file["qk/2/k"]
        start = dataset.id.get_chunk_info(0)
        offset, size = start.byte_offset, start.size
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(size))
    with served(path) as client:
        reply = client.ask("row", capture=0, position=40, layer=2, head=0)
        assert reply.status == 500 and reply.reason.startswith(f"{path}: /qk/2/k: ")
        assert client.ask("row", capture=0, position=40, layer=1, head=0).status == 200
    assert oracle.layers.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("missing.h5", RequestError, "no such file"),
        ("text.h5", FormatError, "not an HDF5 file, so not a capture"),
        ("empty.h5", FormatError, "the file is empty"),
        (".", RequestError, "a folder, not a capture file"),
    ],
)
def test_what_is_no_capture_is_said_before_the_server_starts(
    tmp_path: Path, name: str, error: type[Exception], reason: str
) -> None:
    build(tmp_path / "run.h5")
    (tmp_path / "text.h5").write_text("words")
    (tmp_path / "empty.h5").touch()
    with pytest.raises(error, match=reason), viewing([tmp_path / "run.h5", tmp_path / name]):
        raise AssertionError("it started")
    attnscope.open(tmp_path / "run.h5").close()  # and no file is held


def test_a_capture_behind_a_link_is_that_capture(tmp_path: Path) -> None:
    """A link that leads elsewhere later is a change; nothing else behind links is ever opened."""
    build(tmp_path / "one.h5")
    build(tmp_path / "two.h5", seed=1)
    link = tmp_path / "link.h5"
    link.symlink_to("one.h5")
    with served(link) as client:
        assert client.ask("document").status == 200
        link.unlink()
        link.symlink_to("two.h5")
        assert client.ask("queries", capture=0).status == 410
