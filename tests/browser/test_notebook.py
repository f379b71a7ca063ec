"""The viewer in a notebook: the real widget and the real page, and between them what Jupyter does with a model."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import comm
import numpy as np
import pytest
from comm.base_comm import BaseComm
from playwright.sync_api import Page, expect

import attnscope
from attnscope.errors import RequestError
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.test_view import lifts, row, saved

pytestmark = pytest.mark.slow

# What a notebook's front end does: it keeps traits, passes messages on, and gives the module a model and an element.
HOST = """<!doctype html><meta charset="utf-8"><title>A notebook</title><link rel="icon" href="data:,">
<div id="cell"></div>
<script>
const heard = {};
const said = (event, ...parts) => (heard[event] ?? []).forEach((listener) => listener(...parts));
window.fromKernel = (content, buffers) => {
  const views = buffers.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
  said("msg:custom", content, views);
};
window.traits = (state) => Object.entries(state).forEach(([name, value]) => {
  host.state[name] = value;
  said(`change:${name}`);
});
window.host = { state: {}, changed: {} };
window.show = async (state) => {
  host.state = state;
  const code = new Blob([state._esm], { type: "text/javascript" });
  const module = await import(URL.createObjectURL(code));
  const model = {
    get: (name) => host.state[name],
    set: (name, value) => { host.state[name] = value; host.changed[name] = value; },
    save_changes: () => { toKernel({ method: "update", state: host.changed }); host.changed = {}; },
    send: (content) => toKernel({ method: "custom", content }),
    on: (event, listener) => { (heard[event] ??= []).push(listener); },
    off: (event, listener) => { heard[event] = (heard[event] ?? []).filter((some) => some !== listener); },
  };
  host.stop = await module.default.render({ model, el: document.getElementById("cell") });
};
</script>
"""


class Line(BaseComm):
    """The kernel's end of the line to the front end: what the widget publishes waits in a queue."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.published: Queue[tuple[dict[str, Any], list[bytes]]] = Queue()
        super().__init__(*args, **options)

    def publish_msg(  # type: ignore[override]
        self, _type: str, data: Any = None, _metadata: Any = None, buffers: Any = None, **_keys: Any
    ) -> None:
        self.published.put((data or {}, [bytes(part) for part in buffers or []]))


class Cell:
    """A widget that stands in a page."""

    def __init__(self, page: Page, widget: Any) -> None:
        self.page, self.widget = page, widget
        self.received: list[dict[str, Any]] = []
        page.expose_function("toKernel", self._to_kernel)
        state, _ = widget.comm.published.get(timeout=10)
        page.evaluate("state => show(state)", state["state"])

    def _to_kernel(self, data: dict[str, Any]) -> None:
        self.received.append(data)
        self.widget.comm.handle_msg({"content": {"data": data}, "buffers": []})

    def pump(self, done: Callable[[], bool]) -> None:
        """Deliver messages until something is so."""
        for _ in range(500):
            try:
                data, buffers = self.widget.comm.published.get(timeout=0.02)
            except Empty:
                if done():
                    return
                self.page.wait_for_timeout(20)  # the page's own messages come meanwhile
                continue
            if data.get("method") == "custom":
                texts = [base64.b64encode(part).decode() for part in buffers]
                self.page.evaluate("([content, buffers]) => fromKernel(content, buffers)", [data["content"], texts])
            elif data.get("method") == "update":
                self.page.evaluate("state => traits(state)", data["state"])
        raise AssertionError(f"nothing came of it; the page asked {self.received[-5:]}")


