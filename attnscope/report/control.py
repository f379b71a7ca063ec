"""Whether a capture is a control of a correction: the same in all but the cells or the heads that it acts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnscope.errors import RequestError
from attnscope.report.page.provenance import acted, active_heads
from attnscope.report.target import target_of
from attnscope.scene.problems import written

if TYPE_CHECKING:
    from attnscope.capture import Capture

# Parameters in which a control may differ: whose cells, and the seed of what is random; worse boxes too, but not alone.
WHERE = ("toward", "whose", "lowest", "seed")
BOXES = ("box_jitter", "box_shift", "box_drop")
# The lowest heads are as many, but are chosen otherwise than by the correction's own rule.
CHOICE = ("heads", "topk", "quantile", "threshold", "layers", "by")


@dataclass(frozen=True)
class Difference:
    """A parameter in which a control differs from its correction.

    Attributes:
        method: The correction.
        name: The parameter.
        own: Its value in the correction.
        other: Its value in the control.
    """

    method: str
    name: str
    own: str
    other: str


def check_control(after: Capture, control: Capture) -> list[Difference]:
    """Refuse a capture that is no control of the correction in another.

    Args:
        after: The capture under the correction.
        control: The capture that is to be its control.

    Returns:
        In which parameters the two differ.

    Raises:
        RequestError: Naming what makes it no control: no correction, other methods, another strength, other rows, or
            nothing that differs.
    """
    own, other = after.correction, control.correction
    if not own:
        raise RequestError(f"{control.path}: there is nothing to control: {after.path} has no correction")
    if not other:
        raise RequestError(f"{control.path}: is no control of {after.path}: it was made under no correction")
    methods = [[str(item.get("method")) for item in some] for some in (own, other)]
    if methods[0] != methods[1]:
        raise RequestError(
            f"{control.path}: is no control of {after.path}: it was made under {' + '.join(methods[1])}, that under"
            f" {' + '.join(methods[0])}"
        )
    differences = [found for pair in zip(own, other, strict=True) for found in _differences(*pair, control, after)]
    if not differences:
        raise RequestError(
            f"{control.path}: is no control of {after.path}: it is the same correction, with the same parameters"
        )
    if {found.name for found in differences} <= {*BOXES, "seed"}:
        raise RequestError(
            f"{control.path}: is no control of {after.path}: its boxes are worse, and it acts on the same people; worse"
            " boxes say how good boxes have to be"
        )
    targets = [target_of(cap) for cap in (after, control)]
    if targets[0][0] is not None and targets[0] == targets[1]:
        raise RequestError(
            f"{control.path}: is no control of {after.path}: both draw the answer to {targets[0][0]} in the same heads"
        )
    return differences


def _differences(own: dict[str, Any], other: dict[str, Any], control: Capture, after: Capture) -> list[Difference]:
    """In which parameters one correction of a control differs from its own.

    Raises:
        RequestError: If one of them says how strongly, in which rows or in which heads it acts.
    """
    values = [{**(item.get("defaults") or {}), **(item.get("params") or {})} for item in (own, other)]
    idle = set(own.get("unused") or []) & set(other.get("unused") or [])
    method, lowest = str(own.get("method")), bool(values[1].get("lowest")) and not values[0].get("lowest")
    out = []
    for name in dict.fromkeys([*values[0], *values[1]]):
        texts = [written(some.get(name)) for some in values]
        if texts[0] == texts[1] or name in idle:
            continue
        if name not in (*WHERE, *BOXES) and not (lowest and name in CHOICE):
            raise RequestError(
                f"{control.path}: is no control of {after.path}: {method}.{name} is {texts[1]}, there it is {texts[0]};"
                " a control acts as strongly, on other cells or heads"
            )
        out.append(Difference(method, name, *texts))
    return out


def uneven(after: Capture, control: Capture) -> str:
    """A sentence where the control acted in another number of heads than the correction; "" where it did not."""
    counts = [sum(len(acted(item)) for item in cap.correction) for cap in (after, control)]
    if counts[0] == counts[1]:
        return ""
    number = f"{counts[1]} head{'' if counts[1] == 1 else 's'}"
    return f"The control acted in {number}, the correction in {counts[0]}: the two do not touch equally much."


def same_heads(after: Capture, control: Capture) -> bool:
    """Whether both acted in the same heads."""
    return active_heads(after) == active_heads(control)
