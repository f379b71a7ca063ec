"""Attention as a detector of the speaker's box: by hand, on attention that is even or perfect, against a plain loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, rankdata

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.people.detectors import BLOCK, METRICS, PIECE, ascending, detect, half_mass, ranks
from tests.metrics.sketch import Sketch, causal, draw, room, softmax

NAMES = [*METRICS, "box_area"]
OVER_TIME = [f"{name}_time" for name in NAMES]
SEATS = [(0, 1), (1, 2), (2, 0)]  # cells of Ann and of Ben, who move around
TURNS = [("Ann", 0.0, 1.2), ("Ben", 0.8, 2.2), ("Ann", 2.0, 2.0)]


def moving() -> Sketch:
    return room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0), seats=SEATS)


def noisy(sketch: Sketch, seed: int, layers: int = 2, heads: int = 2) -> np.ndarray:
    n = len(sketch.tokens)
    return softmax(np.random.default_rng(seed).normal(0, 2, (layers, heads, n, n)), causal(n))


def table_of(cap) -> pd.DataFrame:
    return metrics.compute(cap, [*NAMES, *OVER_TIME])["grounding"]


def value(table: pd.DataFrame, metric: str, frames: str, speaker: str, turn: int, layer: int = -1, head: int = -1):
    rows = table[(table["metric"] == metric) & (table["frames"] == frames) & (table["speaker"] == speaker)]
    rows = rows[(rows["turn"] == turn) & (rows["layer"] == layer) & (rows["head"] == head)]
    return float(rows["value"].item())


def at_time(table: pd.DataFrame, metric: str, frames: str, speaker: str, layer: int = -1) -> list[float]:
    rows = table[(table["metric"] == f"{metric}_time") & (table["frames"] == frames) & (table["speaker"] == speaker)]
    rows = rows[(rows["layer"] == layer) & (rows["head"] == -1)]
    assert rows["time"].is_monotonic_increasing
    return rows["value"].tolist()


# ---- by hand


def test_numbers_by_hand():
    """Attention 4 3 2 1 of 10 on four tokens, the box is the first and the third.

    Pairs inside over outside: 4 > 3, 4 > 1, 2 < 3, 2 > 1, so 3 of 4. The largest is inside. Half of 10 is held by
    4 + 3: first and second token, one of the box's two, so 1 / 3.
    """
    auc, hit, iou = detect(np.array([[4.0, 3.0, 2.0, 1.0]]), np.array([[True, False, True, False]]))[:, 0, 0]
    assert (auc, hit, iou) == (pytest.approx(3 / 4), 1.0, pytest.approx(1 / 3))


def test_ties_by_hand():
    """Attention 3 3 2 2 2, the box is the first and the last.

    AUC: 3 against 3 2 2 is 1/2 + 1 + 1, 2 against 3 2 2 is 0 + 1/2 + 1/2, together 3.5 of 6. Two tokens share the top,
    one is inside: 1/2. Half of 12 is held by 3 + 3: one inside, union three.
    """
    auc, hit, iou = detect(np.array([[3.0, 3, 2, 2, 2]]), np.array([[True, False, False, False, True]]))[:, 0, 0]
    assert (auc, hit, iou) == (pytest.approx(3.5 / 6), 0.5, pytest.approx(1 / 3))


def test_equal_tokens_at_the_edge_count_in_part():
    """Attention 4 2 2 2: half of 10 takes the 4 and a third of each 2. Box = 4 and one 2: 4/3 of 2 + 2 - 4/3."""
    iou = detect(np.array([[4.0, 2, 2, 2]]), np.array([[True, True, False, False]]))[2, 0, 0]
    assert iou == pytest.approx((4 / 3) / (2 + 2 - 4 / 3))


def test_what_is_not_defined_is_nan():
    maps = np.array([[1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]])
    auc, hit, iou = detect(maps, np.array([[True, True], [False, False], [False, True]]))
    nan = np.nan
    assert np.array_equal(auc, [[nan, nan, nan], [nan, nan, nan], [1, nan, nan]], equal_nan=True)
    assert np.array_equal(hit, [[1, nan, nan], [nan, nan, nan], [1, nan, nan]], equal_nan=True)
    assert np.array_equal(iou, [[0.5, nan, nan], [nan, nan, nan], [1, nan, nan]], equal_nan=True)


def test_table_by_hand(drawn):
    """Ann's one word looks at three cells a frame with 3 1 2 and 1 1 6; her box is the first cell, then the second."""
    sketch = room(("Ann",), [("Ann", 0.0, 0.4)], seats=[(0,), (1,)], words=1, question=0)
    n, word = len(sketch.tokens), int(np.flatnonzero(sketch.where(role="transcript"))[0])
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    a[0, 0, word] = 0
    a[0, 0, word, [2, 3, 4, 5]] = np.array([3.0, 1, 2, 4]) / 10
    table = table_of(drawn(sketch, a))
    # live: frame 0 only, cells 3 and 1, the box is the 3
    for metric, expected in zip(NAMES, (1.0, 1.0, 1.0, 1 / 2), strict=True):
        assert value(table, metric, "live", "Ann", 0) == pytest.approx(expected)
    # all: 3 1 2 4, the box is the 3 and the 4: the set that holds half is the 4 and the 3
    for metric, expected in zip(NAMES, (1.0, 1.0, 1.0, 2 / 4), strict=True):
        assert value(table, metric, "all", "Ann", -1) == pytest.approx(expected)
        assert value(table, metric, "all", "", -1) == pytest.approx(expected)


