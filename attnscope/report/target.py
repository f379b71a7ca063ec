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
_WORDS = {
    "everyone": "the cells of everybody",
    VISUAL: "all visual tokens",
    "random": "as many cells at a random place",
}


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


def drawn_to(cap: Capture, item: dict[str, Any]) -> str:
    """What a recorded correction draws tokens to, in words; "" where it draws to nobody's cells."""
    params = {**(item.get("defaults") or {}), **(item.get("params") or {})}
    if "toward" not in params:
        return ""
    whose = str(params.get("whose", "own"))
    if whose in _WORDS:
        return _WORDS[whose]
    if "answer" not in _kinds(params):
        return "each speaker's own cells" if whose == "own" else "another person's cells in place of each speaker's own"
    toward = str(params.get("toward"))
    name = _named(cap, params)
    if name is None:
        return _WORDS.get(toward, "nobody's cells" if whose == "own" else "another person's cells")
    return f"the cells of {name}"


def _kinds(params: dict[str, Any]) -> list[str]:
    """Which tokens are edited."""
    return [kind.strip() for kind in str(params.get("rows")).split(",")]


def _target(cap: Capture, params: dict[str, Any]) -> str | None:
    """Whose cells the answer is drawn to by a correction with parameters like those of social-bias."""
    toward = params.get("toward")
    if "answer" not in _kinds(params) or toward in (None, *SEVERAL) or params.get("whose", "own") != "own":
        return None
    return _named(cap, params)


def _named(cap: Capture, params: dict[str, Any]) -> str | None:
    """The one person whose cells rows of the answer are drawn to; None if there is no such one."""
    whose, toward = params.get("whose", "own"), params.get("toward")
    if whose not in ("own", "other") or toward in (None, *SEVERAL):
        return None
    coverage = float(params.get("coverage", 0.5))
    if toward in ONE_SPEAKER:
        asked = asked_speakers(cap.scene)
        if len(asked) != 1:
            return None
        name = asked[0] if toward == "asked" else _after(cap, asked[0], coverage)
    else:
        name = find_name(str(toward), cap.scene.speakers)
    return name if whose == "own" or name is None else _after(cap, name, coverage)


def _after(cap: Capture, name: str, coverage: float) -> str | None:
    """The next speaker with a visible box, as the correction finds it."""
    visible = [bool(cells.any()) for cells in speaker_cells(cap, coverage)]
    return next_visible(name, dict(zip(cap.scene.speakers, visible, strict=True)))
