"""Measure how long a click takes in `attnscope view`; rewrites its part of benchmarks/README.md.

`python -m benchmarks.clicks` (minutes, most of them to write the capture): the server is a process of its own, and this
process asks it over HTTP, as a browser does. `--capture run.h5` takes a capture that is there, or keeps the new one.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

import attnscope
from benchmarks.harness import machine
from benchmarks.page import PAGE, write_part
from benchmarks.reading_capture import Shape, write

SHAPE = Shape(28, 28, 4, 128, "bfloat16")
GOAL = 150  # ms, for a head
COMMAND = [sys.executable, "-m", "attnscope_cli.main", "view", "--no-browser", "--json"]
BURST = 20  # clicks in a row, of which only the last is still wanted
CLOSE = {"rtol": 1e-6, "atol": 1e-9}


@dataclass
class Server:
    """A running `attnscope view`.

    Attributes:
        process: Its number.
        address: Of the page.
        started: Seconds from its start until the address was printed.
        document: Seconds from its start until the document was answered.
        cells: How many cells the document has.
    """

    process: int
    address: str
    started: float
    document: float = 0.0
    cells: int = 0

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        self.host, self.path = parts.netloc, parts.path
        self.connection = HTTPConnection(self.host, timeout=120)

    def ask(self, question: str) -> bytes:
        """The answer to a question, over a connection that stays."""
        self.connection.request("GET", f"{self.path}api/{question}")
        reply = self.connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{question}: {reply.status} {body[:200]!r}")
        return body

    def cpu(self) -> float:
        """CPU milliseconds of the server so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return 1e3 * sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def hasty(self, questions: Sequence[str]) -> None:
        """Ask and go away at once, as a browser does with what it no longer wants."""
        host, _, port = self.host.partition(":")
        sockets = []
        for question in questions:
            sockets.append(socket.create_connection((host, int(port))))
            sockets[-1].sendall(f"GET {self.path}api/{question} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
        for some in sockets:
            some.close()


@contextmanager
def serving(capture: Path) -> Iterator[Server]:
    """The server in a process of its own."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [*COMMAND, str(capture)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        try:
            assert child.stdout is not None
            lines = iter(child.stdout.readline, "}\n")
            server = Server(child.pid, json.loads("".join(lines) + "}")["address"], time.perf_counter() - begun)
            document = json.loads(server.ask("document"))
            server.document = time.perf_counter() - begun
            server.cells = document["stages"][0]["cells"]["positions"]["shape"][0]
            yield server
        finally:
            child.terminate()


@dataclass(frozen=True)
class Times:
    """Milliseconds of clicks.

    Attributes:
        wall: As whoever asks sees them.
        cpu: Of the server, a mean.
    """

    wall: list[float]
    cpu: float


def clicks(server: Server, asks: Sequence[Callable[[], object]]) -> Times:
    """The times of some clicks."""
    before, times = server.cpu(), []
    for ask in asks:
        begun = time.perf_counter()
        ask()
        times.append(1e3 * (time.perf_counter() - begun))
    return Times(times, (server.cpu() - before) / len(times))


def burst(server: Server, rng: np.random.Generator) -> None:
    """Many clicks in a row, of which all but the last are given up at once."""
    server.hasty([_row(rng, layer=True) for _ in range(BURST - 1)])
    server.ask(_row(rng, layer=True, head=True))


def check(server: Server, capture: Path, count: int) -> None:
    """Rows over HTTP are those of `Capture.attention`.

    Raises:
        AssertionError: If one is not.
    """
    rng = np.random.default_rng(2)
    with attnscope.open(capture) as cap:
        for _ in range(count):
            layer, head, position = (int(rng.integers(n)) for n in (SHAPE.layers, SHAPE.heads, SHAPE.tokens))
            row = np.frombuffer(server.ask(f"row?capture=0&position={position}&layer={layer}&head={head}"), "<f4")
            np.testing.assert_allclose(row[server.cells :], cap.attention(layer, head, position)[0], **CLOSE)


def _row(rng: np.random.Generator, *, layer: bool = False, head: bool = False) -> str:
    """A random token of a random head, of a random layer's mean, or of the mean of all."""
    look = [f"&layer={rng.integers(SHAPE.layers)}"] * layer + [f"&head={rng.integers(SHAPE.heads)}"] * head
    return f"row?capture=0&position={rng.integers(SHAPE.tokens)}{''.join(look)}"


def measure(capture: Path, scale: float) -> list[str]:
    """This part of the page."""
    rng = np.random.default_rng(0)
    with serving(capture) as server:
        check(server, capture, max(1, round(20 * scale)))
        server.ask("row?capture=0&position=0&layer=0&head=0")  # the first reads what all need
        kinds = {
            "a head": (300, {"layer": True, "head": True}),
            f"the mean of a layer's {SHAPE.heads} heads": (60, {"layer": True}),
            f"the mean of all {SHAPE.layers * SHAPE.heads} heads": (6, {}),
        }
        rows = {}
        for what, (count, look) in kinds.items():
            asks = [partial(server.ask, _row(rng, **look)) for _ in range(max(1, round(count * scale)))]
            rows[what] = clicks(server, asks)
        some = [partial(burst, server, rng)] * max(1, round(20 * scale))
        rows[f"a head, the last of {BURST} clicks whose others are given up"] = clicks(server, some)
    size = capture.stat().st_size / 1e9
    return [
        "What a click costs in `attnscope view`: the exact attention of one token, computed when it is asked for, from",
        f"the capture's queries and keys. The goal is {GOAL} ms for any token of any head. Regenerate this part with",
        "`make bench-clicks`.",
        "",
        f"- Capture: {SHAPE.tokens:,} tokens, {SHAPE.layers} layers, {SHAPE.heads} query, {SHAPE.kv_heads} key heads",
        f"  of {SHAPE.width} channels a layer; random numbers in {SHAPE.dtype} (`benchmarks/reading_capture.py`).",
        f"  It takes {size:.1f} GB and is in the cache of the operating system.",
        f"- Machine: {machine(2)}; the server and who asks share them.",
        "- Wall time over HTTP, and CPU time of the server; tokens, heads and layers are random.",
        *_others(),
        "- Nothing is kept from one click to the next but the keys of the last key head.",
        f"- The address was printed {server.started:.1f} s after the start, and the document was there after"
        f" {server.document:.1f} s.",
        "",
        "| row of a token | clicks | median, ms | 95 of 100 below, ms | worst, ms | CPU of the server, ms |",
        "|---|---:|---:|---:|---:|---:|",
        *(f"| {what} | {len(times.wall)} | {_numbers(times)} |" for what, times in rows.items()),
    ]


def _others() -> list[str]:
    """What else the machine did, where it was busy."""
    load, priority = os.getloadavg()[0], os.getpriority(os.PRIO_PROCESS, 0)
    if load <= (os.cpu_count() or 1) + 1:  # the measurement itself counts as one
        return []
    return [f"- Other processes kept the machine busy (load {load:.0f}); the measurement ran at priority {priority}."]


def _numbers(times: Times) -> str:
    wall = [np.median(times.wall), np.quantile(times.wall, 0.95), max(times.wall)]
    return " | ".join(f"{value:,.0f}" for value in (*wall, times.cpu))


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capture", type=Path, help="a capture of an earlier run, or where to keep the new one")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of clicks")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose part is rewritten")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = args.capture or Path(folder) / "run.h5"
        if not capture.exists():
            write(capture, SHAPE)
        print(write_part("Clicks", measure(capture, args.scale), args.page))


if __name__ == "__main__":
    main()
