"""Parts of the readings as arrays whose dimensions have labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnscope.capture._h5 import Store
from attnscope.capture._rules import DIMS
from attnscope.capture._select import Indices

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_SHARED = ("modality", "role")  # families whose names may be the same


def gather(
    store: Store, path: str, layers: Indices, heads: Indices | None, third: list[int] | None
) -> npt.NDArray[Any]:
    """Read some layers and heads of a reading, and no others.

    Args:
        store: the file.
        path: of an array whose first dimension is `layer`, and whose second is `head` unless `heads` is None.
        layers: rows of the first dimension.
        heads: rows of the second.
        third: rows of the third dimension; None for all.

    Returns:
        The part, with all its dimensions.
    """
    dataset = store.array(path, DIMS[path])
    parts = []
    with store.reading(path):
        for layer in layers.tolist():
            if heads is None:
                parts.append(dataset[layer])
            elif third is None:
                parts.append(np.stack([dataset[layer, head] for head in heads.tolist()]))
            else:
                groups = [[dataset[layer, head, row] for row in third] for head in heads.tolist()]
                parts.append(np.array(groups, dtype=dataset.dtype))
        return np.stack(parts)


def key_labels(groups: pd.DataFrame) -> pd.DataFrame:
    """The key groups with names that are unique over all families: `modality:visual`, `role:visual`."""
    shared = groups["family"].isin(_SHARED)
    return groups.assign(name=groups["name"].where(~shared, groups["family"] + ":" + groups["name"]))


def label(
    store: Store,
    path: str,
    data: npt.NDArray[Any],
    name: str,
    dims: tuple[str, ...],
    labels: dict[str, Any],
    unit: str,
) -> xr.DataArray:
    """Give an array its labels.

    Args:
        store: the file, for the message.
        path: of the array in it.
        data: the array.
        name: for the result.
        dims: names of the dimensions.
        labels: for each dimension numbers, or a table of groups: `name` labels, the other columns come along.
        unit: of the numbers.

    Raises:
        FormatError: if the labels do not fit the array.
    """
    import xarray as xr

    coords: dict[str, Any] = {}
    for axis, dim in enumerate(dims):
        found = labels[dim]
        table = hasattr(found, "columns")
        if len(found) != data.shape[axis]:
            raise store.error(path, f"{data.shape[axis]} along '{dim}', where the capture has {len(found)}")
        coords[dim] = found["name"].to_numpy(object) if table else found
        for column in [c for c in found.columns if c != "name"] if table else []:
            other = "query_family" if column == "family" and dim == "query_group" else column
            coords[other] = (dim, found[column].to_numpy(object))
    return xr.DataArray(data, dims=dims, coords=coords, name=name, attrs={"unit": unit, "source": str(store.path)})


def tidy(array: xr.DataArray) -> pd.DataFrame:
    """A labelled array as a long table: a row for each number, a column for each coordinate.

    Args:
        array: what `Capture.masses`, `maps`, `flow` or `stat` returned.

    Returns:
        The table; the numbers are in the column named as the array.
    """
    return array.to_dataframe().reset_index()
