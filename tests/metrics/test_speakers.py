"""Speaker metrics: by hand, on attention that is perfect, even or permuted, and against the dense map."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.people.cells import best_head, cell_lift
from attnscope.metrics.people.density import Turns, cells_at, live_frames
from attnscope.metrics.people.matrix import lifts, matrices, own_share, scores
from attnscope.metrics.people.nulls import arrangements, count, p_value
from attnscope.metrics.people.shares import time_share
from tests.metrics.sketch import Sketch, causal, draw, room, softmax


@lru_cache(maxsize=4)
def table_of(cap, **options) -> pd.DataFrame:
    return metrics.compute(cap, [m.name for m in metrics.all() if m.family == "speakers"], **options)["speakers"]


def pick(cap, metric: str, frames: str = "all", layer: int = -1, head: int = -1, **options) -> pd.DataFrame:
    table = table_of(cap, **options)
    table = table[table["metric"] == metric]
    return table[(table["frames"] == frames) & (table["layer"] == layer) & (table["head"] == head)]


def one(cap, metric: str, frames: str = "all", **options) -> float:
    return float(pick(cap, metric, frames, **options)["value"].item())


def p_of(cap, frames: str = "all", metric: str = "speaker_consistency_lift", **options) -> float:
    return float(pick(cap, metric, frames, **options)["p"].item())


def turns_of(labels, tokens=None, cells=None) -> Turns:
    """Turns of one unit, each of one token and seeing one cell of each of two speakers unless told otherwise."""
    labels = np.asarray(labels)
    cells = np.ones((len(labels), 2), np.int64) if cells is None else np.asarray(cells)
    tokens = np.ones(len(labels), np.int64) if tokens is None else np.asarray(tokens)
    numbers = list(range(len(labels)))
    live = np.ones((len(labels), 1), bool)
    return Turns(
        [f"S{s}" for s in range(cells.shape[1])], [f"turn:{t}" for t in numbers], numbers, labels, tokens, live, cells
    )


def matrix(cap, frames: str = "all", **where) -> np.ndarray:
    rows = pick(cap, "speaker_density", frames, **where)
    size = len(cap.scene.speakers)
    return rows["value"].to_numpy().reshape(size, size)


def toward(sketch: Sketch, strength: float, shift: int = 0) -> np.ndarray:
    """Attention in which the words of each speaker favour the cells of the speaker `shift` places on."""
    names = list(sketch.scene["speakers"])
    n = len(sketch.tokens)
    z = np.zeros((1, 1, n, n))
    for s, name in enumerate(names):
        target = names[(s + shift) % len(names)]
        z[0, 0][np.ix_(sketch.where(speaker=name), sketch.cells_of(target))] = strength
    return softmax(z, causal(n))


# ---- by hand


def test_score_by_hand():
    """Rows 3:1 and 1:1, so shares 3/4 and 1/2, mean 5/8; chance 1/2."""
    score, chance, rows = scores(np.array([[0.3, 0.1], [0.2, 0.2]]))
    assert (float(score), float(chance), int(rows)) == (pytest.approx(5 / 8), 0.5, 2)


def test_rows_without_a_rival_do_not_enter():
    m = np.array([[0.3, np.nan, np.nan], [0.1, 0.2, 0.1], [np.nan, np.nan, np.nan]])
    score, chance, rows = scores(m)
    assert (float(score), float(chance), int(rows)) == (pytest.approx(0.5), pytest.approx(1 / 3), 1)


def test_chance_is_that_of_the_speakers_that_enter():
    """Row 0 has three columns, row 1 two: chance (1/3 + 1/2) / 2."""
    m = np.array([[1.0, 1, 1], [1, 1, np.nan], [np.nan] * 3])
    score, chance, rows = scores(m)
    assert (float(score), float(chance)) == (pytest.approx(5 / 12), pytest.approx(5 / 12))
    assert int(rows) == 2


def test_density_by_hand(drawn):
    """Two turns of Ann, one of Ben, each of one token: its attention on the two cells of Ann and of Ben."""
    sketch = room(turns=[("Ann", None, None), ("Ann", None, None), ("Ben", None, None)], words=1, question=0)
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    words = np.flatnonzero(sketch.where(role="transcript"))
    ann, ben = np.flatnonzero(sketch.cells_of("Ann")), np.flatnonzero(sketch.cells_of("Ben"))
    for row, on_ann, on_ben in zip(
        words, [(0.2, 0.1), (0.4, 0.1), (0.1, 0.1)], [(0.1, 0.0), (0.0, 0.1), (0.3, 0.3)], strict=True
    ):
        a[0, 0, row] = 0
        a[0, 0, row, ann], a[0, 0, row, ben] = on_ann, on_ben
        a[0, 0, row, 0] = 1 - sum(on_ann) - sum(on_ben)
    cap = drawn(sketch, a)
    # mass on a speaker / number of cells (2), mean over the speaker's tokens
    expected = [[((0.3 + 0.5) / 2) / 2, ((0.1 + 0.1) / 2) / 2], [0.2 / 2, 0.6 / 2]]
    assert np.allclose(matrix(cap), expected)
    assert np.allclose(matrix(cap, "live"), expected)  # untimed turns are live at all frames
    assert one(cap, "speaker_consistency") == pytest.approx((0.2 / 0.25 + 0.3 / 0.4) / 2)
    # labels Ann, Ann, Ben have 3 arrangements; each row below is a turn's density on (Ann, Ben)
    turns = np.array([[0.15, 0.05], [0.25, 0.05], [0.1, 0.3]])
    lifts = []
    for ben_turn in range(3):
        rest = [t for t in range(3) if t != ben_turn]
        ann_row, ben_row = turns[rest].mean(0), turns[ben_turn]
        lifts.append((ann_row[0] / ann_row.sum() + ben_row[1] / ben_row.sum()) / 2 / 0.5)
    assert p_of(cap) == pytest.approx(np.mean([x >= lifts[2] - 1e-9 for x in lifts]))


def test_a_turn_counts_by_its_tokens():
    """The mean is over tokens: a turn of three tokens weighs three times one of a single token."""
    turns = turns_of([0, 0], tokens=[3, 1])
    flat = np.array([[[0.1, 0.2], [0.5, 0.6]]])  # [X, T, S]
    m = matrices(flat, turns)[0]
    assert m[0] == pytest.approx([(3 * 0.1 + 0.5) / 4, (3 * 0.2 + 0.6) / 4])
    assert np.isnan(m[1]).all()  # the second speaker says nothing


def test_own_share_by_hand():
    """Turn 0 has 0.3 of 0.3 + 0.1 + 0.2, turn 1 no rival in sight, of turn 2 the speaker is away, turn 3 one rival."""
    cells = np.array([[1, 1, 1], [0, 1, 0], [0, 2, 2], [1, 0, 1]])
    dense = np.where(cells > 0, [[0.3, 0.1, 0.2], [0, 0.5, 0], [0, 0.1, 0.3], [0.1, 0, 0.3]], np.nan)
    share, chance, rivals = own_share(dense, turns_of([0, 1, 0, 2], cells=cells))
    assert share.tolist() == pytest.approx([0.3 / 0.6, np.nan, np.nan, 0.3 / 0.4], nan_ok=True)
    assert chance.tolist() == pytest.approx([1 / 3, np.nan, np.nan, 1 / 2], nan_ok=True)
    assert rivals.tolist() == [3, 0, 0, 2]


def test_share_over_time_by_hand():
    """One unit, two turns of 3 and 1 tokens with shares 3/4 and 1/4: (3 * 3/4 + 1/4) / 4 = 10/16."""
    dense = np.array([[[0.3, 0.1], [0.6, 0.2]]])  # [F, T, S]
    share, turns = time_share(dense, turns_of([0, 1], tokens=[3, 1]))
    assert share.tolist() == pytest.approx([10 / 16])
    assert turns.tolist() == [2]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_merging_turns_adds_up(seed):
    """Two turns of one speaker that see the same cells are one turn, whose attention is the mean over the tokens."""
    rng = np.random.default_rng(seed)
    tokens, cells = rng.integers(1, 9, 4), np.repeat(rng.integers(1, 4, (3, 2)), [2, 1, 1], axis=0)
    apart, flat = turns_of([0, 0, 1, 0], tokens, cells), rng.random((3, 4, 2))
    mean = (flat[:, :2] * tokens[:2, None]).sum(1, keepdims=True) / tokens[:2].sum()
    merged = turns_of([0, 1, 0], [tokens[:2].sum(), *tokens[2:]], cells[1:])
    both = np.concatenate([mean, flat[:, 2:]], axis=1)
    assert np.allclose(matrices(flat, apart), matrices(both, merged))
    assert np.allclose(lifts(flat, apart, apart.labels[None]), lifts(both, merged, merged.labels[None]))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), speakers=st.integers(2, 4), turns=st.integers(2, 6))
def test_lifts_equal_scores_of_matrices(seed, speakers, turns):
    """The fast form, of many arrangements at once, is the plain one; some speakers are away at some turns."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, speakers, turns)
    cells = rng.integers(0, 3, (turns, speakers))
    said = turns_of(labels, tokens=rng.integers(1, 5, turns), cells=cells)
    flat = np.where(cells > 0, rng.random((3, turns, speakers)), np.nan)
    orders = np.stack([labels, *(rng.permutation(labels) for _ in range(4))])
    found = lifts(flat, said, orders)
    for row, order in enumerate(orders):
        score, chance, _ = scores(matrices(flat, replace(said, labels=order)))
        assert np.allclose(found[row], score / chance, equal_nan=True)


