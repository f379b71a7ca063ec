"""Numbers and tables as a page writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docs.generate import table

DASH = "—"


def percent(value: float) -> str:
    """A share in percent, one decimal."""
    return DASH if value != value else f"{100 * value:.1f}"


def percent_in(row: Any, name: str = "accuracy", low: str = "low", high: str = "high") -> str:
    """A share in percent with the ends of its interval."""
    return percent(row[name]) + _ends(row[low], row[high], percent)


def points(row: Any, name: str = "difference", low: str = "low", high: str = "high") -> str:
    """A difference of shares in percentage points, signed, with the ends of its interval."""
    return signed(row[name]) + _ends(row[low], row[high], signed)


def signed(value: float) -> str:
    """A difference of shares in percentage points."""
    return DASH if value != value else f"{100 * value:+.1f}".replace("-", "−")


def short_in(row: Any, name: str, digits: int = 3) -> str:
    """A number with significant digits and the ends of its interval, in columns `name`_low and `name`_high."""
    return short(row[name], digits) + _ends(row[f"{name}_low"], row[f"{name}_high"], lambda x: short(x, digits))


def short(value: float, digits: int = 3) -> str:
    """Significant digits, a minus sign that is one."""
    return DASH if value != value else f"{value:.{digits}g}".replace("-", "−")


def probability(value: float) -> str:
    """A p-value."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def _ends(low: float, high: float, write: Any) -> str:
    return "" if low != low else f" [{write(low)}, {write(high)}]"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(table(columns, rows))
