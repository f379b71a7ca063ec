"""Matched and mismatched pairs of words and cells: by hand, on even attention, against loops over the dense map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.reader import open as open_capture
from attnscope.metrics.density import live_frames
from attnscope.metrics.pairs import METRICS
from tests.metrics.sketch import causal, draw, room, softmax

MEAN, MAX, MASS = METRICS
TURNS = [("Ann", 0.0, 1.2), ("Ben", 0.8, 2.2), ("Ann", 2.0, 2.0)]


def table_of(cap, **options) -> pd.DataFrame:
    return metrics.compute(cap, METRICS, **options)["pairs"]


def value(table, metric, match, frames="all", heads="mean", layer=-1, head=-1, rows="turn") -> float:
    keep = (table["metric"] == metric) & (table["match"] == match) & (table["frames"] == frames)
    keep &= (table["layer"] == layer) & (table["head"] == head) & (table["heads"] == heads) & (table["rows"] == rows)
    return float(table.loc[keep, "value"].item())


def by_hand():
    """One frame with the cells of Ann, Ben, Cleo and nobody, covered so that Ann has two cells; two words each."""
    sketch = room(("Ann", "Ben", "Cleo"), [("Ann", None, None), ("Ben", None, None)], times=(0.0,), words=2, question=0)
    sketch.tokens[5].covered = ["Ann"]  # the background too
    n = len(sketch.tokens)
    words = np.flatnonzero(sketch.where(role="transcript"))
    a = softmax(np.zeros((1, 2, n, n)), causal(n))
    a[0, :, words] = 0
    rows = [[0.2, 0.1, 0.0, 0.4], [0.4, 0.1, 0.2, 0.0], [0.1, 0.3, 0.1, 0.1], [0.1, 0.5, 0.1, 0.3]]
    for word, row in zip(words, rows, strict=True):
        a[0, 0, word, 2:6] = row  # Ann, Ben, Cleo, Ann
        a[0, 1, word, 2:6] = 0.1
    return sketch, a


def test_numbers_by_hand(drawn):
    """Ann's two words on her two cells, on average 0.3 and 0.2; Ben's on his one, 0.4; four words in all."""
    table = table_of(drawn(*by_hand()), exact=True)
    on = {"layer": 0, "head": 0, "heads": "each"}
    assert value(table, MEAN, "matched", **on) == pytest.approx((2 * (0.3 + 0.2) / 2 + 2 * 0.4) / 4)
    assert value(table, MAX, "matched", **on) == pytest.approx((2 * 0.3 + 2 * 0.4) / 4)
    assert value(table, MASS, "matched", **on) == pytest.approx((2 * (0.3 + 0.2) + 2 * 0.4) / 4)
    # the others: Ann's words on Ben 0.1 and Cleo 0.1, Ben's on Ann's two cells 0.1 and 0.2, and on Cleo 0.1
    assert value(table, MEAN, "mismatched", **on) == pytest.approx((2 * 0.1 + 2 * (0.15 + 0.1) / 2) / 4)
    assert value(table, MAX, "mismatched", **on) == pytest.approx((2 * 0.1 + 2 * (0.2 + 0.1) / 2) / 4)
    assert value(table, MASS, "mismatched", **on) == pytest.approx((2 * 0.1 + 2 * (0.3 + 0.1) / 2) / 4)
    # word by word Ann's reach 0.4 and 0.4 on herself, Ben's 0.3 and 0.5; on others: (0.1 + 0) / 2, (0.1 + 0.2) / 2, ...
    token = {**on, "rows": "token"}
    assert value(table, MAX, "matched", **token) == pytest.approx((0.4 + 0.4 + 0.3 + 0.5) / 4)
    assert value(table, MAX, "mismatched", **token) == pytest.approx(
        ((0.1 + 0) / 2 + (0.1 + 0.2) / 2 + (0.1 + 0.1) / 2 + (0.3 + 0.1) / 2) / 4
    )
    assert (table["n"] == 4).all()
    # head 1 looks everywhere with 0.1: the mean over heads, and the highest
    assert value(table, MAX, "matched") == pytest.approx((0.35 + 0.1) / 2)
    assert value(table, MAX, "matched", heads="max") == pytest.approx(0.35)
    assert value(table, MAX, "matched", heads="max", layer=0) == pytest.approx(0.35)


def test_even_attention_matches_nobody(drawn):
    table = table_of(drawn(room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0))))
    for metric in METRICS:
        for frames in ("live", "all"):
            assert value(table, metric, "matched", frames) > 0
        # all frames: both boxes have one cell in each, but Ann's and Ben's words see different numbers of keys
        per_word = [1 / (row + 1) * (3 if metric == MASS else 1) for row in range(11, 17)]
        for match in ("matched", "mismatched"):
            assert value(table, metric, match) == pytest.approx(np.mean(per_word), rel=1e-5)


def test_perfect_attention_leaves_the_others_nothing(drawn):
    sketch = room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0))
    n = len(sketch.tokens)
    z = np.zeros((1, 1, n, n))
    for name in ("Ann", "Ben"):
        z[0, 0][np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] = 60
    table = table_of(drawn(sketch, softmax(z, causal(n))))
    assert value(table, MASS, "matched") == pytest.approx(1.0)
    assert value(table, MEAN, "matched") == pytest.approx(1 / 3)
    for metric in METRICS:
        assert value(table, metric, "mismatched") == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 999))
def test_numbers_equal_loops_over_the_dense_map(tmp_path_factory, seed):
    """The second computation; splitting heads over layers and the order of heads are in it too."""
    sketch = room(
        ("Ann", "Ben", "Cleo"),
        TURNS,
        times=(0.0, 1.0, 2.0),
        hidden=[("Ben", 2), ("Cleo", 0)],
        seats=[(0, 1, 2), (1, 2, 0), (2, 0, 0)],
    )
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (2, 2, n, n)), causal(n))
    with open_capture(draw(tmp_path_factory.mktemp("loop") / "run.h5", sketch, a, numbers=[3, 7])) as cap:
        table, tokens = table_of(cap, exact=True), cap.tokens
        first = tokens["frame_first"].to_numpy()
        for frames in ("live", "all"):
            heads: dict[tuple[str, str, str], list[float]] = {}
            for layer in (3, 7):
                for head in (0, 1):
                    dense = cap.attention(layer, head)
                    found: dict[tuple[str, str, str], list[float]] = {}
                    for t, (speaker, start, end) in enumerate(TURNS):
                        live = live_frames(start, end, cap.frames.times) if frames == "live" else np.ones(3, bool)
                        words = np.flatnonzero(tokens["turn"] == t)
                        mismatched: dict[tuple[str, str], list[list[float]]] = {}
                        for other in ("Ann", "Ben", "Cleo"):
                            box = np.flatnonzero((tokens[f"covered:{other}"] >= 0.5) & (first >= 0))
                            box = [v for v in box if live[first[v]]]
                            if not box:
                                continue
                            block = dense[np.ix_(words, box)]
                            numbers = {
                                (MEAN, "turn"): block.mean(1),
                                (MASS, "turn"): block.sum(1),
                                (MAX, "token"): block.max(1),
                                (MAX, "turn"): np.full(len(words), block.mean(0).max()),
                            }
                            for (metric, rows), number in numbers.items():
                                if other == speaker:
                                    found.setdefault((metric, "matched", rows), []).extend(number)
                                else:
                                    mismatched.setdefault((metric, rows), []).append(number)
                        for (metric, rows), number in mismatched.items():
                            found.setdefault((metric, "mismatched", rows), []).extend(np.mean(number, axis=0))
                    for (metric, match, rows), number in found.items():
                        got = value(table, metric, match, frames, "each", layer, head, rows)
                        assert got == pytest.approx(np.mean(number), abs=1e-6)
                        heads.setdefault((metric, match, rows), []).append(float(np.mean(number)))
            for (metric, match, rows), number in heads.items():
                for how, put in (("mean", np.mean), ("max", np.max)):
                    assert value(table, metric, match, frames, how, rows=rows) == pytest.approx(put(number), abs=1e-6)
                    got = value(table, metric, match, frames, how, layer=7, rows=rows)
                    assert got == pytest.approx(put(number[2:]), abs=1e-6)


def test_a_single_speaker_has_no_mismatch(drawn):
    table = table_of(drawn(room(("Ann",), (("Ann", 0.0, 1.0),))))
    assert value(table, MASS, "matched") > 0
    assert table.loc[table["match"] == "mismatched", "value"].isna().all()
    assert (table.loc[table["match"] == "mismatched", "n"] == 0).all()


def test_words_alone_need_queries_and_keys(drawn):
    """Asked for exactly, a capture with maps alone gives the numbers that it can."""
    cap = drawn(room(), readings=("masses", "maps"))
    assert set(table_of(cap, exact=True)["rows"]) == {"turn"}