# ---- limits


@settings(max_examples=6, deadline=None)
@given(size=st.integers(2, 4), words=st.integers(1, 3), frames=st.integers(1, 3))
def test_even_attention_scores_chance(tmp_path_factory, size, words, frames):
    names = ["Ann", "Ben", "Cleo", "Dan"][:size]
    sketch = room(names, [(n, None, None) for n in names], times=[float(f) for f in range(frames)], words=words)
    with open_capture(draw(tmp_path_factory.mktemp("even") / "run.h5", sketch)) as cap:
        assert one(cap, "speaker_consistency") == pytest.approx(1 / size, rel=1e-5)
        assert one(cap, "speaker_consistency_chance") == pytest.approx(1 / size)
        assert one(cap, "speaker_consistency_lift") == pytest.approx(1.0, rel=1e-5)
        assert p_of(cap) == 1.0  # every arrangement ties
        for metric in ("own_share_turn", "own_share_time"):
            assert np.allclose(pick(cap, metric)["value"], 1 / size)
            assert np.allclose(pick(cap, f"{metric}_chance")["value"], 1 / size)


def test_perfect_attention_scores_one_and_has_the_smallest_p(drawn):
    names = ["Ann", "Ben", "Cleo"]
    sketch = room(names, [(n, None, None) for n in names])
    cap = drawn(sketch, toward(sketch, 60.0))
    assert one(cap, "speaker_consistency") == pytest.approx(1.0, abs=1e-6)
    assert one(cap, "speaker_consistency_lift") == pytest.approx(3.0, abs=1e-5)
    assert p_of(cap) == pytest.approx(1 / 6)  # 3! arrangements, one of them as good
    assert np.allclose(pick(cap, "own_share_turn")["value"], 1.0)


