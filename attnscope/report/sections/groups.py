"""The section on groups of captures: the headline numbers by a field of the scenes, and how the groups differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from attnscope.metrics import clips
from attnscope.metrics.headline import NO_SINKS, by_group, lines
from attnscope.report.figures.groups import numbers_by_group
from attnscope.report.inputs import Tables
from attnscope.report.page.output import Output, Picture
from attnscope.report.page.summary import records

FEW = 3  # groups whose differences are all shown; of more, those from the first


@dataclass(frozen=True)
class Groups:
    """How groups of captures compare.

    Attributes:
        by: the field that makes them.
        labels: clips of each.
        means, differences: as from `attnscope.metrics.headline.by_group`.
        pictures: the figure; none where no number is defined.
    """

    by: str
    labels: dict[str, int]
    means: pd.DataFrame
    differences: pd.DataFrame
    pictures: list[Picture]

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
            own = cells.setdefault(row["number"], {"group": row["group"], "number": row["number"], "of": {}})
            own["of"][row["label"]] = row
        shown = self.differences[self.differences["value"].notna() & with_sinks[1]]
        first = next(iter(self.labels))
        if left_out := len(self.labels) > FEW:
            shown = shown[shown["base"] == first]
        return {
            "by": self.by,
            "labels": self.labels,
            "rows": list(cells.values()),
            "differences": records(shown),
            "first": first if left_out else None,
            "pictures": self.pictures,
        }


def compare_groups(out: Output, tables: Tables, about: pd.DataFrame, by: str, denominator: str) -> Groups:
    """Compare groups of captures in the headline numbers, and draw the few that matter most.

    Args:
        out: where the figure is written.
        tables: the tables by family, with a column `capture`.
        about: what the captures are of (`attnscope.metrics.clips.keys.labels`).
        by: a field of the scenes, `speakers` or `correction`.
        denominator: of the gap.

    Raises:
        RequestError: as `attnscope.metrics.clips.contrast`.
    """
    means, differences = by_group(tables, about, by, denominator)
    sizes = {
        label: int(about.loc[about["capture"].isin(names), "clip"].nunique())
        for label, names in clips.groups(about, by).items()
    }
    key = {line.name: line for line in lines(denominator) if line.key}
    drawn = means[means["number"].isin(list(key))]
    pictures = []
    if len(drawn):
        level = {name: float(line.chance) for name, line in key.items() if isinstance(line.chance, float)}
        caption = (
            f"Means over the clips of each group (by {by}), with 95 % bootstrap intervals over clips; groups of "
            "fewer than six clips have none. Dotted: chance, or even attention."
        )
        figure = numbers_by_group(drawn, by, chance=level)
        pictures.append(out.figure("groups", figure, f"Numbers by {by}", caption))
    return Groups(by, sizes, means, differences, pictures)
