"""The document that the viewer shows, of one capture or of several (types: viewer/src/document.ts)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attnscope.files import printable
from attnscope.report.page.provenance import model_name
from attnscope.report.viewer import measures
from attnscope.report.viewer.budget import rank
from attnscope.report.viewer.captures import capture_of
from attnscope.report.viewer.looks import Look
from attnscope.report.viewer.opening import opening, person_of
from attnscope.report.viewer.shown import Shown, arrange
from attnscope.report.viewer.stages import Pictures, stage_of
from attnscope.report.viewer.views import views_of

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.capture import Capture

VERSION = 1
BUDGET = 6_000_000  # characters: with the figures of a page it stays under 10 MB
PICTURES = 0.12  # of the budget at most

Tables = Mapping[str, "pd.DataFrame"]
Address = Callable[[int, int], str | None]  # of a frame of a capture, from their numbers


def view_document(
    caps: Sequence[Capture],
    tables: Sequence[Tables] | None = None,
    labels: Sequence[str] | None = None,
    *,
    budget: int = BUDGET,
    title: str = "",
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The document of a page, with everything that it shows inside.

    Args:
        caps: Open captures; of one prompt they share a stage.
        tables: Metric tables of each capture by family; by default those that are shown are computed.
        labels: What each is called: before, after, control, a name, or "".
        budget: Characters that it may take as JSON.
        title: Its title; by default the model's name.
        facts: Facts of the page's verdict, with which the viewer begins.

    Returns:
        A `ViewDocument` of viewer/src/document.ts, JSON-able.

    Raises:
        FormatError: If a capture is damaged.
    """
    shown = arrange(caps, labels or [""] * len(caps))
    numbers = [measures.values(cap, own) for cap, own in zip(caps, tables or map(measures.compute, caps), strict=True)]
    lines, about = measures.measures(caps, numbers), f"answer_lift:{person_of(facts or {})}"
    pictures = _pictures(shown, int(budget * PICTURES))
    document = skeleton(shown, lambda capture, frame: pictures[capture](frame), title=title)
    document["measures"] = [line.entry() for line in lines]
    document["notes"] = [one.note for one in shown if one.note] + _on_frames(pictures)
    for view, own in zip(document["captures"], numbers, strict=True):
        view["values"] = {name: value.packed() for name, value in own.items()}
    left = budget - len(json.dumps(document))
    ranked = _ranked(caps, numbers, sorted(lines, key=lambda line: line.id != about))  # a stable sort
    parts = views_of(shown, ranked, left // len(shown))
    for view, part in zip(document["captures"], parts, strict=True):
        view |= part.entry
    document["notes"] += _named(shown, [part.notes for part in parts])
    cleaned: dict[str, Any] = clean(document)
    first = opening(facts or {}, cleaned)
    return cleaned if first is None else cleaned | {"first": first}


def skeleton(shown: Sequence[Shown], address: Address, *, title: str = "", exact: bool = False) -> dict[str, Any]:
    """The document without numbers: neither measures and values nor views.

    Args:
        shown: The captures (`attnscope.report.viewer.shown.arrange`).
        address: Where a frame of a capture is, from their numbers.
        title: Its title; by default the model's name.
        exact: Whether whoever shows it can compute the row of any token.
    """
    firsts = [(i, one) for i, one in enumerate(shown) if one.leads]
    captures: list[dict[str, Any]] = [{**capture_of(one, exact=exact), "values": {}} for one in shown]
    for i, (one, view) in enumerate(zip(shown, captures, strict=True)):
        if one.other_frames:
            view["images"] = [address(i, frame) for frame in range(len(one.cap.frames))]
    return {
        "version": VERSION,
        "title": title or f"Attention of {model_name(shown[0].cap)}",
        "stages": [stage_of(one, partial(address, i)) for i, one in firsts],
        "captures": captures,
        "measures": [],
        "notes": [],
    }


def clean(value: Any) -> Any:
    """The same document, its texts without control characters."""
    if isinstance(value, str):
        return value if value.startswith("data:image/jpeg;base64,") else printable(value)
    if isinstance(value, dict):
        return {clean(key): own if key == "data" else clean(own) for key, own in value.items()}
    return [clean(own) for own in value] if isinstance(value, list) else value


def _ranked(
    caps: Sequence[Capture], numbers: Sequence[measures.Values], lines: Sequence[measures.Line]
) -> list[list[Look]]:
    """The heads of each capture, the same order for all that have the same ones."""
    out = []
    for cap in caps:
        alike = [n for n, other in enumerate(caps) if _heads(other) == _heads(cap)]
        out.append(rank([caps[n] for n in alike], [numbers[n] for n in alike], lines))
    return out


def _heads(cap: Capture) -> tuple[list[int], int]:
    return cap.layers.tolist(), cap.heads


def _pictures(shown: Sequence[Shown], budget: int) -> dict[int, Pictures]:
    """The frames of every capture that has its own, by its number."""
    own = [i for i, one in enumerate(shown) if one.leads or one.other_frames]
    return {i: Pictures(shown[i].cap, budget // len(own)) for i in own}


def _named(shown: Sequence[Shown], notes: Sequence[Sequence[str]]) -> list[str]:
    """Sentences on captures, each once, with the names of the captures that it is about where it is not about all."""
    about: dict[str, list[str]] = {}
    for one, own in zip(shown, notes, strict=True):
        for note in own:
            about.setdefault(note, []).append(one.label or one.cap.path.name)
    return [note if len(names) == len(shown) else f"{', '.join(names)}: {note}" for note, names in about.items()]


def _on_frames(pictures: Mapping[int, Pictures]) -> list[str]:
    """What is said of frames without a picture."""
    out = []
    for own in pictures.values():
        total = len(own.cap.frames)
        if own.left_out:
            out.append(
                f"{own.cap.path.name}: the page has the pictures of {total - own.left_out:,} of {total:,} frames, "
                "evenly chosen, so that it stays small."
            )
    return out
