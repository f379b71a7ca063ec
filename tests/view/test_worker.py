"""The newest question comes first, and nobody computes what nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from attnscope.view import answers
from attnscope.view.worker import Worker
from tests.capture.by_hand import build
from tests.view.asking import served


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def steps(log: list[str], name: str, count: int, go: Callable[[], object] = lambda: None) -> Generator[None, None, str]:
    for step in range(count):
        log.append(f"{name}{step}")
        go()
        yield
    return name


def test_a_newer_question_comes_between_two_steps(worker: Worker) -> None:
    log: list[str] = []
    begun, asked = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert asked.wait(10)

    slow = worker.submit(lambda: steps(log, "a", 3, wait))
    assert begun.wait(10)
    quick = [worker.submit(lambda name=name: steps(log, name, 1)) for name in "bc"]
    asked.set()
    assert [work.future.result(10) for work in (*quick, slow)] == ["b", "c", "a"]
    assert log == ["a0", "c0", "b0", "a1", "a2"]


def test_what_nobody_waits_for_is_not_computed(worker: Worker) -> None:
    log: list[str] = []
    begun, asked = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert asked.wait(10)

    first = worker.submit(lambda: steps(log, "a", 3, wait))
    assert begun.wait(10)
    never, last = (worker.submit(lambda name=name: steps(log, name, 1)) for name in "bc")
    never.drop()
    first.drop()
    asked.set()
    assert last.future.result(10) == "c"
    assert worker.submit(lambda: steps(log, "d", 1)).future.result(10) == "d"
    assert log == ["a0", "c0", "d0"]


def test_an_error_is_that_of_the_one_who_asked(worker: Worker) -> None:
    def fails() -> Generator[None, None, None]:
        yield
        raise ValueError("a reason")

    with pytest.raises(ValueError, match="a reason"):
        worker.submit(fails).future.result(10)
    assert worker.submit(lambda: steps([], "a", 1)).future.result(10) == "a"


def test_after_the_end_nothing_is_done() -> None:
    worker, log = Worker(), list[str]()
    worker.close()
    assert worker.submit(lambda: steps(log, "a", 1)).future.cancelled() and not log


def test_a_browser_that_goes_away_takes_its_questions_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten clicks in a row, each of which the next one replaces: only what is wanted is computed to its end."""
    build(tmp_path / "run.h5")
    begun, gone = threading.Event(), threading.Event()
    finished: list[int] = []
    real = answers.row_steps

    def watched(cap: object, position: int, *look: object) -> Generator[None, None, object]:
        begun.set()
        if position == 30:
            assert gone.wait(10)
            for _ in range(1000):  # the server sees in a moment that the connection has ended
                yield
                threading.Event().wait(0.01)
        row = yield from real(cap, position, *look)  # type: ignore[arg-type]
        finished.append(position)
        return row

    monkeypatch.setattr(answers, "row_steps", watched)
    with served(tmp_path / "run.h5") as client:
        assert client.ask("document").status == 200
        connections = []
        for position in range(30, 40):
            connection = HTTPConnection(client.host, timeout=60)
            connection.request("GET", f"/{client.token}/api/row?capture=0&position={position}")
            connections.append(connection)
            assert begun.wait(10)
        for connection in connections[:-1]:
            connection.close()
        gone.set()
        assert connections[-1].getresponse().status == 200
        assert client.ask("row", capture=0, position=41).status == 200
        connections[-1].close()
    assert {39, 41} <= set(finished) and 30 not in finished
