"""By what heads are chosen: the numbers by hand, and from the dense map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.heads import region_entropy
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax


def noise(sketch: Sketch, seed: int, layers: int = 2, heads: int = 3) -> np.ndarray:
    n = len(sketch.tokens)
    return softmax(np.random.default_rng(seed).normal(0, 2, (layers, heads, n, n)), causal(n))


def value(cap, metric: str, layer: int, head: int, **where) -> float:
    table = metrics.one(metric, cap)
    keep = (table["layer"] == layer) & (table["head"] == head)
    for column, wanted in where.items():
        keep &= table[column] == wanted
    return float(table.loc[keep, "value"].item())


def grid(rows: int, columns: int, frames: int = 1) -> np.ndarray:
    """View, row and column of each cell, [V, 3]."""
    return np.stack(np.meshgrid(range(frames), range(rows), range(columns), indexing="ij"), -1).reshape(-1, 3)


def entropy(*maps: object) -> list[float]:
    """Of pictures, each [rows, columns] or [frames, rows, columns]."""
    arrays = [np.atleast_3d(np.asarray(m, float)) if np.ndim(m) == 3 else np.asarray(m, float)[None] for m in maps]
    flat = np.stack([a.ravel() for a in arrays])
    frames, rows, columns = arrays[0].shape
    return region_entropy(flat, grid(rows, columns, frames), np.ones(flat.shape[1], bool)).tolist()


# ---- attention from utterances to speakers


def test_cross_attention_by_hand(drawn):
    """Ann says two words, Ben one; each has one cell: 2 cells x 3 words .3 .1, .1 .1, .2 .4 have the mean 1.2/6."""
    sketch = room(turns=(("Ann", 0.0, 1.0), ("Ben", 0.0, 1.0)), times=[0.0], words=1, question=0)
    sketch.tokens.insert(6, Token("text", "transcript", turn=0, speaker="Ann"))
    cells = np.flatnonzero(sketch.cells_of("Ann") | sketch.cells_of("Ben"))
    words = np.flatnonzero(sketch.where(role="transcript"))
    assert (cells.tolist(), words.tolist()) == ([2, 3], [5, 6, 7])
    a = softmax(np.zeros((1, 1, 9, 9)), causal(9))
    a[0, 0, words] = 0
    for word, (one, two) in zip(words, [(0.3, 0.1), (0.1, 0.1), (0.2, 0.4)], strict=True):
        a[0, 0, word, [0, 2, 3]] = [1 - one - two, one, two]
    table = metrics.one("cross_attention", drawn(sketch, a))
    assert table["value"].tolist() == pytest.approx([1.2 / 6] * 3)  # the head, its layer, everything
    assert set(table["n"]) == {6}


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(3)))
def test_numbers_follow_heads_and_equal_loops_over_the_dense_map(tmp_path_factory, seed, order):
    sketch = room(hidden=[("Ben", 0)], words=2, question=1)
    sketch.scene["transcript"][1]["speaker"] = None  # a voice of nobody is no utterance
    for token in sketch.tokens:
        token.speaker = "" if token.turn == 1 else token.speaker
    a, folder = noise(sketch, seed), tmp_path_factory.mktemp("dense")
    with (
        open_capture(draw(folder / "a.h5", sketch, a, sinks=[0, 3], numbers=[1, 4])) as cap,
        open_capture(draw(folder / "b.h5", sketch, a[:, list(order)], sinks=[0, 3], numbers=[1, 4])) as other,
    ):
        tokens, last = cap.tokens, cap.prompt_length - 1
        words = np.flatnonzero((tokens["turn"] >= 0) & (tokens["speaker"] != ""))
        cells = np.flatnonzero((tokens["covered:Ann"] >= 0.5) | (tokens["covered:Ben"] >= 0.5))
        visual = np.flatnonzero(tokens["modality"] == "visual")
        for layer, head in ((1, 0), (4, 2)):
            dense = cap.attention(layer, head).astype(float)
            g = sum(dense[u, v] for u in words for v in cells) / (len(words) * len(cells))
            assert value(cap, "cross_attention", layer, head) == pytest.approx(g, rel=1e-5)
            assert value(other, "cross_attention", layer, order.index(head)) == pytest.approx(g, rel=1e-5)
            for sinks, keep in (("with", visual), ("without", visual[visual != 3])):
                expected = slow_entropy(dense[last, keep], tokens.iloc[keep])
                found = value(cap, "spatial_entropy", layer, head, sinks=sinks)
                assert found == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)


def slow_entropy(row: np.ndarray, tokens: pd.DataFrame) -> float:
    """The definition, region after region, by flooding."""
    excess = {
        (int(f), int(y), int(x)): max(0.0, a - 2 * row.mean())
        for a, f, y, x in zip(row, tokens["frame_first"], tokens["grid_y"], tokens["grid_x"], strict=True)
    }
    left, regions = {cell for cell, e in excess.items() if e > 0}, []
    while left:
        region, edge = set(), {left.pop()}
        while edge:
            region |= edge
            edge = {c for c in left if any(c[0] == r[0] and max(abs(c[1] - r[1]), abs(c[2] - r[2])) <= 1 for r in edge)}
            left -= edge
        regions.append((min(region)[0], sum(excess[c] for c in region)))
    total = sum(mass for _, mass in regions)
    by_frame = {frame: sum(m for f, m in regions if f == frame) for frame, _ in regions}
    return -sum(m / total * np.log(m / by_frame[f]) for f, m in regions) if total else np.nan


# ---- spatial entropy


def test_spatial_entropy_by_hand():
    """Ten cells with mean 1, so the bar is 2: what exceeds it is 1 and 3, in two regions with shares 1/4 and 3/4."""
    row = [3, 0, 0, 0, 0, 0, 0, 5, 1, 1]
    assert entropy([row]) == pytest.approx([-(0.25 * np.log(0.25) + 0.75 * np.log(0.75))])


def test_regions_touch_at_corners_but_not_across_frames():
    corner = np.zeros((4, 4))
    corner[1, 1] = corner[2, 2] = 1
    apart = np.zeros((4, 4))
    apart[0, 0] = apart[3, 3] = 1
    assert entropy(corner, apart) == pytest.approx([0, np.log(2)])
    one_place, two_places = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    one_place[:, 1, 1] = 1  # a person who stays is one region a frame: nothing is spread
    two_places[0, 0, 0] = two_places[0, 3, 3] = 1  # two regions in the first frame, one in the second;
    two_places[1, 1, 1] = 2  # mean 4/32, so the bar is 1/4: 3/4 and 3/4 exceed it, and 7/4
    assert entropy(one_place, two_places) == pytest.approx([0, 1.5 / (1.5 + 1.75) * np.log(2)])


def test_even_attention_has_no_region(drawn):
    assert np.isnan(entropy(np.ones((3, 3)))).all()
    table = metrics.one("spatial_entropy", drawn(room()))
    assert table["value"].isna().all()
    assert set(table["n"]) == {6}


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_picture_may_be_turned_or_scaled(seed):
    picture = np.random.default_rng(seed).gamma(0.2, size=(5, 5))
    turned = entropy(picture, picture[::-1], picture[:, ::-1], picture.T, picture * 7)
    assert turned == pytest.approx(turned[:1] * 5)
    assert 0 <= turned[0] <= np.log(9)  # of 25 cells no more than 9 do not touch


def test_tiles_of_an_image_are_apart(drawn):
    """Two grids of one frame that both begin at their corner: the same cell of both is not one cell.

    Ten cells with the mean 1/10: two of 1/4 in the first grid exceed 1/5 by 1/20, one of 1/2 in the second by 3/10.
    """
    sketch = room((), (), times=[0.0], question=0)
    tokens = [Token("visual", "visual", frames=(0, 0), cell=c) for c in (0, 1, 2, 3, 4, 0, 1, 2, 3, 4)]
    sketch.tokens[2:3] = tokens
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    a[0, 0, -1] = 0
    a[0, 0, -1, [2, 5, 8]] = [0.25, 0.25, 0.5]  # cells 0 and 3 of the first grid, cell 1 of the second
    found = value(drawn(sketch, a), "spatial_entropy", 0, 0, sinks="with")
    assert found == pytest.approx(0.1 / 0.4 * np.log(2), rel=1e-5)


def test_a_sink_hides_what_else_is_looked_at(drawn):
    """Eight cells: a sink with 0.4 and two with 0.2, mean 0.1: only the sink exceeds 0.2. Without it the others do."""
    sketch = room([f"P{i}" for i in range(7)], (), times=[0.0], question=0)
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    a[0, 0, -1] = 0
    a[0, 0, -1, [0, 2, 5, 8]] = [0.2, 0.4, 0.2 - 1e-6, 0.2 - 1e-6]
    cap = drawn(sketch, a, sinks=[0, 2])
    assert value(cap, "spatial_entropy", 0, 0, sinks="with") == 0
    assert value(cap, "spatial_entropy", 0, 0, sinks="without") == pytest.approx(np.log(2), rel=1e-4)
    table = metrics.one("spatial_entropy", cap)
    assert table.groupby("sinks")["n"].unique().map(list).to_dict() == {"with": [8], "without": [7]}


def test_where_nothing_is_defined(drawn):
    silent = drawn(room(turns=()), name="a.h5")
    assert np.isnan(value(silent, "cross_attention", 0, 0))
    sketch = room()
    for token in sketch.tokens:
        token.cell, token.frames, token.covered = -1, (-1, -1), ()
    nowhere = drawn(sketch, name="b.h5")
    assert np.isnan(value(nowhere, "cross_attention", 0, 0))
    assert np.isnan(value(nowhere, "spatial_entropy", 0, 0, sinks="without"))
    only_maps = drawn(room(), readings=("maps",), name="c.h5")
    assert set(metrics.one("spatial_entropy", only_maps)["sinks"]) == {"with"}  # no sinks were looked for
