"""Labels of a capture's numbers: which layers, heads and positions a caller means, and arrays with named axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import rule_of
from attnscope.errors import RequestError
from attnscope.vocabulary import PARTITIONS

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    import xarray as xr

Choice: TypeAlias = int | Sequence[int] | npt.NDArray[Any] | None
Positions: TypeAlias = int | slice | Sequence[int] | npt.NDArray[Any] | None
Indices: TypeAlias = npt.NDArray[np.intp]


def is_one(choice: object) -> bool:
    """Whether a choice is a single number, which takes its dimension away."""
    return isinstance(choice, (int, np.integer)) and not isinstance(choice, (bool, np.bool_))


def pick(where: str, what: str, choice: Choice, valid: npt.NDArray[Any]) -> Indices:
    """The places in `valid` of the chosen numbers.

    Args:
        where: The file, for the message.
        what: "layer" or "head", for the message.
        choice: A number, numbers, or None for all.
        valid: The numbers there are, [n].

    Returns:
        Indices into `valid`, in the order of the choice.

    Raises:
        RequestError: If a number is not there, or none is chosen; the message gives those that are.
    """
    if choice is None:
        return np.arange(len(valid))
    place = {int(number): i for i, number in enumerate(valid)}
    wanted = _whole_numbers(where, what, choice)
    if not len(wanted):
        raise RequestError(f"{where}: no {what} is chosen; it has {what}s {ranges(place)}")
    for number in wanted:
        if int(number) not in place:
            raise RequestError(f"{where}: {what} {number} is not in the capture; it has {what}s {ranges(place)}")
    return np.array([place[int(number)] for number in wanted], dtype=np.intp)


def positions(where: str, what: str, choice: Positions, count: int) -> Indices:
    """The chosen positions as indices.

    Args:
        where: The file, for the message.
        what: "query" or "key", for the message.
        choice: A position, positions, a slice with Python's rules, a bool mask over all, or None for all.
        count: How many there are.

    Raises:
        RequestError: If a position is not in 0..count-1.
    """
    if choice is None:
        return np.arange(count)
    if isinstance(choice, slice):
        return np.arange(count)[choice]
    wanted = np.asarray(choice)
    if wanted.dtype == bool:
        if wanted.shape != (count,):
            raise RequestError(f"{where}: a {what} mask of shape {wanted.shape}, not ({count},)")
        return np.flatnonzero(wanted)
    wanted = _whole_numbers(where, what, wanted)
    outside = wanted[(wanted < 0) | (wanted >= count)]
    if len(outside):
        raise RequestError(f"{where}: {what} {outside[0]} is out of range; positions are 0-{count - 1}")
    return wanted


def ranges(numbers: Iterable[int]) -> str:
    """Numbers for a message: 0-3, 7, 9-10."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in runs)


def _whole_numbers(where: str, what: str, choice: Any) -> Indices:
    wanted = np.atleast_1d(np.asarray(choice))
    if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
        raise RequestError(f"{where}: {what} {choice!r} is not a whole number or a list of them")
    return wanted.astype(np.intp)


def gather(
    store: Store, path: str, layers: Indices, heads: Indices | None, third: list[int] | None
) -> npt.NDArray[Any]:
    """Read some layers and heads of a reading, and no others.

    Args:
        store: The file.
        path: Path of an array whose first dimension is `layer`, and whose second is `head` unless `heads` is None.
        layers: Rows of the first dimension.
        heads: Rows of the second.
        third: Rows of the third dimension; None for all.

    Returns:
        The part, with all its dimensions.
    """
    dataset = store.array(path, rule_of(path).dims)
    with store.reading(path):
        parts = [_of_layer(dataset, layer, heads, third) for layer in layers.tolist()]
        return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _of_layer(dataset: h5py.Dataset, layer: int, heads: Indices | None, third: list[int] | None) -> npt.NDArray[Any]:
    """What is chosen of one layer; neighbouring heads and rows in one read, since each read has a cost of its own."""
    if heads is None:
        return np.asarray(dataset[layer])
    rows = slice(None) if third is None else slice(min(third, default=0), max(third, default=-1) + 1)
    if np.array_equal(heads, np.arange(heads[0], heads[0] + len(heads))):
        part = np.asarray(dataset[layer, heads[0] : heads[0] + len(heads), rows])
    else:
        part = np.stack([dataset[layer, head, rows] for head in heads.tolist()])
    if third is None or third == list(range(rows.start, rows.stop)):
        return part
    return part[:, np.asarray(third, dtype=np.intp) - rows.start]


def key_labels(groups: pd.DataFrame) -> pd.DataFrame:
    """The key groups with names that are unique over all families: `modality:visual`, `role:visual`."""
    shared = groups["family"].isin(PARTITIONS)
    return groups.assign(name=groups["name"].where(~shared, groups["family"] + ":" + groups["name"]))


def label(store: Store, path: str, data: npt.NDArray[Any], name: str, labels: dict[str, Any]) -> xr.DataArray:
    """Give an array its labels, its unit and its source.

    Args:
        store: The file.
        path: Path of the array in it.
        data: The array.
        name: For the result.
        labels: For each dimension in order, numbers, names, or a table of groups: `name` labels, the other columns
            come along.

    Raises:
        FormatError: If the labels do not fit the array.
    """
    import xarray as xr

    coords: dict[str, Any] = {}
    for size, (dim, values) in zip(data.shape, labels.items(), strict=True):
        if len(values) != size:
            raise store.error(path, f"{size} along '{dim}', where the capture has {len(values)}")
        table = hasattr(values, "columns")
        coords[dim] = values["name"].to_numpy(object) if table else values
        for column in [c for c in values.columns if c != "name"] if table else []:
            other = "query_family" if column == "family" and dim == "query_group" else column
            coords[other] = (dim, values[column].to_numpy(object))
    attributes = {"unit": store.text(path, "unit"), "source": str(store.path)}
    return xr.DataArray(data, dims=list(labels), coords=coords, name=name, attrs=attributes)


def tidy(array: xr.DataArray) -> pd.DataFrame:
    """A labelled array as a long table: a row for each number, a column for each coordinate.

    Args:
        array: What `Capture.masses`, `maps`, `flow` or `stat` returned.

    Returns:
        The table; the numbers are in the column named as the array.
    """
    return array.to_dataframe().reset_index()
