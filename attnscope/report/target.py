"""To whom a correction draws the answer, and in which heads: read from its parameters, which a capture holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnscope.metrics.people.density import speaker_cells
from attnscope.report.page.provenance import acted
from attnscope.scene.mentions import asked_speakers, next_visible
from attnscope.scene.names import find_name
from attnscope.vocabulary import VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

# Words of `toward`: for a speaker, and for no single one.
ONE_SPEAKER, SEVERAL = ("asked", "other"), ("everyone", VISUAL, "random")


def target_of(cap: Capture) -> tuple[str | None, list[tuple[int, int]]]:
    """The speaker to whom corrections in force draw the answer, and the heads that do.

    None, and no heads, if it is drawn to no single speaker, or in no head.
    """
    heads_by_speaker: dict[str, set[tuple[int, int]]] = {}
    for item in cap.correction:
        name, heads = _target(cap, item.get("params") or {}), acted(item)
        if name is not None and heads:
            heads_by_speaker.setdefault(name, set()).update(heads)
    if len(heads_by_speaker) != 1:
        return None, []
    name, heads = next(iter(heads_by_speaker.items()))
    return name, sorted(heads)


def _target(cap: Capture, params: dict[str, Any]) -> str | None:
    """Whose cells the answer is drawn to by a correction with parameters like those of social-bias."""
    toward = params.get("toward")
    if "answer" not in [kind.strip() for kind in str(params.get("rows")).split(",")] or toward in (None, *SEVERAL):
        return None
    if params.get("whose", "own") != "own":
        return None
    if toward not in ONE_SPEAKER:
        return find_name(str(toward), cap.scene.speakers)
    asked = asked_speakers(cap.scene)
    if len(asked) != 1:
        return None
    return asked[0] if toward == "asked" else _after(cap, asked[0], float(params.get("coverage", 0.5)))


def _after(cap: Capture, name: str, coverage: float) -> str | None:
    """The next speaker with a visible box, as the correction finds it."""
    visible = [bool(cells.any()) for cells in speaker_cells(cap, coverage)]
    return next_visible(name, dict(zip(cap.scene.speakers, visible, strict=True)))
