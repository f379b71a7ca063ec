"""The stage of the viewer: its numbers are the captures' own, and it is driven by mouse and keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

import attnscope
from attnscope.capture import Capture
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.figures.frames.shading import ratio_scale
from attnscope.report.page.numbers import number, percent, signed
from attnscope.report.viewer.document import view_document
from attnscope.scene.speaking import live_frames
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.viewing import BUTTONS, page_of

pytestmark = pytest.mark.slow

ANSWER = "query=answer_position"
OF, TO = "\N{RIGHT SINGLE QUOTATION MARK}s", "\N{EN DASH}"
GREY = """([x, y]) => {
  const canvas = document.querySelector("canvas.stage-picture");
  const one = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  one.drawImage(canvas, -Math.floor(canvas.width * x), -Math.floor(canvas.height * y));
  const color = one.getImageData(0, 0, 1, 1).data.slice(0, 3);
  return Math.max(...color) - Math.min(...color);
}"""  # how far a pixel is from grey


@pytest.fixture(scope="module")
def before(made: Made) -> Iterator[Capture]:
    with attnscope.open(made.before()) as cap:
        yield cap


@pytest.fixture(scope="module")
def after(made: Made) -> Iterator[Capture]:
    with attnscope.open(made.after()) as cap:
        yield cap


def shown(tokens: pd.DataFrame, frame: int) -> pd.DataFrame:
    """The cells of a frame, by rows and columns."""
    here = tokens[(tokens["frame_first"] <= frame) & (tokens["frame_last"] >= frame) & tokens["x0"].notna()]
    return here.set_index(["grid_y", "grid_x"])


def read_cell(page: Page) -> tuple[str, str]:
    """The number of the chosen cell, and all that is said of it."""
    readout = page.locator(".stage-readout")
    return readout.locator("p b").inner_text(), readout.locator("p").first.inner_text()


def go(page: Page, *keys: str) -> None:
    page.locator(".stage-cells").focus()
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize(
    ("look", "layer", "head"), [("layer=2&head=1", 2, 1), ("layer=2&head=mean", 2, None), ("layer=mean", None, None)]
)
@pytest.mark.parametrize("frame", [0, 3])
def test_a_cell_has_the_captures_number(
    frame: int, look: str, layer: int | None, head: int | None, before: Capture, made: Made, open_page: Open
) -> None:
    page = open_page(made.comparison(), address_end=f"#shown=before&{look}&{ANSWER}&frame={frame}")
    lift = cell_lift(before, "answer_position", layer, head)
    cells = shown(before.tokens, frame)
    page.locator(".stage-cells").focus()
    place = [0, 0]
    for key, step in (("ArrowDown", None), ("ArrowDown", (1, 0)), ("ArrowRight", (0, 1)), ("ArrowRight", (0, 1))):
        page.keyboard.press(key)
        place = [a + b for a, b in zip(place, step or (0, 0), strict=True)]
        value = np.float32(lift[cells.loc[tuple(place), "position"]])
        assert read_cell(page)[0] == f"{number(float(value))} × uniform"


def test_a_cell_is_named_with_its_time_and_who_covers_it(before: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end=f"#shown=before&layer=2&head=1&{ANSWER}&frame=3")
    cells = shown(before.tokens, 3)
    people = [name.removeprefix("covered:") for name in cells.columns if name.startswith("covered:")]
    go(page, "ArrowDown")
    for _ in range(7):  # the last cell of a row stays
        _, text = read_cell(page)
        assert page.locator(".stage-tip").inner_text().startswith(text.split(" × ")[0])
        assert f"frames 3{TO}4, 1.25{TO}1.75 s" in text
        page.keyboard.press("ArrowRight")
    for (row, column), cell in cells.iterrows():
        covering = [name for name in people if cell[f"covered:{name}"] > 0.05]
        if len(covering) != 1:
            continue
        page.locator(".stage-cells").click(position=_middle(page, cell, before))
        _, text = read_cell(page)
        assert f"{covering[0]}{OF} box covers" in text, (row, column)
        return
    raise AssertionError("no cell is covered by one person")


def _middle(page: Page, cell: pd.Series, cap: Capture) -> dict[str, float]:
    """Where a cell's middle is on the screen, from the corner of the picture."""
    area = page.locator("canvas.stage-picture").bounding_box()
    assert area is not None
    x, y = (cell["x0"] + cell["x1"]) / 2 / cap.frames.width, (cell["y0"] + cell["y1"]) / 2 / cap.frames.height
    return {"x": float(x * area["width"]), "y": float(y * area["height"])}


