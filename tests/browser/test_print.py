"""On paper nothing is cut, and the colours are those of paper."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.test_pages import PAGES

pytestmark = pytest.mark.slow

A4 = {"width": 718, "height": 1047}  # CSS pixels between margins of 1 cm

# What is wider than its box, where the box cuts it or would have to be scrolled.
CUT = """() => [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && getComputedStyle(e).display !== "inline")
    .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible")
    .map((e) => `${e.tagName}.${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)"""


@pytest.mark.parametrize("kind", PAGES)
def test_nothing_is_cut_on_paper(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)())
    page.set_viewport_size(A4)
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= A4["width"]


@pytest.mark.parametrize("kind", PAGES)
def test_a_dark_screen_prints_on_white(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), dark=True)
    page.emulate_media(media="print", color_scheme="dark")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