def test_attention_to_the_wrong_speaker_scores_zero(drawn):
    sketch = room()
    cap = drawn(sketch, toward(sketch, 60.0, shift=1))
    assert one(cap, "speaker_consistency") == pytest.approx(0.0, abs=1e-6)
    assert p_of(cap) == 1.0


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(3)), seed=st.integers(0, 1000))
def test_renaming_speakers_permutes_the_matrix(tmp_path_factory, order, seed):
    names = ["Ann", "Ben", "Cleo"]
    turns = [("Ann", None, None), ("Ben", None, None), ("Cleo", None, None), ("Ann", None, None)]
    sketch = room(names, turns)
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (1, 2, n, n)), causal(n))
    folder = tmp_path_factory.mktemp("rename")
    renamed = room(names, turns)
    new = {name: names[order[i]] for i, name in enumerate(names)}
    for token in renamed.tokens:
        token.speaker = new.get(token.speaker, "")
        token.covered = [new[c] for c in token.covered]
    renamed.scene["transcript"] = [dict(t, speaker=new[t["speaker"]]) for t in renamed.scene["transcript"]]
    with (
        open_capture(draw(folder / "a.h5", sketch, a)) as one_,
        open_capture(draw(folder / "b.h5", renamed, a)) as two,
    ):
        m, r = matrix(one_), matrix(two)
        assert np.allclose(m, r[np.ix_(order, order)], atol=1e-9)
        assert one(one_, "speaker_consistency") == pytest.approx(one(two, "speaker_consistency"))
        assert p_of(one_) == pytest.approx(p_of(two))
        for metric in ("own_share_turn", "own_share_time"):
            assert np.allclose(pick(one_, metric)["value"], pick(two, metric)["value"])


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), threshold=st.sampled_from([0.25, 0.5, 1.0]))
def test_matrix_equals_sums_of_the_dense_map(tmp_path_factory, seed, threshold):
    """The second computation, token by token from `cap.attention`, with a box away in one frame."""
    sketch = room(
        ("Ann", "Ben"),
        [("Ann", 0.0, 0.4), ("Ben", 0.8, 1.2), ("Ann", None, None)],
        hidden=[("Ben", 0)],
        words=3,
    )
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (2, 2, n, n)), causal(n))
    with open_capture(draw(tmp_path_factory.mktemp("dense") / "run.h5", sketch, a, numbers=[1, 4])) as cap:
        tokens = cap.tokens
        for layer, head in ((1, 0), (4, 1)):
            dense = cap.attention(layer, head)
            for frames in ("live", "all"):
                expected = np.full((2, 2), np.nan)
                for s, name in enumerate(("Ann", "Ben")):
                    for r, target in enumerate(("Ann", "Ben")):
                        found = []
                        for u in np.flatnonzero(tokens["speaker"] == name):
                            turn = cap.scene.transcript[int(tokens["turn"][u])]
                            live = (
                                live_frames(turn.start, turn.end, cap.frames.times)
                                if frames == "live"
                                else np.array([True, True])
                            )
                            cells = (tokens[f"covered:{target}"] >= threshold).to_numpy() & cells_at(tokens, live)
                            if cells.any():
                                found.append(dense[u, cells].sum() / cells.sum())
                        if found:
                            expected[s, r] = np.mean(found)
                assert np.allclose(
                    matrix(cap, frames, layer=layer, head=head, threshold=threshold),
                    expected,
                    atol=1e-6,
                    equal_nan=True,
                )


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000))
def test_shares_equal_sums_of_the_dense_map(tmp_path_factory, seed):
    """The second computation of the shares: every turn, then every frame, token by token and cell by cell."""
    turns = [("Ann", 0.0, 1.2), ("Ben", 0.8, 2.2), ("Ann", 1.9, 2.0)]
    sketch = room(("Ann", "Ben"), turns, times=(0.0, 1.0, 2.0), hidden=[("Ben", 2)], seats=[(0, 1), (1, 2), (2, 0)])
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (2, 2, n, n)), causal(n))
    with open_capture(draw(tmp_path_factory.mktemp("share") / "run.h5", sketch, a)) as cap:
        dense, tokens = cap.attention(1, 0), cap.tokens
        for frames in ("live", "all"):
            shown = [[0, 1], [1, 2], [2]] if frames == "live" else [[0, 1, 2]] * 3
            by_turn, by_time = [], [[], [], []]
            for t, (name, _, _) in enumerate(turns):
                words = np.flatnonzero(tokens["turn"] == t)
                cells = {s: list(np.flatnonzero(tokens[f"covered:{s}"] >= 0.5)) for s in ("Ann", "Ben")}
                first = tokens["frame_first"].to_numpy()

                def density(who, among, words=words, cells=cells, first=first):
                    own = [i for i in cells[who] if first[i] in among]
                    return np.mean([dense[u, i] for u in words for i in own]) if own else np.nan

                by_turn.append(density(name, shown[t]) / (density("Ann", shown[t]) + density("Ben", shown[t])))
                for f in shown[t]:
                    by_time[f].append(density(name, [f]) / (density("Ann", [f]) + density("Ben", [f])))
            found = pick(cap, "own_share_turn", frames, layer=1, head=0)
            assert np.allclose(found["value"], by_turn, atol=1e-5, equal_nan=True)
            assert found["turn"].tolist() == [0, 1, 2]
            found = pick(cap, "own_share_time", frames, layer=1, head=0)
            expected = [np.mean(f) if np.isfinite(f).all() else np.nan for f in by_time]
            assert np.allclose(found["value"], expected, atol=1e-5, equal_nan=True)
            assert found["time"].tolist() == [0.0, 1.0, 2.0]


