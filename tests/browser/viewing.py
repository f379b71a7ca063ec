"""What the tests do in the viewer, in the words of a reader: choose, read, save."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from playwright.sync_api import Locator, Page, expect

from attnscope.report.viewer.embedding import embed

BUTTONS = {  # the viewer's apostrophe is a typographic one
    "overlay": "Overlay\N{RIGHT SINGLE QUOTATION MARK}s numbers (CSV)",
    "grid": "Grid\N{RIGHT SINGLE QUOTATION MARK}s numbers (CSV)",
    "frame": "Frame (PNG)",
    "picture": "Grid (SVG)",
}


def page_of(document: dict[str, Any], path: Path) -> Path:
    """A page with nothing but the viewer, of a document that no command writes; its path."""
    inside = embed(document)
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A viewer</title><main>'
        '<div id="attnscope-viewer"></div></main>'
        f'<script type="application/json" id="attnscope-view">{inside.document}</script>'
        f'<script type="module">{inside.script}</script></html>',
        encoding="utf-8",
    )
    return path


def viewer(page: Page) -> Locator:
    """The viewer, once it is drawn."""
    root = page.locator(".attnscope").first
    expect(root).to_be_visible()
    return root


def state(page: Page) -> dict[str, str]:
    """What the address says is shown."""
    return {name: values[0] for name, values in parse_qs(page.evaluate("location.hash").lstrip("#")).items()}


def settled(page: Page, **expected: str) -> None:
    """Wait until the address has these values; it follows a choice within a second."""
    page.wait_for_function(
        """(expected) => {
            const given = new URLSearchParams(location.hash.slice(1));
            return Object.entries(expected).every(([name, value]) => given.get(name) === value);
        }""",
        arg=expected,
    )


def cell(page: Page, layer: int | str, head: int | str) -> Locator:
    """A cell of the grid of heads."""
    return page.locator(f".heads-grid [data-look='{layer}.{head}']").first


def word(page: Page, position: int) -> Locator:
    """A word, where it first stands."""
    return page.locator(f".words [role=option][data-position='{position}']").first


def saved(page: Page, what: str) -> bytes:
    """What one of the buttons saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=BUTTONS[what], exact=True).click()
    return Path(download.value.path()).read_bytes()


def saved_table(page: Page, what: str) -> list[dict[str, Any]]:
    """The same as rows of a table."""
    return list(csv.DictReader(io.StringIO(saved(page, what).decode("utf-8-sig"))))


def grid_numbers(page: Page, layers: int, heads: int) -> list[list[str]]:
    """The first fact of each head, as the grid says it to a screen reader."""
    names: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".heads-grid [data-look]")]
            .map((cell) => [cell.dataset.look, cell.getAttribute("aria-label")]))"""
    )
    return [[names[f"{row}.{head}"].split(": ", 1)[1].split("; ")[0] for head in range(heads)] for row in range(layers)]


def picture(page: Page) -> str:
    """The frame with its overlay, as a data URI: to be compared."""
    address: str = page.evaluate("document.querySelector('canvas.stage-picture').toDataURL()")
    return address


def redrawn(page: Page, other: str) -> str:
    """The picture of the frame, once it is another one."""
    page.wait_for_function("(other) => document.querySelector('canvas.stage-picture').toDataURL() !== other", arg=other)
    return picture(page)
