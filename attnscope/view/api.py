"""The viewer on a server: its page, and one address for each question that it asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from attnscope.errors import AttnscopeError, RequestError
from attnscope.files import printable
from attnscope.view.answers import Answers, UnknownError
from attnscope.view.captures import Captures, ChangedError
from attnscope.view.clip import Clip
from attnscope.view.page import page_routes
from attnscope.view.questions import QUESTIONS, Question, question
from attnscope.view.serve import running
from attnscope.view.worker import Worker

_LOGGER = logging.getLogger(__name__)
_TYPES = {"document": "application/json", "measures": "application/json", "frame": "image/jpeg"}
_FRAME_AGE = 3600  # s that the browser may keep a frame


@contextmanager
def viewing(paths: Sequence[str | Path], port: int = 0, clip: Path | None = None) -> Iterator[str]:
    """Serve the viewer over captures while the block runs, from a thread.

    Args:
        paths: Files of captures; of one scene they are shown as before and after.
        port: Of 127.0.0.1; 0 takes a free one.
        clip: The video that the models were shown, to be played under the overlay.

    Yields:
        The address of the page.

    Raises:
        RequestError: If a file cannot be read, the port cannot be had, or the clip is another one.
        FormatError: If a file is no capture.
    """
    with Captures(paths) as captures:
        film = None if clip is None else Clip(clip, captures.captures)
        with _viewer(captures, film) as routes, running(routes, port) as address:
            yield address


@contextmanager
def _viewer(captures: Captures, clip: Clip | None) -> Iterator[list[BaseRoute]]:
    """The page over captures and everything that it asks, as long as the block runs."""
    worker = Worker()
    answers = Answers(captures, worker.busy, _frame_address, None if clip is None else clip.address)
    worker.submit(lambda: answers.steps(Question("document")))  # the first thing that every page asks
    try:
        asked = [Route(f"/api/{what}", partial(_answer, what, answers, worker)) for what in QUESTIONS]
        film = [] if clip is None else [Route(f"/{clip.address}", clip.answer)]
        yield [*page_routes(captures.title, "server"), *asked, *film]
    finally:
        worker.close()
        answers.close()


def _frame_address(capture: int, frame: int) -> str:
    return f"api/frame?capture={capture}&index={frame}"


async def _answer(what: str, answers: Answers, worker: Worker, request: Request) -> Response:
    """One question: 400 if it is none, 404 if the answer is not known, 410 if a file has changed."""
    given = request.query_params.multi_items()
    try:
        if len(dict(given)) < len(given):
            raise RequestError(f"{what}: a parameter is given twice")
        asked = question(what, dict(given))
    except RequestError as error:
        return _refusal(error, 400)
    try:
        content = await _work(worker, answers, asked, request)
    except UnknownError as error:
        return _refusal(error, 404)
    except ChangedError as error:
        return _refusal(error, 410)
    except AttnscopeError as error:  # a damaged file
        return _refusal(error, 500)
    except Exception as error:  # nobody foresaw it: the page says what, the terminal where
        _LOGGER.exception("view: %s", what)
        return _refusal(
            RequestError(f"unexpected {type(error).__name__}; the terminal of attnscope view says more"), 500
        )
    if content is None:
        return Response(status_code=499)  # nobody is there to read it
    headers = {"Cache-Control": f"private, max-age={_FRAME_AGE}"} if what == "frame" else {}
    return Response(content, media_type=_TYPES.get(what, "application/octet-stream"), headers=headers)


async def _work(worker: Worker, answers: Answers, asked: Question, request: Request) -> bytes | None:
    """The answer; None if whoever asked has gone, and then nobody computes it any more."""
    work = worker.submit(lambda: answers.steps(asked))
    waiting = asyncio.ensure_future(asyncio.wrap_future(work.future))
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            return None
        return bytes(await waiting)
    finally:
        gone.cancel()
        if not waiting.done():
            work.drop()
        with suppress(asyncio.CancelledError):
            waiting.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refusal(error: AttnscopeError, status: int) -> Response:
    return JSONResponse({"reason": printable(str(error), lines=False)}, status)
