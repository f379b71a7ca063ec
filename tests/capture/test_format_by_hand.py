"""A file built from the specification alone, read with the reader: all agrees with the dense oracle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from attnscope.capture.read import dense
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.capture.read.labels import tidy
from attnscope.errors import FormatError, RequestError
from tests.capture.by_hand import Oracle, build

VARIANTS = {
    "plain": {},
    "softcap": {"softcap": 3.0, "seed": 1},
    "sliding": {"window": 13, "seed": 2},
    "explicit": {"explicit": True, "seed": 3},
    "learned sinks": {"sink_logits": True, "seed": 4},
    "float16": {"dtype": "float16", "maps_dtype": "float16", "seed": 5},
    "bfloat16": {"dtype": "bfloat16", "seed": 6},
    "everything": {
        "softcap": 4.0,
        "window": 20,
        "explicit": True,
        "sink_logits": True,
        "dtype": "bfloat16",
        "numbers": [1, 3, 4, 9],
        "kv_heads": 1,
        "speakers": 3,
        "names": ["A/B 100%", "Søren", "李"],
        "generated": 1,
    },
}

Pair = tuple[Oracle, Capture]


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS.keys())
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A file without `full`, so that attention comes from `qk`, and its oracle."""
    path = tmp_path_factory.mktemp("by_hand") / "run.h5"
    oracle = build(path, **request.param, readings=("masses", "maps", "stats", "qk"))
    with open_capture(path) as cap:
        yield oracle, cap


def test_attention_from_qk_is_the_dense_softmax(pair: Pair) -> None:
    oracle, cap = pair
    assert cap.layers.tolist() == oracle.layers.tolist()
    assert cap.heads == oracle.attention.shape[1]
    for row, layer in enumerate(cap.layers.tolist()):
        found = cap.attention(layer)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, oracle.attention[row], atol=1e-6)
        np.testing.assert_array_equal(found[:, ~oracle.allowed[row]], 0)


def test_attention_computes_what_is_asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, cap = pair
    monkeypatch.setattr(dense, "SCRATCH", 4 * 62 * 5)  # five rows at a time
    layer, truth = int(cap.layers[1]), oracle.attention[1]
    queries, keys = [57, 3, 3, 40], [50, 0, 7]
    np.testing.assert_allclose(cap.attention(layer, 2, queries, keys), truth[2][queries][:, keys], atol=1e-6)
    np.testing.assert_allclose(cap.attention(layer, [3, 0], 59)[:, 0], truth[[3, 0], 59], atol=1e-6)
    np.testing.assert_allclose(cap.attention(layer, 0, slice(5, 30), 2), truth[0, 5:30, 2:3], atol=1e-6)
    late = (cap.tokens["role"] == "question").to_numpy()
    np.testing.assert_allclose(cap.attention(layer, 1, late, late), truth[1][late][:, late], atol=1e-6)
    assert cap.attention(layer, None, []).shape == (cap.heads, 0, len(cap.tokens))


def test_masks(pair: Pair) -> None:
    oracle, cap = pair
    for row, layer in enumerate(cap.layers.tolist()):
        np.testing.assert_array_equal(cap.allowed(layer), oracle.allowed[row])
        np.testing.assert_array_equal(cap.allowed(layer, [9, 2]), oracle.allowed[row][[9, 2]])


def test_masses(pair: Pair) -> None:
    oracle, cap = pair
    readings = oracle.readings
    whole = cap.masses()
    assert whole.dims == ("layer", "head", "query", "key_group")
    np.testing.assert_array_equal(whole.values, readings["masses/rows"])
    np.testing.assert_array_equal(whole["query"], readings["masses/probes"])
    assert whole["family"].values.tolist() == oracle.key_groups["family"].tolist()
    assert len(set(whole["key_group"].values)) == len(oracle.key_groups)
    layer = int(cap.layers[2])
    some = cap.masses(layer, [2, 1])
    assert some.dims == ("head", "query", "key_group")
    assert some["layer"].item() == layer
    np.testing.assert_array_equal(some.values, readings["masses/rows"][2][[2, 1]])
    assert cap.masses([layer], 0).dims == ("layer", "query", "key_group")
    who = cap.scene_dict["options"][0]
    column = oracle.key_groups["name"].tolist().index(f"visual:{who}")
    picked = cap.masses(layer, 1).sel(key_group=f"visual:{who}")
    np.testing.assert_array_equal(picked.values, readings["masses/rows"][2, 1, :, column])
    np.testing.assert_array_equal(cap.masses_allowed().values, readings["masses/rows_allowed"])
    np.testing.assert_array_equal(cap.masses_allowed(layer).values, readings["masses/rows_allowed"][2])


