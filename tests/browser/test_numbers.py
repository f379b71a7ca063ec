"""Every number that the viewer shows, says or saves is the capture's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

import attnscope
from attnscope import metrics
from attnscope.report.page.numbers import number
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.viewing import cell, grid_numbers, saved_table, settled, state, viewer, word

LOOK = (2, 3)
TITLE = "Answer's lift on Dan"


@pytest.fixture(scope="module")
def before(made: Made) -> Iterator[attnscope.Capture]:
    with attnscope.open(made.before()) as cap:
        yield cap


@pytest.fixture(scope="module")
def after(made: Made) -> Iterator[attnscope.Capture]:
    with attnscope.open(made.after()) as cap:
        yield cap


def lift_on_dan(cap: attnscope.Capture) -> np.ndarray:
    """The answer's lift on Dan by layer and head, from the table of metrics."""
    table = metrics.compute(cap, ["answer_lift"])["answer"]
    table = table[(table["speaker"] == "Dan") & (table["layer"] != -1) & (table["head"] != -1)]
    return table.pivot(index="layer", columns="head", values="value").to_numpy()


def row_of(cap: attnscope.Capture, position: int) -> np.ndarray:
    """A token's attention on every position in the look of these tests, from queries and keys."""
    layer, head = LOOK
    return np.asarray(cap.attention(layer, head, [position])).reshape(-1)


def lift_of(cap: attnscope.Capture, position: int) -> np.ndarray:
    """The same over what uniform attention would give."""
    return row_of(cap, position) * cap.allowed(LOOK[0], [position]).sum()


def test_the_grid_says_the_numbers_of_the_metric(made: Made, open_page: Open, before: attnscope.Capture) -> None:
    page = open_page(made.comparison())
    viewer(page)
    expected = lift_on_dan(before)
    page.get_by_label("Number in the grid").select_option(label=TITLE)
    said = grid_numbers(page, *expected.shape)
    assert said == [[number(float(np.float32(value))) for value in row] for row in expected]
    assert len({text for row in said for text in row}) > 20


def test_saved_numbers_are_those_of_the_metric_in_full(
    made: Made, open_page: Open, before: attnscope.Capture, after: attnscope.Capture
) -> None:
    page = open_page(made.comparison())
    viewer(page)
    page.get_by_label("Number in the grid").select_option(label=TITLE)
    page.get_by_role("radio", name="change", exact=True).check(force=True)
    rows = saved_table(page, "grid")
    table = pd.DataFrame(rows).astype({"layer": int, "head": int, "before": float, "after": float, "change": float})
    for name, cap in (("before", before), ("after", after)):
        found = table.pivot(index="layer", columns="head", values=name).to_numpy()
        assert np.array_equal(found.astype(np.float32), lift_on_dan(cap).astype(np.float32))
    assert np.allclose(table["change"], table["after"] - table["before"], rtol=0, atol=1e-6)
    assert (table["change"].abs() > 1e-3).any()


def test_the_table_of_heads_has_the_same_numbers_sorted(made: Made, open_page: Open, before: attnscope.Capture) -> None:
    page = open_page(made.comparison())
    viewer(page)
    page.get_by_label("Number in the grid").select_option(label=TITLE)
    rows = page.locator(".head-table tbody tr")
    cells = [row.locator("td").all_inner_texts() for row in rows.all()]
    values = lift_on_dan(before).astype(np.float32)
    order = [(int(layer), int(head)) for layer, head, *_ in cells]
    assert [text for _, _, text, *_ in cells] == [number(float(values[place])) for place in order]
    assert [values[place] for place in order] == sorted(values.ravel(), reverse=True)[: len(order)]
    page.locator(".head-table").get_by_role("button", name="head", exact=True).click()
    firsts = [row.locator("td").nth(1).inner_text() for row in rows.all()]
    assert firsts == sorted(firsts, key=int)