# ---- frames and cells


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [1, 1, 1, 1]),
        (0.9, 2.1, [0, 1, 1, 0]),  # the frames inside
        (1.0, 2.0, [0, 1, 1, 0]),  # both edges are inside
        (1.0, 1.0, [0, 1, 0, 0]),
        (1.2, 1.4, [0, 1, 0, 0]),  # none inside: the nearest
        (1.4, 1.6, [0, 1, 0, 0]),  # equally near: the earlier
        (9.0, 10.0, [0, 0, 0, 1]),
        (2.0, None, [0, 0, 1, 0]),
    ],
)
def test_live_frames(start, end, expected):
    assert live_frames(start, end, np.array([0.0, 1.0, 2.0, 3.0])).tolist() == [bool(e) for e in expected]


def test_a_token_of_two_frames_shows_both():
    tokens = pd.DataFrame({"frame_first": [-1, 0, 2], "frame_last": [-1, 1, 3]})
    assert cells_at(tokens, np.array([False, True, False, False])).tolist() == [False, True, False]
    assert cells_at(tokens, np.array([False, False, True, True])).tolist() == [False, False, True]


def test_live_frames_decide_who_is_compared(drawn):
    """Ben is away while Ann talks, so at live frames Ann has no rival; over all frames she has."""
    cap = drawn(room(hidden=[("Ben", 0)]))
    rows = pick(cap, "speaker_consistency", "live")
    assert rows["n"].item() == 1  # Ben's row: both are there in frame 1
    assert pick(cap, "speaker_consistency", "all")["n"].item() == 2
    assert "At live frames, 'Ann' does not enter: nobody else is visible when they speak." in metrics.explain(cap)


