"""What belongs beside every corrected result: the same corrections with the wrong boxes, worse boxes, or other heads.

A correction that helps because of whose pixels it draws to should not help with another person's, with everybody's or
with a random box; one that helps through its heads should not help on those of lowest g in each prompt; and jittered,
moved and missing boxes say how good the boxes have to be (ours). A control is a correction too, so it can
be written to correction.json and evaluated like any other (`attnscope.correct.controls.Controlled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attnscope.correct.base import Correction
from attnscope.correct.controls.wrapper import Controlled
from attnscope.correct.heads import fixed
from attnscope.correct.params import declared
from attnscope.errors import Argument, RequestError
from attnscope.vocabulary import VISUAL

EVERY_LAYER = "0.0-1.0"
LOWEST_G = "lowest-g heads"  # of each prompt; heads that a calibration ranks lowest are another control
# Controls with other cells or heads, which should not do what the correction does; worse boxes ask something else
ELSEWHERE = ("wrong speaker", "all boxes", "all visual tokens", "random box", LOWEST_G)


def controls(
    corrections: Sequence[Correction], *, jitter: float = 0.1, shift: float = 0.5, drop: float = 0.5, seed: int = 0
) -> dict[str, list[Correction]]:
    """The controls of some corrections that are applied together.

    In each control, the corrections that it is about are changed and the others stay. A control that is about none of
    them is not there; `left_out` says why.

    Args:
        corrections: In their order.
        jitter: Noise on the edges of boxes, as a fraction of their width or height.
        shift: How far boxes are moved, likewise.
        drop: Share of boxes that are missing.
        seed: Seed of the random numbers.

    Returns:
        By name: "wrong speaker", "all boxes", "all visual tokens", "random box", "lowest-g heads", "jittered boxes",
        "moved boxes", "missing boxes".
    """
    return _made(corrections, jitter, shift, drop, seed)[0]


def control(corrections: Sequence[Correction], name: str) -> list[Correction]:
    """One control of some corrections, by its name.

    Args:
        corrections: In their order.
        name: One of `ELSEWHERE`; hyphens may stand for spaces ("wrong-speaker").

    Raises:
        RequestError: If there is no such control, or none of these corrections, with the reason.
    """
    known = {slug(one): one for one in ELSEWHERE}
    chosen = known.get(slug(name))
    if chosen is None:
        raise RequestError(Argument("control", name), f": unknown; known: {', '.join(known)}")
    made, why = _made(corrections, 0.1, 0.5, 0.5, 0)
    if chosen in made:
        return made[chosen]
    ready = [slug(one) for one in ELSEWHERE if one in made]
    instead = f"; these corrections have {', '.join(ready)}" if ready else ""
    raise RequestError(Argument("control", name), f": {why[chosen]}{instead}")


def slug(name: str) -> str:
    """The name of a control as a command takes it."""
    return name.strip().replace(" ", "-")


def left_out(corrections: Sequence[Correction]) -> dict[str, str]:
    """Why a control is not among `controls`, by its name."""
    return _made(corrections, 0.1, 0.5, 0.5, 0)[1]


def _made(
    corrections: Sequence[Correction], jitter: float, shift: float, drop: float, seed: int
) -> tuple[dict[str, list[Correction]], dict[str, str]]:
    # What a control sets: a correction takes part in it if it knows controls
    changes: dict[str, dict[str, Any]] = {
        "wrong speaker": {"whose": "other"},
        "all boxes": {"whose": "everyone"},
        "all visual tokens": {"whose": VISUAL},
        "random box": {"whose": "random", "seed": seed},
        LOWEST_G: {"lowest": True},
        "jittered boxes": {"box_jitter": jitter, "seed": seed},
        "moved boxes": {"box_shift": shift, "seed": seed},
        "missing boxes": {"box_drop": drop, "seed": seed},
    }
    made: dict[str, list[Correction]] = {}
    why: dict[str, str] = {}
    for name, change in changes.items():
        try:
            changed = [_changed(correction, change) for correction in corrections]
        except RequestError as error:
            why[name] = str(error)
            continue
        if any(correction is not None for correction in changed):
            made[name] = [new or old for new, old in zip(changed, corrections, strict=True)]
        else:
            methods = ", ".join(correction.method for correction in corrections) or "nothing"
            about = "heads" if "lowest" in change else "speakers' boxes"
            why[name] = f"{methods}: chooses nothing by {about}, or is this control already"
    return made, why


def _changed(correction: Correction, change: dict[str, Any]) -> Correction | None:
    """A correction under a control; None if it knows no controls, or nothing would change.

    Raises:
        RequestError: If the correction contradicts the control.
    """
    own, before = correction, dict[str, Any]()
    if isinstance(correction, Controlled):
        own, before = correction.of, {name: getattr(correction, name) for name in declared(Controlled)}
    if own.control is None:
        return None
    heads: Any = own.values().get("heads", "")
    if "lowest" in change and heads:  # as many, chosen by g from all layers
        count = sum(len(several) for several in fixed.parse(heads).values())
        threshold = own.parameters()["threshold"].default
        own = replace(own, **{"heads": "", "topk": count, "layers": EVERY_LAYER, "threshold": threshold})
    changed = Controlled.around(own, before | change)
    return None if changed == correction else changed
