"""The grid of heads, its table, the choices and the address, by mouse and by keyboard; numbers are the capture's."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

import attnscope
from attnscope.report.page.numbers import changed, number
from attnscope.report.viewer.document import view_document
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.viewing import page_of

pytestmark = pytest.mark.slow

LAYERS, HEADS = 6, 8


@pytest.fixture
def page(made: Made, open_page: Open) -> Page:
    """Before and after, opened."""
    page = open_page(made.comparison(), address_end="#layer=2&head=1&shown=before&measure=answer_lift:Dan")
    expect(page.get_by_role("grid")).to_be_visible()
    return page


def _lift(made: Made) -> pd.DataFrame:
    """The answer's lift on Dan, before and after, by layer and head."""
    table = pd.read_parquet(made.comparison().parent / "tables/answer_change.parquet")
    rows = table[(table["metric"] == "answer_lift") & (table["speaker"] == "Dan")]
    rows = rows[(rows["layer"] >= 0) & (rows["head"] >= 0)]
    return rows.set_index(["layer", "head"]).sort_index()


def _cell(page: Page, layer: object, head: object) -> str:
    return page.locator(f'[data-look="{layer}.{head}"]').get_attribute("aria-label") or ""


def _saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_cell_says_the_number_of_the_metric_table(made: Made, page: Page) -> None:
    lift = _lift(made)
    assert len(lift) == LAYERS * HEADS
    for (layer, head), row in lift.iterrows():
        assert _cell(page, layer, head).startswith(f"Layer {layer}, head {head}: {number(row['before'])}")
    assert f": {number(lift['before'].mean())}; mean of {LAYERS * HEADS} heads" in _cell(page, "mean", "mean")
    page.get_by_role("radio", name="change", exact=True).check()
    for (layer, head), row in lift.iterrows():
        facts = f"change {changed(row)}; before {number(row['before'])}; after {number(row['after'])}"
        assert _cell(page, layer, head).startswith(f"Layer {layer}, head {head}: {facts}")


def test_the_table_sorts_filters_and_saves_exact_numbers(made: Made, page: Page, tmp_path: Path) -> None:
    lift = _lift(made)
    page.get_by_role("radio", name="change", exact=True).check()
    table = page.locator(".head-table table")
    first = table.locator("tbody tr").first
    by_size = lift["change"].abs().sort_values(ascending=False)
    expect(first.locator("td").nth(0)).to_have_text(str(by_size.index[0][0]))
    expect(first.locator("td").nth(1)).to_have_text(str(by_size.index[0][1]))
    header = table.get_by_role("columnheader", name="before")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(first.locator("td").nth(2)).to_have_text(number(lift["before"].min()))
    page.locator(".head-table select").select_option("3")
    assert table.locator("tbody tr").count() == HEADS
    saved = _rows(_saved(page, "Save the table", tmp_path))
    assert len(saved) == HEADS
    for row in saved:
        expected = lift.loc[(int(row["layer"]), int(row["head"]))]
        assert np.float32(row["before"]) == np.float32(expected["before"])
        assert np.float32(row["after"]) == np.float32(expected["after"])


def test_the_grid_and_the_frame_are_saved_as_drawings(page: Page, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    from PIL import Image

    drawing = ElementTree.parse(_saved(page, "Grid (SVG)", tmp_path)).getroot()
    titles = [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == LAYERS * HEADS + LAYERS + 1
    assert _cell(page, 2, 1) in titles
    with Image.open(_saved(page, "Frame (PNG)", tmp_path)) as picture:
        assert picture.format == "PNG" and picture.width >= 640 and picture.height > picture.width


def test_the_chosen_head_is_said_with_the_name_of_its_number(made: Made, page: Page) -> None:
    chosen = page.locator(".heads-chosen")
    value = number(_lift(made).loc[(2, 1), "before"])
    expect(chosen).to_contain_text(f"Answer's lift on Dan, layer 2, head 1: {value}")
    page.locator('[data-look="2.mean"]').click()
    expect(chosen).to_contain_text("on Dan, layer 2, mean of its heads: ")


@pytest.fixture(scope="module")
def formula(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two captures whose files are named as formulas are written."""
    folder = tmp_path_factory.mktemp("formula")
    paths = [folder / "=1+1.h5", folder / "-2+3, @SUM(1).h5"]
    for path, capture in zip(paths, (made.before(), made.after()), strict=True):
        shutil.copy(capture, path)
    with attnscope.open(paths[0]) as before, attnscope.open(paths[1]) as after:
        return page_of(view_document([before, after]), folder / "page.html")


def test_a_saved_table_has_no_formula(formula: Path, made: Made, open_page: Open, tmp_path: Path) -> None:
    page = open_page(formula, address_end="#shown=change&layer=2&head=1&measure=answer_lift:Dan")
    for button in ("Grid\N{RIGHT SINGLE QUOTATION MARK}s numbers (CSV)", "Save the table (CSV)"):
        saved = _rows(_saved(page, button, tmp_path))
        assert list(saved[0])[3:6] == ["'=1+1.h5", "'-2+3, @SUM(1).h5", "change"]
        changes = {(int(row["layer"]), int(row["head"])): np.float32(row["change"]) for row in saved}
        lift = _lift(made)
        assert min(changes.values()) < 0  # a number keeps its sign, and has no apostrophe
        for place, row in lift.iterrows():
            assert changes[place] == pytest.approx(row["after"] - row["before"], rel=1e-4, abs=1e-5)


def test_an_address_shows_what_its_writer_saw_and_bad_parts_of_it_are_said(made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end="#layer=5&head=2&query=question&frame=3&shown=change")
    expect(page.locator('[data-look="5.2"]')).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("radio", name="change", exact=True)).to_be_checked()
    expect(page.get_by_label("Attention of")).to_have_value("question")
    assert page.locator(".attnscope .callout").count() == 0
    bad = open_page(
        made.comparison(), address_end="#layer=99&head=2&query=<b>&shown=after&frame=-1&colour=red&%E0%A4%A"
    )
    note = bad.locator(".attnscope .callout")
    for part in ("layer=99", "query=<b>", "frame=-1", "colour=red"):
        expect(note).to_contain_text(part)
    expect(bad.get_by_role("radio", name="after", exact=True)).to_be_checked()


def test_a_measure_is_defined_where_it_is_chosen(page: Page) -> None:
    chooser = page.get_by_label("Number in the grid")
    page.get_by_text("What this number means").click()
    definition = page.locator(".measure details")
    before = definition.inner_text()
    chooser.select_option(label="Lift of text on the video")
    expect(page.get_by_role("grid")).to_have_attribute("aria-label", re.compile("^Lift of text"))
    assert definition.inner_text() != before
    assert "Source" in before and "Unit" in before and "Chance" in before
