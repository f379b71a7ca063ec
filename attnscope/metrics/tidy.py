"""From labelled arrays to tidy tables: one row a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attnscope.metrics.registry import OVER

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
