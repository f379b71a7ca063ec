"""A section of a page: a heading, its figures with their captions, and remarks."""

from __future__ import annotations

from dataclasses import dataclass, field

from attnscope.report.figures.style import Drawing
from attnscope.report.page.output import Output, Picture


@dataclass
class Section:
    """Figures under a heading.

    Attributes:
        title: The heading.
        lead: What the section asks, in a sentence; "" for none.
        pictures: The figures.
        unchanged: What has no figure since it is (almost) the same before and after.
        remarks: Sentences under the lead.
        output: Where figures are written.
    """

    title: str
    lead: str = ""
    pictures: list[Picture] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    output: Output | None = field(default=None, repr=False, compare=False)

    def draw(self, name: str, drawing: Drawing, title: str, caption: str) -> None:
        """Write a figure and show it.

        Raises:
            RunError: If a file cannot be written.
        """
        assert self.output is not None
        self.pictures.append(self.output.figure(name, drawing, title, caption))
