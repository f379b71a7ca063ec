"""Two captures side by side: what the figures of a before/after report are drawn from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.clips.curves import rows_of
from attnscope.metrics.people.cells import cell_lift
from attnscope.metrics.registry import OVER
from attnscope.report.figures import heads
from attnscope.report.figures.frames.backdrop import Backdrop, backdrop
from attnscope.report.figures.style import short
from attnscope.report.inputs import Tables, subject
from attnscope.report.page.output import Output
from attnscope.report.page.provenance import active_heads
from attnscope.report.page.section import Section
from attnscope.report.pairing import Pairing
from attnscope.report.sections.panels import SCALE, View, unmoved
from attnscope.report.target import target_of

if TYPE_CHECKING:
    from attnscope.capture import Capture

TOUCHED = " of the heads touched"


@dataclass(frozen=True)
class Change:
    """Two captures, how their positions are paired, and their tables before and after.

    Attributes:
        output: Where figures are written.
        first, second: The captures.
        pairing: How their positions are paired.
        before, after: Their tables by family.
        speaker: Whose attention is drawn over the frames, if somebody was asked for.
        denominator: Denominator of the gap.
    """

    output: Output
    first: Capture
    second: Capture
    pairing: Pairing
    before: Tables
    after: Tables
    speaker: str | None
    denominator: str

    @property
    def active(self) -> list[tuple[int, int]]:
        """Heads in which a correction acted."""
        return active_heads(self.second)

    @property
    def target(self) -> str | None:
        """To whom a correction draws the answer; None if to nobody, or not to one speaker."""
        return target_of(self.second)[0]

    @property
    def drawing_heads(self) -> list[tuple[int, int]]:
        """Heads that draw it there; where there is no such one, those in which some correction acted."""
        return target_of(self.second)[1] if self.target else self.active

    @property
    def threshold(self) -> float:
        """Covered fraction from which a cell counted as a speaker's."""
        tables = [table for table in self.after.values() if "threshold" in table and len(table)]
        return float(tables[0]["threshold"].iloc[0]) if tables else 0.5

    @property
    def backdrop(self) -> Backdrop:
        """The frames before, without generated tokens."""
        who = subject(self.first, self.speaker) if self.first.has("maps") else None
        return backdrop(self.first, who[1] if who else None).prompt_only(self.first.prompt_length)

    def both(self, family: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """The tables of a family before and after, if both captures have it."""
        if family not in self.before or family not in self.after:
            return None
        return self.before[family], self.after[family]

    def values(self, group: str, view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Attention of a query group on the prompt's positions before and after, over uniform attention."""
        before, after = (cell_lift(cap, group, view.layer, view.head) for cap in (self.first, self.second))
        return before[: self.first.prompt_length], self.pairing.brought(after)

    def pair(self, family: str, metric: str, **where: object) -> tuple[heads.Grid, heads.Grid] | None:
        """Both maps by head, if both are defined somewhere."""
        tables = self.both(family)
        parts = [rows_of(table, metric, **where) for table in tables] if tables else []
        if not parts or not all(part["value"].notna().any() for part in parts):
            return None
        return heads.grid(parts[0]), heads.grid(parts[1])

    def draw_heads(
        self,
        section: Section,
        pair: tuple[heads.Grid, heads.Grid] | None,
        name: str,
        title: str,
        unit: str,
        caption: str,
        center: float | None = None,
    ) -> None:
        """Draw maps by head before, after and of the change, or say in words that there is none."""
        if pair is None:
            return
        if how := unmoved(pair[0].values, pair[1].values):
            section.unchanged.append(f"{title[0].lower()}{title[1:]}, of every head ({how})")
            return
        figure = heads.heads_change(*pair, title=title, unit=unit, center=center, active=self.active)
        section.draw(name, figure, f"{title}, by head", f"{caption} {SCALE}")


def example(tables: Sequence[pd.DataFrame], touched: Collection[tuple[int, int]], what: str) -> View | None:
    """The head to show beside the mean of all: the one whose number rose most, if that can be seen.

    Of the heads that a correction touched; where none of them rose, of all. Where none rose at all, the highest after
    (of those touched).

    Args:
        tables: A number by `layer` and `head`, before and after.
        touched: (layer, head) in which a correction acted; where there is none, all heads count.
        what: The number.
    """
    (before, after), keys = tables, ["layer", "head"]
    rows = before[[*keys, "value"]].merge(after[[*keys, "value"]], on=keys, suffixes=("_before", "_after"))
    rows = rows[(rows["layer"] != OVER) & (rows["head"] != OVER) & rows["value_after"].notna()]
    rows = rows.assign(rise=rows["value_after"] - rows["value_before"])
    inside = [not touched or at in touched for at in zip(rows["layer"], rows["head"], strict=True)]
    own = rows[np.array(inside, dtype=bool)]
    for heads_of, aside in ((own, ""), (rows, "; no correction touched it")):
        top = heads_of.nlargest(1, "rise")
        low, high = (top[f"value_{when}"].to_numpy(np.float64) for when in ("before", "after"))
        if len(top) and high > low and unmoved(low, high) is None:
            return _view("most_changed", top, f"whose {what} rose most (by {short(top['rise'].item(), 2)}{aside})")
    if own.empty:
        return None
    return _view("best_head", own.nlargest(1, "value_after"), f"highest {what}{TOUCHED if touched else ''}")


def _view(name: str, top: pd.DataFrame, why: str) -> View:
    """The view of the one head of a table."""
    layer, head = int(top["layer"].item()), int(top["head"].item())
    return View(name, f"layer {layer}, head {head}, {why}", layer, head)