def test_a_change_is_after_minus_before(before: Capture, after: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end=f"#shown=change&layer=2&head=1&{ANSWER}&frame=3")
    old, new = (np.float32(cell_lift(cap, "answer_position", 2, 1)) for cap in (before, after))
    top = max(
        shown(before.tokens, 3)["position"], key=lambda position: abs(float(new[position]) - float(old[position]))
    )
    cell = before.tokens.iloc[top]
    page.locator(".stage-cells").click(position=_middle(page, cell, before))
    assert read_cell(page)[0] == f"{signed(float(new[top] - old[top]))} × uniform"
    assert "Orange: more in “after” than in “before”" in page.locator(".stage .stage-legend").inner_text()


def test_the_scale_is_that_of_the_figures(before: Capture, after: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end=f"#shown=before&layer=2&head=1&{ANSWER}")
    placed = np.flatnonzero(before.tokens["x0"].notna())
    values = [cell_lift(cap, "answer_position", 2, 1)[placed] for cap in (before, after)]
    norm, extend = ratio_scale(values)
    ticks = page.locator(".stage .stage-numbers span").all_inner_texts()
    reach = round(np.log2(float(norm.vmax or 0)))
    low, high = ("≤ " if extend in ("min", "both") else ""), ("≥ " if extend in ("max", "both") else "")
    assert ticks[0].strip() == f"{low}1/{2**reach}"
    assert ticks[-1].strip() == f"{high}{2**reach}"
    assert "1" in [tick.strip() for tick in ticks]


def test_people_have_the_captures_numbers(before: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end=f"#shown=before&layer=2&head=1&{ANSWER}")
    (query,) = np.flatnonzero(before.query_member[before.query_groups["name"].tolist().index("answer_position")])
    mass = before.masses(layer=2, head=1).sel(query=query)
    allowed = before.masses_allowed(layer=2).sel(query=query)
    whole = float(before.stat("allowed", layer=2).sel(query=query))
    for name in before.scene.speakers:
        key = f"visual:{name}"
        lift = float(mass.sel(key_group=key)) / (float(allowed.sel(key_group=key)) / whole)
        button = page.locator(".stage-person", has_text=name)
        assert _close(button.locator("b").inner_text(), lift)


def _close(text: str, value: float) -> bool:
    """Whether a number on the page is this one, as far as its digits go."""
    return bool(np.isclose(float(text.split()[0].replace("−", "-")), value, rtol=6e-3))


