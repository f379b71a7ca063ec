"""A page of a report: what all four kinds (analyze, compare, sweep, what_if) have, and how it becomes files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from attnscope.report.page.render import render
from attnscope.report.page.section import Section
from attnscope.report.page.staging import Draft
from attnscope.report.page.summary import Summary
from attnscope.report.viewer.embedding import Embedded


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        template: File name of its template.
        title: Its heading.
        notes: Sentences that a reader must know first.
        sections: Figures by heading.
        captures: What it says of each capture (`attnscope.report.page.captures.capture_page`).
        caption: A sentence under the title; "" for none.
        parts: What only this kind of page shows.
        viewer: The interactive part; None for none.
    """

    template: str
    title: str
    notes: Sequence[str]
    sections: Sequence[Section]
    captures: Sequence[Mapping[str, Any]]
    caption: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict)
    viewer: Embedded | None = None

    def write(self, report: Draft, numbers: Mapping[str, Any]) -> Summary:
        """Write the page, and its numbers and notes as JSON.

        Raises:
            RunError: If a file cannot be written.
        """
        sections = [_beside(section, report) for section in self.sections]
        page = render(
            self.template,
            title=self.title,
            notes=self.notes,
            sections=sections,
            first=[picture for section in sections for picture in section.first],
            captures=self.captures,
            caption=self.caption,
            viewer=self.viewer,
            **{name: _beside(part, report) if isinstance(part, Section) else part for name, part in self.parts.items()},
        )
        report.output.text(report.page, page)
        summary = report.summary(numbers, self.notes)
        report.output.json(report.document, summary.to_dict())
        return summary


def _beside(section: Section, report: Draft) -> Section:
    """A section whose pictures know where their files are."""
    return replace(section, pictures=[report.output.beside(picture) for picture in section.pictures])
