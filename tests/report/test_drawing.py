"""Sections that another process draws are those that this one would draw."""

from __future__ import annotations

import os
import time

import pytest
from matplotlib.figure import Figure

from attnscope.errors import RequestError, RunError
from attnscope.report.figures.labels import Lettering, current, lettering
from attnscope.report.page import aside, drawing
from attnscope.report.page.aside import is_possible
from attnscope.report.page.drawing import Maker, draw_sections
from attnscope.report.page.output import Output
from attnscope.report.page.section import Section

copies = pytest.mark.skipif(not is_possible(), reason="work is done aside on Linux with a second core")
NAMES = ("one", "two", "three")


def makers(output, learn=()):
    """Three sections with two figures each, of which the first and the last read no capture."""

    def make(name):
        current().stand_ins.update({text: (mark, "") for whose, text, mark in learn if whose == name})
        section = Section(name, output=output)
        for part in "ab":
            ax = Figure().add_subplot()
            ax.plot([0, 1])
            section.draw(f"{name}_{part}", ax, name, str(os.getpid()))
        return section

    return [Maker(lambda name=name: make(name), name != "two") for name in NAMES]


@pytest.mark.parametrize("apart", [pytest.param(True, marks=copies), False])
def test_figures_are_listed_in_the_order_of_sections(tmp_path, monkeypatch, apart):
    monkeypatch.setattr(drawing, "is_possible", lambda: apart)
    output = Output(tmp_path, figures=[tmp_path / "earlier.png"])
    sections = draw_sections(output, makers(output))
    assert [section.title for section in sections] == list(NAMES)
    assert all(section.output is output for section in sections)
    assert [path.stem for path in output.figures[1::2]] == [f"{name}_{part}" for name in NAMES for part in "ab"]
    assert all(path.exists() for path in output.figures[1:])
    who = [{picture.caption for picture in section.pictures} for section in sections]
    assert who[0] == who[2] and (who[0] == who[1]) is not apart
    assert who[1] == {str(os.getpid())}


@copies
@pytest.mark.parametrize("marks", ["[1]", "[2]"])
def test_letters_without_a_font_have_one_mark_each_in_both_processes(tmp_path, marks):
    """Where both processes give the same mark to other letters, the figures of one are drawn again."""
    output = Output(tmp_path)
    with lettering():
        sections = draw_sections(output, makers(output, [("one", "x", "[1]"), ("two", "y", marks)]))
        assert set(current().stand_ins) == {"x", "y"}
    again = sections[0].pictures[0].caption == str(os.getpid())
    assert again is (marks == "[1]")
    assert len(output.figures) == 12


def test_what_two_parts_of_a_report_write_otherwise_is_joined_if_no_text_has_two_forms():
    one = Lettering({"a name that is long": "a n…long"}, {"x": ("[1]", "why")})
    assert one.joined(Lettering({}, {"y": ("[2]", "why")})) and set(one.stand_ins) == {"x", "y"}
    assert one.joined(one)
    before = dict(one.names), dict(one.stand_ins)
    for other in (
        Lettering({"a name that is long": "else"}),
        Lettering({"another": "a n…long"}),
        Lettering({}, {"z": ("[1]", "why")}),
        Lettering({}, {"x": ("[3]", "why")}),
    ):
        assert not one.joined(other)
        assert (one.names, one.stand_ins) == before


@copies
def test_errors_come_back_and_the_copy_ends_with_the_block():
    def fail():
        raise RequestError("no such thing")

    with aside.aside(fail) as result, pytest.raises(RequestError, match=r"^no such thing$"):
        result()
    with aside.aside(lambda: os._exit(3)) as result, pytest.raises(RunError, match="was ended"):
        result()
    with aside.aside(lambda: lambda: None) as result, pytest.raises(RunError, match="cannot be drawn"):
        result()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), aside.aside(lambda: time.sleep(60)):
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 30  # not waited for
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_work_is_done_here_where_there_is_no_second_core(monkeypatch):
    monkeypatch.setattr(aside, "is_possible", lambda: False)
    with aside.aside(os.getpid) as result:
        assert result() == os.getpid()
