"""Rows of Parquet and Arrow files, and of folders of them: a dataset as it lies on the hub, or after `save_to_disk`.

Layouts, from the code and documentation of the library `datasets`; tests hold them against folders that it wrote:

- `Dataset.save_to_disk`: `state.json` lists the Arrow files (`_data_files`), which are streams.
- `DatasetDict.save_to_disk`: `dataset_dict.json` lists the splits (`splits`), which are folders of this kind.
- the hub: Parquet files called `SPLIT-00000-of-00003.parquet`, or in a folder called as the split; often below `data/`.

A column of videos or images is a struct of `bytes` and `path`, or bytes. Its files are not read: a cell is its path, or
an `Embedded` if the file is inside.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import exists, is_folder, open_regular
from attnscope.scene.problems import read_json, show

_ROWS = 256  # of a file in memory
_SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")
_STATE, _SPLITS = "state.json", "dataset_dict.json"


@dataclass(frozen=True)
class Embedded:
    """A cell that holds a whole file.

    Attributes:
        name: What the file is called, if that is said.
    """

    name: str | None = None


def is_dataset(path: Path) -> bool:
    """Whether a folder holds a dataset: one saved to disk, or Parquet files."""
    if not is_folder(path):
        return False
    return exists(path / _STATE) or exists(path / _SPLITS) or next(_parquets(path), None) is not None


def is_split(path: Path) -> bool:
    """Whether a path that is not there is a dataset's folder and the name of a split whose files lie in it."""
    start = f"{glob.escape(path.name)}-*.parquet"
    return bool(path.name) and not exists(path) and any(path.parent.glob(start))


def dataset_files(path: Path, split: str = "") -> list[Path]:
    """The files of one split of a dataset, in order.

    Args:
        path: The folder.
        split: Which; not needed where there is one.

    Raises:
        SceneError: If there are several splits and none is chosen, none of this name, or the folder is no dataset.
    """
    if exists(path / _STATE):
        if split:
            raise SceneError(f"{path}: split: {show(split)} is given, and the folder is one split")
        return _saved(path)
    if exists(path / _SPLITS):
        listed = _of_json(path / _SPLITS).get("splits")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        return _saved(path / _chosen(path, names, split))
    by_split: dict[str, list[Path]] = {}
    for file in sorted(_parquets(path)):
        shard = _SHARD.fullmatch(file.stem)
        above = file.relative_to(path).parent.name
        by_split.setdefault(shard["split"] if shard else above or file.stem, []).append(file)
    if not by_split:
        raise SceneError(f"{path}: is no dataset: it has neither {_STATE} nor files that end in .parquet")
    return by_split[_chosen(next(iter(by_split.values()))[0].parent, list(by_split), split)]


