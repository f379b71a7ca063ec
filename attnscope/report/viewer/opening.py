"""What the viewer shows first: what the page's verdict speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attnscope.files import printable
from attnscope.report.viewer.looks import Look
from attnscope.report.viewer.packing import unpack
from attnscope.vocabulary import ANSWER_POSITION


def person_of(facts: Mapping[str, Any]) -> str | None:
    """Whom the answer looks at most, as a verdict says; None where it says nobody."""
    name = _first(facts).get("looks_most_at")
    return None if name is None else str(name)


def opening(facts: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the viewer begins: a part of `State` in viewer/src/state.ts.

    That is the answer's lift on the person whom the verdict names, the mean of the layer in which that person gets
    most, and the frame on which most of it falls.

    Args:
        facts: Facts of the verdict on the first capture, or on a change from it.
        document: The document, whole but for this.

    Returns:
        The part; None where the verdict names nobody, or the document has no number of that person.
    """
    name = person_of(facts)
    measure = f"answer_lift:{printable(name)}" if name is not None else ""
    if name is None or measure not in [str(own["id"]) for own in document["measures"]]:
        return None
    layer = _first(facts)["attention"]["people"][name].get("layer_most")
    look = Look(None if layer is None else int(layer)).entry()
    first: dict[str, Any] = {"measure": measure}
    views = document["captures"][0].get("views")
    if views is None or look not in views["looks"]:
        return first
    names = [group["name"] for group in document["captures"][0]["groups"]]
    if ANSWER_POSITION not in names:
        return first
    maps = unpack(views["maps"])[views["looks"].index(look), names.index(ANSWER_POSITION)]
    frame = _frame(document["stages"][0], maps)
    query = {"kind": "group", "name": ANSWER_POSITION}
    return first | {"look": look, "query": query} | ({} if frame is None else {"frame": frame})


def _first(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts of the first capture."""
    before = facts.get("before")
    return before if isinstance(before, Mapping) else facts


def _frame(stage: Mapping[str, Any], lift: np.ndarray) -> int | None:
    """The frame with a picture whose cells have the highest mean lift [T]; None where no frame has both."""
    first, last = (unpack(stage["cells"][name]) for name in ("first", "last"))
    best, highest = None, -np.inf
    for row, frame in enumerate(stage["frames"]):
        here = (first <= row) & (row <= last) & np.isfinite(lift)
        if frame["image"] is not None and here.any() and (mean := float(lift[here].mean(dtype=np.float64))) > highest:
            best, highest = row, mean
    return best
