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
from attnscope.scene.names import equal_but_for_case


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

    def about(self) -> dict[str, Any]:
        """The page in a few words, for an index of pages: title, question, answers, and the sentence of its verdict."""
        questions = list(dict.fromkeys(own["question"] for own in self.captures if own.get("question")))
        answers = [
            {"name": own["name"], "answer": own["answer"], "verdict": _judged(own)}
            for own in self.captures
            if own.get("answer") not in (None, "—")
        ]
        return {
            "title": self.title,
            "question": questions[0] if len(questions) == 1 else None,
            "answers": answers,
            "sentence": _spoken(self.parts.get("verdict")),
        }

    def write(self, report: Draft, numbers: Mapping[str, Any]) -> Summary:
        """Write the page, and its numbers and notes as JSON.

        Raises:
            RunError: If a file cannot be written.
        """
        sections = [_beside(section, report) for section in _with_first(self.sections)]
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
        summary = report.summary({**numbers, "about": self.about()}, self.notes)
        report.output.json(report.document, summary.to_dict())
        return summary


def _spoken(verdict: object) -> str | None:
    """The sentence of a verdict for those who read one: the last that says what was found."""
    statements = getattr(verdict, "statements", ())
    leads = [str(statement.lead) for statement in statements if statement.about not in ("limits", "cause")]
    return leads[-1] if leads else None


def _judged(own: Mapping[str, Any]) -> str:
    """Whether the answer of a capture is the scene's: `right`, `wrong`, or "" where that is not known."""
    if not own.get("expected"):
        return ""
    return "right" if equal_but_for_case(str(own["answer"]), str(own["expected"])) else "wrong"


def _beside(section: Section, report: Draft) -> Section:
    """A section whose pictures know where their files are."""
    return replace(section, pictures=[report.output.beside(picture) for picture in section.pictures])


def _with_first(sections: Sequence[Section]) -> list[Section]:
    """Sections with figures that are shown before all of them: where none says so, two of the first that has any."""
    if any(section.first for section in sections):
        return list(sections)
    out = list(sections)
    for place, section in enumerate(out):
        if section.pictures:
            first = [replace(picture, first=True) for picture in section.pictures[:2]]
            out[place] = replace(section, pictures=[*first, *section.pictures[2:]])
            break
    return out