# ---- not defined, and why

CASES = {
    "no speakers": (
        room((), ((None, 0.0, 1.0),)),
        "Speaker, grounding, pair and answer metrics are not defined: the scene names no speaker boxes.",
    ),
    "no turns": (room(turns=()), "Speaker, grounding and pair metrics are not defined: the scene has no transcript."),
    "one speaker": (
        room(("Ann",), (("Ann", 0.0, 1.0),)),
        "The consistency score is not defined: it needs a speaker with text and a visible box, and a second person "
        "with a visible box.",
    ),
    "a stranger": (
        room(("Ann",), (("Zoe", 0.0, 1.0), ("Ann", 0.0, 1.0))),
        "Turns of 'Zoe' do not enter: the scene has no box for them.",
    ),
    "an unknown voice": (
        room(("Ann",), ((None, 0.0, 1.0), ("Ann", 0.0, 1.0))),
        "Turns without a speaker (1) do not enter the speaker metrics.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_defined_is_nan_and_explained(drawn, case):
    sketch, sentence = CASES[case]
    cap = drawn(sketch)
    assert sentence in metrics.explain(cap)
    for metric in ("speaker_consistency", "speaker_consistency_lift", "speaker_timing_lift"):
        assert np.isnan(one(cap, metric))
        assert np.isnan(pick(cap, metric)["p"].item())
    assert pick(cap, "own_share_turn")["value"].isna().all()
    assert pick(cap, "own_share_time")["value"].isna().all()


def test_silent_people_are_distractors(drawn):
    """Ann speaks, Ben and Cleo are only seen: her words have 0.3, 0.2 and 0.1 on them in each of two frames.

    Her row is 0.3 of 0.6, that is 1/2, and chance 1/3. Nobody could have said her words instead: no p.
    """
    sketch = room(("Ann", "Ben", "Cleo"), (("Ann", None, None),), words=2, question=0)
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    for row in np.flatnonzero(sketch.where(role="transcript")):
        a[0, 0, row] = 0
        for name, mass in (("Ann", 0.15), ("Ben", 0.1), ("Cleo", 0.05)):
            a[0, 0, row, np.flatnonzero(sketch.cells_of(name))] = mass
        a[0, 0, row, 0] = 0.4
    cap = drawn(sketch, a)
    assert one(cap, "speaker_consistency") == pytest.approx(1 / 2)
    assert one(cap, "speaker_consistency_chance") == pytest.approx(1 / 3)
    assert one(cap, "speaker_consistency_lift") == pytest.approx(3 / 2)
    assert pick(cap, "speaker_consistency")["n"].item() == 1
    assert np.isnan(p_of(cap))
    assert pick(cap, "own_share_turn")["value"].tolist() == pytest.approx([1 / 2])
    assert pick(cap, "own_share_time_chance")["value"].tolist() == pytest.approx([1 / 3, 1 / 3])


def test_unknown_places_are_nan_and_explained(drawn):
    sketch = room()
    for token in sketch.tokens:
        token.cell, token.frames, token.covered = -1, (-1, -1), ()
    cap = drawn(sketch)
    begin = "Speaker, grounding, pair and answer metrics are not defined: the places of the visual tokens are unknown ("
    assert any(note.startswith(begin) for note in metrics.explain(cap))
    assert np.isnan(one(cap, "speaker_consistency"))
    assert np.isnan(matrix(cap)).all()


def test_threshold_that_no_cell_reaches(drawn):
    sketch = room()
    with pytest.raises(metrics.registry.RequestError):
        metrics.compute(drawn(sketch), treshold=0.5)
    cap = drawn(sketch, name="b.h5")
    assert np.isnan(one(cap, "speaker_consistency", threshold=1.01))


def test_a_capture_without_maps_says_so(drawn):
    cap = drawn(room(), readings=("masses",))
    assert "speakers" not in metrics.compute(cap)
    assert "No speaker, grounding, pair or answer metrics: the capture has no 'maps' reading." in metrics.explain(cap)


# ---- permutations


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_arrangements_are_the_distinct_permutations(labels):
    orders, exact = arrangements(np.array(labels))
    assert exact
    assert {tuple(o) for o in orders} == set(permutations(labels))
    assert len(orders) == count(np.array(labels))


def test_many_arrangements_are_sampled_with_a_seed():
    labels = np.repeat([0, 1, 2], 6)
    orders, exact = arrangements(labels, draws=50, seed=4)
    assert (orders.shape, exact) == ((50, 18), False)
    assert np.array_equal(orders, arrangements(labels, draws=50, seed=4)[0])
    assert all(np.array_equal(np.sort(o), labels) for o in orders)


def test_p_value_by_hand():
    observed, null = np.array([2.0, np.nan]), np.array([[2.0, 1.0], [1.0, 1.0], [3.0, 1.0], [np.nan, 1.0]])
    exact, n = p_value(observed, null, exact=True)
    assert exact[0] == pytest.approx(2 / 3)  # 2 (itself) and 3, of the three that have a score
    assert n.tolist() == [3, 4]
    assert np.isnan(exact[1])
    assert p_value(observed, null, exact=False)[0][0] == pytest.approx((2 + 1) / (3 + 1))


def test_sampled_p_is_near_the_exact_one(drawn):
    sketch = room(turns=[("Ann", None, None), ("Ben", None, None)] * 4, words=1)
    n = len(sketch.tokens)
    a = softmax(
        np.random.default_rng(5).normal(0, 1, (1, 1, n, n)) + 2 * np.log(toward(sketch, 0.5)[0, 0] + 1e-12),
        causal(n),
    )
    cap = drawn(sketch, a)
    exact = p_of(cap)
    sampled = p_of(cap, limit=10, draws=1999, seed=1)
    assert count(np.repeat([0, 1], 4)) == 70  # 8! / (4! 4!), more than the limit of the sampled one
    assert sampled == pytest.approx(exact, abs=0.04)


# ---- cells


def test_cell_lift_of_even_attention_is_one(drawn):
    cap = drawn(room(words=1))
    lift = cell_lift(cap, "speaker:Ann")
    seen = cap.allowed(0, np.flatnonzero(cap.tokens["speaker"] == "Ann"))[0]
    assert np.allclose(lift[seen], 1.0, atol=1e-5)
    assert np.isnan(lift[~seen]).all() and (~seen).any()  # what may not be seen is no measured 0


def test_cell_lift_averages_layers_and_picks_heads(drawn):
    sketch = room()
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(2).normal(0, 1, (2, 2, n, n)), causal(n))
    cap = drawn(sketch, a, numbers=[0, 5])
    rows = np.flatnonzero(cap.tokens["speaker"] == "Ben")
    uniform = np.mean(1 / (rows + 1))
    seen = np.arange(n) <= rows.max()
    for own, dense in (
        (cell_lift(cap, "speaker:Ben", 5, 1), a[1, 1, rows].mean(0)),
        (cell_lift(cap, "speaker:Ben"), a[:, :, rows].mean((0, 1, 2))),
    ):
        assert np.allclose(own, np.where(seen, dense / uniform, np.nan), atol=1e-4, equal_nan=True)


def test_best_head_is_the_one_made_best(drawn):
    sketch = room()
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(2).normal(0, 0.1, (2, 3, n, n)), causal(n))
    a[1, 2] = toward(sketch, 4.0)[0, 0]
    table = metrics.compute(drawn(sketch, a, numbers=[4, 9]))["speakers"]
    assert best_head(table) == (9, 2, "live")
    assert best_head(table[table["frames"] == "none"]) is None
