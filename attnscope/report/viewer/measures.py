"""The numbers of heads that the grid can show: which rows of which metric tables they are, and their order.

The first is what the page is about: where the question names one visible person the answer's lift on that person, else
speaker consistency, else the mass of words on the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope import metrics
from attnscope.metrics.registry import OVER
from attnscope.report.viewer.packing import pack
from attnscope.scene.mentions import asked_speakers
from attnscope.vocabulary import TEXT, VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

Tables = Mapping[str, pd.DataFrame]
METRICS = (
    "answer_lift",
    "speaker_consistency_lift",
    "speaker_density",
    "grounding_auc",
    "mass_share",
    "lift",
    "gap",
    "mdi",
    "sink_share",
    "row_entropy",
    "cross_attention",
    "spatial_entropy",
    "output_gate",
)
FRAMES = {"live": "while they speak", "all": "in all frames"}


@dataclass(frozen=True)
class Line:
    """One number of every head: the rows of a metric with given keys.

    Attributes:
        metric: The metric.
        title: What it is called.
        where: Values of its keys.
        center: Its value by chance or under uniform attention; None where it has none that is the same for all heads.
        person: Whom it is about.
    """

    metric: str
    title: str
    where: Mapping[str, object] = field(default_factory=dict)
    center: float | None = None
    person: str | None = None

    @property
    def id(self) -> str:
        """What it is called in addresses: the metric and the values of its keys."""
        return ":".join([self.metric, *map(str, self.where.values())])

    def entry(self) -> dict[str, Any]:
        """A `Measure` of viewer/src/document.ts."""
        metric = metrics.get(self.metric)
        return {
            "id": self.id,
            "title": self.title,
            "definition": metric.definition,
            "unit": metric.unit,
            "source": metric.source,
            "center": self.center,
            "chance": metric.chance,
            "person": self.person,
        }


@dataclass(frozen=True)
class ByHead:
    """A number of every head of one capture, [L, H], with its p and q where it is tested; NaN where not defined."""

    value: NDArray[np.float64]
    p: NDArray[np.float64] | None = None
    q: NDArray[np.float64] | None = None

    @property
    def known(self) -> bool:
        """Whether it is defined in any head."""
        return bool(np.isfinite(self.value).any())

    def packed(self) -> dict[str, Any]:
        """As the document has it."""
        tested = {"p": self.p, "q": self.q}
        return {
            "value": pack(self.value),
            **{name: pack(array) for name, array in tested.items() if array is not None and np.isfinite(array).any()},
        }


Values = dict[str, ByHead]


def lines(cap: Capture) -> list[Line]:
    """Everything that can be shown of a capture, the first first; what it lacks is among them."""
    people = list(cap.scene.speakers)
    asked = asked_speakers(cap.scene)
    answer = [
        Line("answer_lift", f"Answer's lift on {name}", {"speaker": name}, 1.0, name)
        for name in [*asked, *(name for name in people if name not in asked)]
    ]
    consistency = [
        Line("speaker_consistency_lift", f"Lift of speaker consistency, {words}", {"frames": frames}, 1.0)
        for frames, words in FRAMES.items()
    ]
    auc = [Line("grounding_auc", "Grounding AUC, mean of all people", _auc(""), 0.5)]
    auc += [Line("grounding_auc", f"Grounding AUC of the words of {name}", _auc(name), 0.5, name) for name in people]
    own = [
        Line("speaker_density", f"Density of the words of {name} on {name}", _own(name), None, name) for name in people
    ]
    first = [*answer[: len(asked)], *consistency] if len(asked) == 1 else [*consistency, *answer[: len(asked)]]
    return [*first, *answer[len(asked) :], *auc, *_modalities(), *own, *_others()]


def _auc(speaker: str) -> dict[str, object]:
    return {"speaker": speaker, "frames": "live", "turn": OVER}


def _own(speaker: str) -> dict[str, object]:
    return {"speaker": speaker, "target": speaker, "frames": "live"}


def _modalities() -> list[Line]:
    across = {"query": TEXT, "key": VISUAL, "sinks": "with"}
    gap = {"sinks": "with", "denominator": "max"}
    return [
        Line("mass_share", "Mass of text on the video", across),
        Line("lift", "Lift of text on the video", across, 1.0),
        Line("gap", "Gap between self and cross attention, text", {"query": TEXT, **gap}),
        Line("gap", "Gap between self and cross attention, video", {"query": VISUAL, **gap}),
        Line("mdi", "Text token over visual token (MDI), answer", {"query": "answer", "sinks": "with"}, 1.0),
        Line("sink_share", "Mass of text on sinks", {"query": TEXT}),
        Line("sink_share", "Mass of the answer position on sinks", {"query": "answer_position"}),
        Line("row_entropy", "Entropy of text", {"query": TEXT}),
        Line("row_entropy", "Entropy of the answer position", {"query": "answer_position"}),
    ]


def _others() -> list[Line]:
    return [
        Line("cross_attention", "Attention from utterances to speakers"),
        Line("spatial_entropy", "Spatial entropy of the answer's look", {"sinks": "with"}),
        Line("output_gate", "Output gate at the answer position"),
    ]


def values(cap: Capture, tables: Tables) -> Values:
    """Every number that a capture's tables define in some head, by the id of its line.

    Args:
        cap: The capture.
        tables: Its metric tables, by family.
    """
    single = {family: _of_heads(table) for family, table in tables.items()}
    found = {line.id: _by_head(cap, line, single) for line in lines(cap)}
    return {name: value for name, value in found.items() if value is not None and value.known}


def measures(caps: Iterable[Capture], values: Sequence[Values]) -> list[Line]:
    """The lines that some capture has values of, in the order of the first capture that has them."""
    known = {name for own in values for name in own}
    out = {line.id: line for cap in caps for line in reversed(lines(cap)) if line.id in known}
    order = {line.id: i for cap in list(caps)[::-1] for i, line in enumerate(lines(cap))}
    return sorted(out.values(), key=lambda line: order[line.id])


def compute(cap: Capture) -> dict[str, pd.DataFrame]:
    """The tables that `values` needs, where nobody has them yet."""
    return metrics.compute(cap, METRICS)


def _of_heads(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["layer"] != OVER) & (table["head"] != OVER) & table["metric"].isin(METRICS)]


def _by_head(cap: Capture, line: Line, tables: Tables) -> ByHead | None:
    """The rows of a line as [L, H]; None where no table has them."""
    table = tables.get(metrics.get(line.metric).family)
    if table is None or table.empty:
        return None
    keep = (table["metric"] == line.metric).to_numpy(copy=True)
    for column, value in line.where.items() if keep.any() else ():
        keep &= (table[column] == value).to_numpy()
    rows = table[keep]
    if rows.empty:
        return None
    if rows.duplicated(["layer", "head"]).any():
        raise ValueError(f"{line.id}: several numbers of one head")
    at = np.searchsorted(cap.layers, rows["layer"].to_numpy(np.int64)), rows["head"].to_numpy(np.int64)
    arrays = {}
    for name in ("value", "p", "q"):
        if name in rows:
            arrays[name] = np.full((len(cap.layers), cap.heads), np.nan)
            arrays[name][at] = rows[name].to_numpy(np.float64)
    return ByHead(**arrays)
