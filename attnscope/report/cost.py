"""What a correction costs: the same run, with recording off, measured in both captures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnscope.capture import Capture

SAID = (
    "Measured: one forward pass over the prompt, with recording off, in both captures ({}). The ratio of "
    "times holds if both were made on one machine that did little else."
)
BEFORE = " What a correction does before that run (a look at the plain model) is not in it."
TITLES = {True: "Cost of the correction", False: "Cost of the two runs"}  # whether the second run has a correction
KINDS = {"cuda": "tensors on the GPU", "resident": "the process"}
_MIB = 2**20
_BUSY = 1.5  # times the processor time that a run may last on a machine with nothing else to do
_LEAST = 1.0  # MiB: below, an allocator's rounding is all there is to compare


@dataclass(frozen=True)
class Cost:
    """The cost of a correction, or of whatever else the second run has.

    Attributes:
        rows: `what`, `unit`, `before`, `after`, `ratio`, `reliable`: whether the ratio can be believed; none if it was
            not measured in both captures.
        note: How it was measured, or why it was not.
        title: What the panel shows.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""
    title: str = TITLES[True]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"rows": self.rows, "note": self.note}


def cost(first: Capture, second: Capture) -> Cost:
    """Time and memory of the second capture's run beside the first's."""
    title = TITLES[bool(second.correction)]
    before, after = first.run.get("cost"), second.run.get("cost")
    missing = [cap.path.name for cap, run_cost in ((first, before), (second, after)) if not run_cost]
    if not before or not after:
        why = f"Not measured in {' and '.join(missing)}: made without verification, or by an older attnscope."
        return Cost(note=why, title=title)
    if other := _other(first, second, before, after):
        return Cost(note=f"Not comparable: {other}.", title=title)
    note = SAID.format(f"the fastest of {before['runs']} and {after['runs']} runs") + (
        BEFORE if second.correction else ""
    )
    rows, busy = _times(first, before, after)
    note += busy
    kind = before["memory"]
    if kind is None or kind != after["memory"]:
        return Cost(rows, f"{note} Memory could not be measured here.", title)
    if kind == "cuda":
        rows.append(
            _row("Peak memory, the model included", "MiB", _mib(before, "memory_peak"), _mib(after, "memory_peak"))
        )
    needed, more = (_mib(run_cost, "memory_peak") - _mib(run_cost, "memory_before") for run_cost in (before, after))
    rows.append(_row("Memory that the run needs beyond what was held", "MiB", needed, more, _LEAST))
    small = f" Less than {_LEAST:g} MiB is too little for a ratio." if rows[-1]["ratio"] is None else ""
    return Cost(rows, f"{note} Memory is that of {KINDS[kind]}.{small}", title)


def _times(first: Capture, before: dict[str, Any], after: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Time, and on a CPU that of its threads; what to say where other work has made the first unreliable."""
    rows = [_row("Time", "s", before["seconds"], after["seconds"])]
    if first.model.get("device") != "cpu":
        return rows, ""
    rows.append(_row("Processor time, all threads", "s", before["cpu_seconds"], after["cpu_seconds"]))
    rows[0]["reliable"] = all(run_cost["seconds"] <= _BUSY * run_cost["cpu_seconds"] for run_cost in (before, after))
    busy = " The machine did other work meanwhile: the processor time is to be trusted, not the time."
    return rows, "" if rows[0]["reliable"] else busy


def _other(first: Capture, second: Capture, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Why the two runs are not the same work on the same kind of machine; "" if they are."""
    for name in ("config_sha256", "device", "dtype", "attention"):
        a, b = first.model.get(name), second.model.get(name)
        if a != b:
            return f"the runs differ in {name} ({a} before, {b} after)"
    for name in ("work", "prompts"):
        if before[name] != after[name]:
            return f"{name} is {before[name]} before, {after[name]} after"
    return ""


def _row(what: str, unit: str, before: float, after: float, least: float = 0.0) -> dict[str, Any]:
    ratio = after / before if min(before, after) > least else None
    return {"what": what, "unit": unit, "before": before, "after": after, "ratio": ratio, "reliable": True}


def _mib(run_cost: dict[str, Any], name: str) -> float:
    return float(run_cost[name]) / _MIB
