"""The verdict: a few plain sentences made from the numbers, which a page shows first and its JSON holds with facts."""

from attnscope.report.verdict.change import of_change
from attnscope.report.verdict.one import of_capture
from attnscope.report.verdict.several import of_captures
from attnscope.report.verdict.statements import Statement, Verdict

__all__ = ["Statement", "Verdict", "of_capture", "of_captures", "of_change"]
