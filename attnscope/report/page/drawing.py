"""The sections of a page, drawn in their order or, where a second core is free, some of them beside the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from attnscope.report.figures.labels import Lettering, current
from attnscope.report.page.aside import aside, is_possible
from attnscope.report.page.output import Output
from attnscope.report.page.section import Section


class Maker(NamedTuple):
    """What draws a section.

    Attributes:
        draw: Draws it.
        from_tables: It reads no capture, so that another process may draw it.
    """

    draw: Callable[[], Section]
    from_tables: bool


class _Drawn(NamedTuple):
    """A section, and the files of its figures."""

    section: Section
    figures: list[Path]


def draw_sections(
    output: Output, makers: Sequence[Maker], meanwhile: Callable[[], None] = lambda: None
) -> list[Section]:
    """Draw sections; their figures are listed in the order of the sections, whoever draws them.

    Args:
        output: Where figures are written.
        makers: What draws the sections.
        meanwhile: Other work that writes no figures, done here while another process draws.

    Raises:
        RunError: If a file cannot be written.
    """
    earlier = list(output.figures)
    beside = [maker for maker in makers if maker.from_tables]
    if not is_possible() or len(beside) in (0, len(makers)):
        meanwhile()
        drawn = _drawn(output, makers)
    else:
        with aside(lambda: _handed_over(output, beside)) as result:
            meanwhile()
            own = _drawn(output, [maker for maker in makers if not maker.from_tables])
            others, lettering = result()
        if not current().joined(lettering):  # both met new letters that no font has, and gave them the same marks
            others = _drawn(output, beside)
        both = iter(own), iter(others)
        drawn = [next(both[maker.from_tables]) for maker in makers]
    output.figures[:] = [*earlier, *(path for part in drawn for path in part.figures)]
    return [replace(part.section, output=output) for part in drawn]


def _drawn(output: Output, makers: Sequence[Maker]) -> list[_Drawn]:
    drawn = []
    for maker in makers:
        before = len(output.figures)
        section = maker.draw()
        drawn.append(_Drawn(section, output.figures[before:]))
    return drawn


def _handed_over(output: Output, makers: Sequence[Maker]) -> tuple[list[_Drawn], Lettering]:
    """In the other process: what is drawn there, and what its figures write otherwise."""
    output.progress = None
    return [part._replace(section=replace(part.section, output=None)) for part in _drawn(output, makers)], current()
