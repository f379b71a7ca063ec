"""Text that would run, load or restyle something does nothing on any page, with scripts or without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Open
from tests.browser.hostile import NAMES
from tests.browser.made import Made

pytestmark = pytest.mark.slow
KINDS = ["hostile_analysis", "hostile_comparison", "hostile_preview"]
# Elements that only a hostile text could have made.
FOREIGN = "img[src='x'], iframe, svg[onload], [onerror], [onload], [onmouseover], a[href^='javascript:']"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "still"])
def test_hostile_text_is_text(kind: str, scripts: bool, made: Made, open_page: Open) -> None:
    path: Path = getattr(made, kind)()
    page = open_page(path, scripts=scripts)
    assert page.locator(FOREIGN).count() == 0
    for name in NAMES:
        assert page.get_by_text(name, exact=False).count() > 0, f"{name} is not on the page as text"
    inside = page.evaluate("[...document.scripts].map((script) => script.type)") if scripts else []
    assert set(inside) <= {"module", "application/json"}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_keeps_a_phone_narrow(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), size="phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
