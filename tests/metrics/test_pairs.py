"""Matched and mismatched pairs of words and cells: by hand, on even attention, against loops over the dense map."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.pairs import METRICS
from attnscope.metrics.people.density import Turns, Units, live_frames
from attnscope.metrics.people.sets import OnCells, Ways, over_live, over_units
from attnscope.metrics.people.words import MATCHES, PairNumbers, Words
from tests.metrics.sketch import causal, draw, room, softmax

MEAN, MAX, MASS = METRICS
NAMES = [f"{name}{of}" for of in ("", "_turn", "_time") for name in METRICS]
TURNS = [("Ann", 0.0, 1.2), ("Ben", 0.8, 2.2), ("Ann", 2.0, 2.0)]


def table_of(cap, **options) -> pd.DataFrame:
    return metrics.compute(cap, NAMES, **options)["pairs"]


def value(table, metric, match, frames="all", heads="mean", layer=-1, head=-1, rows="turn") -> float:
    keep = (table["metric"] == metric) & (table["match"] == match) & (table["frames"] == frames)
    keep &= (table["layer"] == layer) & (table["head"] == head) & (table["heads"] == heads) & (table["rows"] == rows)
    return float(table.loc[keep, "value"].item())


def each(table, metric, match, frames="all", heads="mean", layer=-1) -> list[float]:
    """A number by turn or by unit, in order."""
    keep = (table["metric"] == metric) & (table["match"] == match) & (table["frames"] == frames)
    rows = table[keep & (table["layer"] == layer) & (table["head"] == -1) & (table["heads"] == heads)]
    assert rows["turn" if metric.endswith("turn") else "time"].is_monotonic_increasing
    return rows["value"].tolist()


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
    assert (table.loc[table["metric"].isin(METRICS), "n"] == 4).all()
    # head 1 looks everywhere with 0.1: the mean over heads, and the highest
    assert value(table, MAX, "matched") == pytest.approx((0.35 + 0.1) / 2)
    assert value(table, MAX, "matched", heads="max") == pytest.approx(0.35)
    assert value(table, MAX, "matched", heads="max", layer=0) == pytest.approx(0.35)


def test_turns_and_units_by_hand(drawn):
    """The same attention: Ann's turn and Ben's apart, each the mean of two heads, of which the second is 0.1 all over.

    There is one frame and nobody has a time, so the one unit holds what is over all turns.
    """
    table = table_of(drawn(*by_hand()))
    cells = [2, 1]  # of Ann, of Ben; mass grows with them
    for metric, match, turns, even in (
        (MEAN, "matched", [(0.3 + 0.2) / 2, 0.4], [0.1, 0.1]),
        (MAX, "matched", [0.3, 0.4], [0.1, 0.1]),
        (MASS, "matched", [0.3 + 0.2, 0.4], [0.1 * cells[0], 0.1 * cells[1]]),
        (MEAN, "mismatched", [0.1, (0.15 + 0.1) / 2], [0.1, 0.1]),
        (MAX, "mismatched", [0.1, (0.2 + 0.1) / 2], [0.1, 0.1]),
        (MASS, "mismatched", [0.1, (0.3 + 0.1) / 2], [0.1, (0.2 + 0.1) / 2]),
    ):
        for how, put in (("mean", np.mean), ("max", np.max)):
            by_turn = put([turns, even], axis=0)
            assert each(table, f"{metric}_turn", match, heads=how) == pytest.approx(by_turn)
            # the maximum is taken of heads over all turns
            over_all = put([np.mean(turns), np.mean(even)])
            assert each(table, f"{metric}_time", match, heads=how) == pytest.approx([over_all])
    assert (table.loc[table["metric"] == f"{MEAN}_turn", "n"] == 2).all()
    assert (table.loc[table["metric"] == f"{MEAN}_time", "n"] == 4).all()


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


def crowd():
    """Three who move and are away at times; the first turn has one word less than the others."""
    sketch = room(
        ("Ann", "Ben", "Cleo"),
        TURNS,
        times=(0.0, 1.0, 2.0),
        hidden=[("Ben", 2), ("Cleo", 0)],
        seats=[(0, 1, 2), (1, 2, 0), (2, 0, 0)],
        words=3,
    )
    lost = sketch.tokens[int(np.flatnonzero(sketch.where(turn=0))[-1])]
    lost.role, lost.turn, lost.speaker = "question", -1, ""
    return sketch


def on_boxes(dense: np.ndarray, tokens: pd.DataFrame, turn: int, shown: list[int]) -> dict:
    """Mean over the words of a turn of their numbers on each box in some frames, by metric, rows and name."""
    first, words = tokens["frame_first"].to_numpy(), np.flatnonzero(tokens["turn"] == turn)
    found: dict[tuple[str, str, str], float] = {}
    for name in ("Ann", "Ben", "Cleo"):
        box = [v for v in np.flatnonzero(tokens[f"covered:{name}"] >= 0.5) if first[v] in shown]
        if box:
            block = dense[np.ix_(words, box)]
            found[MEAN, "turn", name], found[MASS, "turn", name] = block.mean(), block.sum(1).mean()
            found[MAX, "token", name], found[MAX, "turn", name] = block.max(1).mean(), block.mean(0).max()
    return found


def over_words(turns: list[tuple[int, dict]], words: list[int], metric: str, rows: str, match: str) -> float:
    """Mean over the words of turns of numbers by name: on the turn's own speaker, or mean over the others."""
    total, count = 0.0, 0
    for turn, numbers in turns:
        own = TURNS[turn][0]
        some = [v for (m, r, name), v in numbers.items() if (m, r, (name == own)) == (metric, rows, match == "matched")]
        if some:
            total, count = total + words[turn] * float(np.mean(some)), count + words[turn]
    return total / count if count else np.nan


