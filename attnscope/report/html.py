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
from attnscope.report.answers import together, unlikely
from attnscope.report.panels import RISE
from attnscope.report.summary import records

PLACES = 6  # decimals that a cell has at most
FLOOR = 1e-4  # of a share: smaller ones are only said to be smaller
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


def aligned(row: Mapping[str, Any], of: str = "", least: int = 0) -> tuple[str, str, str]:
    """Before, after and change of a row, with as many decimals as the change needs to be seen in them.

    Args:
        row: with `before`, `after` and `change`, None where not defined.
        of: what comes before these names, as in `logprob_before`; the change is then `logprob_change`, or `change`.
        least: decimals to have at least; small numbers then get no power of ten.
    """
    one, two = row[f"{of}before"], row[f"{of}after"]
    change = row.get(f"{of}change", row["change"])
    text = changed({"before": one, "after": two, "change": change})
    largest = max((abs(value) for value in (one, two) if value is not None), default=0.0)
    if not largest or largest >= 1e5 or (largest < 1e-3 and not least):
        return number(one), number(two), text
    places = max(least, 2 - math.floor(math.log10(largest)))
    if text not in ("0", "—"):
        places = max(places, 1 - math.floor(math.log10(abs(change))))
    places = min(places, PLACES)
    known = [value for value in (one, two) if value is not None]
    apart = [p for p in range(places, PLACES + 1) if not any(value != 1 == round(value, p) for value in known)]
    places = apart[0] if apart else places
    cells = [_least(value, places) if least else _fixed(value, places) for value in (one, two)]
    return cells[0], cells[1], text if text in ("0", "—") else _fixed(change, places, "+")


def _fixed(value: float | None, places: int, sign: str = "-") -> str:
    """A number with so many decimals; what would be written as 0, and is not, as `number` has it."""
    if value is None or (value and not round(value, places)):
        return signed(value) if sign == "+" else number(value)
    return f"{value:{sign}.{places}f}".replace("-", "−")


def _least(value: float | None, places: int) -> str:
    """As `_fixed`, without powers of ten: of what would be written as 0 only on which side of it, and how near."""
    if value is None or round(value, places) or not value:
        return _fixed(value, places)
    return f"> −{10**-places:.{places}f}" if value < 0 else f"< {10**-places:.{places}f}"


def percent(share: float | None) -> str:
    """A share in percent; what is not 0 and not all is not written as such."""
    if share is None:
        return "—"
    if 0 < share < FLOOR:
        return f"< {100 * FLOOR:g} %"
    if 1 - FLOOR < share < 1:
        return f"> {100 * (1 - FLOOR):g} %"
    return f"{100 * share:.{0 if share in (0, 1) else 2}f} %"


def points(change: float | None) -> str:
    """The change of a share in percentage points, with its sign."""
    if change is None or not change:
        return number(change)
    if abs(change) < FLOOR:
        return f"< +{100 * FLOOR:g}" if change > 0 else f"> −{100 * FLOOR:g}"
    return f"{100 * change:+.2f}".replace("-", "−")


def likelihood(log: float | None) -> str:
    """A probability from its natural logarithm: in percent, or with its power of ten where that would hide it."""
    if log is None:
        return "—"
    if log >= math.log(FLOOR):
        return percent(min(math.exp(log), 1.0))
    power, rest = divmod(log / math.log(10), 1)  # not by exp(log), which may be 0
    mantissa, carried = f"{10**rest:.0e}".split("e")
    return f"{mantissa}e{int(power) + int(carried)}".replace("-", "−")


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
    for function in (aligned, likelihood, percent, points, together, unlikely):
        environment.filters[function.__name__] = function
    environment.filters["interval"] = interval
    environment.filters["beside"] = beside
    environment.filters["grouped"] = grouped
    environment.filters["counted"] = counted
    return environment
