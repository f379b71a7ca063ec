"""The viewer on attnscope's own server: any token of any head, what is saved of it, and a server that ends."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import attnscope
from attnscope.report.page.numbers import number
from attnscope.view.api import viewing
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.capture.by_hand import build

CONSOLE = "Failed to load resource"  # of Chromium, whatever the page does about it


@pytest.fixture(scope="module")
def address(made: Made) -> Iterator[str]:
    """Before and after on a server."""
    with viewing([made.before(), made.after()]) as address:
        yield address


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def lifts(path: Path) -> np.ndarray:
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([float(row["lift"]) for row in csv.DictReader(file)])


def choose(page: Page, position: int) -> None:
    """A word, by a click; the rest of the page follows."""
    page.locator(f'.words-token[data-position="{position}"]').first.click()
    expect(page).to_have_url(re.compile(f"query=token:{position}(&|$)"))


def row(cap: attnscope.Capture, position: int, layer: int | None, head: int | None) -> np.ndarray:
    """Lift of a token on every cell, from the library."""
    layers = cap.layers.tolist() if layer is None else [layer]
    cells = cap.tokens.loc[cap.tokens["modality"] == "visual", "position"]
    rows: list[Any] = [cap.attention(number, None, [position])[:, 0] for number in layers]  # [H, P] each
    rows = [own.mean(0) if head is None else own[head] for own in rows]
    return np.mean([own[cells] * cap.allowed(layers[0], [position]).sum() for own in rows], axis=0)


def test_a_click_on_any_word_shows_its_exact_row_in_any_head(
    made: Made, address: str, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(address, address_end="#layer=4&head=3&shown=before")
    expect(page.locator('[data-look="4.3"]')).to_have_attribute("aria-selected", "true")
    with attnscope.open(made.before()) as cap:
        words = cap.tokens[(cap.tokens["role"] == "question") & (cap.tokens["text"].str.strip() != "")]
        for position in words["position"].iloc[[0, 3]].tolist():
            choose(page, position)
            np.testing.assert_allclose(lifts(saved(page, "Overlay", tmp_path)), row(cap, position, 4, 3), rtol=1e-5)
        page.locator('[data-look="2.mean"]').click()
        expect(page).to_have_url(re.compile("layer=2&head=mean"))
        np.testing.assert_allclose(lifts(saved(page, "Overlay", tmp_path)), row(cap, position, 2, None), rtol=1e-5)
        page.locator('[data-look="mean.mean"]').click()
        expect(page).to_have_url(re.compile("layer=mean"))
        np.testing.assert_allclose(lifts(saved(page, "Overlay", tmp_path)), row(cap, position, None, None), rtol=1e-5)


def test_numbers_by_head_come_while_the_page_is_there(made: Made, address: str, open_page: Open) -> None:
    page = open_page(address)
    with attnscope.open(made.before()) as cap:
        person = cap.scene.question.split()[2]  # type: ignore[union-attr]
        table = attnscope.metrics.answer_lift(cap)
    own = table[(table["speaker"] == person) & (table["layer"] == 2) & (table["head"] == 1)]["value"].iloc[0]
    label = re.compile(f"^Layer 2, head 1: {re.escape(number(own))}")
    expect(page.locator('[data-look="2.1"]')).to_have_attribute("aria-label", label)


@pytest.mark.slow
def test_what_is_seen_is_saved_as_pictures_too(address: str, open_page: Open, tmp_path: Path) -> None:
    from PIL import Image

    page = open_page(address, address_end="#layer=2&head=1&shown=change")
    with Image.open(saved(page, "Frame (PNG)", tmp_path)) as picture:
        assert picture.format == "PNG" and picture.width >= 480
    expect(page.locator('[data-look="2.1"]')).to_be_visible()  # the numbers by head come after the first picture
    assert saved(page, "Grid (SVG)", tmp_path).read_text().startswith("<svg")


@pytest.mark.slow
@pytest.mark.parametrize("readings", [("qk",), ("stats",), ("masses",), ("maps",)])
def test_what_a_capture_lacks_is_not_asked_for(open_page: Open, tmp_path: Path, readings: tuple[str, ...]) -> None:
    """An answer that is not known would be an error on the console, which fails the test."""
    oracle = build(tmp_path / "run.h5", readings=readings)
    with viewing([oracle.path]) as address:
        page = open_page(address)
        page.locator(".words-token").nth(5).click()
        if "qk" in readings:
            expect(page.locator(".stage-title")).to_contain_text("Attention of the word")
        page.wait_for_timeout(500)
        page.close()  # it would ask a server that has ended


@pytest.mark.slow
def test_hostile_captures_do_nothing_on_a_server(made: Made, open_page: Open) -> None:
    with viewing([made.hostile(), made.hostile_corrected()]) as address:
        page = open_page(address)
        expect(page.get_by_role("grid")).to_be_visible()
        page.wait_for_timeout(500)
        page.close()


@pytest.mark.slow
def test_the_page_says_when_a_file_has_changed(made: Made, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    shutil.copy(made.before(), path)
    with viewing([path]) as address:
        page = open_page(address, may_fail=CONSOLE)
        expect(page.get_by_role("grid")).to_be_visible()
        path.touch()
        page.locator('[data-look="5.5"]').click()
        expect(page.get_by_text("run.h5: was changed since it was opened").first).to_be_visible()


@pytest.mark.slow
def test_the_page_says_when_the_server_has_ended(made: Made, open_page: Open) -> None:
    with viewing([made.before()]) as address:
        page = open_page(address, may_fail=CONSOLE)
        expect(page.get_by_role("grid")).to_be_visible()
        page.wait_for_timeout(1500)  # the first pictures are there
    page.locator('[data-look="5.5"]').click()
    expect(page.get_by_text("The server does not answer.").first).to_be_visible()
