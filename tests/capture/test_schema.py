"""What the writing helpers write, read back: by the reader, and by bare h5py after the specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnscope.capture.file import encode
from attnscope.capture.file.nodes import Store
from attnscope.vocabulary import TOKEN_COLUMNS
from tests.capture.invented import tokens as invent_tokens

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with encode.create_file(tmp_path / "run.h5") as file:
        yield file


def finished(file: h5py.File) -> Store:
    path = file.filename
    file.attrs["complete"] = True
    file.close()
    return Store(path)


@quick
@given(documents)
def test_json(tmp_path: Path, document: object) -> None:
    with encode.create_file(tmp_path / "run.h5") as file:
        encode.write_json(file, "model", document)
        raw = file["model"][()]
        digest = file["model"].attrs["sha256"]
        store = finished(file)
    assert json.loads(raw) == document
    assert digest.decode() == hashlib.sha256(raw).hexdigest()
    assert store.json("/model") == document


@quick
@given(st.lists(texts, max_size=9))
def test_strings(tmp_path: Path, values: list[str]) -> None:
    with encode.create_file(tmp_path / "run.h5") as file:
        encode.write_strings(file, "name", values)
        assert not values or file["name"].fletcher32
        store = finished(file)
    assert store.strings("/name") == [value.replace("\0", "\u2400") for value in values]


@quick
@given(st.lists(st.binary(max_size=20), max_size=6))
def test_bytes(tmp_path: Path, items: list[bytes]) -> None:
    with encode.create_file(tmp_path / "run.h5") as file:
        encode.write_bytes(file, "jpeg", items)
        store = finished(file)
    assert [store.bytes("/jpeg", row) for row in range(len(items))] == items


def test_json_of_numpy_and_of_what_json_has_no_word_for(file: h5py.File) -> None:
    document = {"a": np.float32(0.5), "b": np.arange(3), 4: float("nan"), "d": (Path("x"), -np.inf, np.True_)}
    encode.write_json(file, "run", document)
    store = finished(file)
    assert store.json("/run") == {"a": 0.5, "b": [0, 1, 2], "4": None, "d": ["x", None, True]}


def test_json_refuses_other_things(file: h5py.File) -> None:
    with pytest.raises(TypeError, match="a object has no place in a JSON document"):
        encode.write_json(file, "run", {"a": object()})


def test_a_token_table(file: h5py.File) -> None:
    scene = {"text": "hello", "speaker": "Ann"}
    frame, _ = invent_tokens(60, 3, ["A/B", "50% C"], [scene | {"speaker": "A/B"}, scene | {"speaker": ""}], 4)
    encode.write_table(file, "tokens", frame, {"time": "s"})
    group = file["tokens"]
    assert {"covered:A%2FB", "covered:50%25 C"} <= set(group)
    assert [c.decode() for c in group.attrs["columns"]] == list(frame.columns)
    assert group["time"].attrs["unit"] == b"s"
    assert group["time"].attrs["dims"].tolist() == [b"row"]
    for name, column in TOKEN_COLUMNS.items():
        assert column.dtype == "strings" or group[name].dtype == column.dtype
    pd.testing.assert_frame_equal(finished(file).table("/tokens"), frame)


def test_an_array_filled_piece_by_piece(file: h5py.File) -> None:
    dims = ["layer", "head", "query", "key"]
    dataset = encode.create_array(file, "rows", (2, 3, 0, 50), "f4", dims, maxshape=(2, 3, None, 50))
    assert dataset.chunks == (1, 1, 256, 50)
    dataset.resize((2, 3, 4, 50))
    dataset[1, 2, 1] = np.arange(50)
    found = finished(file).read("/rows", dims=dims)
    np.testing.assert_array_equal(found[1, 2, 1], np.arange(50))
    assert np.isnan(found[0]).all()


def test_arrays_without_numbers(file: h5py.File) -> None:
    encode.write_array(file, "member", np.zeros((0, 7), bool), ["key_group", "key"])
    assert finished(file).read("/member").shape == (0, 7)


def test_every_chunk_is_one_layer_and_one_large_head_and_at_most_a_mebibyte() -> None:
    dims = ["layer", "head", "query", "key"]
    for positions in (1, 50, 2048, 8192, 16384, 300_001, 1_000_000):
        chunk = encode.chunk_shape((28, 28, positions, positions), 4, dims)
        assert chunk[:2] == (1, {1: 28, 50: 6}.get(positions, 1))  # small heads share one, up to 64 KiB
        assert np.prod(chunk) * 4 <= encode.MAX_CHUNK
        assert positions > 262_144 or chunk[3] == positions
    assert encode.chunk_shape((28,), 4, ["layer"]) == (28,)
    assert encode.chunk_shape((28, 512), 1, ["layer", "key"]) == (1, 512)


def test_arrays_are_compressed_and_checksummed(file: h5py.File) -> None:
    dataset = encode.write_array(file, "rows", np.zeros((2, 2, 64, 64), "f4"), ["layer", "head", "query", "key"], "1")
    filters = [dataset.id.get_create_plist().get_filter(i)[0] for i in range(2)]
    assert filters == [hdf5plugin.Bitshuffle.filter_id, h5py.h5z.FILTER_FLETCHER32]
    assert dataset.id.get_storage_size() < dataset.nbytes / 10
    with pytest.raises(ValueError, match="3 dims for 2 dimensions"):
        encode.create_array(file, "other", (2, 2), "f4", ["a", "b", "c"])


def test_nothing_lies_on_the_heap(file: h5py.File) -> None:
    """Strings of variable length are covered by no checksum of HDF5."""
    encode.write_json(file, "model", {"a": "b"})
    encode.write_strings(file, "name", ["a", "bc"])
    encode.write_bytes(file, "jpeg", [b"abc"])
    encode.write_table(file, "tokens", pd.DataFrame({"text": ["a"], "position": [1]}))
    encode.set_attributes(file, created="now", attnscope_version="0.1.0", some=["a", "é"], number=3)
    assert file.attrs["attnscope-version"] == b"0.1.0"
    path = file.filename
    file.close()
    assert b"GCOL" not in Path(path).read_bytes()