def test_units_by_hand(drawn):
    """Ann's word looks at two cells a frame with 3 1 and 4 2; her box is the first cell, then the second."""
    sketch = room(("Ann",), [("Ann", 0.0, 0.4)], seats=[(0,), (1,)], words=1, question=0)
    n, word = len(sketch.tokens), int(np.flatnonzero(sketch.where(role="transcript"))[0])
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    a[0, 0, word] = 0
    a[0, 0, word, [2, 3, 4, 5]] = np.array([3.0, 1, 4, 2]) / 10
    table = table_of(drawn(sketch, a))
    for metric, first, second in zip(NAMES, (1.0, 1.0, 1.0, 1 / 2), (0.0, 0.0, 0.0, 1 / 2), strict=True):
        for speaker in ("Ann", ""):
            assert at_time(table, metric, "all", speaker) == pytest.approx([first, second])
            assert at_time(table, metric, "live", speaker) == pytest.approx([first, np.nan], nan_ok=True)
    rows = table[(table["metric"] == "grounding_auc_time") & (table["layer"] == -1)]
    for frames, cells, speakers in (("all", [1, 1], [1, 1]), ("live", [1, 0], [1, 0])):
        assert rows.loc[(rows["frames"] == frames) & (rows["speaker"] == "Ann"), "n"].tolist() == cells
        assert rows.loc[(rows["frames"] == frames) & (rows["speaker"] == ""), "n"].tolist() == speakers


# ---- properties


@pytest.mark.parametrize("count", [1, 5, PIECE - 1, PIECE, PIECE + 1, 1000])
def test_half_of_the_mass_is_found_as_by_adding_up_every_number(count):
    """Heavy tails, even rows, ties, one number that holds all, nothing at all, and NaN; in both precisions."""
    rng = np.random.default_rng(count)
    rows = np.stack([rng.random(count) ** 9, rng.random(count), np.full(count, 0.1), rng.integers(0, 3, count) / 7])
    one, nothing = np.zeros((2, count))
    one[0], broken = 1.0, np.where(np.arange(count) == 0, np.nan, rng.random(count))
    for kind in (np.float32, np.float64):
        value = np.sort(np.vstack([rows, one, nothing, broken]).astype(kind), axis=1)
        edge, held, part = half_mass(value)
        for row, numbers in enumerate(value):
            falling = np.cumsum(numbers[::-1], dtype=np.float64)
            need = 1 + int((falling < 0.5 * falling[-1] * (1 - 1e-9)).sum())
            least = numbers[count - min(need, count)]
            assert np.array_equal(edge[row, 0], least, equal_nan=True)
            above, equal = (numbers > least).sum(), (numbers == least).sum()
            assert np.array_equal(part[row, 0], (need - above) / equal if equal else np.nan, equal_nan=True)
            assert np.array_equal(held[row], need if equal else np.nan, equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.integers(0, 4), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_ranks_are_those_of_scipy_and_the_auc_that_of_mann_and_whitney(values, seed):
    maps = np.array([values, values[::-1]], dtype=np.float32)
    order = np.argsort(maps, axis=-1)
    assert np.array_equal(ranks(np.take_along_axis(maps, order, -1), order), rankdata(maps, axis=-1))
    inside = np.random.default_rng(seed).random(len(values)) < 0.5
    auc = detect(maps, inside[None])[0, 0]
    if inside.any() and not inside.all() and maps.any():
        u = mannwhitneyu(maps[:, inside], maps[:, ~inside], axis=-1).statistic
        assert np.allclose(auc, u / inside.sum() / (~inside).sum())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), power=st.sampled_from([0, 1, 40]), low=st.sampled_from([0.0, -0.5]))
