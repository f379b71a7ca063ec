"""What a correction costs: the same run, with recording off, measured in both captures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnscope.capture import Capture

SAID = (
    "Measured: the prompt and the first token of the answer, with recording off, in both captures ({}). The ratio of "
    "times holds if both were made on one machine that did little else. What a correction does before that run (a "
    "look at the plain model) is not in it."
)
KINDS = {"cuda": "tensors on the GPU", "resident": "the process"}
_MIB = 2**20
_BUSY = 1.5  # times the processor time that a run may last on a machine with nothing else to do
_LEAST = 1.0  # MiB: below, an allocator's rounding is all there is to compare


@dataclass(frozen=True)
class Cost:
    """The cost of a correction.

    Attributes:
        rows: `what`, `unit`, `before`, `after`, `ratio`; none if it was not measured in both captures.
        note: how it was measured, or why it was not.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"rows": self.rows, "note": self.note}


def cost(one: Capture, two: Capture) -> Cost:
    """Time and memory of the second capture's run beside the first's."""
    before, after = one.run.get("cost"), two.run.get("cost")
    missing = [cap.path.name for cap, found in ((one, before), (two, after)) if not found]
    if not before or not after:
        return Cost(note=f"Not measured in {' and '.join(missing)}: made with --no-verify, or by an older attnscope.")
    if other := _other(one, two, before, after):
        return Cost(note=f"Not comparable: {other}.")
    note = SAID.format(f"the fastest of {before['runs']} and {after['runs']} runs")
    rows = [_row("Time", "s", before["seconds"], after["seconds"])]
    if one.model.get("device") == "cpu":
        rows.append(_row("Processor time, all threads", "s", before["cpu_seconds"], after["cpu_seconds"]))
        if any(found["seconds"] > _BUSY * found["cpu_seconds"] for found in (before, after)):
            note += " The machine did other work meanwhile: trust the processor time."
    kind = before["memory"]
    if kind is None or kind != after["memory"]:
        return Cost(rows, f"{note} Memory could not be measured here.")
    if kind == "cuda":
        rows.append(
            _row("Peak memory, the model included", "MiB", _mib(before, "memory_peak"), _mib(after, "memory_peak"))
        )
    needed, more = (_mib(found, "memory_peak") - _mib(found, "memory_before") for found in (before, after))
    rows.append(_row("Memory that the run needs beyond what was held", "MiB", needed, more, _LEAST))
    small = f" Less than {_LEAST:g} MiB is too little for a ratio." if rows[-1]["ratio"] is None else ""
    return Cost(rows, f"{note} Memory is that of {KINDS[kind]}.{small}")


def _other(one: Capture, two: Capture, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Why the two runs are not the same work on the same kind of machine; "" if they are."""
    for name in ("config_sha256", "device", "dtype", "attention"):
        a, b = one.model.get(name), two.model.get(name)
        if a != b:
            return f"the runs differ in {name} ({a} before, {b} after)"
    for name in ("work", "prompts"):
        if before[name] != after[name]:
            return f"{name} is {before[name]} before, {after[name]} after"
    return ""


def _row(what: str, unit: str, before: float, after: float, least: float = 0.0) -> dict[str, Any]:
    ratio = after / before if min(before, after) > least else None
    return {"what": what, "unit": unit, "before": before, "after": after, "ratio": ratio}


def _mib(found: dict[str, Any], name: str) -> float:
    return float(found[name]) / _MIB
