"""Every kind of page, opened: nothing fails, nothing is asked for, and axe-core finds nothing serious."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.watched import findings

QUICK = ("analysis", "comparison", "preview")
SLOW = ("sweep", "what_if")
PAGES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(kind: str, dark: bool, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = findings(page)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", PAGES)
def test_no_page_is_wider_than_a_phone(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), size="phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


@pytest.mark.parametrize("kind", PAGES)
def test_the_page_is_whole_without_scripts(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), scripts=False)
    assert page.locator("h1").count() == 1
    assert page.locator("img[src^='data:'], svg").count() > 0
