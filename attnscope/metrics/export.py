"""All numbers as one table, and tables as files.

The table is long: one row a (capture, metric, layer, head, group). It loads as it is in pandas, R and DuckDB:

    table = pd.read_parquet("metrics.parquet")                                  # or pd.read_csv("metrics.csv")
    table <- arrow::read_parquet("metrics.parquet")                             # R; or read.csv("metrics.csv")
    SELECT metric, avg(value) FROM 'metrics.parquet' WHERE "group" = 'all' GROUP BY metric  -- a keyword: in quotes
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError, RunError
from attnscope.files import unfinished
from attnscope.metrics.registry import FOUND, OVER, get

OF = ("capture", "field", "label", "base", "other")  # whose a number is; the last four of pooled tables
PLACE = ("metric", "layer", "head")
PAIRED = ("before", "after", "p_wilcoxon", "q_wilcoxon")  # further results of paired comparisons
WHOLE = "all"  # the group of a number that has no keys
CSV, PARQUET = ".csv", ".parquet"
SUFFIXES = (CSV, PARQUET)
CSV_ROWS = 30_000  # up to which a report writes a table as CSV too, for spreadsheets


def long(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All tables as one, for pandas, R and DuckDB alike: a row is a number of a (capture, metric, layer, head, group).

    Args:
        tables: By family; of captures (a column `capture`), or pooled (`attnscope.metrics.clips.pool`).

    Returns:
        Columns `capture` (of pooled tables what they have of `field`, `label`, `base` and `other` instead), `metric`,
        `layer`, `head`, `group` (the family's keys, "key=value; key=value"; "all" without any), `value`, `n`, `low`
        and `high` (an interval), `p`, `q` (p corrected for many places), of paired comparisons also `before`, `after`,
        `p_wilcoxon` and `q_wilcoxon`, and `definition` (the metric's name and the version of its definition).

    Raises:
        RequestError: For a metric that is not registered.

    Example:
        >>> metrics.long(tables).columns.tolist()
        ['metric', 'layer', 'head', 'group', 'value', 'n', 'low', 'high', 'p', 'q', 'definition']
    """
    present = {str(c) for table in tables.values() for c in table.columns}
    first = [c for c in OF if c in present] + list(PLACE)
    last = [*FOUND, *(c for c in PAIRED if c in present)]
    parts = []
    for table in tables.values():
        keys = [str(c) for c in table.columns if c not in (*first, *last)]
        part = table.reindex(columns=[*first, *last])
        part.insert(len(first), "group", _group_texts(table[keys]))
        parts.append(part.assign(definition=table["metric"].map({m: get(m).id for m in table["metric"].unique()})))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as csv or parquet, by the ending of the name: complete or not at all.

    A number that is not defined is an empty field of a csv, and NaN in parquet.

    Args:
        table: For example from `long`.
        path: The file; replaced if it is there.

    Raises:
        RequestError: For another ending.
        RunError: If it cannot be written, or for parquet without the package pyarrow.

    Example:
        >>> metrics.write(tables["modality"], "modality.csv")
        >>> len(pd.read_csv("modality.csv")) == len(tables["modality"])
        True
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise RequestError(f"{path}: the name of a table ends in {' or '.join(SUFFIXES)}")
    try:
        with unfinished(path) as part:
            if path.suffix == CSV:
                table.to_csv(part, index=False)
            else:
                table.to_parquet(part, index=False, engine="pyarrow")
    except ImportError:
        raise RunError(f"{path}: parquet needs the package pyarrow: pip install pyarrow, or write .csv") from None


def _group_texts(keys: pd.DataFrame) -> NDArray[np.object_]:
    """Keys as one text a row; each distinct row is written once."""
    if not len(keys.columns) or not len(keys):
        return np.full(len(keys), WHOLE, dtype=object)
    number = keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup().to_numpy(np.int64)
    distinct = keys[~pd.Series(number).duplicated().to_numpy()]
    texts = []
    for row in distinct.itertuples(index=False, name=None):
        pairs = zip(keys.columns, row, strict=True)
        known = [f"{name}={_text(value)}" for name, value in pairs if not _empty(str(name), value)]
        texts.append("; ".join(known) or WHOLE)
    groups: NDArray[np.object_] = np.array(texts, dtype=object)[number]
    return groups


def _empty(name: str, value: object) -> bool:
    """Whether a number is not of one of these: no speaker, no turn, no moment, or no such key in its metric."""
    return value == "" or value != value or value is None or (name == "turn" and value == OVER)


def _text(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