def test_the_overlay_is_the_exact_row_of_the_answer(
    made: Made, open_page: Open, before: attnscope.Capture, after: attnscope.Capture
) -> None:
    page = open_page(made.comparison())
    viewer(page)
    cell(page, *LOOK).click()
    settled(page, layer="2", head="3", query="answer_position")
    for name, cap in (("before", before), ("after", after)):
        page.get_by_role("radio", name=name, exact=True).check(force=True)
        rows = saved_table(page, "overlay")
        exact = lift_of(cap, cap.prompt_length - 1)[[int(row["position"]) for row in rows]]
        assert np.allclose([float(row["lift"]) for row in rows], exact, rtol=1e-4, atol=1e-6)
    assert len(rows) == (before.tokens["frame_first"] >= 0).sum()
    assert np.ptp(exact) > 1


def test_a_point_between_is_between(
    made: Made, open_page: Open, before: attnscope.Capture, after: attnscope.Capture
) -> None:
    """The slider's middle is the mean in the grid, and what is saved are the two ends."""
    page = open_page(made.comparison(), address_end="#layer=2&head=3&shown=between&mix=0.5&measure=answer_lift:Dan")
    viewer(page)
    middle = (lift_on_dan(before).astype(np.float32) + lift_on_dan(after).astype(np.float32)) / 2
    said = grid_numbers(page, *middle.shape)
    assert said == [[f"between: {number(float(np.float32(value)))}" for value in row] for row in middle]
    rows = saved_table(page, "overlay")
    for name, cap in (("before", before), ("after", after)):
        exact = lift_of(cap, cap.prompt_length - 1)[[int(row["position"]) for row in rows]]
        assert np.allclose([float(row[f"lift {name}"]) for row in rows], exact, rtol=1e-4, atol=1e-6)


def test_a_word_says_its_mass_on_the_video_and_on_a_person(
    made: Made, open_page: Open, before: attnscope.Capture
) -> None:
    page = open_page(made.comparison(), address_end="#layer=2&head=3&shown=before")
    viewer(page)
    tokens = before.tokens
    (dan,) = tokens.index[(tokens["role"] == "question") & (tokens["text"].str.strip() == "Dan")][:1]
    masses = before.masses(*LOOK).sel(query=dan)
    word(page, dan).click()
    for key, choose in (("modality:visual", "the video"), ("visual:Ada", "Ada")):
        page.locator(".words-choice").get_by_role("button", name=choose, exact=True).click()
        said = page.locator(".words-said").first
        whose = "the video" if choose == "the video" else "the cells of Ada"
        expect(said).to_contain_text(f"of its attention on {whose}")
        (percent,) = re.findall(r"puts ([\d.]+) %", said.inner_text())
        assert float(percent) == pytest.approx(100 * float(masses.sel(key_group=key)), abs=0.00501)


def test_people_have_the_lift_of_the_words_that_are_chosen(
    made: Made, open_page: Open, before: attnscope.Capture
) -> None:
    page = open_page(made.comparison(), address_end="#layer=2&head=3&shown=before&query=answer_position")
    viewer(page)
    table = metrics.compute(before, ["answer_lift"])["answer"]
    table = table[(table["layer"] == LOOK[0]) & (table["head"] == LOOK[1])].set_index("speaker")["value"]
    for name, lift in table.items():
        person = page.locator(".stage-person").filter(has_text=str(name))
        expect(person).to_contain_text(f"{number(float(np.float32(lift)))} ×")


def test_what_was_said_is_on_the_page_as_it_was_said(made: Made, open_page: Open, before: attnscope.Capture) -> None:
    page = open_page(made.comparison())
    root = viewer(page)
    for turn in before.scene.transcript:
        assert turn.text in root.locator(".words-turns").inner_text().replace("\n", " ")
    expect(root.locator(".words")).to_contain_text(str(before.answer["text"]).strip())
    assert state(page) == {}  # an address that nobody chose is not written