def test_flow(pair: Pair) -> None:
    oracle, cap = pair
    np.testing.assert_array_equal(cap.flow().values, oracle.readings["masses/flow"])
    np.testing.assert_array_equal(cap.flow_pairs().values, oracle.readings["masses/flow_pairs"])
    flow = cap.flow(int(cap.layers[0]), 0)
    assert flow.dims == ("query_group", "key_group")
    assert flow["query_group"].values[0] == "modality:text"
    assert not any(str(name).startswith("sink:") for name in flow["query_group"].values)
    pairs = cap.flow_pairs(int(cap.layers[0])).sel(query_group="role:question", key_group="role:template")
    question, template = ((cap.tokens["role"] == role).to_numpy() for role in ("question", "template"))
    assert pairs == oracle.allowed[0][question][:, template].sum()


def test_maps(pair: Pair) -> None:
    oracle, cap = pair
    truth = oracle.readings["maps/rows"]
    tolerance = 1e-3 if cap.run["plan"].get("maps_dtype") or cap.model["dtype"] == "float16" else 0
    whole = cap.maps()
    assert whole.dtype == np.float32
    assert whole.dims == ("layer", "head", "query_group", "key")
    np.testing.assert_allclose(whole.values, truth, atol=tolerance)
    assert whole["kind"].values.tolist() == oracle.query_groups["kind"].tolist()
    layer = int(cap.layers[3])
    one = cap.maps(layer, 2, "question")
    assert one.dims == ("key",)
    row = oracle.query_groups["name"].tolist().index("question")
    np.testing.assert_allclose(one.values, truth[3, 2, row], atol=tolerance)
    two = cap.maps([layer], None, ["question", "turn:0"])
    assert two["query_group"].values.tolist() == ["question", "turn:0"]
    np.testing.assert_allclose(two.values, truth[3:4][:, :, [row, 0]], atol=tolerance)


def test_stats(pair: Pair) -> None:
    oracle, cap = pair
    for name in ("entropy", "lse", "sink_mass", "max", "allowed"):
        np.testing.assert_array_equal(cap.stat(name).values, oracle.readings[f"stats/{name}"])
    np.testing.assert_array_equal(cap.stat("max")["query"], oracle.readings["stats/probes"])
    assert cap.stat("lse", int(cap.layers[0]), 1).dims == ("query",)
    assert cap.stat("entropy").attrs["unit"] == "nat"
    assert cap.stat("allowed", int(cap.layers[0])).dims == ("query",)


def test_tokens_groups_and_sinks(pair: Pair) -> None:
    oracle, cap = pair
    assert (cap.tokens["note"] == "").all()  # a column of 1.3, and the file is of 1.0
    pd.testing.assert_frame_equal(cap.tokens.drop(columns="note"), oracle.tokens, check_dtype=True)
    pd.testing.assert_frame_equal(cap.key_groups, oracle.key_groups, check_dtype=False)
    pd.testing.assert_frame_equal(cap.query_groups, oracle.query_groups, check_dtype=False)
    np.testing.assert_array_equal(cap.key_member, oracle.key_member)
    np.testing.assert_array_equal(cap.query_member, oracle.query_member)
    np.testing.assert_array_equal(cap.sinks, oracle.sinks)
    assert cap.key_member.dtype == cap.query_member.dtype == cap.sinks.dtype == bool


