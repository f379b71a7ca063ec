"""Two captures side by side: what the figures of a before/after report are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.cells import cell_lift
from attnscope.report.figures import heads
from attnscope.report.figures.lines import rows_of
from attnscope.report.figures.stage import Stage, stage
from attnscope.report.inputs import Tables, subject
from attnscope.report.output import Picture
from attnscope.report.pairing import Pairing
from attnscope.report.provenance import active_heads

if TYPE_CHECKING:
    from attnscope.capture import Capture


@dataclass(frozen=True)
class Change:
    """Two captures, how their positions are paired, and their numbers."""

    one: Capture
    two: Capture
    pairing: Pairing
    before: Tables
    after: Tables
    speaker: str | None
    denominator: str

    @property
    def active(self) -> list[tuple[int, int]]:
        """Heads in which a correction acted."""
        return active_heads(self.two)

    @property
    def on(self) -> Stage:
        """The frames before, without generated tokens."""
        who = subject(self.one, self.speaker) if self.one.has("maps") else None
        return stage(self.one, who[1] if who else None).prompt_only(self.one.prompt_length)

    def values(self, group: str, layer: int | None, head: int | None) -> list[NDArray[np.float64]]:
        """Attention of a query group on the prompt's positions before and after, over uniform attention."""
        one, two = (cell_lift(cap, group, layer, head) for cap in (self.one, self.two))
        return [one[: self.one.prompt_length], self.pairing.brought(two)]

    def pair(self, family: str, metric: str, **where: object) -> tuple[heads.Grid, heads.Grid] | None:
        """Both maps by head, if both are defined somewhere."""
        if family not in self.before or family not in self.after:
            return None
        parts: list[pd.DataFrame] = [rows_of(t[family], metric, **where) for t in (self.before, self.after)]
        if not all(part["value"].notna().any() for part in parts):
            return None
        return heads.grid(parts[0]), heads.grid(parts[1])


@dataclass
class Section:
    """Figures under a heading, and what needs none: it is (almost) the same before and after."""

    title: str
    lead: str
    pictures: list[Picture]
    same: list[str]

    def page(self) -> dict[str, Any]:
        """What the template shows."""
        return {"title": self.title, "lead": self.lead, "pictures": self.pictures, "same": self.same}
