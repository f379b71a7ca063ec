"""The scene editor of `attnscope view`: what its page asks for, as routes under the server's token."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from attnscope.errors import AttnscopeError, RequestError
from attnscope.report.figures.style import CYCLE, DARK
from attnscope.scene import Sampling
from attnscope.scene.mentions import asked_speakers, mentions
from attnscope.view.editor_frames import SourceFrames
from attnscope.view.editor_scene import Problem, SceneDraft, TakenError, parts_of, read_parts
from attnscope.view.editor_shown import ModelOptions, ShownFrames, cells_document
from attnscope.view.guard import READ
from attnscope.view.page import page_routes

if TYPE_CHECKING:
    from attnscope.scene import Scene

TURN = "{speaker}: {text}"  # how a turn is written if nothing is said
METHODS = (*READ, "POST")  # what the guard lets through


class Editor:
    """One scene that is being edited."""

    def __init__(self, draft: SceneDraft, sampling: Sampling, model: ModelOptions | None = None) -> None:
        """Read the scene's frames once, and the model's processor.

        Raises:
            MediaError: The video cannot be read.
            ModelError: The model cannot be used.
        """
        self.draft = draft
        self.shown = ShownFrames(sampling, model)
        first = _asking(draft.opened, 0)
        self._first = self.shown.look(first)
        frames = self._first.preview.frames
        self.source = SourceFrames(draft.opened, frames.source_fps if frames.kind == "folder" else None)
        self._saving = threading.Lock()

    def document(self) -> dict[str, Any]:
        """What the page begins with."""
        draft, frames, options = self.draft, self._first.preview.frames, self.shown.options
        return {
            "title": (draft.source or draft.opened.video).name,
            "is_new": draft.source is None,
            "target": str(draft.target),
            "replaces": draft.source is not None and draft.target.resolve() == draft.source.resolve(),
            **{"kind": frames.kind, "width": frames.width, "height": frames.height, "duration": frames.duration},
            "times": self.source.times.tolist(),
            "units": draft.opened.box_units,
            "parts": parts_of(draft.opened),
            "questions": [question.id for question in draft.opened.questions],
            "kept": draft.kept,
            "notes": draft.opened.notes,
            "palette": [{"light": color, "dark": DARK[color.lower()]} for color in CYCLE],
            "coverage": None if options is None else options.coverage,
            "model": None if self.shown.model is None else self.shown.model.id,
            "settings": self._settings(),
            "sound": self.source.lead,
        }

    def _settings(self) -> dict[str, Any]:
        """What a capture has to be told to show the frames and words that the page shows."""
        own = self.shown.sampling.model_dump(exclude_none=True)
        settings = {} if own == Sampling().model_dump(exclude_none=True) else own
        options = self.shown.options
        return settings if options is None or options.template == TURN else {**settings, "template": options.template}

    def look(self, sent: dict[str, Any]) -> dict[str, Any]:
        """What is wrong with the scene as the page has it, and what a model is shown of it.

        Raises:
            RequestError: The page has sent something else.
        """
        parts = read_parts(sent.get("parts"))
        number, coverage, known = sent.get("asked", 0), sent.get("coverage"), sent.get("known")
        if not isinstance(number, int) or not isinstance(coverage, float | int | None):
            raise RequestError("scene: asked and coverage are numbers")
        scene, problems = self.draft.scene(parts)
        if scene is None:
            return _wrong(problems)
        scene = _asking(scene, number)
        try:
            shown = self.shown.look(scene, None if coverage is None else float(coverage))
        except AttnscopeError as error:  # times past the end, a window that is none
            return _wrong([_placed(str(error))])
        preview, model = shown.preview, shown.model
        findings = [*preview.findings, *(model.findings if model else [])]
        return {
            "problems": [] if not shown.problem else [{"path": "", "text": shown.problem}],
            "saves": True,
            "findings": [finding.to_dict() for finding in findings],
            "question": _pieces(scene),
            "about": asked_speakers(scene),
            "sampled": [
                {"number": at, "time": float(time)}
                for at, time in zip(self.source.numbers(preview.frames), preview.frames.times, strict=True)
            ],
            "cells": None if model is None else cells_document(model, preview, known),
        }

    def save(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Write the scene as the page has it.

        Returns:
            The `path`; or why it is `taken`, by a file that is replaced only if the user says so.

        Raises:
            RequestError: The page has sent something else, or a field is wrong.
            RunError: The file cannot be written.
        """
        scene, problems = self.draft.scene(read_parts(sent.get("parts")))
        if scene is None:
            raise RequestError(": ".join(filter(None, [problems[0].path, problems[0].text])))
        self.shown.check(_asking(scene, 0))
        with self._saving:
            try:
                path = self.draft.save(scene, replace=sent.get("replace") is True)
            except TakenError as error:
                return {"path": None, "taken": str(error)}
        return {"path": str(path), "taken": None}


