"""The scene editor's addresses: who may ask them, and with what."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnscope.scene import Sampling, Scene
from attnscope.view.editor import METHODS, Editor, routes
from attnscope.view.editor_scene import open_draft, parts_of
from attnscope.view.serve import running


@pytest.fixture(scope="module")
def editor(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Editor:
    return Editor(open_draft(drawn, None, save=tmp_path_factory.mktemp("editor") / "saved.json"), Sampling(frames=2))


@pytest.fixture(scope="module")
def address(editor: Editor) -> Iterator[str]:
    with running(routes(editor), 0, METHODS) as address:
        yield address


def ask(address: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, data, named)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def sent(editor: Editor) -> bytes:
    return json.dumps({"parts": parts_of(editor.draft.opened)}).encode()


def own(address: str) -> dict[str, str]:
    """What a browser says with what the page sends."""
    return {"Origin": "/".join(address.split("/")[:3]), "Content_Type": "application/json"}


def test_the_page_begins_with_the_scene(address: str, editor: Editor) -> None:
    status, page = ask(address)
    assert (status, b'id="attnscope-editor"' in page) == (200, True)
    document = json.loads(ask(address + "editor/document")[1])
    assert document["parts"] == json.loads(json.dumps(parts_of(editor.draft.opened)))
    assert ask(address + "editor/frame?number=5")[1][:2] == b"\xff\xd8"  # a JPEG
    assert ask(address + "editor/shown?frame=1")[1][:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("editor/frame", 400),
        ("editor/frame?number=-1", 400),
        ("editor/frame?number=99999", 404),
        ("editor/frame?number=9999999999999999999", 400),
        ("editor/frame?number=\u0663", 400),
        ("editor/shown?frame=2", 404),
        ("editor/sound", 404),
        ("editor/save", 405),
        ("editor/../../etc/passwd", 404),
    ],
)
def test_other_addresses_are_refused(address: str, end: str, status: int) -> None:
    assert ask(address + urllib.request.quote(end, safe="/?=.&"))[0] == status


def test_what_is_not_sent_by_the_page_itself_is_refused(address: str, editor: Editor) -> None:
    save, body = address + "editor/save", sent(editor)
    good: dict[str, Any] = own(address)
    assert ask(save, body, **{**good, "Origin": "http://example.org"})[0] == 403
    assert ask(save, body, Content_Type="application/json")[0] == 403
    assert ask(save, body, **{**good, "Content_Type": "text/plain"})[0] == 415
    assert ask(save.replace("/editor/", "x/editor/"), body, **good)[0] == 403  # another token
    assert ask(save, b"{", **good)[0] == 400
    assert ask(save, b"[1]", **good)[0] == 400
    assert ask(save, b"[" * 100_000, **good)[0] == 400
    assert (
        ask(save, b'{"parts": {"people": [], "transcript": [], "asked": [{"question": "\\ud800"}]}}', **good)[0] == 400
    )
    assert not editor.draft.target.exists()
    status, answer = ask(save, body, **good)
    assert (status, json.loads(answer)["path"]) == (200, str(editor.draft.target))
    assert Scene.read(editor.draft.target) == editor.draft.opened