def test_attention_is_sorted_as_by_argsort(seed, power, low):
    rng = np.random.default_rng(seed)
    maps = (rng.random((3, 50)) ** power + low).astype(np.float32)  # as it comes; equal; with numbers near and below 0
    maps[0, :3] = np.nan, np.inf, 0
    for rows in (maps[:1], maps[1:], maps[1:].astype(np.float64)):
        assert np.array_equal(np.take_along_axis(rows, ascending(rows), -1), np.sort(rows), equal_nan=True)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), levels=st.sampled_from([3, 10**6]))
def test_many_rows_and_sets_are_as_each_alone(seed, levels):
    """Rows that are sorted block by block, and sets of which each is alone; with ties and without."""
    rng = np.random.default_rng(seed)
    count = BLOCK // 2
    maps = (rng.integers(0, levels, (5, count)) / levels).astype(np.float32)
    maps[3] = 0
    inside = rng.random((3, count)) < np.array([[0.1], [0.0], [0.5]])
    whole = detect(maps, inside)
    alone = [[detect(row[None], some[None])[:, 0, 0] for row in maps] for some in inside]
    assert np.allclose(whole, np.moveaxis(alone, -1, 0), equal_nan=True, rtol=1e-12)
    assert np.isfinite(whole[:, [0, 2]][..., [0, 1, 2, 4]]).all() and np.isnan(whole[:, 1]).all()
    for row, some in ((maps[0], inside[0]), (maps[4], inside[2])):  # and by their definitions
        rank = rankdata(row)
        u = rank[some].sum() - some.sum() * (some.sum() + 1) / 2
        assert np.isclose(detect(row[None], some[None])[0, 0, 0], u / some.sum() / (~some).sum())
        top = row == row.max()
        assert np.isclose(detect(row[None], some[None])[1, 0, 0], (top & some).sum() / top.sum())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), order=st.permutations(range(8)))
def test_the_order_of_tokens_does_not_matter(seed, order):
    rng = np.random.default_rng(seed)
    maps, inside = rng.integers(0, 5, (3, 8)).astype(float), rng.random((2, 8)) < 0.5
    assert np.allclose(detect(maps, inside), detect(maps[:, order], inside[:, order]), equal_nan=True)


def test_even_attention_is_a_coin(drawn):
    """AUC 0.5, a hit as likely as the box is large; half of 9 cells is 5, each in it by 5/9, the box has 3."""
    table = table_of(drawn(moving()))
    assert np.allclose(table.loc[table["metric"] == "grounding_auc", "value"], 0.5)
    assert np.allclose(table.loc[table["metric"] == "pointing_hit", "value"], 1 / 3)
    assert value(table, "box_iou", "all", "Ann", -1) == pytest.approx((5 / 3) / (5 + 3 - 5 / 3))


def test_perfect_attention_finds_the_box(drawn):
    sketch = moving()
    z = np.zeros((1, 1, len(sketch.tokens), len(sketch.tokens)))
    for name in ("Ann", "Ben"):
        z[0, 0][np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] = 9
    table = table_of(drawn(sketch, softmax(z, causal(z.shape[-1]))))
    for metric in ("grounding_auc", "pointing_hit"):
        assert np.allclose(table.loc[table["metric"] == metric, "value"], 1.0)
    assert value(table, "box_iou", "all", "Ann", -1) == pytest.approx(2 / 3)  # half the mass: two of the three cells


