"""The one builder of tidy tables: numbers together with what they are of, and one row a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.registry import OVER

if TYPE_CHECKING:
    from attnscope.capture import Capture

Number = TypeVar("Number", np.float32, np.float64)
ALL = pd.DataFrame({"layer": [OVER], "head": [OVER]})  # the place of a number that is the same for every head
# Where a number has no such key; "" for all others
GAPS = {"layer": OVER, "head": OVER, "turn": OVER, "time": np.nan, "threshold": np.nan}


@dataclass(frozen=True)
class Places:
    """The X places of numbers: every layer and head, the mean over heads of each layer, the mean over both.

    Attributes:
        layers: The layers' numbers in the model, [L].
        heads: How many heads a layer has.
    """

    layers: NDArray[np.int64]
    heads: int

    @classmethod
    def of(cls, cap: Capture) -> Places:
        """The places of a capture."""
        return cls(cap.layers, cap.heads)

    def __len__(self) -> int:
        """X."""
        return len(self.layers) * (self.heads + 1) + 1

    @cached_property
    def table(self) -> pd.DataFrame:
        """Columns `layer` and `head`, X rows, -1 for a mean: the axis of a `Part`."""
        layers, mean = self.layers.tolist(), [OVER] * (len(self.layers) + 1)
        head = [*range(self.heads)] * len(layers) + mean
        return pd.DataFrame({"layer": [*np.repeat(layers, self.heads), *layers, OVER], "head": head})

    @property
    def head_means(self) -> pd.DataFrame:
        """Of `table` only the means over heads, L + 1 rows."""
        return self.table[len(self.layers) * self.heads :]

    @property
    def single_heads(self) -> pd.DataFrame:
        """Of `table` only the single heads, L * H rows."""
        return self.table[: len(self.layers) * self.heads]

    def with_means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers [L, H, ...] at all places, [X, ...].

        A layer whose number is not defined (NaN in every head) is left out of the last mean.
        """
        count, heads, *rest = values.shape
        by_layer = values.mean(1)
        everything = divide(np.nansum(by_layer, axis=0), np.isfinite(by_layer).sum(0))
        return np.concatenate([values.reshape(count * heads, *rest), by_layer, everything[None]])

    def counts(self, n: ArrayLike) -> NDArray[np.int64]:
        """How many things the numbers of each layer are over [L, ...], at all places; over all layers the largest."""
        by_layer = np.asarray(n, np.int64)
        return np.concatenate([np.repeat(by_layer, self.heads, axis=0), by_layer, by_layer.max(0)[None]])

    def of_layer(self, row: int) -> NDArray[np.int64]:
        """Which of the places are a layer's heads and their mean, [H + 1]."""
        heads = np.arange(row * self.heads, (row + 1) * self.heads)
        return np.append(heads, len(self.layers) * self.heads + row)


@dataclass(frozen=True)
class Part:
    """Numbers of one metric and what they are of.

    Attributes:
        metric: Its name.
        values: The numbers, with one axis for each entry of `keys` that is an axis.
        n: How many things each number is over; broadcast against the numbers.
        keys: What the numbers are of, axis after axis. An entry is the labels of an axis, which become a column of
            that name; a table whose rows are the axis and whose columns become columns; or one text or number for all.
        p: P-values along the first axis, where the metric is tested.
        q: The same, corrected for many places.

    Example:
        >>> keys = {"layer": cap.layers, "head": np.arange(cap.heads), "query": "text"}
        >>> part = metrics.Part("mine", np.zeros((6, 8)), 1, keys)
        >>> metrics.table_of([part], keys=("query",)).columns.tolist()
        ['metric', 'layer', 'head', 'query', 'value', 'n']
    """

    metric: str
    values: ArrayLike
    n: ArrayLike
    keys: Mapping[str, Any]
    p: NDArray[np.float64] | None = None
    q: NDArray[np.float64] | None = None

    @property
    def flat(self) -> NDArray[np.float64]:
        """The numbers alone, in the order of the table's rows."""
        return np.asarray(self.values, dtype=np.float64).reshape(-1)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of a table, the last axis fastest."""
        axes = {name: axis for name, axis in self.keys.items() if not np.isscalar(axis)}
        shape = tuple(map(len, axes.values()))
        rows = self.flat.size
        out = {"metric": np.full(rows, self.metric, dtype=object)}
        out |= {name: _repeated(key, rows) for name, key in self.keys.items() if np.isscalar(key)}
        for place, (name, axis) in enumerate(axes.items()):
            repeats, laps = int(np.prod(shape[place + 1 :])), int(np.prod(shape[:place]))
            for column, labels in axis.items() if isinstance(axis, pd.DataFrame) else [(name, axis)]:
                out[str(column)] = np.tile(np.repeat(_entries(labels), repeats), laps)
        out["value"] = self.flat
        out["n"] = np.broadcast_to(np.asarray(self.n, dtype=np.int64), shape).reshape(-1)
        for name, tested in (("p", self.p), ("q", self.q)):
            if tested is not None:
                out[name] = np.repeat(tested, rows // max(np.size(tested), 1))
        return out


def table_of(parts: Iterable[Part], keys: Sequence[str], **constants: object) -> pd.DataFrame:
    """One tidy table of several parts: a row a number.

    Args:
        parts: The numbers.
        keys: The key columns after `layer` and `head`, in order. Where a part has no such key stands -1 (`layer`,
            `head`, `turn`), NaN (`time`, `threshold`) or "".
        constants: Key columns with one value.

    Returns:
        Columns `metric`, `layer`, `head`, the keys, `value` (float64), `n` (int64), and `p` and `q` where a part is
        tested.

    Example:
        >>> part = metrics.Part("mine", [0.1, 0.2], 1, {"layer": [0, 1]})
        >>> metrics.table_of([part], keys=()).to_dict("records")[1]
        {'metric': 'mine', 'layer': 1, 'head': -1, 'value': 0.2, 'n': 1}
    """
    columns_of = [part.columns() for part in parts]
    tested = [name for name in ("p", "q") if any(name in part for part in columns_of)]
    table: dict[str, Any] = {}
    for name in ("metric", "layer", "head", *keys, "value", "n", *tested):
        if name in constants:
            table[name] = constants[name]
            continue
        gap = np.nan if name in tested else GAPS.get(name, "")
        columns = [part[name] if name in part else _repeated(gap, len(part["value"])) for part in columns_of]
        texts = any(column.dtype.kind == "O" for column in columns)
        columns = [column.astype(object) for column in columns] if texts else columns
        table[name] = np.concatenate(columns) if columns else []
    return pd.DataFrame(table)


def _entries(labels: Any) -> NDArray[Any]:
    """Labels as an array, texts as objects."""
    array = np.asarray(labels)
    return array.astype(object) if array.dtype.kind == "U" else array


def _repeated(entry: Any, rows: int) -> NDArray[Any]:
    """One entry as a column."""
    return np.full(rows, entry, dtype=object if isinstance(entry, str) else None)


def with_head_mean(values: NDArray[Number], axis: int = 1) -> NDArray[Number]:
    """Append the mean over heads as one more "head", the one that tables call -1."""
    return np.concatenate([values, values.mean(axis=axis, keepdims=True)], axis=axis)


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