def put_together(heads: list[list[tuple[int, dict]]], put) -> list[tuple[int, dict]]:
    """Numbers by name of several heads as one."""
    return [
        (of[0][0], {k: put([numbers[k] for _, numbers in of]) for k in of[0][1]}) for of in zip(*heads, strict=True)
    ]


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 999))
def test_numbers_equal_loops_over_the_dense_map(tmp_path_factory, seed):
    """The second computation; the highest head is taken for each turn and speaker."""
    sketch = crowd()
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (2, 2, n, n)), causal(n))
    keys = [(m, r, s) for m, r in ((MEAN, "turn"), (MAX, "turn"), (MAX, "token"), (MASS, "turn")) for s in MATCHES]
    with open_capture(draw(tmp_path_factory.mktemp("loop") / "run.h5", sketch, a, numbers=[3, 7])) as cap:
        table, tokens = table_of(cap, exact=True), cap.tokens
        words = [int((tokens["turn"] == t).sum()) for t in range(3)]
        places = [(layer, head) for layer in (3, 7) for head in (0, 1)]
        dense = {place: cap.attention(*place) for place in places}
        for frames in ("live", "all"):
            live = [
                np.flatnonzero(live_frames(start, end, cap.frames.times)).tolist() if frames == "live" else [0, 1, 2]
                for _, start, end in TURNS
            ]
            turns = {at: [(t, on_boxes(dense[at], tokens, t, live[t])) for t in range(3)] for at in places}
            units = [
                {at: [(t, on_boxes(dense[at], tokens, t, [f])) for t in range(3) if f in live[t]] for at in places}
                for f in range(3)
            ]
            for key in keys:
                metric, rows, match = key
                for layer, head in places:
                    got = value(table, metric, match, frames, "each", layer, head, rows)
                    assert got == pytest.approx(over_words(turns[layer, head], words, *key), abs=1e-6)
                for how, put in (("mean", np.mean), ("max", np.max)):
                    for layer, some in ((-1, places), (7, places[2:])):
                        of = put_together([turns[at] for at in some], put)
                        got = value(table, metric, match, frames, how, layer, rows=rows)
                        assert got == pytest.approx(over_words(of, words, *key), abs=1e-6)
                        if rows == "token":  # words alone are told over all turns only
                            continue
                        by_turn = [over_words([one], words, *key) for one in of]
                        got = each(table, f"{metric}_turn", match, frames, how, layer)
                        assert got == pytest.approx(by_turn, abs=1e-6, nan_ok=True)
                        by_unit = [
                            over_words(put_together([unit[at] for at in some], put), words, *key) for unit in units
                        ]
                        got = each(table, f"{metric}_time", match, frames, how, layer)
                        assert got == pytest.approx(by_unit, abs=1e-6, nan_ok=True)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), speakers=st.integers(2, 3), turns=st.integers(1, 3))
def test_no_alignment_over_all_labels(seed, speakers, turns):
    """Over all ways to say who speaks, matched and mismatched have the same mean, for the highest head too."""
    rng = np.random.default_rng(seed)
    numbers = rng.gamma(
        0.5, size=(2, 2, 1, speakers, 1, 5, turns)
    )  # layers, K, one unit, speakers, one way, heads, turns
    tokens, totals = rng.integers(1, 5, turns), []
    for labels in product(range(speakers), repeat=turns):
        said = Turns(
            [str(s) for s in range(speakers)],
            [""] * turns,
            list(range(turns)),
            np.array(labels),
            tokens,
            np.ones((turns, 1), bool),
            np.ones((turns, speakers), int),
        )
        words = Words.at("all", said, np.ones((1, 1, speakers), int))
        found = PairNumbers.empty(words, 2, 5)
        for row, (masses, peaks) in enumerate(numbers):
            found.fill(row, words, OnCells.of(masses, peaks))
        totals.append((found.whole, found.turn, found.time))
    for of in zip(*totals, strict=True):
        matched, mismatched = np.moveaxis(np.mean(of, axis=0), 4, 0)
        assert np.allclose(matched, mismatched)


