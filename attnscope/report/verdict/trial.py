"""A correction beside its control: the same numbers of each run in columns, from which the verdict can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnscope.report.control import BOXES, CHOICE, WHERE, same_heads
from attnscope.report.page.provenance import active_heads, heads_in_words
from attnscope.report.pairing import shown_by
from attnscope.report.target import drawn_to
from attnscope.report.verdict.reading import Reading, role
from attnscope.report.verdict.statements import Cell, Row, Trial, count, layers, listed, name_of, quoted, share
from attnscope.scene.problems import written

if TYPE_CHECKING:
    from attnscope.capture import Capture

MOST = 8  # people who get a row; those who matter come first
BEFORE, AFTER, CONTROL = "Before", "Correction", "Control"
HOW = (
    "The bars are shares from 0 to 100 %, the upright line is chance. A share compares the attention per cell, so that "
    "a large box has no advantage. All who have a box count as people, things too."
)


def trial(caps: Sequence[Capture], readings: Sequence[Reading]) -> Trial:
    """One to three runs in columns: before, after, control.

    Args:
        caps: The captures, open.
        readings: What is said of each.
    """
    second = AFTER if len(caps) > 1 and caps[1].correction else "After"
    columns = (BEFORE, second, CONTROL)[: len(caps)] if len(caps) > 1 else ("Share",)
    people, left_out = _people(readings)
    rows = {"Attention to people when it answers": people}
    if len(caps) > 1:  # what a single capture answers stands below
        rows = {"Answer": _answers(readings), **rows}
    if len(caps) > 1 and caps[1].correction:
        rows["What is changed"] = _acts(caps)
    notes = [HOW] if people else []
    if left_out:
        notes.append(
            f"{count(left_out, 'person', 'people')} with less attention {'is' if left_out == 1 else 'are'} left out."
        )
    return Trial(columns, {title: some for title, some in rows.items() if some}, " ".join(notes))


def _answers(readings: Sequence[Reading]) -> list[Row]:
    first = readings[0]
    out = [Row("The model answers", tuple(Cell(_said(one), word=one.word) for one in readings))]
    followed = first.followed
    values = [one.option_share(followed) for one in readings]
    if any(value == value for value in values):
        cells = tuple(Cell(share(value), value if value == value else None) for value in values)
        kind = "the right answer" if followed == first.expected else "its first answer"
        out.append(Row(f"Share of {quoted(str(followed))} among the options", cells, kind))
    return out


def _said(reading: Reading) -> str:
    return quoted(reading.answer) if reading.answer else "nothing"


def _people(readings: Sequence[Reading]) -> tuple[list[Row], int]:
    """The share of each person in each run; those who matter first."""
    looks = [one.gaze for one in readings]
    first, look = readings[0], looks[0]
    if look is None:
        return [], 0
    by_share = [look.names[i] for i in (-look.share).argsort(kind="stable")]
    matter = [name for name in (*first.asked, first.expected_person, first.first) if name in look.names]
    names = list(dict.fromkeys([*matter, *by_share]))
    rows = []
    for name in sorted(names[:MOST], key=by_share.index):
        cells = []
        for own in looks:
            known = own is not None and name in own.names
            value = float(own.share[own.names.index(name)]) if own is not None and known else float("nan")
            led = own.led(name) if own is not None and known else []
            text = share(value) if known else "—"
            cells.append(Cell(f"{text}{f', first in {layers(led)}' if led else ''}", value if known else None))
        rows.append(Row(name_of(name), tuple(cells), role(first, name), look.chance))
    return rows, len(names) - len(rows)


def _acts(caps: Sequence[Capture]) -> list[Row]:
    """In which heads, how strongly and on what the correction and its control act."""
    before, after, *controls = caps
    first = Cell(_heads(before, before) if before.correction else "none")
    rows = [Row("In heads", (first, *(Cell(_heads(cap, after)) for cap in caps[1:])))]
    settings = ["; ".join(_settings(item) for item in cap.correction) for cap in caps[:2]]
    rows.append(Row("How", (*(Cell(text or "—") for text in settings), *(Cell("the same") for _ in controls))))
    drawn = ["; ".join(filter(None, (drawn_to(cap, item) for item in cap.correction))) for cap in caps]
    if any(drawn):
        rows.append(Row("Drawn to", tuple(Cell(text or "—") for text in drawn)))
    return rows


def _heads(cap: Capture, after: Capture) -> str:
    """In which heads a run was changed."""
    places = active_heads(cap)
    if not places:
        return "no head: it changes what the model is shown" if shown_by(cap.correction) else "no head"
    if cap is not after and same_heads(after, cap):
        return f"the same {count(len(places), 'head')}"
    return f"{count(len(places), 'head')} ({heads_in_words(places, cap.heads)})"


def _settings(item: dict[str, Any]) -> str:
    """A correction with the parameters that say how it acts, and not where; those alone that are not the default."""
    params, defaults = item.get("params") or {}, item.get("defaults") or {}
    idle = {*(item.get("unused") or []), *WHERE, *BOXES, *CHOICE}
    own = [
        f"{name} {written(value)}"
        for name, value in params.items()
        if name not in idle and (not defaults or written(value) != written(defaults.get(name)))
    ]
    return f"{item.get('method')} ({listed(own)})" if own else str(item.get("method"))