# ---- the second computation


def looped(row: np.ndarray, keys: list[int], box: set[int]) -> tuple[float, ...]:
    """AUC, hit, IoU and area, pair by pair; for attention without ties."""
    pairs = [(row[i] > row[o]) + (row[i] == row[o]) / 2 for i in box for o in keys if o not in box]
    largest = sorted(keys, key=lambda v: -row[v])
    held = np.cumsum(row[largest])
    half = set(largest[: int(np.argmax(held >= held[-1] / 2)) + 1])
    return np.mean(pairs), float(largest[0] in box), len(half & box) / len(half | box), len(box) / len(keys)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 999))
def test_numbers_equal_loops_over_the_dense_map(tmp_path_factory, seed):
    sketch = moving()
    with open_capture(draw(tmp_path_factory.mktemp("loop") / "run.h5", sketch, noisy(sketch, seed))) as cap:
        table, tokens = table_of(cap), cap.tokens
        dense = {(1, 0): cap.attention(1, 0), (1, -1): cap.attention(1).mean(0)}
        dense[-1, -1] = (cap.attention(0).mean(0) + cap.attention(1).mean(0)) / 2
        visual = np.flatnonzero(tokens["modality"] == "visual")
        first = tokens["frame_first"].to_numpy()
        live = {("Ann", 0): [0, 1], ("Ben", 1): [1, 2], ("Ann", 2): [2], ("Ann", -1): [0, 1, 2], ("Ben", -1): [1, 2]}
        for (layer, head), attention in dense.items():
            for (speaker, turn), shown in live.items():
                words = tokens["turn"] == turn if turn >= 0 else tokens["speaker"] == speaker
                row = attention[np.flatnonzero(words)].mean(0)
                box = set(np.flatnonzero(tokens[f"covered:{speaker}"] >= 0.5))
                for frames, among in (("live", shown), ("all", [0, 1, 2])):
                    keys = [int(v) for v in visual if first[v] in among]
                    expected = looped(row, keys, box & set(keys))
                    for metric, number in zip(METRICS, expected, strict=False):
                        found = value(table, metric, frames, speaker, turn, layer, head)
                        assert found == pytest.approx(number, abs=1e-6)
                    assert value(table, "box_area", frames, speaker, turn) == pytest.approx(expected[-1])
                    if turn < 0 and head < 0:
                        units = [[int(v) for v in visual if first[v] == f] for f in range(3)]
                        by_unit = [
                            looped(row, keys, box & set(keys)) if f in among else [np.nan] * 4
                            for f, keys in enumerate(units)
                        ]
                        for metric, numbers in zip(METRICS, zip(*by_unit, strict=True), strict=False):
                            found = at_time(table, metric, frames, speaker, layer)
                            assert found == pytest.approx(numbers, abs=1e-6, nan_ok=True)
            for metric in METRICS:
                of = [value(table, metric, "live", s, -1, layer, head) for s in ("Ann", "Ben")]
                assert value(table, metric, "live", "", -1, layer, head) == pytest.approx(np.mean(of))
                if head < 0:
                    of = [at_time(table, metric, "all", s, layer) for s in ("Ann", "Ben")]
                    assert at_time(table, metric, "all", "", layer) == pytest.approx(np.mean(of, axis=0))


def test_heads_may_be_in_any_order(tmp_path_factory):
    sketch = moving()
    a = noisy(sketch, 3, heads=3)
    folder = tmp_path_factory.mktemp("heads")
    with (
        open_capture(draw(folder / "a.h5", sketch, a)) as one,
        open_capture(draw(folder / "b.h5", sketch, a[:, [2, 0, 1]])) as two,
    ):
        first, second = table_of(one), table_of(two)
        for old, new in ((2, 0), (0, 1), (1, 2), (-1, -1)):
            of = [t.loc[t["head"] == head, "value"] for t, head in ((first, old), (second, new))]
            assert np.allclose(*of, atol=1e-6, equal_nan=True)


def test_a_scene_without_boxes_has_no_detector(drawn):
    table = table_of(drawn(room((), ((None, 0.0, 1.0),))))
    assert table["value"].isna().all()
    assert (table["n"] == 0).all()
