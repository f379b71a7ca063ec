"""From labelled arrays to tidy tables: one row a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.errors import RequestError, RunError
from attnscope.files import unfinished
from attnscope.metrics.registry import FOUND, OVER, get

Number = TypeVar("Number", np.float32, np.float64)


def tidy(
    metric: str,
    values: ArrayLike,
    n: ArrayLike,
    axes: Mapping[str, Sequence[Any]],
    **constants: object,
) -> pd.DataFrame:
    """Flatten an array into rows.

    Args:
        metric: the value of the column `metric`.
        values: the numbers, one axis for each entry of `axes`.
        n: how many things each number is over; broadcast against `values` (missing leading axes are added).
        axes: name and labels of each axis, in order; they become columns.
        constants: further columns with one value.

    Returns:
        A table with columns `metric`, the axes, the constants, `value` (float64), `n` (int64).
    """
    array = np.asarray(values, dtype=np.float64)
    index = pd.MultiIndex.from_product([list(labels) for labels in axes.values()], names=list(axes))
    table = index.to_frame(index=False)
    table.insert(0, "metric", metric)
    count = np.broadcast_to(np.asarray(n, dtype=np.int64), array.shape)
    columns: dict[str, Any] = {**constants, "value": array.reshape(-1), "n": count.reshape(-1)}
    return table.assign(**columns)


def at_places(
    metric: str,
    values: NDArray[np.float64],
    n: ArrayLike,
    axes: Mapping[str, Sequence[Any]],
    layers: NDArray[np.int64],
    heads: int,
    **constants: object,
) -> pd.DataFrame:
    """Rows of the numbers that `over` gives.

    Args:
        metric: the value of the column `metric`.
        values: [X, ...], one further axis for each entry of `axes`.
        n: how many things a number of each layer is over, [L, ...]; that over all layers has the largest.
        axes: name and labels of each further axis.
        layers: the layers' numbers in the model, [L].
        heads: how many there are.
        constants: further columns with one value.

    Returns:
        As `tidy`, after the columns `layer` and `head`.
    """
    counts = np.asarray(n, np.int64)
    every = np.concatenate([np.repeat(counts, heads, axis=0), counts, counts.max(0)[None]])
    places = over(np.zeros((len(layers), heads)), layers)[1]
    table = tidy(metric, values, every, {"place": range(len(places)), **axes}, **constants)
    where = places.iloc[table.pop("place").to_numpy(np.int64)].reset_index(drop=True)
    return pd.concat([where, table], axis=1)


def with_head_mean(values: NDArray[Number], axis: int = 1) -> NDArray[Number]:
    """Append the mean over heads as one more "head", the one that tables call -1."""
    return np.concatenate([values, values.mean(axis=axis, keepdims=True)], axis=axis)


def over(values: NDArray[np.float64], layers: NDArray[np.int64]) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """All layers and heads of [L, H, ...], then the means over heads, then that over layers and heads.

    Args:
        values: the numbers; NaN in every head of a layer where they are not defined, which the last mean leaves out.
        layers: the layers' numbers in the model, [L].

    Returns:
        [X, ...], and the X places: columns `layer` and `head`, -1 for a mean.
    """
    count, heads, *rest = values.shape
    by_layer = values.mean(1)
    every = [(int(layer), head) for layer in layers for head in range(heads)]
    every += [(int(layer), OVER) for layer in layers] + [(OVER, OVER)]
    everything = divide(np.nansum(by_layer, axis=0), np.isfinite(by_layer).sum(0))
    flat = values.reshape(count * heads, *rest)
    return np.concatenate([flat, by_layer, everything[None]]), pd.DataFrame(every, columns=pd.Index(["layer", "head"]))


def divide(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Divide; NaN where the denominator is 0: nothing there to measure."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    result: NDArray[np.float64] = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return result


def defined(value: Any) -> Any:
    """The value, None in place of NaN, which JSON lacks."""
    return None if value != value else value


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dicts for JSON; NaN becomes None."""
    return [{str(name): defined(value) for name, value in row.items()} for row in table.to_dict(orient="records")]


# All numbers as one table, and tables as files.
#
# The table is long: one row a (capture, metric, layer, head, group). It loads as it is in pandas, R and DuckDB:
#
#     table = pd.read_parquet("metrics.parquet")                                  # or pd.read_csv("metrics.csv")
#     table <- arrow::read_parquet("metrics.parquet")                             # R; or read.csv("metrics.csv")
#     SELECT metric, avg(value) FROM 'metrics.parquet' WHERE "group" = 'all' GROUP BY metric  -- a keyword: in quotes


OF = ("capture", "field", "label", "base", "other")  # whose a number is; the last four of pooled tables
PLACE = ("metric", "layer", "head")
PAIRED = ("before", "after", "p_wilcoxon", "q_wilcoxon")  # further findings of paired comparisons
WHOLE = "all"  # the group of a number that has no keys
SUFFIXES = (".csv", ".parquet")


def long(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All tables as one, for pandas, R and DuckDB alike: a row is a number of a (capture, metric, layer, head, group).

    Args:
        tables: by family; of captures (a column `capture`), or pooled (`attnscope.metrics.clips.pool`).

    Returns:
        Columns `capture` (of pooled tables what they have of `field`, `label`, `base` and `other` instead), `metric`,
        `layer`, `head`, `group` (the family's keys, "key=value; key=value"; "all" without any), `value`, `n`, `low`
        and `high` (an interval), `p`, `q` (p corrected for many places), of paired comparisons also `before`, `after`,
        `p_wilcoxon` and `q_wilcoxon`, and `definition` (the metric's name and the version of its definition).

    Raises:
        RequestError: for a metric that is not registered.
    """
    some = {str(c) for table in tables.values() for c in table.columns}
    first = [c for c in OF if c in some] + list(PLACE)
    last = [*FOUND, *(c for c in PAIRED if c in some)]
    parts = []
    for table in tables.values():
        keys = [str(c) for c in table.columns if c not in (*first, *last)]
        part = table.reindex(columns=[*first, *last])
        part.insert(len(first), "group", _said(table[keys]))
        parts.append(part.assign(definition=table["metric"].map({m: get(m).id for m in table["metric"].unique()})))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as csv or parquet, by the ending of the name: complete or not at all.

    A number that is not defined is an empty field of a csv, and NaN in parquet.

    Args:
        table: for example from `long`.
        path: the file; replaced if it is there.

    Raises:
        RequestError: for another ending.
        RunError: if it cannot be written, or for parquet without the package pyarrow.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise RequestError(f"{path}: the name of a table ends in {' or '.join(SUFFIXES)}")
    try:
        with unfinished(path) as part:
            if path.suffix == ".csv":
                table.to_csv(part, index=False)
            else:
                table.to_parquet(part, index=False, engine="pyarrow")
    except ImportError:
        raise RunError(f"{path}: parquet needs the package pyarrow: pip install pyarrow, or write .csv") from None


def _said(keys: pd.DataFrame) -> NDArray[np.object_]:
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
    found: NDArray[np.object_] = np.array(texts, dtype=object)[number]
    return found


def _empty(name: str, value: object) -> bool:
    """Whether a number is not of one of these: no speaker, no turn, no moment, or no such key in its metric."""
    return value == "" or value != value or value is None or (name == "turn" and value == OVER)


def _text(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