def rows(files: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of Parquet and Arrow files, as `row 0`, `row 1`, ...: numbers run on over the files.

    Raises:
        SceneError: If a file cannot be read.
    """
    import pyarrow

    number = 0
    for path in files:
        try:
            for count, cells in (_parquet if path.suffix.lower() == ".parquet" else _arrow)(path):
                for at in range(count):
                    yield f"row {number}", {name: values[at] for name, values in cells.items()}
                    number += 1
        except (pyarrow.ArrowException, OSError) as error:
            raise SceneError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None


def _parquets(path: Path) -> Iterator[Path]:
    """Parquet files at most two folders deep, as on the hub; a folder of anything may be large."""
    for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet"):
        yield from path.glob(pattern)


def _saved(path: Path) -> list[Path]:
    """The Arrow files of a dataset that was saved to disk."""
    state = _of_json(path / _STATE)
    if state.get("_indices_data_files"):  # of old versions; since 1.7 rows are written in their order
        raise SceneError(f"{path / _STATE}: lists its rows in another order than its files; save it again")
    listed = state.get("_data_files")
    files = listed if isinstance(listed, list) else []
    names = [of.get("filename") if isinstance(of, dict) else None for of in files]
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise SceneError(f"{path / _STATE}: names no files of rows")
    return [path / str(name) for name in names]


def _chosen(path: Path, names: list[str], split: str) -> str:
    if split in names:
        return split
    listed = ", ".join(map(show, names)) or "none"
    if split:
        raise SceneError(f"{path}: split: {show(split)} is not one of {listed}")
    if len(names) == 1:
        return names[0]
    raise SceneError(f"{path}: has several splits, {listed}: name one, as in {path / (names[0] if names else 'test')}")


def _of_json(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise SceneError(f"{path}: is not an object")
    return found


_Cells = tuple[int, dict[str, list[Any]]]  # number of some rows, and their cells by column


def _parquet(path: Path) -> Iterator[_Cells]:
    """Rows of a Parquet file; of columns with files only as much is read as tells whether there are files in it."""
    import pyarrow.parquet

    with closing(open_regular(path, SceneError)) as file:
        source = pyarrow.parquet.ParquetFile(file)
        fields = list(source.schema_arrow)
        leaves = {field.name: _leaf(field) for field in fields}
        inside = {name for name, leaf in leaves.items() if leaf is not None and _holds(source, leaf)}
        paths = [f"{field.name}.path" for field in fields if is_media(field.type) and field.name not in inside]
        plain = [name for name, leaf in leaves.items() if leaf is None and not _is_nested(source.schema_arrow, name)]
        for batch in source.iter_batches(_ROWS, columns=[*plain, *paths]):
            cells: dict[str, list[Any]] = {}
            for field in fields:
                if field.name in inside:
                    cells[field.name] = [Embedded()] * batch.num_rows
                elif field.name in batch.schema.names:
                    column = batch.column(field.name)
                    cells[field.name] = (column.field("path") if is_media(field.type) else column).to_pylist()
                else:
                    cells[field.name] = [None] * batch.num_rows
            yield batch.num_rows, cells


def _leaf(field: Any) -> str | None:
    """The leaf of a Parquet column in which files stand; None of a column without."""
    if is_media(field.type):
        return f"{field.name}.bytes"
    return str(field.name) if _is_bytes(field.type) and not _is_nesting(field.type) else None


def _is_nested(schema: Any, name: str) -> bool:
    return _is_bytes(schema.field(name).type)


def _holds(source: Any, leaf: str) -> bool:
    """Whether a leaf of a Parquet file holds anything, by its statistics where it has them."""
    for group in range(source.metadata.num_row_groups):
        columns = map(source.metadata.row_group(group).column, range(source.metadata.num_columns))
        column = next(column for column in columns if column.path_in_schema == leaf)
        if column.statistics is not None and column.statistics.has_null_count:
            if column.statistics.null_count < column.num_values:
                return True
        elif any(_is_there(batch.column(0)) for batch in source.iter_batches(1, [group], [leaf])):
            return True
    return False


def _is_there(column: Any) -> bool:
    return any((column.field("bytes") if _is_nesting(column.type) else column).is_valid().to_pylist())


def _arrow(path: Path) -> Iterator[_Cells]:
    """Rows of an Arrow stream; files in it are not read."""
    import pyarrow

    open_regular(path, SceneError).close()
    with pyarrow.memory_map(str(path)) as source:
        for batch in pyarrow.ipc.open_stream(source):
            columns = zip(batch.schema.names, batch.columns, strict=True)
            yield batch.num_rows, {name: _cells(column) for name, column in columns}


def _cells(column: Any) -> list[Any]:
    """The values of a column of Arrow; files stay where they are."""
    if is_media(column.type):
        paths, inside = column.field("path").to_pylist(), column.field("bytes").is_valid().to_pylist()
        return [Embedded(path) if is_inside else path for path, is_inside in zip(paths, inside, strict=True)]
    if _is_bytes(column.type):
        plain = not _is_nesting(column.type)
        return [Embedded() if plain and is_there else None for is_there in column.is_valid().to_pylist()]
    return list(column.to_pylist())


def is_media(kind: Any) -> bool:
    """Whether a column holds files as the library `datasets` does: their bytes, or their path."""
    import pyarrow

    return bool(pyarrow.types.is_struct(kind)) and {field.name for field in kind} == {"bytes", "path"}


def _is_bytes(kind: Any) -> bool:
    """Whether a column holds bytes, or lists or objects with such, which no scene can use."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return not is_media(kind) and any(is_media(field.type) or _is_bytes(field.type) for field in kind)
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return is_media(kind.value_type) or _is_bytes(kind.value_type)
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _is_nesting(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_nested(kind))
