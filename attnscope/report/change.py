"""To whom a correction draws the answer, and in which heads: read from its parameters, which a capture holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people.cells import cell_lift
from attnscope.metrics.people.density import speaker_cells
from attnscope.metrics.registry import OVER
from attnscope.report.figures import heads
from attnscope.report.figures.canvas import Stage, stage
from attnscope.report.figures.lines import rows_of
from attnscope.report.figures.style import short
from attnscope.report.inputs import Tables, subject
from attnscope.report.page.output import Picture
from attnscope.report.page.provenance import acted, active_heads
from attnscope.report.pairing import Pairing
from attnscope.report.sections.panels import unmoved
from attnscope.scene.mentions import asked_speakers, next_visible
from attnscope.scene.names import find_name
from attnscope.vocabulary import VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

ONE, SEVERAL = ("asked", "other"), ("everyone", VISUAL, "random")  # words of `toward`: for one speaker, or for none


def drawn_to(cap: Capture) -> tuple[str | None, list[tuple[int, int]]]:
    """The speaker to whom corrections in force draw the answer, and the heads that do.

    None, and no heads, if it is drawn to no single speaker, or in no head.
    """
    found: dict[str, set[tuple[int, int]]] = {}
    for item in cap.correction:
        name, heads = _target(cap, item.get("params") or {}), acted(item)
        if name is not None and heads:
            found.setdefault(name, set()).update(heads)
    if len(found) != 1:
        return None, []
    name, heads = next(iter(found.items()))
    return name, sorted(heads)


def _target(cap: Capture, params: dict[str, Any]) -> str | None:
    """Whose cells the answer is drawn to by a correction with parameters like those of social-bias."""
    toward = params.get("toward")
    if "answer" not in [kind.strip() for kind in str(params.get("rows")).split(",")] or toward in (None, *SEVERAL):
        return None
    if params.get("whose", "own") != "own":
        return None
    if toward not in ONE:
        return find_name(str(toward), cap.scene.speakers)
    asked = asked_speakers(cap.scene)
    if len(asked) != 1:
        return None
    return asked[0] if toward == "asked" else _after(cap, asked[0], float(params.get("coverage", 0.5)))


def _after(cap: Capture, name: str, coverage: float) -> str | None:
    """The next speaker with a visible box, as the correction finds it."""
    seen = [bool(cells.any()) for cells in speaker_cells(cap, coverage)]
    return next_visible(name, dict(zip(cap.scene.speakers, seen, strict=True)))


# Two captures side by side: what the figures of a before/after report are drawn from.


TOUCHED = " of the heads touched"


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
    def target(self) -> str | None:
        """To whom a correction draws the answer; None if to nobody, or not to one speaker."""
        return drawn_to(self.two)[0]

    @property
    def drawing(self) -> list[tuple[int, int]]:
        """Heads that draw it there; where there is no such one, those in which some correction acted."""
        return drawn_to(self.two)[1] if self.target else self.active

    @property
    def threshold(self) -> float:
        """Covered fraction from which a cell counted as a speaker's."""
        tables = [table for table in self.after.values() if "threshold" in table and len(table)]
        return float(tables[0]["threshold"].iloc[0]) if tables else 0.5

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


View = tuple[str, str, int | None, int | None]  # name, in words, layer, head


def example(tables: Sequence[pd.DataFrame], touched: Collection[tuple[int, int]], what: str) -> View | None:
    """The head to show beside the mean of all: the one whose number rose most, if that can be seen.

    Of the heads that a correction touched; where none of them rose, of all. Where none rose at all, the highest after
    (of those touched).

    Args:
        tables: a number by `layer` and `head`, before and after.
        touched: (layer, head) in which a correction acted; where there is none, all heads are asked.
        what: the number.
    """
    (before, after), keys = tables, ["layer", "head"]
    rows = before[[*keys, "value"]].merge(after[[*keys, "value"]], on=keys, suffixes=("_before", "_after"))
    rows = rows[(rows["layer"] != OVER) & (rows["head"] != OVER) & rows["value_after"].notna()]
    rows = rows.assign(rise=rows["value_after"] - rows["value_before"])
    inside = [not touched or at in touched for at in zip(rows["layer"], rows["head"], strict=True)]
    own = rows[np.array(inside, dtype=bool)]
    for some, aside in ((own, ""), (rows, "; no correction touched it")):
        top = some.nlargest(1, "rise")
        one, two = (top[f"value_{when}"].to_numpy(np.float64) for when in ("before", "after"))
        if len(top) and two > one and unmoved(one, two) is None:
            return _view("most_changed", top, f"whose {what} rose most (by {short(top['rise'].item(), 2)}{aside})")
    if own.empty:
        return None
    return _view("best_head", own.nlargest(1, "value_after"), f"highest {what}{TOUCHED if touched else ''}")


def _view(name: str, top: pd.DataFrame, said: str) -> View:
    """The view of the one head of a table."""
    layer, head = int(top["layer"].item()), int(top["head"].item())
    return name, f"layer {layer}, head {head}, {said}", layer, head


@dataclass
class Section:
    """Figures under a heading, and what needs none: it is (almost) the same before and after.

    Attributes:
        said: what is said in words alone, under the lead.
    """

    title: str
    lead: str
    pictures: list[Picture]
    same: list[str]
    said: list[str] = field(default_factory=list)

    def page(self) -> dict[str, Any]:
        """What the template shows."""
        return {"title": self.title, "lead": self.lead, "pictures": self.pictures, "same": self.same, "said": self.said}
