"""A section of a page: a heading, its figures with their captions, and remarks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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
        table: The table that its figures are drawn from, where they name no other.
    """

    title: str
    lead: str = ""
    pictures: list[Picture] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    output: Output | None = field(default=None, repr=False, compare=False)
    table: str = ""

    @property
    def first(self) -> list[Picture]:
        """The figures that carry what the page says, which it shows before all sections."""
        return [picture for picture in self.pictures if picture.first]

    @property
    def others(self) -> list[Picture]:
        """All other figures."""
        return [picture for picture in self.pictures if not picture.first]

    def draw(
        self,
        name: str,
        drawing: Drawing,
        title: str,
        caption: str,
        *,
        table: str = "",
        alt: str = "",
        first: bool = False,
    ) -> None:
        """Write a figure and show it.

        Args:
            name: Of its files.
            drawing: The axes.
            title: Its title.
            caption: What it shows and how to read it.
            table: The table that it is drawn from; by default the section's.
            alt: What it shows, for those who cannot see it; by default read from the axes.
            first: It carries what the page says, and is shown before all sections.

        Raises:
            RunError: If a file cannot be written.
        """
        assert self.output is not None
        picture = self.output.figure(name, drawing, title, caption)
        self.pictures.append(replace(picture, table=table or self.table, first=first, alt=alt or picture.alt))
