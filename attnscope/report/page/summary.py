"""What analyze and compare hand back: where things are, and the numbers, ready for JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Summary:
    """Result of a report.

    Attributes:
        report: The HTML page.
        tables: Parquet files, and CSV files of the small tables.
        figures: PNG and SVG files.
        numbers: Headline numbers, answers and settings, JSON-able.
        notes: Sentences that a user should read.

    Example:
        >>> from pathlib import Path
        >>> summary = attnscope.report.Summary(Path("report.html"), [], [], {"gap": float("nan")})
        >>> summary.to_dict()
        {'report': 'report.html', 'tables': [], 'figures': [], 'notes': [], 'gap': None}
    """

    report: Path
    tables: list[Path]
    figures: list[Path]
    numbers: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; numbers that are not defined become null."""
        document = {
            "report": str(self.report),
            "tables": [str(p) for p in self.tables],
            "figures": [str(p) for p in self.figures],
            "notes": self.notes,
            **self.numbers,
        }
        cleaned: dict[str, Any] = plain(document)
        return cleaned


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain dicts; NaN becomes None."""
    rows: list[dict[str, Any]] = plain(table.to_dict(orient="records"))
    return rows


def plain(value: Any) -> Any:
    """The same document in JSON's own types."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
