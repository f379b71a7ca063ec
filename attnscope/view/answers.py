"""Answers to what a page asks, the same for the server and for a notebook."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.capture.read.capture import Capture
from attnscope.capture.read.labels import ranges
from attnscope.errors import RequestError
from attnscope.view.captures import Captures
from attnscope.view.numbers import Numbers
from attnscope.view.questions import Question
from attnscope.view.rows import row_steps
from attnscope.vocabulary import MAPS, MASSES

if TYPE_CHECKING:
    from attnscope.report.viewer.looks import Attention
    from attnscope.report.viewer.shown import Shown

Answer = Generator[None, None, bytes]
KEPT = 128 << 20  # bytes of answers that are kept


class UnknownError(RequestError):
    """What is asked is not in the captures."""


class Answers:
    """Answers questions about captures. Everything here runs in one thread, that of a `Worker`.

    Args:
        captures: The captures.
        busy: Whether questions wait for an answer: numbers by head, which take long, begin when none does.
        frame_address: Where the page finds a frame, from the numbers of capture and frame; needed for the document.
        video: Where it finds the clip; None if it is not given.
    """

    def __init__(
        self,
        captures: Captures,
        busy: Callable[[], bool],
        frame_address: Callable[[int, int], str] | None = None,
        video: str | None = None,
    ) -> None:
        self._captures, self._address, self._video = captures, frame_address, video
        self._numbers = Numbers(captures, busy)
        self._kept: OrderedDict[Question, bytes] = OrderedDict()
        self._shown: list[Shown] = []
        self._attention: dict[int, Attention] = {}

    def close(self) -> None:
        """End what is under way."""
        self._numbers.close()

    def steps(self, question: Question) -> Answer:
        """Answer a question.

        Yields:
            Between two steps.

        Returns:
            JSON of a document or of measures; a frame's JPEG; else numbers, little-endian float32 (`queries`: int32).

        Raises:
            UnknownError: If it is not known: the capture, layer, head, position or frame is not there, or the capture
                lacks the reading.
            ChangedError: If a file is not the one that was opened.
            FormatError: If a capture is damaged.
        """
        for index in range(len(self._captures.captures)) if question.capture is None else [question.capture]:
            if index >= len(self._captures.captures):
                raise UnknownError(f"there is no capture {index}")
            self._captures.check(index)
        if question.what == "measures":
            return _json(self._numbers.state())
        if question not in self._kept:
            kept = yield from self._answer(question)
            self._kept[question] = kept
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(question)
        return self._kept[question]

    def _answer(self, question: Question) -> Answer:
        if question.what == "document":
            return (yield from self._document())
        index = question.capture or 0
        cap = self._captures.captures[index]
        self._look(cap, question)
        if question.what == "frame":
            return _frame(cap, question.index or 0)
        yield from self._arranged()
        if question.what == "row":
            return (yield from self._row(cap, index, question))
        attention = self._attention.get(index)
        if attention is None:
            from attnscope.report.viewer.looks import Attention

            attention = self._attention[index] = Attention(self._shown[index])
        return (yield from _of(cap, attention, question))

    def _document(self) -> Answer:
        from attnscope.report.viewer.document import clean, skeleton

        if self._address is None:
            raise UnknownError("the document is already there")
        yield from self._arranged()
        document = skeleton(self._shown, self._address, exact=True)
        for stage in document["stages"] if self._video is not None else ():
            stage["video"] = self._video
        return _json(clean(document))

    def _arranged(self) -> Generator[None, None, None]:
        """The captures with the stage that each is drawn on."""
        if not self._shown:
            from attnscope.report.viewer.shown import arrange

            yield
            caps = self._captures.captures
            self._shown = arrange(caps, labels(caps))
            yield

    def _row(self, cap: Capture, index: int, question: Question) -> Answer:
        if not (cap.has("qk") or cap.has("full")):
            raise UnknownError(f"{cap.path.name} has neither queries and keys nor the attention of single tokens")
        position = question.position or 0
        if position >= len(cap.tokens):
            raise UnknownError(f"{cap.path.name} has no position {position}; it has 0-{len(cap.tokens) - 1}")
        lift, attention = yield from row_steps(cap, position, question.layer, question.head)
        return _numbers(np.concatenate([lift[self._shown[index].cells], attention]))

    def _look(self, cap: Capture, question: Question) -> None:
        """Refuse a layer or a head that is not there."""
        if question.layer is not None and question.layer not in cap.layers:
            raise UnknownError(f"{cap.path.name} has no layer {question.layer}; it has {ranges(cap.layers.tolist())}")
        if question.head is not None and question.head >= cap.heads:
            raise UnknownError(f"{cap.path.name} has no head {question.head}; it has 0-{cap.heads - 1}")


def labels(caps: list[Capture]) -> list[str]:
    """What captures are called beside each other: before and after, where the second of two is the corrected one."""
    if len(caps) == 2 and bool(caps[0].correction) < bool(caps[1].correction):
        return ["before", "after"]
    return ["" for _ in caps]


def _of(cap: Capture, attention: Attention, question: Question) -> Answer:
    """Maps or masses of a look, a layer at a step: of all layers of a large capture that takes seconds."""
    from attnscope.report.viewer.looks import Look

    reading = MAPS if question.what == "maps" else MASSES
    if not cap.has(reading):
        raise UnknownError(f"{cap.path.name} has no reading '{reading}'")
    if question.what == "queries":
        return _numbers(attention.queries, "<i4")
    give: dict[str, Callable[[Look], NDArray[np.float32]]] = {
        "maps": attention.maps,
        "masses": attention.masses,
        "uniform": attention.uniform,
    }
    of = give[question.what]
    if question.layer is not None:
        return _numbers(of(Look(question.layer, question.head)))
    total, known = np.zeros(()), np.zeros((), bool)
    for number in cap.layers.tolist():
        own = of(Look(number)).astype(np.float64)
        here = np.isfinite(own) | (question.what != "maps")  # a cell that one layer hides has a mean over all of them
        total, known = total + np.where(here, own, 0.0), known | here
        yield
    return _numbers(np.where(known, total / len(cap.layers), np.nan))


def _frame(cap: Capture, index: int) -> bytes:
    if index >= len(cap.frames):
        raise UnknownError(f"{cap.path.name} has no frame {index}; it has 0-{len(cap.frames) - 1}")
    return cap.frames.jpeg(index)


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _numbers(values: NDArray[Any], kind: str = "<f4") -> bytes:
    return np.ascontiguousarray(values, dtype=kind).tobytes()
