"""Names of any script and length in figures: no boxes, no warnings, nothing cut off, and valid XML."""

from __future__ import annotations

import json
import logging
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from attnscope import fonts
from attnscope.files import printable
from attnscope.report.analyze import analyze
from attnscope.report.figures.labels import LONGEST, Lettering, lettering, letters, middle
from attnscope.report.figures.style import figure_of, give_fonts, literal, own_axes, styled
from tests.metrics.sketch import Sketch, causal, draw, room, softmax
from tests.report.pages import assert_self_contained

GOTHIC = "𐌰𐌽𐌽𐌰"  # letters that hardly any machine has a font for
LONG = "Maximiliana-Alexandrina Theodora von Hohenlohe-Langenburg zu Sachsen-Coburg"
HOSTILE = ("Ann $x_1$ <b>&\x07", f"{GOTHIC} Ben", LONG)


def own_font(path: Path, family: str, characters: str) -> None:
    """A font of squares for some characters."""
    pen = TTGlyphPen(None)
    for number, point in enumerate([(100, 0), (100, 700), (600, 700), (600, 0)]):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"u{ord(c):x}" for c in dict.fromkeys(characters))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):x}" for c in characters})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (700, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800)
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Matplotlib's list of fonts as it comes: its own ones, whatever the machine has."""
    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_, **__: [])
    caches = (fonts._choose, fonts._face, fonts._letters, fonts._find_new_fonts, fonts._base_letters)
    for one in caches:
        one.cache_clear()
    yield
    for one in caches:
        one.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_an_installed_font_that_has_the_letters_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was installed after matplotlib made its list."""
    own_font(tmp_path / "gothic.ttf", "Test Gothic", GOTHIC)
    assert fonts.choose(GOTHIC) == ([], frozenset(GOTHIC))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_, **__: [str(tmp_path / "gothic.ttf")])
    fonts._choose.cache_clear()
    fonts._find_new_fonts.cache_clear()
    assert fonts.choose(f"Ann {GOTHIC}") == (["Test Gothic"], frozenset())
    assert Path(fonts.face(GOTHIC).path).name == "gothic.ttf"
    with styled(), lettering() as found, warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = own_axes(None, 3, 2)
        ax.set_title(literal(f"Ann {GOTHIC}"))
        give_fonts(figure_of(ax))
        figure_of(ax).canvas.draw()
    assert ax.title.get_text() == f"Ann {GOTHIC}"
    assert ax.title.get_fontfamily() == ["DejaVu Sans", "Test Gothic"]
    assert found.notes() == []


@pytest.mark.usefixtures("fresh")
def test_letters_without_a_font_get_a_mark_that_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "attnscope"), lettering() as found:
        assert found.written(f"{GOTHIC} (asked)") == "[1] (asked)"
        assert found.written(f"Ann, {GOTHIC}, 🀄") == "Ann, [1], [2]"
    assert [note.partition(":")[0] for note in found.notes()] == [f"[1] stands for “{GOTHIC}”", "[2] stands for “🀄”"]
    assert [record.getMessage() for record in caplog.records] == [
        f"figures write [1] for {GOTHIC}, [2] for 🀄: no installed font has their letters (the Noto fonts have those "
        "of every script)"
    ]


def test_scripts_that_need_shaping_are_not_drawn_in_a_wrong_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "has_shaping", lambda: False)
    found = Lettering()
    assert found.written("Ann, שלום") == "Ann, [1]"
    assert "3.11" in found.notes()[0]
    monkeypatch.setattr(fonts, "has_shaping", lambda: True)
    assert Lettering().written("Ann, שלום") == "Ann, שלום"


@pytest.mark.parametrize("text", ["e\u0301", "Zoë", "Ångström", "→−×÷…“”●≤≥γ²", "Юлия", "Νίκος"])
def test_what_the_base_font_has_is_written_as_it_is(text: str) -> None:
    assert fonts.choose(text) == ([], frozenset())
    assert all(ord(letter) in fonts._letters(fonts.BASE) for letter in unicodedata.normalize("NFC", text))
    assert Lettering().written(text) == unicodedata.normalize("NFC", text)


def test_joiners_are_not_drawn_as_boxes() -> None:
    assert Lettering().written("A\u200dn\ufe0fn\u200b") == "Ann"


def test_long_names_differ_and_keep_both_ends() -> None:
    names = [f"{'A' * 40} {n} {'z' * 40}" for n in range(3)] + ["short"]
    found = Lettering()
    found.learn(names)
    shown = [found.written(name) for name in names]
    assert len(set(shown)) == 4
    assert all(len(text) <= LONGEST + 4 for text in shown)
    assert shown[0].startswith("AAAA") and shown[0].endswith("zzzz")
    assert shown[3] == "short"
    assert [note.partition(" is ")[2] for note in found.notes()] == [f"{name}." for name in names[:3]]


def test_a_name_of_several_lines_gets_one() -> None:
    found = Lettering()
    found.learn(["Ann\nBen"])
    assert found.written("Words of Ann\nBen\nlayer 3") == "Words of Ann\\nBen\nlayer 3"


def test_a_cut_never_begins_with_a_mark() -> None:
    text = "a" * 20 + "e\u0301" * 20
    for longest in range(4, 30):
        assert not unicodedata.combining(middle(text, longest).partition("…")[2][:1] or "x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ann\x07", "Ann\\x07"),
        ("a\nb\r\x1b[31m", "a\\nb\\r\\x1b[31m"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800\uffff", "\\ud800\\uffff"),
        ("ok é 日本 👩\u200d💻", "ok é 日本 👩\u200d💻"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text, lines=False) == shown


def test_letters_are_as_wide_as_they_are() -> None:
    assert [letters(text) for text in ("Ann", "李雷", "e\u0301")] == [3, 4, 1]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of people with hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    turns = [(HOSTILE[0], 0.0, 0.4), (HOSTILE[1], 0.6, 1.4), (HOSTILE[2], 1.6, 2.4)]
    sketch: Sketch = room(HOSTILE, turns, times=[0.0, 1.0, 2.0], words=3, generated=1)
    sketch.scene["question"] = f"Who does {LONG} ask?"
    n = len(sketch.tokens)
    z = np.random.default_rng(0).normal(0, 1, (2, 2, n, n))
    path = draw(folder / "run.h5", sketch, softmax(z, causal(n)), numbers=[0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analyze(path, folder / "out")
    return folder / "out"


def test_every_drawing_is_xml(report: Path) -> None:
    drawings = sorted((report / "figures").glob("*.svg"))
    assert len(drawings) > 5
    for path in drawings:
        texts = "".join(ElementTree.parse(path).getroot().itertext())
        assert "\x07" not in texts
        assert LONG not in texts
    assert any("$x_1$" in path.read_text(encoding="utf-8") for path in drawings)


def test_the_page_says_what_the_figures_write(report: Path) -> None:
    page = assert_self_contained(report / "report.html")
    text = " ".join(page.text)
    assert "Texts in the figures" in text
    assert f"” is {LONG}." in text
    assert "\x07" not in text
    json.loads((report / "report.json").read_text(encoding="utf-8"))