@pytest.fixture
def cell(made: Made, open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    """`cap.view(other, layer=4, head=3)` as a notebook shows it."""
    monkeypatch.setattr(comm, "create_comm", Line)
    host = tmp_path / "host.html"
    host.write_text(HOST)
    page = open_page(host)
    with attnscope.open(made.before()) as cap, attnscope.open(made.after()) as other:
        widget = cap.view(other, layer=4, head=3)
        cell = Cell(page, widget)
        cell.pump(lambda: page.get_by_role("grid").count() == 1)
        yield cell
        page.evaluate("() => host.stop()")
        widget.close()


def test_any_word_is_computed_by_the_kernel(made: Made, cell: Cell, tmp_path: Path) -> None:
    page = cell.page
    expect(page.locator('[data-look="4.3"]')).to_have_attribute("aria-selected", "true")
    with attnscope.open(made.before()) as cap:
        words = cap.tokens[(cap.tokens["role"] == "question") & (cap.tokens["text"].str.strip() != "")]
        position = int(words["position"].iloc[3])
        page.get_by_role("radio", name="before").check()
        page.locator(f'.words-token[data-position="{position}"]').first.click()
        cell.pump(lambda: f"query=token:{position}" in cell.widget.address)
        wanted = row(cap, position, 4, 3)
    np.testing.assert_allclose(lifts(saved(page, "Overlay", tmp_path)), wanted, rtol=1e-5)
    assert "layer=4&head=3" in cell.widget.address  # the kernel knows what is seen


def test_the_kernel_says_what_is_shown(cell: Cell) -> None:
    cell.widget.address = "layer=2&head=1&query=question"
    chosen = cell.page.locator('[data-look="2.1"]')
    cell.pump(lambda: chosen.get_attribute("aria-selected") == "true")
    expect(cell.page.get_by_label("Attention of")).to_have_value("question")


def test_numbers_by_head_come_while_the_page_is_there(cell: Cell) -> None:
    known = cell.page.locator('[data-look="2.1"][aria-label*="head 1: "]')
    cell.pump(lambda: known.count() == 1 and "not" not in (known.get_attribute("aria-label") or "not"))


def test_what_is_no_question_is_said(cell: Cell) -> None:
    """By whoever can write to the kernel anyway; nothing of it ends the widget."""
    asked = [
        ({"what": "row", "capture": 0}, "row: the parameter position is missing"),
        ({"what": "row", "capture": 0, "position": -1}, "row: position is not a whole number from 0"),
        ({"what": "secrets"}, "there is no question of that name"),
    ]
    for number, (question, error) in enumerate(asked):
        send(cell, {"type": "ask", "id": f"x{number}", **question})
        data: dict[str, Any] = {}
        while data.get("content", {}).get("id") != f"x{number}":
            data, _ = cell.widget.comm.published.get(timeout=10)
        assert data["content"]["error"].startswith(error)
    for content in (None, "text", {"type": "drop", "id": 99}, {"type": "ask"}, {"type": "ask", "id": [1]}, {"id": 1}):
        send(cell, content)


def send(cell: Cell, content: object) -> None:
    data = {"method": "custom", "content": content}
    cell.widget.comm.handle_msg({"content": {"data": data}, "buffers": []})


def test_the_document_holds_its_frames_and_no_address(cell: Cell) -> None:
    stage = cell.widget.document["stages"][0]
    assert all(frame["image"].startswith("data:image/jpeg;base64,") for frame in stage["frames"])
    assert [view["label"] for view in cell.widget.document["captures"]] == ["before", "after"]
    assert repr(cell.widget) == "<Viewer of before.h5, after.h5>"
    json.dumps(cell.widget.document, allow_nan=False)


def test_what_cannot_be_viewed_is_said(made: Made, tmp_path: Path) -> None:
    with attnscope.open(made.before()) as cap:
        for look, reason in (
            ({"head": 1}, "^head 1 needs a layer$"),
            ({"layer": 99}, "layer 99 is not in the capture"),
            ({"layer": 2, "head": 8}, "head 8 is not in the capture; it has heads 0-7$"),
        ):
            with pytest.raises(RequestError, match=reason):
                cap.view(**look)
    with pytest.raises(RequestError, match="the capture is closed"):
        cap.view()
    path = tmp_path / "run.h5"
    path.write_bytes(made.before().read_bytes())
    with attnscope.open(path) as cap:
        path.unlink()
        path.write_bytes(made.after().read_bytes())
        with pytest.raises(RequestError, match="was replaced since it was opened"):
            cap.view()
