"""A server for this machine alone, as long as somebody looks at it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from attnscope.errors import RequestError, RunError
from attnscope.view.guard import READ, Guard, new_token

HOST = "127.0.0.1"
_START = 20  # s until the server answers
_END = 2  # s that answers get which are under way when the server ends


@contextmanager
def running(routes: Sequence[BaseRoute], port: int = 0, methods: Sequence[str] = READ) -> Iterator[str]:
    """Serve routes while the block runs, from a thread.

    Args:
        routes: What is answered, after the guard.
        port: Of 127.0.0.1; 0 takes a free one.
        methods: What the guard lets through (`attnscope.view.guard.Guard`).

    Yields:
        The address, with its token and a slash at the end.

    Raises:
        RequestError: If the port cannot be had.
        RunError: If the server does not start.
    """
    token = new_token()
    listener = _listen(port)
    app = Guard(Starlette(routes=list(routes)), token, methods)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="asyncio",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_END,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="attnscope-view", daemon=True)
    try:
        thread.start()
        _wait(server, thread)
        yield f"http://{HOST}:{listener.getsockname()[1]}/{token}/"
    finally:
        server.should_exit = True
        thread.join(_START)
        listener.close()


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio sends at once what is there; else answers in two parts wait for 40 ms (Nagle).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # a port of a server that has just ended; elsewhere the option means something else
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "is not from 0 to 65535"
        raise RequestError.of("port", port, reason) from None
    return listener


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    end = time.monotonic() + _START
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise RunError("view: the server did not start")
        time.sleep(0.01)


def wait_for_ctrl_c() -> None:
    """Return at Ctrl-C, which is how a server ends; other signals end the process as they always do."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    before = signal.signal(signal.SIGINT, end)
    try:
        while not ended.wait(0.5):  # on some systems a wait without an end is never interrupted
            pass
    finally:
        signal.signal(signal.SIGINT, before)


def open_browser(address: str) -> bool:
    """Open the address in the browser of a desktop; whether there is one. A browser of the terminal is not wanted."""
    desktop = sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    return bool(desktop) and webbrowser.open(address)
