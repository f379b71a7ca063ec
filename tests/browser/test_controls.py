"""Everything that the viewer can do, by mouse and by keyboard, and the address that holds it."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.viewing import cell, picture, redrawn, saved, settled, state, viewer, word
from tests.browser.watched import findings

STATE = "#layer=2&head=3&query=speaker:Ada&frame=4&shown=after&measure=answer_lift:Dan&person=Cleo"


@pytest.fixture
def page(made: Made, open_page: Open) -> Page:
    tab = open_page(made.comparison())
    viewer(tab)
    return tab


def test_a_cell_drives_everything(page: Page) -> None:
    cell(page, 2, 3).click()
    settled(page, layer="2", head="3")
    expect(cell(page, 2, 3)).to_have_attribute("aria-selected", "true")
    expect(page.locator(".heads-chosen")).to_contain_text("layer 2, head 3")
    expect(page.locator(".stage-title")).to_contain_text("layer 2, head 3")
    one = picture(page)
    cell(page, 0, 1).click()
    settled(page, layer="0", head="1")
    redrawn(page, one)


def test_the_grid_by_keyboard(page: Page) -> None:
    cell(page, 2, 3).focus()
    cell(page, 2, 3).press("Enter")
    settled(page, layer="2", head="3")
    page.keyboard.press("ArrowRight")
    settled(page, layer="2", head="4")
    expect(cell(page, 2, 4)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    settled(page, layer="3", head="0")
    page.keyboard.press("End")
    settled(page, layer="3", head="mean")
    page.keyboard.press("Control+End")
    settled(page, layer="mean")
    assert page.locator(".heads-grid [tabindex='0']").count() == 1


def test_before_after_change_and_the_slider(page: Page) -> None:
    shown = page.locator(".choice-shown")
    before = picture(page)
    shown.get_by_role("radio", name="after", exact=True).check(force=True)
    settled(page, shown="after")
    after = redrawn(page, before)
    shown.get_by_role("radio", name="change", exact=True).check(force=True)
    settled(page, shown="change")
    assert redrawn(page, after) != before
    slider = shown.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    settled(page, shown="before")
    for _ in range(3):
        slider.press("ArrowRight")
    settled(page, shown="between", mix="0.03")
    slider.press("End")
    settled(page, shown="after")


@pytest.mark.slow
@pytest.mark.parametrize("shown", ["change", "control", "change:control"])
def test_what_is_not_between_before_and_after_has_no_place_on_the_slider(
    shown: str, made: Made, open_page: Open
) -> None:
    page = open_page(made.comparison(), address_end=f"#shown={shown}")
    slider = page.locator(".choice-shown").get_by_role("slider")
    label = page.locator(".choice-shown .slider")
    expect(label).to_have_class("slider unused")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("not in use"))
    slider.focus()
    slider.press("End")  # both ends are a step away
    settled(page, shown="after")
    expect(label).to_have_class("slider")
    expect(slider).to_have_attribute("aria-valuetext", "after")
    page.go_back()
    settled(page, shown=shown)
    slider.press("Home")
    settled(page, shown="before")


@pytest.mark.slow
def test_the_slider_is_pressed_and_drawn_from_a_change(made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end="#shown=change")
    area = page.locator(".choice-shown").get_by_role("slider").bounding_box()
    assert area is not None
    middle = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + area["width"] / 2, middle)
    page.mouse.down()
    page.mouse.up()
    settled(page, shown="between", mix="0.50")
    page.get_by_role("radio", name="change", exact=True).check(force=True)
    settled(page, shown="change")
    page.mouse.move(area["x"] + area["width"] * 0.3, middle)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.6, middle, steps=4)
    page.mouse.move(area["x"] + 1, middle, steps=4)
    page.mouse.up()
    settled(page, shown="before")


def test_a_word_is_hovered_chosen_and_left(page: Page) -> None:
    cell(page, 2, 3).click()
    words = page.locator(".words-turns [role=option]")
    rest = picture(page)
    words.nth(3).hover()
    expect(page.locator(".words-tip")).to_be_visible()
    expect(page.locator(".words-tip")).to_contain_text("of its attention")
    assert "token" not in state(page).get("query", "")
    words.nth(3).click()
    position = words.nth(3).get_attribute("data-position")
    settled(page, query=f"token:{position}")
    expect(words.nth(3)).to_have_attribute("aria-selected", "true")
    redrawn(page, rest)
    words.nth(3).press("ArrowRight")
    page.keyboard.press("Enter")
    settled(page, query=f"token:{words.nth(4).get_attribute('data-position')}")
    page.keyboard.press("Enter")
    settled(page, query="answer_position")


def test_a_turn_and_a_speaker_are_chosen(page: Page) -> None:
    page.locator(".words-name").first.click()
    name = page.locator(".words-name").first.inner_text()
    settled(page, query=f"speaker:{name}")
    page.locator(".words-when").nth(1).click()
    settled(page, query="turn:1")
    expect(page.get_by_label("Attention of")).to_have_value("turn:1")


def test_a_person_colours_the_words(page: Page) -> None:
    page.locator(".stage-person").first.click()
    name = page.locator(".stage-person span").first.inner_text()
    settled(page, person=name)
    expect(page.locator(".words-head .stage-legend")).to_contain_text(f"the cells of {name}")
    colours = page.locator(".words-turns [role=option]").evaluate_all("(all) => all.map((one) => one.style.background)")
    assert len(set(colours)) > 3
    page.locator(".stage-person").first.click()
    page.wait_for_function("() => !location.hash.includes('person')")


def test_frames_by_buttons_scrubber_and_keys(page: Page) -> None:
    player = page.locator(".stage-player")
    scrubber = player.get_by_role("slider", name="Frame")
    scrubber.focus()
    scrubber.press("Home")
    settled(page, frame="0")
    first = picture(page)
    player.get_by_role("button", name="Next frame").click()
    settled(page, frame="1")
    scrubber.focus()
    scrubber.press("End")
    last = int(scrubber.get_attribute("max") or 0)
    settled(page, frame=str(last))
    expect(player.get_by_role("button", name="Next frame")).to_be_disabled()
    redrawn(page, first)


@pytest.mark.slow
def test_playing_ends_on_the_last_frame(page: Page) -> None:
    last = page.locator(".stage-scrubber").get_attribute("max")
    page.locator(".stage-scrubber").fill(str(int(last or 0) - 1))
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    settled(page, frame=str(last))


def test_the_address_brings_back_what_was_seen(made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end=STATE)
    viewer(page)
    expect(page.get_by_label("Attention of")).to_have_value("speaker:Ada")
    expect(page.get_by_label("Number in the grid")).to_have_value("answer_lift:Dan")
    expect(page.get_by_role("radio", name="after", exact=True)).to_be_checked()
    expect(cell(page, 2, 3)).to_have_attribute("aria-selected", "true")
    expect(page.locator(".stage-person[aria-pressed=true]")).to_contain_text("Cleo")
    expect(page.locator(".stage-scrubber")).to_have_value("4")
    page.get_by_role("button", name="Previous frame").click()
    settled(page, frame="3", layer="2", head="3", query="speaker:Ada", shown="after", person="Cleo")
    again = open_page(made.comparison(), address_end=page.evaluate("location.hash"))
    viewer(again)
    expect(again.locator(".stage-scrubber")).to_have_value("3")
    assert picture(again) == picture(page)


def test_an_address_that_cannot_be_is_said_and_the_rest_is_shown(made: Made, open_page: Open) -> None:
    bad = "#layer=99&head=3&query=nobody&frame=5&shown=never&person=%3Cimg%20src=x%20onerror=alert(1)%3E&%E0%A4%A=1"
    page = open_page(made.comparison(), address_end=bad)
    root = viewer(page)
    expect(root.get_by_role("status").first).to_contain_text("layer=99")
    for part in ("query=nobody", "shown=never", "person=<img src=x onerror=alert(1)>"):
        expect(root.get_by_role("status").first).to_contain_text(part)
    expect(page.locator(".stage-scrubber")).to_have_value("5")


def test_back_goes_one_step_back(page: Page) -> None:
    cell(page, 2, 3).click()
    settled(page, layer="2", head="3")
    page.wait_for_timeout(800)  # quicker steps count as one
    page.get_by_label("Attention of").select_option("speaker:Dan")
    settled(page, query="speaker:Dan")
    page.go_back()
    settled(page, layer="2", head="3", query="answer_position")
    expect(page.get_by_label("Attention of")).to_have_value("answer_position")


@pytest.mark.slow
def test_two_captures_side_by_side_follow_each_other(page: Page) -> None:
    page.get_by_label("Beside it").select_option(label="after")
    expect(page.locator("canvas.stage-picture")).to_have_count(2)
    grids = page.locator(".heads-grid")
    expect(grids).to_have_count(2)
    cell(page, 2, 3).click()
    expect(grids.nth(1).locator("[data-look='2.3']")).to_have_attribute("aria-selected", "true")
    page.mouse.move(0, 0)  # axe takes a cell below a tip for the tip's background
    assert not findings(page)


@pytest.mark.slow
def test_saved_pictures_can_be_opened(page: Page) -> None:
    frame = Image.open(io.BytesIO(saved(page, "frame")))
    assert frame.format == "PNG" and frame.width >= 400
    drawing = saved(page, "picture").decode()
    assert drawing.startswith(("<svg", "<?xml")) and "<script" not in drawing
    assert drawing.count("<rect") >= 48  # six layers of eight heads


def test_the_whole_prompt_unfolds(page: Page) -> None:
    fold = page.locator(".words details")
    fold.locator("summary").click()
    expect(fold.locator("[role=option]").first).to_be_visible()
    assert fold.locator("[role=option]").count() > 50


def test_the_viewer_on_a_phone(made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), size="phone", address_end=STATE)
    viewer(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cell(page, 4, 4).tap()
    settled(page, layer="4", head="4")
    word(page, 186).tap()
    settled(page, query="token:186")
    small = page.evaluate(
        """() => [...document.querySelectorAll(".attnscope :is(button, select, input):not(.stage-link)")]
            .filter((one) => one.checkVisibility()).map((one) => [one.getBoundingClientRect(), one])
            .filter(([box, one]) => box.height < 24 && (one.closest("label")?.getBoundingClientRect().height ?? 0) < 24)
            .map(([box, one]) => `${one.outerHTML.slice(0, 80)} ${box.height}`)"""
    )
    assert small == [], "targets smaller than a finger"
