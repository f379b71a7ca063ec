"""The page of `attnscope view`: the same numbers as in a report, and everything that is asked of any page."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import attnscope
from attnscope.view.api import viewing
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.test_numbers import lift_on_dan
from tests.browser.test_pages import DARK
from tests.browser.viewing import cell, saved_table, settled, viewer
from tests.browser.watched import findings


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[str]:
    with viewing([made.before(), made.after()]) as address:
        yield address


@pytest.fixture
def page(served: str, open_page: Open) -> Page:
    tab = open_page(served)
    viewer(tab)
    expect(tab.locator(".heads-grid")).to_be_visible()  # numbers by head come after the first picture
    return tab


def test_the_numbers_by_head_are_those_of_the_metric(page: Page, made: Made) -> None:
    page.get_by_label("Number in the grid").select_option(label="Answer's lift on Dan")
    rows = saved_table(page, "grid")
    with attnscope.open(made.before()) as cap:
        expected = lift_on_dan(cap).astype(np.float32)
    found = {(int(row["layer"]), int(row["head"])): np.float32(row["value"]) for row in rows}
    assert found == dict(np.ndenumerate(expected))


def test_a_change_of_two_captures(page: Page) -> None:
    page.get_by_role("radio", name="change", exact=True).check(force=True)
    cell(page, 2, 3).click()
    settled(page, shown="change", layer="2", head="3")
    rows = saved_table(page, "overlay")
    assert all(
        float(row["change"]) == pytest.approx(float(row["lift after"]) - float(row["lift before"]), abs=1e-5)
        for row in rows
    )


@pytest.mark.parametrize("dark", DARK, ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_the_server(served: str, open_page: Open, dark: bool) -> None:
    page = open_page(served, dark=dark)
    viewer(page)
    expect(page.locator(".heads-grid")).to_be_visible()
    found = findings(page)
    assert not found, "\n".join(found)


def test_the_server_on_a_phone_and_its_address(served: str, open_page: Open) -> None:
    page = open_page(served, size="phone", address_end="#layer=1&head=2&shown=after&frame=3")
    viewer(page)
    expect(page.locator(".stage-scrubber")).to_have_value("3")
    expect(page.locator(".stage-title")).to_contain_text("layer 1, head 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_hostile_text_is_text_on_the_server(made: Made, open_page: Open) -> None:
    with viewing([made.hostile()]) as address:
        page = open_page(address)
        viewer(page)
        expect(page.locator(".heads-grid")).to_be_visible()
        assert page.locator("img[src='x'], iframe, svg[onload], [onerror], [onmouseover]").count() == 0
        page.locator(".stage-person").first.click()
        page.locator(".words-turns [role=option]").first.click()
        expect(page.locator(".words-said")).to_be_visible()
