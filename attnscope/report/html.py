"""Pages from templates: one file that needs nothing else, no network and no script."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from attnscope._version import __version__
from attnscope.metrics import definitions
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
    """A number for a table cell: significant digits, a dash where it is not defined."""
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
    return f"{value:.{digits}g}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A change: as `number`, with its sign."""
    text = number(value, digits)
    return f"+{text}" if value is not None and isinstance(value, (int, float)) and value > 0 else text


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
    return environment
