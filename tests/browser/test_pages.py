"""Every kind of page, opened: nothing fails, nothing is asked for, and axe-core finds nothing serious."""

from __future__ import annotations

import pytest

import attnscope
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.watched import findings

QUICK = ("analysis", "comparison", "preview", "index")
SLOW = ("heads", "evaluation", "sweep", "what_if")
PAGES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
DARK = [False, pytest.param(True, marks=pytest.mark.slow)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("dark", DARK, ids=["light", "dark"])
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
    assert page.locator("img[src^='data:'], svg, a[href$='.html']").count() > 0
    assert len(page.locator("body").inner_text()) > 300


@pytest.mark.parametrize("kind", ["analysis", "comparison"])
def test_without_scripts_everything_is_said_and_drawn(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), scripts=False)
    with attnscope.open(made.before()) as cap:
        scene, frames = cap.scene, len(cap.frames)
    shown = page.locator("body").inner_text()
    for text in (str(scene.question), str(scene.answer), *(turn.text for turn in scene.transcript)):
        assert text in shown
    assert not page.locator("#attnscope-viewer").is_visible()
    assert page.locator(".plain img, .plain svg image").count() >= frames


def test_the_index_leads_to_every_page(made: Made, open_page: Open) -> None:
    path = made.index()
    links = open_page(path).locator("a[href$='.html']").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))")
    assert {"analysis/report.html", "comparison/report.html"} <= set(links)
    assert all((path.parent / link).is_file() for link in links)