@pytest.fixture(scope="module")
def wordless(before: Capture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as a capture without queries and keys has it: no rows of single words."""
    document = view_document([before])
    del document["captures"][0]["views"]["rows"]
    return page_of(document, tmp_path_factory.mktemp("wordless") / "page.html")


@pytest.fixture(scope="module")
def mapless(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a capture without maps."""
    folder = tmp_path_factory.mktemp("mapless")
    scene, plan = attnscope.Scene.read(made.scene()), attnscope.Plan(maps=False)
    sampling = attnscope.Sampling(frames=2)
    with attnscope.capture(made.model, scene, folder / "run.h5", plan=plan, sampling=sampling, max_new_tokens=1) as cap:
        return page_of(view_document([cap]), folder / "page.html")


def test_a_capture_without_maps_says_how_to_get_them(mapless: Path, open_page: Open) -> None:
    page = open_page(mapless)
    said = page.locator(".stage-unknown").first
    expect(said).to_have_text(
        "The capture \N{LEFT DOUBLE QUOTATION MARK}run.h5\N{RIGHT DOUBLE QUOTATION MARK} has no maps of attention: "
        "capture it again with --plan masses,maps,stats."
    )
    assert page.get_by_label("Attention of").count() == 0
    expect(page.locator(".words .stage-legend")).to_be_visible()  # masses are there


WORDS = re.compile(
    "These are different words: (.+) in before, (.+) in after. There is no change from one to the other."
)


@pytest.mark.parametrize("shown", ["change", "between&mix=0.50"])
def test_a_change_is_of_one_word_and_not_of_two(
    shown: str, before: Capture, after: Capture, made: Made, open_page: Open
) -> None:
    first = before.prompt_length
    one, other = (str(cap.tokens["text"].iloc[first]).strip() for cap in (before, after))
    assert one != other
    for query in ("generated:0", f"token:{first}"):
        page = open_page(made.comparison(), address_end=f"#shown={shown}&layer=2&head=1&query={query}")
        said = page.locator(".stage-unknown").first
        expect(said).to_contain_text(WORDS)
        assert f"{one}\N{RIGHT DOUBLE QUOTATION MARK} in before" in said.inner_text()
        assert f"{other}\N{RIGHT DOUBLE QUOTATION MARK} in after" in said.inner_text()
        assert page.locator(".stage .stage-legend").count() == 0
        assert set(page.locator(".stage-person b").all_inner_texts()) == {"\N{EM DASH}"}
        page.get_by_role("button", name=BUTTONS["overlay"], exact=True).click()
        expect(page.locator(".exports [role=status]")).to_contain_text("Nothing was saved. These are different words")
        page.get_by_role("radio", name="after", exact=True).check(force=True)
        expect(page.locator(".stage .stage-legend")).to_be_visible()


def test_what_the_page_does_not_hold_is_said_and_not_drawn(before: Capture, wordless: Path, open_page: Open) -> None:
    page = open_page(wordless, address_end=f"#layer=2&head=1&{ANSWER}&frame=3")
    lift = cell_lift(before, "answer_position", 2, 1)
    top = max(shown(before.tokens, 3)["position"], key=lambda position: lift[position])
    cell = before.tokens.iloc[top]
    place = [float(cell["x1"] - 3) / before.frames.width, float(cell["y1"] - 3) / before.frames.height]
    page.locator(".stage .stage-legend").wait_for()
    assert page.evaluate(GREY, place) > 20  # the reddest cell
    word = int(before.tokens.index[before.tokens["role"] == "transcript"][3])
    page.locator(f".words-token[data-position='{word}']").first.click()
    page.mouse.move(0, 0)
    said = page.locator(".stage-unknown").inner_text()
    assert "does not hold" in said and "attnscope view" in said and "how much the word looks at each person" in said
    assert page.locator(".stage .stage-legend").count() == 0
    go(page, "ArrowDown")
    assert read_cell(page)[0] == "number not known"
    page.keyboard.press("Escape")
    assert page.evaluate(GREY, place) == 0


def test_frames_turns_and_transcript_go_together(before: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end="#shown=before&frame=0")
    times = np.asarray(before.frames.times)
    live: list[NDArray[np.bool_]] = [live_frames(turn.start, turn.end, times) for turn in before.scene.transcript]
    scrubber = page.locator(".stage-scrubber")
    scrubber.focus()
    for frame in range(len(times)):
        now = [row.get_attribute("aria-current") == "time" for row in page.locator(".words-turn").all()]
        assert now == [bool(turn[frame]) for turn in live]
        assert page.locator(f".stage-thumb >> nth={frame}").get_attribute("aria-selected") == "true"
        page.keyboard.press("ArrowRight")


def test_playing_goes_through_the_frames_and_stops(before: Capture, made: Made, open_page: Open) -> None:
    last = len(before.frames) - 1
    page = open_page(made.comparison(), address_end=f"#shown=before&frame={last - 1}")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Play").wait_for()
    assert page.locator(".stage-scrubber").input_value() == str(last)


def test_a_person_is_chosen_and_words_take_its_colours(before: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end="#shown=before&layer=2&head=1")
    (name, *_) = before.scene.speakers
    page.locator(".stage-person", has_text=name).click()
    assert f"Each word{OF} attention on the cells of {name}" in page.locator(".words .stage-legend").inner_text()
    expect(page).to_have_url(re.compile(f"person={name}"))
    word = int(before.tokens.index[before.tokens["role"] == "question"][2])
    page.locator(f".words-token[data-position='{word}']").first.click()
    mass = float(before.masses(layer=2, head=1).sel(query=word, key_group=f"visual:{name}"))
    assert f"puts {percent(float(np.float32(mass)))} of its attention on the cells of {name}" in _said(page)


def _said(page: Page) -> str:
    return page.locator(".words-said").inner_text()


def test_each_word_has_the_captures_mass(before: Capture, made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end="#shown=before&layer=3&head=mean")
    mass = before.masses(layer=3).mean("head").sel(key_group="modality:visual")
    first = int(before.tokens.index[before.tokens["x0"].notna()][0])
    words = page.locator(".words-turns .words-token")
    for at in (0, 5, 9):
        word = words.nth(at)
        position = int(word.get_attribute("data-position") or -1)
        assert position > first
        word.hover()
        tip = page.locator(".words-tip").inner_text()
        assert f"puts {percent(float(np.float32(mass.sel(query=position))))} of its attention on the video" in tip


def test_words_are_reached_by_keys_and_said(made: Made, open_page: Open) -> None:
    page = open_page(made.comparison(), address_end="#shown=before&layer=2&head=1")
    page.locator(".words-token[tabindex='0']").focus()
    first = page.evaluate("document.activeElement.dataset.position")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.dataset.position")
    assert int(second) == int(first) + 1
    said = page.locator(".words [aria-live=polite]")
    expect(said).to_contain_text("puts")
    assert page.evaluate("document.activeElement.textContent").strip() in said.inner_text()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"query=token:{second}"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("query=answer_position"))
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.words-text') !== null")
    assert len(page.locator(".words-token[tabindex='0']").all()) == 1
