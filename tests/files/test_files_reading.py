"""Only regular files of a limited size are read, and a path that no file can have is one line."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from attnscope.errors import RequestError, SceneError
from attnscope.files import check_regular, exists, open_regular, path_status, read_bytes


def special(folder: Path) -> dict[str, Path]:
    """Files that would block or never end."""
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to(folder / "fifo")
    (folder / "endless").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        server.bind("socket")
        os.chdir(here)
    return {
        "fifo": folder / "fifo",
        "link": folder / "link",
        "endless": folder / "endless",
        "socket": folder / "socket",
    }


def test_special_files_are_refused_at_once(tmp_path: Path) -> None:
    for name, path in special(tmp_path).items():
        for read in (read_bytes, check_regular, open_regular):
            with pytest.raises(RequestError, match="regular file") as error:
                read(path)
            assert str(path) in str(error.value), name


def test_a_folder_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="is a folder, a file was expected"):
        read_bytes(tmp_path, error=SceneError)
    with pytest.raises(SceneError, match="gone: no such file"):
        read_bytes(tmp_path / "gone", error=SceneError)
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(RequestError, match="cannot be read"):
        read_bytes(tmp_path / "file" / "in")
    assert path_status(tmp_path / "file" / "in") is None and not exists(tmp_path / "gone")


def test_a_size_limit_holds_before_and_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345" and check_regular(path) == 5
    with pytest.raises(RequestError, match="holds 5 bytes; at most 4 are read"):
        read_bytes(path, 4)
    with path.open("ab") as file:
        file.truncate(2**40)  # a sparse file: nothing of it is read
    with pytest.raises(RequestError, match="holds 1,099,511,627,776 bytes"):
        read_bytes(path)
    with pytest.raises(RequestError, match="at most 3 are read"):
        read_bytes("/proc/self/status", 3)  # a file that says that it is empty


@pytest.mark.parametrize("ask", [exists, path_status, read_bytes, check_regular])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a" * 256, "the name is longer than the file system allows"),
        ("a/" * 4000, "the name is longer than the file system allows"),
        ("a\0b", "the path holds a NUL character"),
        ("a\ud800b", "the path holds a lone surrogate, which no file name can"),
        ("loop", "its symbolic links lead in a circle"),
    ],
)
def test_paths_that_no_file_can_have(tmp_path: Path, ask, name: str, why: str) -> None:
    (tmp_path / "loop").symlink_to("loop2")
    (tmp_path / "loop2").symlink_to("loop")
    with pytest.raises(RequestError, match=why):
        ask(tmp_path / name)
