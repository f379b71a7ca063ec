"""`attnscope view`: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.capture.by_hand import build
from tests.cli.conftest import Ran, cli
from tests.view.asking import Client

__all__ = ["cli"]  # a fixture


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "attnscope_cli.main", "view", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_it_serves_until_ctrl_c(tmp_path: Path) -> None:
    build(tmp_path / "run.h5")
    with start(tmp_path / "run.h5", "--no-browser", "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        said = json.loads("".join(iter(lambda: process.stdout.readline().rstrip(), "}")) + "}")  # type: ignore[union-attr]
        assert said["captures"] == [str(tmp_path / "run.h5")]
        client = Client(said["address"])
        assert client.ask("document").json["captures"][0]["name"] == "run.h5"
        assert client.ask("measures").status == 200  # numbers may be under way when it ends
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == "Ctrl-C ends the viewer.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.h5"]
    with pytest.raises(ConnectionError):
        client.ask("document")


@pytest.mark.slow
def test_a_scheduler_ends_it_as_any_command(tmp_path: Path) -> None:
    build(tmp_path / "run.h5")
    with start(tmp_path / "run.h5", "--no-browser", "--quiet") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert (process.wait(60), process.stderr.read()) == (
            143,
            "attnscope: interrupted; no unfinished file is left\n",
        )


def test_what_it_refuses(cli: Callable[..., Ran], tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    build(path)
    (tmp_path / "text.h5").write_text("words")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused: dict[tuple[object, ...], str] = {
            (tmp_path / "none.h5",): f"{tmp_path}/none.h5: no such file",
            (path, tmp_path / "text.h5"): f"{tmp_path}/text.h5: not an HDF5 file, so not a capture",
            (path, "--port", port): f"--port {port}: Address already in use",
            (path, "--port", "65536"): "--port 65536: is not from 0 to 65535",
            (path, "--video", tmp_path / "none.mp4"): f"--video {tmp_path}/none.mp4: no such file",
        }
        for words, reason in refused.items():
            assert cli("view", "--no-browser", *words) == Ran(2, "", f"attnscope: {reason}\n")


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra_it_names_it(
    cli: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    build(tmp_path / "run.h5")
    monkeypatch.setitem(sys.modules, package, None)
    ran = cli("view", tmp_path / "run.h5")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"attnscope: view: the package {package} is not installed: pip install 'attnscope[view]'\n"