def test_scene_frames_and_documents(pair: Pair) -> None:
    oracle, cap = pair
    assert cap.scene_dict == oracle.scene
    assert len(cap.frames) == len(oracle.times)
    np.testing.assert_array_equal(cap.frames.times, oracle.times)
    assert (cap.frames.width, cap.frames.height, cap.frames.kind) == (96, 64, "video")
    assert cap.frames.images.shape == oracle.frames.shape
    close = np.abs(cap.frames.images.astype(int) - oracle.frames)  # JPEG of flat blocks of 16 pixels
    assert close.mean() < 12
    assert cap.frames.jpeg(0)[:2] == b"\xff\xd8"
    tokens = cap.tokens[: cap.prompt_length]
    spans = [cap.prompt_text[a:b] for a, b in zip(tokens["char_start"], tokens["char_end"], strict=True)]
    assert all(
        span == (text if kind != "visual" else "<video>")
        for span, text, kind in zip(spans, tokens["text"], tokens["modality"], strict=True)
    )
    assert len(cap.answer["options"]) == len(oracle.scene["options"])
    assert cap.check["passed"] is True
    assert cap.correction == []
    assert cap.readings == ["masses", "maps", "stats", "qk"]


def test_scene_is_a_scene(pair: Pair) -> None:
    oracle, cap = pair
    assert list(cap.scene.speakers) == list(oracle.scene["speakers"])
    assert [turn.text for turn in cap.scene.transcript] == [turn["text"] for turn in oracle.scene["transcript"]]


def test_attention_from_full(tmp_path: Path) -> None:
    oracle = build(tmp_path / "run.h5", readings=("full",), numbers=[2, 5, 6, 7])
    with open_capture(tmp_path / "run.h5") as cap:
        np.testing.assert_array_equal(cap.attention(5), oracle.attention[1].astype(np.float32))
        np.testing.assert_array_equal(
            cap.attention(6, 3, [50, 1], [0, 49]),
            oracle.attention[2, 3].astype(np.float32)[[50, 1]][:, [0, 49]],
        )
        with pytest.raises(FormatError, match=r"has no 'stats' reading; capture again with plan=.stats,full."):
            _ = cap.stat("lse")


def test_rows_without_an_allowed_key_are_nan() -> None:
    allowed = np.array([[True, False], [False, False]])
    found = dense.softmax(np.where(allowed, np.float32(1), -np.inf))
    np.testing.assert_array_equal(found, [[1, 0], [np.nan, np.nan]])
    with_sink = dense.softmax(np.where(allowed, np.float32(1), -np.inf), sink_logit=1.0)
    np.testing.assert_allclose(with_sink, [[0.5, 0], [0, 0]])


def test_softmax_of_large_logits_does_not_overflow() -> None:
    z = np.array([[900.0, 901.0, -900.0]], np.float32)
    np.testing.assert_allclose(dense.softmax(z), [[0.26894143, 0.7310586, 0]], rtol=1e-6)


def test_tidy_has_a_row_for_each_number(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", readings=("masses",))
    with open_capture(tmp_path / "run.h5") as cap:
        array = cap.masses(0, 1)
        table = tidy(array)
    assert len(table) == array.size
    assert {"layer", "head", "query", "key_group", "family", "masses"} <= set(table)
    row = table.iloc[77]
    assert row["masses"] == array.sel(query=row["query"], key_group=row["key_group"])


def test_only_the_asked_chunks_are_read(tmp_path: Path) -> None:
    """A damaged chunk of one head is no obstacle to reading another head."""
    from tests.capture.damage import flip_chunk

    oracle = build(tmp_path / "run.h5")
    flip_chunk(tmp_path / "run.h5", "/masses/rows", (2, 1, 0, 0))
    with open_capture(tmp_path / "run.h5") as cap:
        np.testing.assert_array_equal(cap.masses(2, 0).values, oracle.readings["masses/rows"][2, 0])
        with pytest.raises(FormatError, match=r"run\.h5: /masses/rows: cannot be read, the file is damaged"):
            cap.masses(2, 1)


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    build(tmp_path / "run.h5")
    code = (
        "import sys, attnscope.capture.read.capture as r\n"
        "assert not {'torch', 'transformers', 'pandas', 'xarray', 'PIL'} & set(sys.modules)\n"
        "with r.open(sys.argv[1]) as cap:\n"
        "    cap.attention(0), cap.masses(0), cap.maps(0), cap.stat('lse'), cap.tokens, cap.frames.images\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run.h5")], check=True)


