"""Pages from templates: one file that needs nothing else, no network and no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from attnscope._version import __version__
from attnscope.metrics import definitions
from attnscope.metrics.headline_lines import NO_SINKS
from attnscope.report.panels import RISE
from attnscope.report.summary import records

CAUSAL = (
    "Attention mass is not causal importance: a head that attends somewhere need not change the answer, "
    "and one that attends elsewhere may."
)
SOURCES = {
    "paper": "read in a paper",
    "code": "read in released code",
    "2nd": "read in a secondary summary",
    "ours": "our own definition",
}


def render(template: str, **values: Any) -> str:
    """Fill a template of this package.

    Args:
        template: its file name.
        values: what it shows; a missing one is an error, not a gap in the page.

    Returns:
        The page.
    """
    common = {
        "version": __version__,
        "causal": CAUSAL,
        "definitions": records(definitions()),
        "sources": SOURCES,
    }
    return _environment().get_template(template).render(**common, **values)


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table cell: significant digits, a dash where it is not defined.

    What is not 1 is not written as 1, which stands for certainty, chance and no change.
    """
    if value is None or not isinstance(value, (int, float)) or math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, int):
        return str(value)
    size = abs(value)
    if value and (size < 1e-3 or size >= 1e5):
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")
    while size != 1 and float(f"{size:.{digits}g}") == 1 and digits < 9:
        digits += 1
    return f"{value:.{digits}g}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A change: as `number`, with its sign."""
    text = number(value, digits)
    return f"+{text}" if value is not None and isinstance(value, (int, float)) and value > 0 else text


def changed(row: Mapping[str, Any]) -> str:
    """The change of a row, as `signed`; 0 where it is no more than rounding of what changed."""
    before, after, change = row["before"], row["after"], row["change"]
    if change is not None and abs(change) <= RISE * max(abs(before), abs(after)):
        return "0"
    return signed(change)


def interval(row: Mapping[str, Any], digits: int = 3, of: str = "") -> str:
    """The ends of a row's interval, of several those `of` one; a dash where it has none."""
    low, high = row[f"low{of}"], row[f"high{of}"]
    if low is None or high is None:
        return "—"
    return f"{number(low, digits)} … {number(high, digits)}"


def counted(row: Mapping[str, Any]) -> str:
    """What a row's number is over, for example "1 query" or "3 speakers"."""
    n, things = row["n"], str(row["counts"])
    return f"{n} {things}" if n != 1 else f"1 {'query' if things == 'queries' else things[:-1]}"


def grouped(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Rows under their headings (`group`), in their order."""
    return [(name, list(some)) for name, some in groupby(rows, lambda row: str(row["group"]))]


def beside(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Headline rows with sinks; what each is without them as `without`, None where a number has no such form."""
    named = {str(row["number"]): row for row in rows}
    return [
        {**row, "without": named.get(name + NO_SINKS)} for name, row in named.items() if not name.endswith(NO_SINKS)
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("attnscope.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["signed"] = signed
    environment.filters["changed"] = changed
    environment.filters["interval"] = interval
    environment.filters["beside"] = beside
    environment.filters["grouped"] = grouped
    environment.filters["counted"] = counted
    return environment
