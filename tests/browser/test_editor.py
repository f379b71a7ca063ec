"""The scene editor in a browser, by mouse, touch and keyboard; what it saves is read and captured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import attnscope
from attnscope.scene import Sampling, Scene, boxes_at
from attnscope.view.editor import METHODS, Editor, routes
from attnscope.view.editor_scene import open_draft
from attnscope.view.editor_shown import ModelOptions
from attnscope.view.serve import running
from attnscope.vocabulary import covered_speakers, has_cell
from tests.browser.conftest import Open
from tests.browser.made import Made
from tests.browser.watched import findings

FRAMES = 4
Box = tuple[float, float, float, float]


@dataclass
class Editing:
    """The editor of one scene in the browser."""

    page: Page
    target: Path
    width: int
    height: int

    @property
    def picture(self) -> Locator:
        return self.page.locator(".left .picture svg")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the video is on the screen."""
        place = self.picture.bounding_box()
        assert place is not None
        return place["x"] + x / self.width * place["width"], place["y"] + y / self.height * place["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
        self.page.mouse.move(*self.at(*end))
        self.page.mouse.up()

    def box(self, name: str) -> list[int] | None:
        """Somebody's box on the frame, in whole pixels; None where there is none."""
        for shape in self.picture.locator("g.box").all():
            if shape.get_attribute("data-person") == name:
                return [int(side) for side in str(shape.get_attribute("data-box")).split(",")]
        return None

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def press(self, name: str, **how: Any) -> None:
        self.page.get_by_role("button", name=name, **how).click()

    def seek(self, frame: int) -> None:
        self.page.get_by_label("Frame", exact=True).fill(str(frame))

    def save(self) -> Scene:
        self.press("Save", exact=True)
        expect(self.page.locator(".next")).to_be_visible()
        return Scene.read(self.target)


Edit = Callable[..., Editing]


@pytest.fixture
def edit(made: Made, open_page: Open, tmp_path: Path) -> Iterator[Edit]:
    """`edit(scene, video=None, model=False, **page)`: the editor of a scene, or of a clip that has none."""
    with ExitStack() as stack:

        def start(scene: Path | None, video: Path | None = None, *, model: bool = False, **page: Any) -> Editing:
            draft = open_draft(scene, video, save=tmp_path / "saved.json", replace=False)
            options = ModelOptions(lambda: made.model, 0.5, "{speaker}: {text}") if model else None
            editor = Editor(draft, Sampling(frames=FRAMES), options)
            address = stack.enter_context(running(routes(editor), 0, METHODS))
            tab = open_page(address, **page)
            expect(tab.locator(".checks > *").first).to_be_visible()  # the first answer of the server is there
            document = editor.document()
            return Editing(tab, draft.target, document["width"], document["height"])

        yield start


@pytest.fixture
def clip(made: Made, tmp_path: Path) -> Path:
    """A clip without a scene."""
    video = Scene.read(made.scene()).video
    return Path(shutil.copy(video, tmp_path / "clip.mp4"))


# ---- from a clip to a capture


def test_a_clip_becomes_a_scene_that_a_model_captures(edit: Edit, clip: Path, made: Made, tmp_path: Path) -> None:
    editing = edit(None, clip, model=True)
    page = editing.page

    # a box by mouse, and a name
    editing.drag((115, 22), (225, 152))
    page.keyboard.type("Eva")
    # a box by keyboard alone: arrows move it, with Shift they resize it
    page.get_by_role("button", name="Add a box in the middle").focus()
    page.keyboard.press("Enter")
    expect(editing.picture.locator("g.box:focus")).to_have_count(1)
    for key, times in (("ArrowLeft", 10), ("ArrowDown", 5), ("Shift+ArrowUp", 5)):
        for _ in range(times):
            page.keyboard.press(key)
    page.get_by_label("Name", exact=True).fill("Ada")
    assert editing.box("Eva") == [115, 22, 225, 152]
    assert editing.box("Ada") == [160, 130, 280, 360]

    editing.tab("Turns")
    page.get_by_role("button", name="Add a turn at this frame").click()
    page.keyboard.type("will you help me?")
    page.get_by_label("Turn 0: who speaks").select_option("Eva")
    editing.tab("Question")
    page.get_by_role("textbox", name="Question", exact=True).fill("Who is Eva talking to?")
    expect(page.locator(".about")).to_contain_text("The question is about Eva.")
    editing.press("All people as options")
    page.get_by_label("Option 2 is right").check()

    editing.tab("What a model is shown")
    shown = [
        [int(cell) for cell in row.locator("td").all_inner_texts()] for row in page.locator(".counts tbody tr").all()
    ]
    scene = editing.save()
    command = page.locator(".next code").inner_text()
    assert command == f"attnscope capture roundtable --scene {editing.target} --frames {FRAMES} -o run.h5"
    assert json.loads(editing.target.read_text()) == {
        "video": "clip.mp4",
        "speakers": {
            name: {"segments": [{"start": 0, "end": 4, "keyframes": [{"t": 0, "xyxy": box}]}]}
            for name, box in (("Eva", [115, 22, 225, 152]), ("Ada", [160, 130, 280, 360]))
        },
        "transcript": [{"speaker": "Eva", "text": "will you help me?", "start": 0, "end": 1}],
        **{"question": "Who is Eva talking to?", "options": ["Eva", "Ada"], "answer": "Ada"},
    }
    capture = attnscope.capture(
        made.model, scene, tmp_path / "run.h5", sampling=Sampling(frames=FRAMES), max_new_tokens=1
    )
    with capture:
        tokens = capture.tokens
        cells = tokens[has_cell(tokens)]
        assert covered_speakers(tokens.columns) == ["Eva", "Ada"]
        for name, counts in zip(("Eva", "Ada"), shown, strict=True):
            own = cells[cells[f"covered:{name}"] >= 0.5]
            assert counts == [
                int(((own["frame_first"] <= frame) & (frame <= own["frame_last"])).sum()) for frame in range(FRAMES)
            ]
            assert min(counts) > 0


def test_cells_follow_a_box_while_it_is_dragged(edit: Edit, made: Made) -> None:
    editing = edit(made.scene(), model=True)
    page = editing.page
    page.keyboard.press("]")
    cells = editing.picture.locator('.own[data-person="Eva"]')
    before = cells.get_attribute("d")
    assert editing.box("Eva") == [115, 22, 225, 152]
    page.mouse.move(*editing.at(170, 87))
    page.mouse.down()
    page.mouse.move(*editing.at(170, 250))
    page.mouse.move(*editing.at(170, 400))
    expect(cells).not_to_have_attribute("d", str(before))  # before the hand lets go
    page.mouse.up()
    editing.tab("What a model is shown")
    coverage = page.get_by_label("Coverage: share of a cell that a box must cover")
    many = page.locator(".counts tbody tr").first.inner_text()
    coverage.fill("1")
    expect(page.locator(".counts tbody tr").first).not_to_have_text(many)


# ---- boxes


@pytest.mark.slow
def test_boxes_of_every_frame_are_those_of_the_library(edit: Edit, drawn: Path) -> None:
    editing = edit(drawn)
    scene = Scene.read(drawn)
    times = editing.page.evaluate("fetch('editor/document').then((answer) => answer.json())")["times"]
    for frame in range(0, len(times), 7):
        editing.seek(frame)
        expect(editing.page.locator(".clock")).to_contain_text(f"frame {frame}")
        for name, speaker in scene.speakers.items():
            (box,) = boxes_at(speaker, [times[frame]])
            shown = editing.box(name)
            assert (shown is None) == bool(box[0] != box[0])
            assert shown is None or [abs(a - b) <= 0.5 + 1e-6 for a, b in zip(shown, box, strict=True)] == [True] * 4


@pytest.mark.slow
def test_boxes_are_moved_resized_copied_and_taken_back(edit: Edit, clip: Path) -> None:
    editing = edit(None, clip)
    page = editing.page
    editing.drag((100, 100), (200, 220))
    page.keyboard.type("Eva")
    editing.seek(8)
    editing.drag((150, 160), (180, 150))  # by its middle
    assert editing.box("Eva") == [130, 90, 230, 210]
    editing.drag((230, 210), (260, 260))  # by a corner
    assert editing.box("Eva") == [130, 90, 260, 260]
    editing.seek(4)
    assert editing.box("Eva") == [115, 95, 230, 240]  # half way
    editing.seek(16)
    page.get_by_label("Left", exact=True).fill("10")
    assert editing.box("Eva") == [10, 90, 260, 260]
    editing.seek(12)
    editing.press("Copy to all frames that follow")
    editing.seek(16)
    assert editing.box("Eva") == [70, 90, 260, 260]
    editing.press("Last seen here")
    editing.seek(17)
    assert editing.box("Eva") is None
    editing.seek(0)
    page.locator("g.box").focus()
    page.keyboard.press("Delete")
    assert editing.box("Eva") == [130, 90, 260, 260]  # the next one is held
    (segment,) = editing.save().speakers["Eva"].segments
    assert (segment.start, segment.end) == (0.0, 2.125)
    assert [(key.t, key.xyxy) for key in segment.keyframes] == [
        (1.0, (130, 90, 260, 260)),
        (1.5, (70, 90, 260, 260)),
    ]
    for _ in range(20):
        if page.get_by_role("button", name="Undo").is_disabled():
            break
        page.keyboard.press("Control+z")
    assert page.locator("g.box").count() == 0
    while page.get_by_role("button", name="Redo").is_enabled():
        page.keyboard.press("Control+Shift+z")
    assert editing.save().speakers["Eva"].segments == [segment]


@pytest.mark.slow
def test_a_person_who_is_gone_and_comes_back_has_two_stretches(edit: Edit, clip: Path) -> None:
    editing = edit(None, clip)
    editing.drag((100, 100), (200, 220))
    editing.seek(7)
    editing.press("Last seen here")
    editing.seek(16)
    editing.drag((300, 100), (400, 220))
    editing.seek(12)
    editing.press("First seen here")
    first, second = editing.save().speakers["Person 1"].segments
    assert (first.start, first.end, second.start, second.end) == (0.0, 1.0, 1.5, 4.0)
    assert [key.xyxy for key in second.keyframes] == [(300, 100, 400, 220)]


@pytest.mark.slow
def test_a_finger_draws_on_a_phone(edit: Edit, clip: Path) -> None:
    editing = edit(None, clip, size="phone")
    touch = editing.page.context.new_cdp_session(editing.page)
    way = {"touchStart": (100, 100), "touchMove": (200, 220), "touchEnd": None}
    for kind, place in way.items():
        points = [] if place is None else [dict(zip("xy", editing.at(*place), strict=True))]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    box = editing.box("Person 1")
    assert box is not None
    assert [abs(a - b) <= 2 for a, b in zip(box, (100, 100, 200, 220), strict=True)] == [True] * 4
    assert editing.page.evaluate("document.documentElement.scrollWidth") <= 390


# ---- words


@pytest.mark.slow
def test_turns_are_split_joined_deleted_and_follow_a_new_name(edit: Edit, made: Made) -> None:
    editing = edit(made.scene())
    page = editing.page
    before = Scene.read(made.scene())
    editing.tab("Turns")
    words = page.get_by_label("Words of turn 1")
    text = before.transcript[1].text
    place = text.index(" ", 5)
    words.click()
    words.evaluate("(field, place) => field.setSelectionRange(place, place)", place)
    page.locator("#editor-panel li").nth(1).get_by_role("button", name="Split at the cursor").click()
    assert page.get_by_label("Words of turn 2").input_value() == text[place + 1 :]
    page.get_by_label("Turn 2: who speaks").select_option("Ben")
    page.locator("#editor-panel li").first.get_by_role("button", name="Delete").click()
    page.locator("#editor-panel li").nth(0).get_by_role("button", name="Join with the next").click()
    assert page.get_by_label("Words of turn 0").input_value() == text
    editing.tab("People and boxes")
    editing.press("Dan 1 turn")
    name = page.get_by_label("Name", exact=True)
    name.fill("")
    name.press_sequentially("Eva")  # on the way to a longer name, that of somebody else
    name.press_sequentially("n")
    after = editing.save()
    turns = [(turn.speaker, turn.text, turn.start, turn.end) for turn in after.transcript]
    one, two = before.transcript[1:]
    assert turns == [(one.speaker, text, one.start, one.end), ("Evan", two.text, two.start, two.end)]
    assert "Evan" in after.speakers
    assert after.options == [{"Dan": "Evan"}.get(option, option) for option in before.options]
    assert after.speakers["Evan"] == before.speakers["Dan"]


# ---- errors and saving


def test_opening_and_saving_changes_nothing(edit: Edit, made: Made, tmp_path: Path) -> None:
    source = tmp_path / "scene.json"
    document = json.loads(made.scene().read_text())
    video = Scene.read(made.scene()).video
    document |= {"video": str(video), "system": "Short.", "window": [0.5, 3.5]}
    document["fields"] |= {"many": 2**62}
    document["speakers"] = {"7": {"segments": []}, **document["speakers"], "5": {"segments": []}}
    source.write_text(json.dumps(document))
    editing = edit(source)
    saved = editing.save()
    assert saved == Scene.read(source)
    assert list(saved.speakers) == list(document["speakers"])
    assert json.loads(editing.target.read_text()) == document
    assert json.loads(source.read_text()) == document


@pytest.mark.slow
def test_a_wrong_value_is_said_at_its_field_and_not_saved(edit: Edit, made: Made) -> None:
    editing = edit(made.scene())
    page = editing.page
    editing.tab("Turns")
    end = page.get_by_label("Until (s)").nth(1)
    end.fill("0.5")
    expect(end).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#editor-panel .wrong")).to_have_text("0.5 is before start 1")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    end.fill("soon")
    expect(page.locator("#editor-panel .wrong")).to_contain_text("is not a number")
    end.fill("2,5")
    expect(page.locator("#editor-panel .wrong")).to_have_count(0)
    assert editing.save().transcript[1].end == 2.5


@pytest.mark.slow
def test_another_file_is_replaced_only_if_the_user_says_so(edit: Edit, clip: Path) -> None:
    editing = edit(None, clip)
    editing.target.write_text("somebody else's")
    editing.press("Save", exact=True)
    expect(editing.page.get_by_role("alert")).to_contain_text("was not written by this page")
    assert editing.target.read_text() == "somebody else's"
    editing.press("Replace the file")
    expect(editing.page.locator(".next")).to_be_visible()
    assert json.loads(editing.target.read_text()) == {"video": "clip.mp4"}


@pytest.mark.slow
def test_hostile_text_is_text(edit: Edit, made: Made) -> None:
    made.hostile()
    (source,) = (made.folder / "hostile").glob("*.json")
    editing = edit(source, model=True)
    page = editing.page
    for name in ("Turns", "Question", "What a model is shown", "People and boxes"):
        editing.tab(name)
        page.wait_for_timeout(50)
    assert page.locator("img[onerror], svg[onload], iframe, [onmouseover]").count() == 0
    assert editing.save() == Scene.read(source)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_in_any_part(edit: Edit, made: Made, dark: bool) -> None:
    editing = edit(made.scene(), model=True, dark=dark)
    editing.page.keyboard.press("]")
    found = []
    for name in ("People and boxes", "Turns", "Question", "What a model is shown"):
        editing.tab(name)
        found += findings(editing.page)
    assert not found, "\n".join(found)
