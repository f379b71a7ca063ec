"""The viewer in a notebook: the same page and the same answers, through anywidget in place of a server."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import anywidget
import traitlets

from attnscope.capture.read.capture import Capture
from attnscope.errors import AttnscopeError, RequestError
from attnscope.view.answers import Answers, UnknownError, labels
from attnscope.view.captures import Captures
from attnscope.view.extra import script
from attnscope.view.questions import question
from attnscope.view.worker import Work, Worker

PICTURES = 4_000_000  # characters of the frames of all captures: they are part of the notebook


class Viewer(anywidget.AnyWidget):
    """The viewer as a widget. It is made by `Capture.view`.

    The page asks with messages `{type: "ask", id, what, ...}` as it asks a server, and takes a question back with
    `{type: "drop", id}`. It is answered with `{type: "answer", id}` and one buffer, or with `reason` (not known) or
    `error`. Everything is computed in a thread, so that the notebook's own cells run meanwhile.

    Args:
        captures: Open captures; of one scene they are shown as before and after.
        address: The state that is shown first, as the address of the page holds it.

    Attributes:
        document: What is shown (viewer/src/document.ts).
        address: The state that is shown: it follows the page, and the page follows it.
    """

    _esm = traitlets.Unicode(script().decode()).tag(sync=True)
    document = traitlets.Dict().tag(sync=True)
    address = traitlets.Unicode("").tag(sync=True)

    _open: ExitStack | None = None

    def __init__(self, captures: Sequence[Capture], address: str = "") -> None:
        with ExitStack() as opening:
            own = opening.enter_context(Captures([cap.path for cap in captures]))  # a reader for the thread alone
            for cap, other in zip(captures, own.captures, strict=True):
                if not cap._shares_file(other):
                    raise RequestError(f"{cap.path}: was replaced since it was opened; open it again")
            worker = Worker()
            opening.callback(worker.close)
            answers = Answers(own, worker.busy)
            opening.callback(answers.close)
            document = _document(own.captures)
            super().__init__(document=document, address=address)
            self._worker, self._answers, self._asked = worker, answers, dict[object, Work]()
            self.on_msg(self._heard)
            self._open = opening.pop_all()

    def __repr__(self) -> str:
        return f"<Viewer of {', '.join(view['name'] for view in self.document['captures'])}>"

    def close(self) -> None:
        """Take the viewer away and release the files."""
        if self._open is not None:  # a widget that could not be made is closed too
            self._open.close()
        super().close()

    def _heard(self, _widget: object, content: Any, _buffers: object) -> None:
        """A message of the page."""
        number = content.get("id") if isinstance(content, dict) else None
        if not isinstance(number, (int, str)):
            return
        what, given = content.get("what"), {k: v for k, v in content.items() if k not in ("type", "id", "what")}
        if content.get("type") == "drop" and (work := self._asked.pop(number, None)) is not None:
            work.drop()
        if content.get("type") != "ask":
            return
        try:
            asked = question(str(what), given)
        except RequestError as error:
            self._say(number, error=str(error))
            return
        work = self._worker.submit(lambda: self._answers.steps(asked))
        self._asked[number] = work
        work.future.add_done_callback(lambda future: self._answer(number, future))

    def _answer(self, number: object, future: Future[bytes]) -> None:
        """Send what was computed, from the thread that computed it."""
        if self._asked.pop(number, None) is None or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._say(number, content=future.result())
        elif isinstance(error, UnknownError):
            self._say(number, reason=str(error))
        else:
            expected = isinstance(error, AttnscopeError)
            self._say(number, error=str(error) if expected else f"unexpected {type(error).__name__}: {error}")

    def _say(self, number: object, content: bytes | None = None, **more: str) -> None:
        self.send({"type": "answer", "id": number, **more}, [] if content is None else [content])


def view(captures: Sequence[Capture], layer: int | None, head: int | None) -> Viewer:
    """The viewer, opened at a layer and a head.

    Args:
        captures: Open captures.
        layer: A layer's number in the model; None for the mean over all.
        head: A head; None for the mean over all.

    Raises:
        RequestError: If the first capture has no such layer or head, or a capture is closed.
    """
    first = captures[0]
    address = ""
    if head is not None and layer is None:
        raise RequestError(f"head {head} needs a layer")
    if layer is not None:
        first.mask(layer)
        address = f"layer={layer}"
    if head is not None:
        if not 0 <= head < first.heads:
            raise RequestError(f"{first.path}: head {head} is not in the capture; it has heads 0-{first.heads - 1}")
        address += f"&head={head}"
    return Viewer(captures, address)


def _document(caps: list[Capture]) -> dict[str, Any]:
    """The document, its frames inside: a notebook has no address to fetch them from."""
    from attnscope.report.viewer.document import clean, skeleton
    from attnscope.report.viewer.shown import arrange
    from attnscope.report.viewer.stages import Pictures

    pictures = [Pictures(cap, PICTURES // len(caps)) for cap in caps]
    document: dict[str, Any] = clean(
        skeleton(arrange(caps, labels(caps)), lambda capture, frame: pictures[capture](frame), exact=True)
    )
    return document
