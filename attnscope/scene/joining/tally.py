"""Counts that add up: every record of every source is imported or left out for a reason."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any

from pydantic import ValidationError

from attnscope.scene.problems import one_line
from attnscope.scene.records import LeftOut, Record

KINDS = ("box", "turn", "word", "question", "sample")
_PLURAL = {"box": "boxes"}
_QUOTED = re.compile(r'"[^"]*"')
_NUMBER = re.compile(r"(?<![\w+])-?\d+(?:[.,]\d+)*")
COLUMNS = ("source", "what", "clip", "where", "name", "reason")
_MOST = 8  # reasons in one line


def plural(kind: str, count: int = 2) -> str:
    """`box` or `boxes`."""
    return kind if count == 1 else _PLURAL.get(kind, f"{kind}s")


@dataclass
class Tally:
    """What became of the records.

    Attributes:
        rows: A csv writer of what is left out.
        titles: What each source is called.
        imported: By kind of record.
        reasons: Of what is left out, by kind and reason.
    """

    rows: Any
    titles: list[str]
    imported: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def to(cls, file: IO[str], titles: list[str]) -> Tally:
        """A tally that writes what is left out to an open CSV file."""
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        return cls(rows, titles)

    def keep(self, kind: str, count: int = 1) -> None:
        """Count records that are imported."""
        self.imported[kind] += count

    def leave(self, source: int, left: LeftOut) -> None:
        """Count and list a record that is left out."""
        self.reasons[left.what, left.reason] += 1
        self.rows.writerow([self.titles[source], left.what, left.clip, left.where, left.name, left.reason])

    def counts(self) -> dict[str, dict[str, Any]]:
        """Of every kind that there is: how many records, how many imported and left out, and why."""
        kinds = [*KINDS, *sorted({kind for kind, _ in self.reasons} - set(KINDS))]
        counts: dict[str, dict[str, Any]] = {}
        for kind in kinds:
            reasons = {reason: n for (of, reason), n in self.reasons.most_common() if of == kind}
            left = sum(reasons.values())
            if self.imported[kind] or left:
                records = self.imported[kind] + left
                counts[kind] = {"records": records, "imported": self.imported[kind], "left_out": left}
                counts[kind]["reasons"] = reasons
        return counts


def sentences(counts: dict[str, dict[str, Any]]) -> list[str]:
    """Counts for people, one line a kind: `boxes: imported 2,931 of 3,017, left out 86: 86 the box has no area`."""
    lines = []
    for kind, count in counts.items():
        line = f"{plural(kind)}: imported {count['imported']:,}"
        if not count["imported"] and kind != "sample" and "sample" in counts:
            line = f"{plural(kind)} of samples: left out {count['left_out']:,}: {_why(count)}"
        elif count["left_out"]:
            line += f" of {count['records']:,}, left out {count['left_out']:,}: {_why(count)}"
        lines.append(line)
    return lines


def _why(count: dict[str, Any]) -> str:
    """The commonest reasons with their numbers."""
    reasons = list(count["reasons"].items())
    why = [f"{n:,} {reason}" for reason, n in reasons[:_MOST]]
    if len(reasons) > _MOST:
        others = len(reasons) - _MOST
        why.append(f"{sum(n for _, n in reasons[_MOST:]):,} for {others} other reason{'s' * (others > 1)}")
    return ", ".join(why)


def general(reason: str) -> str:
    """What a checker says of a value, without what differs between records: quoted text and numbers."""
    return _NUMBER.sub("N", _QUOTED.sub('"…"', reason))


def left_out(record: Record, what: str, reason: str, name: str = "") -> LeftOut:
    """A record that is left out."""
    return LeftOut(where=record.where, clip=record.clip, what=what, reason=reason, name=name)


def why_not(error: ValidationError) -> str:
    """What is wrong with a record, without its values, so that equal reasons can be counted."""
    return general(one_line("", error))