def routes(editor: Editor) -> list[BaseRoute]:
    """The page and what it asks; who asks has passed the guard.

    Args:
        editor: The scene.
    """

    async def document(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(editor.document))

    async def frame(request: Request) -> Response:
        return await _jpeg(editor.source.jpeg, request, "number", kept="private, max-age=86400, immutable")

    async def shown(request: Request) -> Response:
        return await _jpeg(editor.shown.jpeg, request, "frame", kept="no-store")

    async def sound(_: Request) -> Response:
        if editor.source.lead is None:
            return _refused(404, "there is no sound")
        return FileResponse(editor.draft.opened.video, headers={"Cache-Control": "no-store"})

    async def look(request: Request) -> Response:
        return await _answer(editor.look, request)

    async def save(request: Request) -> Response:
        return await _answer(editor.save, request)

    title = (editor.draft.source or editor.draft.opened.video).name
    return [
        *page_routes(title, "scene"),
        Route("/editor/document", document),
        Route("/editor/frame", frame),
        Route("/editor/shown", shown),
        Route("/editor/sound", sound),
        Route("/editor/look", look, methods=["POST"]),
        Route("/editor/save", save, methods=["POST"]),
    ]


async def _jpeg(picture: Callable[[int], bytes], request: Request, name: str, *, kept: str) -> Response:
    """A picture whose number is in the address."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return _refused(400, f"{name} is not a number")
    try:
        content = await run_in_threadpool(picture, int(text))
    except RequestError as error:
        return _refused(404, str(error))
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": kept})


async def _answer(work: Callable[[dict[str, Any]], dict[str, Any]], request: Request) -> Response:
    """What a function makes of a JSON object that was sent. A form of another page cannot send this type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _refused(415, "send JSON as application/json")
    try:
        sent = json.loads(await request.body())  # the guard knows its size
    except (ValueError, RecursionError):
        return _refused(400, "not valid JSON")
    if not isinstance(sent, dict):
        return _refused(400, "not a JSON object")
    try:
        return JSONResponse(await run_in_threadpool(work, sent))
    except RequestError as error:
        return _refused(400, str(error))
    except AttnscopeError as error:
        return _refused(500, str(error))


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"reason": reason}, status_code=status)


def _wrong(problems: list[Problem]) -> dict[str, Any]:
    """The answer about a scene that no model can be shown."""
    return {"problems": [{"path": problem.path, "text": problem.text} for problem in problems], "saves": False}


def _placed(message: str) -> Problem:
    """A line of the library whose field the page knows."""
    path, colon, text = message.partition(": ")
    known = colon and path.startswith(("transcript[", "window"))
    return Problem(path, text) if known else Problem("", message)


def _asking(scene: Scene, number: int) -> Scene:
    """The scene with one of its questions as its question."""
    if not scene.questions:
        return scene
    if not 0 <= number < len(scene.questions):
        raise RequestError(f"scene: asked: {number} is not one of the {len(scene.questions)} questions")
    return scene.asking(scene.questions[number].id)


def _pieces(scene: Scene) -> list[dict[str, Any]]:
    """The question in pieces, each with the person whom it names."""
    text, at, pieces = scene.question or "", 0, list[dict[str, Any]]()
    for start, end, name in mentions(scene):
        pieces += [{"text": text[at:start], "name": None}, {"text": text[start:end], "name": name}]
        at = end
    return [piece for piece in [*pieces, {"text": text[at:], "name": None}] if piece["text"]]
