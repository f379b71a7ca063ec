"""The section on groups of captures: the headline numbers by a field of the scenes, and how the groups differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from attnscope.metrics import clips
from attnscope.metrics.headline import NO_SINKS, OF, by_group, lines
from attnscope.report.figures.groups import numbers_by_group
from attnscope.report.inputs import Analysis
from attnscope.report.page.section import Section
from attnscope.report.page.summary import records

FEW = 3  # groups whose differences are all shown; of more, those from the first


@dataclass(frozen=True)
class Groups:
    """How groups of captures compare.

    Attributes:
        by: The field that makes them.
        labels: Clips of each.
        means, differences: As from `attnscope.metrics.headline.by_group`.
        section: Heading, lead and figure (none where no number is defined).
    """

    by: str
    labels: dict[str, int]
    means: pd.DataFrame
    differences: pd.DataFrame
    section: Section

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "by": self.by,
            "clips": self.labels,
            "means": records(self.means),
            "differences": records(self.differences),
        }

    def page(self) -> dict[str, Any]:
        """What the page shows, of the numbers with sinks: a row of `means` for each, and the `differences`.

        Of more than a few groups only the differences from the first.
        """
        cells: dict[str, dict[str, Any]] = {}
        with_sinks = [~table["number"].str.endswith(NO_SINKS) for table in (self.means, self.differences)]
        for row in records(self.means[with_sinks[0]]):
            own = cells.setdefault(row["number"], {name: row[name] for name in OF} | {"of": {}})
            own["of"][row["label"]] = row
        differences = self.differences[self.differences["value"].notna() & with_sinks[1]]
        first = next(iter(self.labels))
        if left_out := len(self.labels) > FEW:
            differences = differences[differences["base"] == first]
        return {
            "by": self.by,
            "labels": self.labels,
            "rows": list(cells.values()),
            "differences": records(differences),
            "first": first if left_out else None,
            "section": self.section,
        }


def compare_groups(analysis: Analysis, by: str) -> Groups:
    """Compare groups of captures in the headline numbers, and draw the few that matter most.

    Args:
        analysis: The captures.
        by: A field of the scenes, `speakers` or `correction`.

    Raises:
        RequestError: As `attnscope.metrics.clips.contrast`.
    """
    about, denominator = analysis.about, analysis.denominator
    means, differences = by_group(analysis.tables, about, by, denominator)
    sizes = {
        label: int(about.loc[about["capture"].isin(names), "clip"].nunique())
        for label, names in clips.groups(about, by).items()
    }
    lead = (
        "The same numbers for each group of captures: means over its clips, with 95 % bootstrap intervals over clips "
        "where there are at least six. Sinks are included; tables/groups has all numbers, also without them. "
        f"Differences between groups are not causes: their clips may differ in more than {by}."
    )
    section = Section(f"By {by}", lead, output=analysis.output, table="groups")
    key = {line.name: line for line in lines(denominator) if line.key}
    rows = means[means["number"].isin(list(key))]
    if len(rows):
        level = {name: float(line.chance) for name, line in key.items() if isinstance(line.chance, float)}
        section.draw(
            "groups",
            numbers_by_group(rows, by, chance=level),
            f"Numbers by {by}",
            f"Means over the clips of each group (by {by}), with 95 % bootstrap intervals over clips; groups of "
            "fewer than six clips have none. Dotted: chance, or even attention.",
        )
    return Groups(by, sizes, means, differences, section)