def test_closed_captures_say_so(tmp_path: Path) -> None:
    build(tmp_path / "run.h5")
    with open_capture(tmp_path / "run.h5") as cap:
        assert "by-hand/random" in repr(cap)
        kept = cap.key_groups
    assert cap.key_groups is kept
    assert repr(cap).endswith("closed>")
    with pytest.raises(RequestError, match=r"run\.h5: the capture is closed; open it again to read"):
        cap.masses()
    (tmp_path / "run.h5").unlink()


@pytest.mark.parametrize("window", [0, 1, 2, 13, 40, 100])
@pytest.mark.parametrize("kind", ["causal", "sliding"])
def test_what_is_forbidden_is_what_is_not_allowed(kind: str, window: int) -> None:
    mask = dense.LayerMask(kind, window if kind == "sliding" else -1, "", 40)
    random = np.random.default_rng(window)
    some = [np.array([0]), np.array([39]), np.arange(20, 30), np.arange(40), np.array([5, 5, 39, 0, 17])]
    for queries in [*some, *(random.integers(0, 40, size) for size in (1, 3, 20))]:
        allowed = mask.allowed(None, queries)  # type: ignore[arg-type]
        span = mask.span(queries)
        logits = np.zeros((len(queries), 40), np.float32)
        mask.forbid(None, logits[:, span], queries, span)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.isneginf(logits[:, span]), ~allowed[:, span])
        assert span.stop > span.start and not allowed[:, : span.start].any() and not allowed[:, span.stop :].any()


def test_blocks_of_neighbours_are_those_of_the_dense_softmax(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle, cap = pair
    count = len(cap.tokens)
    every = [slice(0, 9), slice(25, 41), slice(count - 7, count), [3], [count - 1, 30, 30, 0]]
    for rows in (1000, 3):
        monkeypatch.setattr(dense, "SCRATCH", 4 * count * rows)
        for row, layer in enumerate(cap.layers.tolist()):
            for queries in every:
                truth = oracle.attention[row][:, queries]
                found = cap.attention(layer, None, queries)
                np.testing.assert_allclose(found, truth, atol=1e-6)
                np.testing.assert_array_equal(found[:, ~oracle.allowed[row][queries]], 0)
                keys = [40, 2, 2, count - 1, 26]
                np.testing.assert_allclose(cap.attention(layer, None, queries, keys), truth[..., keys], atol=1e-6)


def test_a_row_that_may_see_no_key_is_nan(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", explicit=True, readings=("qk",))
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file["mask/explicit_0"][30] = 0
    with open_capture(tmp_path / "run.h5") as cap:
        rows = cap.attention(3, 1, [29, 30, 31])
        assert np.isnan(rows[1]).all() and np.isfinite(rows[[0, 2]]).all()
        some = cap.attention(3, 1, [29, 30, 31], [0, 61])
        np.testing.assert_array_equal(some, rows[:, [0, 61]])


def test_the_keys_read_last_are_kept_unless_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = build(tmp_path / "run.h5", readings=("qk",), window=13)
    with open_capture(tmp_path / "run.h5") as cap:
        reads: list[str] = []
        read = cap._store.read

        def noted(path: str, *selection: Any, **named: Any) -> Any:
            reads.append(path)
            return read(path, *selection, **named)

        monkeypatch.setattr(cap._store, "read", noted)

        def keys_read(layer: int, heads: list[int], queries: slice) -> int:
            reads.clear()
            truth = oracle.attention[layer][heads][:, queries]
            np.testing.assert_allclose(cap.attention(layer, heads, queries), truth, atol=1e-6)
            return sum(path.endswith("/k") for path in reads)

        late, early = slice(50, 62), slice(0, 50)
        asked = [(0, [0, 1, 2, 3], late), (0, [3, 2], late), (0, [2], early), (1, [2], early), (1, [2], late)]
        assert [keys_read(*one) for one in asked] == [2, 0, 1, 1, 1]
        monkeypatch.setattr(dense, "KEPT", 0)
        assert [keys_read(*one) for one in asked[:2]] == [2, 1]