# ---- properties


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_splitting_a_box_adds_up(seed):
    """Two halves of a box: their masses add up to its mass, the higher of their peaks is its peak; in many ways."""
    rng = np.random.default_rng(seed)
    of = rng.integers(-1, 3, 12)
    units = Units(np.array([[0, 0], [1, 1], [2, 2]]), np.arange(3.0), of)
    maps = rng.random((2, 3, 12)).astype(np.float32)
    box, half = rng.random((4, 12)) < 0.7, rng.random((4, 12)) < 0.5
    cells = np.stack([box & half, box & ~half, box], axis=1)  # [D, S, P]
    on = Ways(units, cells).on_cells(maps)  # [F, S, D, H, T]
    again = OnCells.of(on.masses, on.peaks)
    for name in ("mean_mass", "top_mass", "mean_peak", "top_peak"):
        assert np.allclose(getattr(on, name), getattr(again, name), rtol=1e-12)
    assert np.allclose(on.masses[:, 0] + on.masses[:, 1], on.masses[:, 2])
    assert np.array_equal(np.maximum(on.peaks[:, 0], on.peaks[:, 1]), on.peaks[:, 2])
    for unit, way in np.ndindex(3, 4):  # and each is the plain maximum, or sum
        inside = maps[:, :, box[way] & (of == unit)]
        assert np.array_equal(on.peaks[unit, 2, way], inside.max(-1, initial=0))
        assert np.allclose(on.masses[unit, 2, way], inside.sum(-1))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), share=st.sampled_from([0.0, 0.4, 1.0]))
def test_what_counts_for_a_turn_is_that_of_its_live_units(seed, share):
    rng = np.random.default_rng(seed)
    masses, live = rng.random((3, 2, 4, 5, 6)), rng.random((6, 3)) < share  # [F, S, D, H, T], [T, F]
    turns = Turns(["Ann", "Ben"], [""] * 6, [*range(6)], np.zeros(6, int), np.ones(6, int), live, np.ones((6, 2), int))
    where = live.T[:, None, None, None]
    assert np.allclose(over_units(masses, turns), np.moveaxis((masses * where).sum(0), 0, -1))
    assert np.array_equal(over_live(masses, turns), np.moveaxis((masses * where).max(0), 0, -1))


def test_ways_with_the_same_cells_are_measured_once_and_other_maps_anew():
    units = Units(np.array([[0, 0]]), np.arange(1.0), np.zeros(4, int))
    cells = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]], [[1, 1, 0, 0]]], bool)
    ways = Ways(units, cells)
    assert [box.which.tolist() for box in ways.boxes] == [[1, 0, 1]]
    for number in range(2):
        maps = np.array([[[1, 2, 4, 8]]], np.float32) + number
        assert ways.masses(maps).ravel().tolist() == [3 + 2 * number, 6 + 2 * number, 3 + 2 * number]


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 999), order=st.permutations(range(3)))
def test_renaming_speakers_and_reordering_heads_change_nothing(tmp_path_factory, seed, order):
    names, folder = ("Ann", "Ben", "Cleo"), tmp_path_factory.mktemp("same")
    sketch, renamed = crowd(), crowd()
    new = {name: names[order[i]] for i, name in enumerate(names)}
    for token in renamed.tokens:
        token.speaker, token.covered = new.get(token.speaker, ""), [new[c] for c in token.covered]
    renamed.scene["transcript"] = [dict(t, speaker=new[t["speaker"]]) for t in renamed.scene["transcript"]]
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (1, 3, n, n)), causal(n))
    with (
        open_capture(draw(folder / "a.h5", sketch, a)) as one,
        open_capture(draw(folder / "b.h5", renamed, a[:, order])) as two,
    ):
        first, second = table_of(one), table_of(two)
        together = [t[t["heads"] != "each"]["value"].to_numpy() for t in (first, second)]
        assert np.allclose(*together, atol=1e-7, equal_nan=True)
        for new_head, old_head in enumerate(order):
            of = [t[t["head"] == head]["value"] for t, head in ((first, old_head), (second, new_head))]
            assert np.allclose(*of, atol=1e-7, equal_nan=True)


def test_a_single_speaker_has_no_mismatch(drawn):
    table = table_of(drawn(room(("Ann",), (("Ann", 0.0, 1.0),))))
    assert value(table, MASS, "matched") > 0
    assert table.loc[table["match"] == "mismatched", "value"].isna().all()
    assert (table.loc[table["match"] == "mismatched", "n"] == 0).all()


def test_words_alone_need_queries_and_keys(drawn):
    """Asked for exactly, a capture with maps alone gives the numbers that it can."""
    cap = drawn(room(), readings=("masses", "maps"))
    assert set(table_of(cap, exact=True)["rows"]) == {"turn"}
