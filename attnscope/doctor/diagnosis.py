"""What an examination found: findings in sections, as data and as text for a terminal or a bug report."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from attnscope.files.terminal import printable

State = Literal["ok", "note", "fail", "absent"]
MARKS: dict[State, str] = {"ok": "✓", "note": "!", "fail": "✗", "absent": "-"}
PLAIN_MARKS: dict[State, str] = {"ok": "ok", "note": "! ", "fail": "XX", "absent": "- "}
_WIDTH = 80


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked, in one or two words.
        state: "ok" if it holds, "note" if it is worth knowing but does no harm, "fail" if it does not hold, "absent"
            if an optional part is not installed or not on this machine.
        text: What was seen, or what does not hold and why.
    """

    name: str
    state: State
    text: str


@dataclass(frozen=True)
class Section:
    """Findings about one thing.

    Attributes:
        title: The thing.
        findings: In the order in which they were made.
    """

    title: str
    findings: tuple[Finding, ...]

    def lines(self, width: int = _WIDTH, marks: dict[State, str] | None = None) -> list[tuple[State | None, str]]:
        """The section as lines of text, each with the state that colours it; the title has none.

        Args:
            width: Longest line, in characters.
            marks: The sign of each state; by default those of `MARKS`.
        """
        marks = marks or MARKS
        column = max((len(finding.name) for finding in self.findings), default=0)
        indent = 2 + len(marks["ok"]) + 1 + column + 2
        title = textwrap.wrap(printable(self.title), width)
        lines: list[tuple[State | None, str]] = [(None, line) for line in title]
        for finding in self.findings:
            head = f"  {marks[finding.state]} {finding.name:<{column}}  "
            wrapped = textwrap.wrap(printable(finding.text), max(width - indent, 20), break_on_hyphens=False) or [""]
            lines.append((finding.state, f"{head}{wrapped[0]}".rstrip()))
            lines += [(finding.state, " " * indent + line) for line in wrapped[1:]]
        return lines


@dataclass(frozen=True)
class Diagnosis:
    """All sections of an examination."""

    sections: tuple[Section, ...]

    @property
    def failures(self) -> list[Finding]:
        """The findings that do not hold."""
        return [finding for section in self.sections for finding in section.findings if finding.state == "fail"]

    @property
    def healthy(self) -> bool:
        """Whether everything holds that attnscope relies on."""
        return not self.failures

    def summary(self) -> str:
        """The last line of a report."""
        count = sum(finding.state != "absent" for section in self.sections for finding in section.findings)
        if self.healthy:
            return f"Everything holds: {count} checks."
        names = ", ".join(dict.fromkeys(finding.name for finding in self.failures))
        verb = "does" if len(self.failures) == 1 else "do"
        return f"{len(self.failures)} of {count} checks {verb} not hold: {names}."

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `healthy`, `summary`, and `sections` with their findings."""
        sections = [asdict(section) for section in self.sections]
        return {"healthy": self.healthy, "summary": self.summary(), "sections": sections}


def attempt(name: str, check: Callable[[], str | Finding]) -> Finding:
    """Make one check; whatever it raises becomes a finding that does not hold.

    Args:
        name: What is checked.
        check: Returns what was seen, or a finding of its own; raises if it does not hold.
    """
    try:
        result = check()
    except Exception as error:  # of code that is examined because it may be broken
        return Finding(name, "fail", reason(error))
    return result if isinstance(result, Finding) else Finding(name, "ok", result)


def reason(error: BaseException) -> str:
    """An exception in one line: its message alone where attnscope wrote it, with its class otherwise."""
    from attnscope.errors import AttnscopeError

    message = " ".join(str(error).split())
    if isinstance(error, AttnscopeError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def join(parts: Iterable[str]) -> str:
    """Facts of one line, those that are empty left out."""
    return ", ".join(part for part in parts if part)
