"""The four nulls: by hand, uniform where nothing is planted, small where something is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.people import nulls
from attnscope.metrics.people.density import Turns, speaker_cells
from attnscope.metrics.people.matrix import lifts, matrices, scores
from attnscope.metrics.people.nulls import label_p, q_values, shift_p, shifted_cells
from tests.metrics.sketch import Sketch, causal, draw, room, softmax


def timing(cap, frames: str = "all", **options) -> pd.Series:
    table = metrics.compute(cap, ["speaker_timing_lift"], **options)["speakers"]
    return table[(table["frames"] == frames) & (table["layer"] == -1) & (table["head"] == -1)].iloc[0]


def swapping() -> tuple[Sketch, np.ndarray]:
    """Ann and Ben swap their two seats between two frames; each says one word that looks at both seats in both."""
    sketch = room(turns=(("Ann", None, None), ("Ben", None, None)), seats=[(0, 1), (1, 0)], words=1, question=0)
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    for word, row in zip(np.flatnonzero(sketch.where(role="transcript")), [(3, 1, 1, 2), (1, 1, 4, 1)], strict=True):
        a[0, 0, word] = 0
        a[0, 0, word, [2, 3, 5, 6]] = np.array(row) / 10
    return sketch, a


def turns_of(labels: np.ndarray, cells: np.ndarray, units: int = 1) -> Turns:
    """Turns of one token each, live in all units."""
    numbers, speakers = list(range(len(labels))), [f"S{s}" for s in range(cells.shape[1])]
    live = np.ones((len(labels), units), bool)
    return Turns(speakers, [""] * len(labels), numbers, labels, np.ones(len(labels), int), live, cells)


# ---- by hand


def test_shifted_boxes_by_hand(drawn):
    """Ann's word has 3 + 2 on herself and 1 + 1 on Ben, Ben's 1 + 4 on himself and 1 + 1 on Ann.

    Shares 5/7 and 5/7, over chance 10/7. With the boxes of the other frame everything is exchanged: 2/7, that is 4/7
    of chance. 10/7 over 4/7 is 2.5, and of the two shifts (0 and 1) only the boxes as they are reach as high: p = 1/2.
    """
    row = timing(drawn(*swapping()))
    assert row["value"] == pytest.approx(2.5)
    assert (row["p"], row["n"]) == (pytest.approx(1 / 2), 2)


def test_speakers_who_keep_their_places_have_no_timing(drawn):
    sketch, _ = swapping()
    still = room(turns=(("Ann", None, None), ("Ben", None, None)), words=1, question=0)
    n = len(sketch.tokens)
    row = timing(drawn(still, softmax(np.random.default_rng(1).normal(0, 2, (1, 2, n, n)), causal(n))))
    assert (row["value"], row["p"]) == (pytest.approx(1.0), 1.0)


def test_a_single_frame_has_no_other_time(drawn):
    row = timing(drawn(room(times=(0.0,))))
    assert np.isnan(row["value"])
    assert np.isnan(row["p"])
    assert row["n"] == 0


def test_many_units_are_sampled(drawn):
    """Of 6 shifts 3 are taken, and p is (k + 1) / (3 + 1): attention that is even ties with all of them."""
    cap = drawn(room(times=[float(f) for f in range(7)]))
    row = timing(cap, shifts=3)
    assert (row["p"], row["n"]) == (pytest.approx((3 + 1) / (3 + 1)), 3)
    _, by, exact = shifted_cells(cap, 0.5, shifts=3, seed=2)
    assert (len(by), by[0], len(set(by)), exact) == (4, 0, 4, False)
    assert np.array_equal(by, shifted_cells(cap, 0.5, shifts=3, seed=2)[1])


def test_shift_p_by_hand():
    """Lift 2 against 1 and 3: 2 over their mean 2, and two of three reach 2. The other column has no other score."""
    value, p, n = shift_p(np.array([[2.0, 2.0], [1.0, np.nan], [3.0, np.nan]]), exact=True)
    assert np.array_equal(value, [1.0, np.nan], equal_nan=True)
    assert np.allclose(p, [2 / 3, np.nan], equal_nan=True)
    assert n.tolist() == [3, 0]
    assert shift_p(np.array([[2.0], [1.0], [3.0]]), exact=False)[1] == pytest.approx([(1 + 1) / (2 + 1)])


def test_q_by_hand():
    """p = 0.01, 0.04, 0.03, 0.5 of four heads; q: 0.01 * 4/1, 0.03 * 4/2 but at most 0.04 * 4/3, that, and 0.5 * 4/4.

    The mean over heads, and a head without p, have none and do not count among the four.
    """
    places = pd.DataFrame({"layer": [0, 0, 0, 1, 1, 1, -1], "head": [0, 1, 2, 0, 1, -1, -1]})
    q = q_values(np.array([0.01, 0.04, np.nan, 0.03, 0.5, 0.001, 0.001]), places)
    assert np.allclose(q, [0.04, 0.16 / 3, np.nan, 0.16 / 3, 0.5, np.nan, np.nan], equal_nan=True)


def test_q_is_in_the_table(drawn):
    sketch = room(turns=[("Ann", None, None), ("Ben", None, None)] * 4, words=1)
    n = len(sketch.tokens)
    cap = drawn(sketch, softmax(np.random.default_rng(0).normal(0, 1, (2, 3, n, n)), causal(n)))
    table = metrics.compute(cap, ["speaker_consistency_lift"])["speakers"]
    for _, rows in table.groupby("frames"):
        heads = rows[rows["head"] >= 0].sort_values("p")
        by_rank = heads["p"].to_numpy() * 6 / np.arange(1, 7)
        assert np.allclose(heads["q"], np.minimum.accumulate(by_rank[::-1])[::-1])
        assert rows.loc[rows["head"] < 0, "q"].isna().all()
        assert rows.loc[rows["head"] < 0, "p"].notna().all()


# ---- the second computation


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), together=st.integers(1, 2))
def test_shifted_cells_equal_boxes_drawn_anew(tmp_path_factory, seed, together):
    """Token by token, by the seats that the speakers have in the frames of the unit that is `shift` later."""
    rng = np.random.default_rng(seed)
    frames, names = 3 * together, ("Ann", "Ben")
    seats = [rng.permutation(3)[:2].tolist() for _ in range(frames)]
    hidden = [(str(rng.choice(names)), int(rng.integers(frames)))]
    sketch = room(names, times=[float(f) for f in range(frames)], seats=seats, hidden=hidden)
    for token in sketch.tokens:  # a visual token may stand for two frames, and then shows the boxes of both
        if token.cell >= 0:
            unit = token.frames[0] // together
            token.frames = (unit * together, unit * together + together - 1)
            token.covered = _seen(seats, hidden, unit, together, token.cell)
    with open_capture(draw(tmp_path_factory.mktemp("shift") / "run.h5", sketch)) as cap:
        cells, by, exact = shifted_cells(cap, 0.5, shifts=9, seed=0)
        assert (by.tolist(), exact) == ([0, 1, 2], True)
        assert np.array_equal(cells[0], speaker_cells(cap, 0.5))
        for shift in range(3):
            for position, token in enumerate(sketch.tokens):
                unit = (token.frames[0] // together + shift) % 3
                there = _seen(seats, hidden, unit, together, token.cell) if token.cell >= 0 else []
                assert [s for s, name in enumerate(names) if name in there] == list(
                    np.flatnonzero(cells[shift, :, position])
                )


def _seen(seats, hidden, unit: int, together: int, cell: int) -> list[str]:
    """Who sits in a cell in any frame of a unit."""
    at = range(unit * together, (unit + 1) * together)
    return [
        name
        for s, name in enumerate(("Ann", "Ben"))
        if any(seats[f][s] == cell and (name, f) not in hidden for f in at)
    ]


# ---- calibration, on captures whose speakers are shuffled


def heads_of(folder, rng, strength: float) -> np.ndarray:
    """p of the 64 heads of one capture: 12 turns dealt to three speakers, attention random but for strength."""
    names = ("Ann", "Ben", "Cleo")
    dealt = rng.permutation(np.repeat(names, 4))
    sketch = room(names, [(str(name), None, None) for name in dealt], words=1, question=0)
    n = len(sketch.tokens)
    z = rng.normal(0, 1, (1, 64, n, n))
    for name in names:
        z[:, :, *np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] += strength
    path = draw(folder / "run.h5", sketch, softmax(z, causal(n)), readings=("maps",))
    with open_capture(path) as cap:
        table = metrics.compute(cap, ["speaker_consistency_lift"], draws=999, seed=int(rng.integers(1 << 31)))[
            "speakers"
        ]
    return table.loc[(table["head"] >= 0) & (table["frames"] == "all"), "p"].to_numpy()


def test_p_of_labels_is_uniform_on_shuffled_speakers(tmp_path):
    """34,650 arrangements, of which 999 are drawn: p has steps of 1/1000, fine enough to be compared as it is."""
    rng = np.random.default_rng(20)
    p = np.concatenate([heads_of(tmp_path, rng, 0.0) for _ in range(8)])
    assert len(p) == 512
    assert kstest(p, "uniform").pvalue > 0.05
    planted = np.concatenate([heads_of(tmp_path, rng, 0.8) for _ in range(1)])
    assert np.mean(planted <= 0.05) > 0.5  # and a test that finds nothing would be uniform too


def test_p_of_shifts_is_uniform_on_shuffled_seats():
    """600 heads whose speakers sit at random in 40 units. p is j / 40, so a random part of 1/40 is taken off."""
    rng = np.random.default_rng(3)
    p = np.concatenate([shifts_of(rng, 0.0) for _ in range(30)])
    assert len(p) == 600
    assert set(np.round(p * 40)) <= set(range(1, 41))
    assert kstest(p - rng.random(len(p)) / 40, "uniform").pvalue > 0.05
    planted = np.concatenate([shifts_of(rng, 1.0) for _ in range(3)])
    assert np.mean(planted <= 0.05) > 0.5


def shifts_of(rng, strength: float, units: int = 40, heads: int = 20) -> np.ndarray:
    """p of heads in one scene of two speakers and three seats: densities for every shift, straight from the seats."""
    seats = np.stack([rng.permutation(3)[:2] for _ in range(units)])  # [F, S]
    labels = np.array([0, 1, 0, 1])
    attention = np.exp(rng.normal(0, 1, (heads, 4, units, 3)))
    for turn, label in enumerate(labels):
        attention[:, turn, np.arange(units), seats[:, label]] *= np.exp(strength)
    turns = turns_of(labels, np.full((4, 2), units), units)
    null = []
    for shift in range(units):
        at = seats[(np.arange(units) + shift) % units]
        flat = np.stack([attention[:, :, np.arange(units), at[:, s]].mean(-1) for s in (0, 1)], axis=-1)  # [X, T, S]
        null.append(lifts(flat, turns, labels[None])[0])
    return shift_p(np.stack(null), exact=True)[1]


def test_order_of_heads_does_not_matter():
    rng = np.random.default_rng(5)
    turns, flat = turns_of(np.array([0, 1] * 3), np.ones((6, 2), int)), rng.random((7, 6, 2))
    p, _ = label_p(flat, turns, limit=5000, draws=9, seed=0)
    order = rng.permutation(7)
    assert np.array_equal(label_p(flat[order], turns, limit=5000, draws=9, seed=0)[0], p[order])


def test_a_speaker_without_a_box_takes_no_part():
    """The turns of the third speaker keep their label: p is as if they had never been said."""
    rng = np.random.default_rng(6)
    labels, cells = np.array([0, 2, 1, 0, 2, 1, 1]), np.tile([1, 1, 0], (7, 1))
    flat = np.where(cells > 0, rng.random((5, 7, 3)), np.nan)
    p, n = label_p(flat, turns_of(labels, cells), limit=5000, draws=9, seed=0)
    some = labels < 2
    without = label_p(flat[:, some, :2], turns_of(labels[some], cells[some, :2]), limit=5000, draws=9, seed=0)
    assert np.array_equal(p, without[0])
    assert (n == 10).all()  # 5! / (2! 3!)
    assert len(set(p)) > 1


def test_arrangements_in_blocks_are_all_counted(monkeypatch):
    rng = np.random.default_rng(7)
    turns, flat = turns_of(np.array([0, 1] * 4), np.ones((8, 2), int)), rng.random((3, 8, 2))
    p, n = label_p(flat, turns, limit=5000, draws=9, seed=0)
    monkeypatch.setattr(nulls, "BLOCK", 1)
    again, count = label_p(flat, turns, limit=5000, draws=9, seed=0)
    assert np.array_equal(p, again)
    assert (n == 70).all() and (count == 70).all()  # 8! / (4! 4!)


def test_lifts_are_the_scores_of_the_matrices():
    """For turns of unequal length and cells that not every turn shows."""
    rng = np.random.default_rng(8)
    labels, cells = np.array([0, 1, 2, 0, 1]), rng.integers(0, 3, (5, 3))
    cells[:, 0] = 1
    turns = replace(turns_of(labels, cells), tokens=np.array([1, 5, 2, 3, 4]))
    flat = np.where(cells > 0, rng.random((6, 5, 3)), np.nan)
    for some in (labels, labels[::-1].copy()):
        relabelled = replace(turns, labels=some)
        score, chance, _ = scores(matrices(flat, relabelled))
        assert np.allclose(lifts(flat, turns, some[None])[0], score / chance)


# ---- attention that drifts, and people who keep their places


def drifting(rng, labels: np.ndarray, *, drift: float, planted: float = 0.0, heads: int = 400) -> np.ndarray:
    """Densities [X, T, 3] of heads: log-density = slope of the head and the person x place + noise (+ planted)."""
    place = np.linspace(0, 1, len(labels))
    y = rng.normal(0, 0.15, (heads, len(labels), 3))
    y += rng.normal(0, drift, (heads, 1, 3)) * place[:, None]
    return np.exp(y + planted * (labels[:, None] == np.arange(3)))


RUNS, ALTERNATING = np.repeat([0, 1, 2], 4), np.tile([0, 1, 2], 4)
FEW_DRAWS = {"limit": 5000, "draws": 499, "seed": 0}


@pytest.mark.parametrize("drift", [0.0, 0.2, 0.5, 2.0])
@pytest.mark.parametrize("labels", [RUNS, ALTERNATING], ids=["runs", "alternating"])
def test_p_without_drift_holds_its_level_where_heads_know_nothing(labels, drift):
    turns = turns_of(labels, np.ones((12, 3), int))
    flat = drifting(np.random.default_rng(5), labels, drift=drift)
    _, p = nulls.drift_p(flat, turns, **FEW_DRAWS)
    assert np.mean(p <= 0.05) <= 0.08  # 400 heads: 0.05 and three standard errors
    assert np.mean(p <= 0.01) <= 0.025


def test_p_of_labels_alone_does_not_where_each_person_speaks_in_one_run():
    turns = turns_of(RUNS, np.ones((12, 3), int))
    p, _ = label_p(drifting(np.random.default_rng(5), RUNS, drift=0.5), turns, **FEW_DRAWS)
    assert np.mean(p <= 0.05) > 0.15


@pytest.mark.parametrize("labels", [RUNS, ALTERNATING], ids=["runs", "alternating"])
def test_p_without_drift_finds_what_is_planted(labels):
    turns = turns_of(labels, np.ones((12, 3), int))
    flat = drifting(np.random.default_rng(6), labels, drift=0.5, planted=0.3)
    _, p = nulls.drift_p(flat, turns, **FEW_DRAWS)
    assert np.mean(p <= 0.05) > 0.85


def test_a_straight_line_of_logarithms_is_taken_out_and_the_mean_stays():
    """Person 0: 1, 2, 4, a turn without a cell, 16: exactly doubling with the place, so 2^2 - mean of logs - stays."""
    cells = np.array([[1, 1], [1, 1], [1, 1], [0, 1], [1, 1]])
    turns = replace(turns_of(np.array([0, 1, 0, 1, 0]), cells), numbers=[0, 1, 2, 3, 4])
    flat = np.array([[[1.0, 5], [2, 5], [4, 0], [np.nan, 5], [16, 5]]])
    found = nulls.without_drift(flat, turns)[0][0]
    assert found[[0, 1, 2, 4], 0] == pytest.approx([2 ** (7 / 4)] * 4)
    assert np.isnan(found[3, 0]) and found[2, 1] == 0.0  # no cell, and a density of 0
    assert found[[0, 1, 3, 4], 1] == pytest.approx([5.0] * 4)


def test_seats_are_dealt_to_everybody_who_is_visible():
    """Three people, one of whom is silent: six ways, of which the true one is the best."""
    labels = np.array([0, 1, 0, 1])
    turns = turns_of(labels, np.ones((4, 3), int))
    flat = np.ones((2, 4, 3))
    flat[0] += 2 * (labels[:, None] == np.arange(3))  # head 0 knows who speaks, head 1 does not
    dealt, exact = nulls.exchanged_seats(flat, turns, limit=100, draws=50, seed=0)
    assert exact and dealt.shape == (6, 2)
    lift, p, n = shift_p(dealt, exact)
    assert p.tolist() == [1 / 6, 1.0] and n.tolist() == [6, 6]
    assert lift[0] > 1.5 and lift[1] == pytest.approx(1.0)
    hidden = replace(turns, cells=np.array([[1, 1, 0]] * 4))
    assert len(nulls.exchanged_seats(flat, hidden, limit=100, draws=50, seed=0)[0]) == 2
    sampled, exact = nulls.exchanged_seats(flat, turns, limit=3, draws=50, seed=0)
    assert not exact and len(sampled) == 51


def test_p_of_seats_is_uniform_where_nobody_is_known_and_small_where_somebody_is():
    """Five people who keep their places, ten turns: 120 ways; heads that like a seat know nobody."""
    rng = np.random.default_rng(8)
    labels = np.tile(np.arange(5), 2)
    turns = turns_of(labels, np.ones((10, 5), int))
    known = np.exp(0.8 * (labels[:, None] == np.arange(5)))
    p = {0: [], 1: []}
    for planted in p:
        for _ in range(30):
            flat = np.exp(rng.normal(0, 0.5, (10, 1, 5)) + rng.normal(0, 0.3, (10, 10, 5)))
            found, exact = nulls.exchanged_seats(flat * known**planted, turns, limit=5000, draws=99, seed=0)
            p[planted] += shift_p(found, exact)[1].tolist()
    nothing = np.array(p[0])
    assert kstest(nothing - rng.random(300) / 120, "uniform").pvalue > 0.01
    assert np.mean(np.array(p[1]) <= 0.05) > 0.9


def test_small_captures_say_which_nulls_have_too_few_arrangements(drawn):
    said = " ".join(metrics.explain(drawn(*swapping())))
    assert "Permutation p cannot be below 1/2" in said
    few = "p of boxes of other times not below 1/2 (2 moments), p of exchanged seats not below 1/2 (2 people)"
    assert f"Too few arrangements: {few}." in said


def test_two_turns_have_no_drift_to_be_told_from_alignment():
    """A line goes through both: what is left is even, and no arrangement is below another."""
    turns = turns_of(np.array([0, 1]), np.ones((2, 2), int))
    lift, p = nulls.drift_p(np.array([[[9.0, 1], [1, 9]]]), turns, **FEW_DRAWS)
    assert (lift[0], p[0]) == (pytest.approx(1.0), 1.0)


def test_what_is_left_of_a_line_is_spread_before_labels_are_rearranged():
    """Logarithms 1, 0, 2, 1 lie on a line of slope 1/5: left are 0.3, -0.9, 0.9, -0.3, and wider by sqrt(3 / 2)."""
    turns = turns_of(np.array([0, 1, 0, 1]), np.ones((4, 2), int))
    flat = np.exp(np.array([[[1.0, 0], [0, 0], [2, 0], [1, 0]]]))
    straight, spread = nulls.without_drift(flat, turns)
    assert np.log(straight[0, :, 0]) == pytest.approx(1 + np.array([0.3, -0.9, 0.9, -0.3]))
    assert np.log(spread[0, :, 0]) == pytest.approx(1 + np.sqrt(1.5) * np.array([0.3, -0.9, 0.9, -0.3]))
