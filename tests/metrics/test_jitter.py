"""Disturbed boxes: no noise changes nothing, and every way to disturb them does what it says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics.headline import change
from attnscope.metrics.jitter import MEASURES, compute_banded
from attnscope.metrics.people.boxes import covered, disturb, quantiles
from attnscope.metrics.people.density import units_of
from attnscope.metrics.people.sets import Ways
from attnscope.metrics.scan import scanned
from tests.metrics.sketch import CELL, Sketch, causal, draw, room, softmax

SEATS = [(0, 1), (1, 2), (2, 0)]
TURNS = [("Ann", 0.0, 1.2), ("Ben", 0.8, 2.2), ("Ann", 2.0, 2.0)]


NAMES = [m.name for m in metrics.all() if m.family in MEASURES]


def moving() -> tuple[Sketch, np.ndarray]:
    sketch = room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0), seats=SEATS, hidden=[("Ben", 2)])
    n = len(sketch.tokens)
    return sketch, softmax(np.random.default_rng(4).normal(0, 2, (1, 2, n, n)), causal(n))


def moving_and_asking() -> tuple[Sketch, np.ndarray]:
    """The same with an answer position at the end."""
    sketch = room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0), seats=SEATS, hidden=[("Ben", 2)], question=1)
    n = len(sketch.tokens)
    return sketch, softmax(np.random.default_rng(4).normal(0, 2, (1, 2, n, n)), causal(n))


# what is read for the boxes as they are alone
AS_THEY_ARE = ("speaker_timing_lift", "speaker_drift_lift", "speaker_seats_lift")


@pytest.fixture
def cap(drawn):
    return drawn(*moving())


def boxes_of(cap, draws: int = 1, amount: float = 0.0, unit="box", drop: float = 0.0, grow: float = 0.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    return disturb(cap, draws, amount=amount, unit=unit, drop=drop, grow=grow, rng=rng)


def test_without_noise_the_band_is_the_number(cap):
    """And the numbers are those of the metrics, for every row of every family, in the same order."""
    for family, table in metrics.jitter(cap, draws=2, amount=0.0).items():
        names = [m.name for m in metrics.all() if m.family == family]
        assert table[["metric", "value"]].equals(metrics.compute(cap, names)[family][["metric", "value"]])
        banded = table[~table["metric"].isin(AS_THEY_ARE)]
        assert np.allclose(banded["low"], banded["value"], equal_nan=True)
        assert np.allclose(banded["high"], banded["value"], equal_nan=True)
        assert table.loc[table["metric"].isin(AS_THEY_ARE), "low"].isna().all()


def test_boxes_by_hand(cap):
    """Ann sits in the first cell in frame 0, so her box is 0 to 32 both ways, of a picture of 96 x 32.

    Grown by a half she would reach from -16 to 48, and the picture ends at 0 and, downwards, at 32.
    """
    assert boxes_of(cap)[0, 0, 0].tolist() == [0, 0, CELL, CELL]
    assert boxes_of(cap, grow=0.5)[0, 0, 0].tolist() == [0, 0, 48, CELL]
    assert boxes_of(cap, grow=-0.25)[0, 0, 0].tolist() == [8, 8, 24, 24]
    assert np.isnan(boxes_of(cap)[0, 1, 2]).all()  # Ben is away in frame 2
    assert np.isnan(boxes_of(cap, drop=1.0)).all()


def test_coverage_is_that_of_the_capture(cap):
    found = covered(cap, boxes_of(cap)[0])
    for row, name in enumerate(("Ann", "Ben")):
        assert np.array_equal(found[row], cap.tokens[f"covered:{name}"], equal_nan=True)


def test_coverage_by_hand(cap):
    """A box from 16 to 48 covers half of the first cell and half of the second."""
    boxes = np.full((1, 3, 4), np.nan, dtype=np.float32)
    boxes[0, 0] = [16, 0, 48, CELL]
    found = covered(cap, boxes)[0]
    first = (cap.tokens["frame_first"] == 0).to_numpy()
    assert found[first].tolist() == [0.5, 0.5, 0.0]
    assert not found[(cap.tokens["frame_first"] > 0).to_numpy()].any()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99))
def test_noise_has_the_size_asked_for(seed):
    """Inner edges, which the picture does not cut: a tenth of 32 pixels, or 3 pixels; a fifth of the boxes is away."""

    class Cap:
        class frames:  # noqa: N801
            times, width, height = np.array([0.0]), 4000, 4000

    from attnscope.scene import Scene

    box = {"segments": [{"start": 0, "end": 1, "keyframes": [{"t": 0, "xyxy": [2000, 2000, 2032, 2064]}]}]}
    Cap.scene = Scene.from_dict({"video": "clip.mp4", "speakers": {"Ann": box}, "transcript": []})
    found = boxes_of(Cap, draws=4000, amount=0.1, drop=0.2, seed=seed)[:, 0, 0]
    assert np.isnan(found[:, 0]).mean() == pytest.approx(0.2, abs=0.03)
    assert np.nanstd(found, axis=0) == pytest.approx([3.2, 6.4, 3.2, 6.4], rel=0.08)
    assert np.nanmean(found, axis=0) == pytest.approx([2000, 2000, 2032, 2064], abs=0.6)
    found = boxes_of(Cap, draws=4000, amount=3.0, unit="px", seed=seed)[:, 0, 0]
    assert np.std(found, axis=0) == pytest.approx([3, 3, 3, 3], rel=0.08)


def test_band_by_hand(cap):
    """A box that is missing or not: Ann's share of the picture is 1/3, or 0; half of the draws hold either."""
    table = metrics.jitter(cap, ["box_area"], draws=60, amount=0.0, drop=0.5, level=0.9)["grounding"]
    row = table[(table["speaker"] == "Ann") & (table["turn"] == 2) & (table["frames"] == "live")].iloc[0]
    assert (row["value"], row["low"], row["high"]) == (pytest.approx(1 / 3), 0.0, pytest.approx(1 / 3))


def test_band_equals_captures_drawn_anew(tmp_path):
    """The second computation: a file for each draw, whose cells are covered as its boxes say, and numpy's quantiles."""
    options = {"draws": 3, "amount": 0.6, "drop": 0.2, "seed": 5}
    with open_capture(draw(tmp_path / "run.h5", *moving())) as cap:
        banded = metrics.jitter(cap, level=0.5, **options)
        covered_by = [covered(cap, boxes) >= 0.5 for boxes in boxes_of(cap, **options)]
        plain = metrics.compute(cap, NAMES)
    numbers: dict[str, list[np.ndarray]] = {}
    for number, cells in enumerate(covered_by):
        sketch, a = moving()
        for token, seen in zip(sketch.tokens, cells.T, strict=True):
            token.covered = [name for name, there in zip(("Ann", "Ben"), seen, strict=True) if there]
        with open_capture(draw(tmp_path / f"{number}.h5", sketch, a)) as cap:
            for family, table in metrics.compute(cap, NAMES).items():
                values = table["value"].to_numpy().copy()
                if family == "speakers":  # of a score only draws with the same chance level count
                    for score in ("speaker_consistency", "own_share_turn", "own_share_time"):
                        levels = [t["value"][t["metric"] == f"{score}_chance"] for t in (plain[family], table)]
                        same = np.isclose(*(level.to_numpy() for level in levels))
                        keys = table.loc[table["metric"] == f"{score}_chance", ["frames", "turn", "time"]]
                        good = pd.MultiIndex.from_frame(keys[same].fillna(-1))
                        of = table["metric"] == score
                        known = pd.MultiIndex.from_frame(table.loc[of, ["frames", "turn", "time"]].fillna(-1)).isin(
                            good
                        )
                        places = table.loc[of, ["layer", "head"]].drop_duplicates()
                        per_place = (
                            keys.merge(places, how="cross") if len(keys) == len(keys.drop_duplicates()) else None
                        )
                        if per_place is not None:
                            values[np.flatnonzero(of)[~known]] = np.nan
                        else:
                            values[np.flatnonzero(of)] = np.where(same, values[np.flatnonzero(of)], np.nan)
                numbers.setdefault(family, []).append(values)
    for family, table in banded.items():
        known = ~table["metric"].isin(AS_THEY_ARE).to_numpy()
        for name, share in (("low", 0.25), ("high", 0.75)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN
                expected = np.nanquantile(np.stack(numbers[family])[:, known], share, axis=0)
            assert np.allclose(table.loc[known, name], expected, atol=1e-9, equal_nan=True)


def test_tables_that_are_there_are_taken(cap):
    """The same numbers, not computed again, and the tables given stay as they are."""
    tables = metrics.compute(cap, ["grounding_auc", "box_area", "gap"])
    before = {family: table.copy() for family, table in tables.items()}
    found = metrics.jitter(cap, ["grounding_auc"], tables=tables, draws=3)
    assert list(found) == ["grounding"]
    assert found["grounding"].equals(metrics.jitter(cap, ["grounding_auc"], draws=3)["grounding"])
    assert all(tables[family].equals(table) for family, table in before.items())


def test_tables_with_bands_are_those_without_and_their_bands(drawn):
    """Grounding measures the boxes as they are among the draws: the same rows, in the same order, bit by bit."""
    cap = drawn(*moving_and_asking())
    tables = metrics.compute(cap, threshold=0.4)
    how = {"threshold": 0.4, "draws": 4, "amount": 0.2, "seed": 3}
    expected = tables | metrics.jitter(cap, tables=tables, **how)
    found = compute_banded(cap, **how)
    assert list(found) == list(expected) == list(tables)
    for family, table in expected.items():
        pd.testing.assert_frame_equal(found[family], table, check_exact=True)
    with pytest.raises(RequestError, match="draws"):
        compute_banded(cap, draws=0)


def test_what_is_read_for_the_boxes_as_they_are_has_no_band(cap):
    table = metrics.jitter(cap, ["speaker_timing_lift"], draws=2)["speakers"]
    assert table["value"].notna().any()
    assert table[["low", "high"]].isna().all(axis=None)
    words = metrics.compute(cap, ["speaker_pair_max"], exact=True)
    table = metrics.jitter(cap, ["speaker_pair_max"], tables=words, draws=2)["pairs"]
    assert table.loc[table["rows"] == "token", "low"].isna().all()
    plain = metrics.jitter(cap, ["speaker_pair_max"], draws=2)["pairs"]
    assert table[table["rows"] == "turn"].reset_index(drop=True).equals(plain)


def test_a_number_lost_in_every_draw_has_no_band(cap):
    table = metrics.jitter(cap, ["speaker_consistency"], draws=2, drop=1.0)["speakers"]
    assert table["value"].notna().any()
    assert table["low"].isna().all()
    assert table["high"].isna().all()


def test_scores_with_another_chance_level_do_not_count(drawn):
    """Three people, and boxes that go missing: a score among two is no score among three; lifts can be compared."""
    names = ("Ann", "Ben", "Cleo")
    sketch = room(names, [(name, None, None) for name in names], times=(0.0,))
    n = len(sketch.tokens)
    cap = drawn(sketch, softmax(np.zeros((1, 1, n, n)), causal(n)))  # even: the score is the chance level
    found = metrics.jitter(cap, drop=0.3, amount=0.0, draws=40)["speakers"]
    place = (found["layer"] == -1) & (found["head"] == -1) & (found["frames"] == "all") & (found["turn"] == -1)
    rows = found[place].drop_duplicates("metric").set_index("metric")
    for metric in ("speaker_consistency", "speaker_consistency_lift"):
        value = rows.loc[metric, "value"]
        assert rows.loc[metric, ["low", "high"]].tolist() == pytest.approx([value, value], rel=1e-5)
    assert rows.loc["speaker_consistency_chance", "high"] == pytest.approx(1 / 2)


def test_more_noise_makes_a_wider_band(drawn):
    sketch = room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0), seats=SEATS)
    n = len(sketch.tokens)
    cap = drawn(sketch, softmax(np.random.default_rng(4).normal(0, 2, (1, 1, n, n)), causal(n)))
    widths = []
    for amount in (0.0, 0.2, 0.6):
        table = metrics.jitter(cap, ["speaker_consistency"], draws=30, amount=amount)["speakers"]
        widths.append(float((table["high"] - table["low"]).mean()))
    assert widths[0] == pytest.approx(0.0, abs=1e-9)
    assert widths[0] < widths[1] < widths[2]


def test_draws_are_seeded(cap):
    first, second, other = (
        metrics.jitter(cap, ["speaker_pair_mass"], draws=5, amount=0.5, seed=seed)["pairs"] for seed in (1, 1, 2)
    )
    assert first.equals(second)
    assert not first["low"].equals(other["low"])


def test_quantiles_are_those_of_numpy():
    values = np.random.default_rng(1).random((9, 20))
    values[values < 0.3] = np.nan
    values[:, 0] = np.nan
    shares = (0.0, 0.025, 0.5, 0.8, 1.0)
    for share, found in zip(shares, quantiles(values, shares), strict=True):
        assert np.isnan(found[0])
        assert np.allclose(found[1:], np.nanquantile(values[:, 1:], share, axis=0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"draws": 0}, "jitter: draws is 0; it is at least 1"),
        ({"amount": -1.0}, "jitter: amount is -1.0; it is at least 0"),
        ({"amount": 10.0}, "jitter: amount is 1000%; it is at most 100% of a box"),
        ({"unit": "cm"}, "jitter: unit is cm; it is box or px"),
        ({"drop": 1.5}, "jitter: drop is 1.5; it is a probability, 0 to 1"),
        ({"grow": -0.5}, "jitter: grow is -0.5; it is above -0.5, where nothing is left of a box"),
        ({"level": 1.0}, "jitter: level is 1.0; it is a share of the draws, above 0 and below 1"),
        ({"names": ["gap"]}, "metric 'gap' has no band of disturbed boxes; those that have: speaker_density"),
    ],
)
def test_bad_options_are_refused(cap, options, said):
    with pytest.raises(RequestError) as error:
        metrics.jitter(cap, **options)
    assert str(error.value).startswith(said)


def test_a_capture_without_maps_has_tables_without_bands(drawn):
    cap = drawn(room(), readings=("masses",))
    assert list(compute_banded(cap)) == list(metrics.compute(cap))


def test_a_capture_without_maps_has_no_tables(drawn):
    assert metrics.jitter(drawn(room(), readings=("masses",))) == {}


@pytest.mark.parametrize(("level", "shares"), [(0.95, (0.025, 0.975)), (0.5, (0.25, 0.75))])
def test_a_band_holds_the_middle_of_the_draws(drawn, level, shares):
    """As much lies below it as above."""
    n = len(room().tokens)
    cap = drawn(room(), softmax(np.random.default_rng(0).normal(0, 2, (1, 1, n, n)), causal(n)))
    wide = metrics.jitter(cap, ["box_area"], level=level, amount=0.6, draws=9, seed=3)["grounding"]
    row = wide[(wide["speaker"] == "Ann") & (wide["turn"] == -1) & (wide["frames"] == "all")].iloc[0]
    boxes = disturb(cap, 9, unit="box", drop=0, grow=0, amount=0.6, rng=np.random.default_rng(3))
    cells = [covered(cap, drawn_boxes) >= 0.5 for drawn_boxes in boxes]
    area = [of[0].sum() / (cap.tokens["modality"] == "visual").sum() for of in cells]
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(area, shares)))


def test_the_band_of_a_change_is_over_the_same_boxes(tmp_path):
    """The second computation: the numbers of both captures for each draw, and quantiles of their differences."""
    sketch, weights = moving_and_asking()
    n = len(sketch.tokens)
    other = softmax(np.random.default_rng(9).normal(0, 2, (1, 2, n, n)), causal(n))
    how = {"amount": 0.4, "draws": 7, "seed": 2}
    with (
        open_capture(draw(tmp_path / "one.h5", sketch, weights)) as one,
        open_capture(draw(tmp_path / "two.h5", sketch, other)) as two,
    ):
        tables = [metrics.compute(cap) for cap in (one, two)]
        before, after, moved = metrics.jitter_change((one, two), tables, **how)
        for found, cap, own in zip((before, after), (one, two), tables, strict=True):
            alone = metrics.jitter(cap, tables=own, **how)
            assert set(found) == set(alone) and all(found[family].equals(alone[family]) for family in alone)
        boxes = disturb(one, 7, unit="box", drop=0, grow=0, amount=0.4, rng=np.random.default_rng(2))
        cells = np.stack([covered(one, drawn_boxes) >= 0.5 for drawn_boxes in boxes])
        ways = [Ways(units_of(cap), cells) for cap in (one, two)]
        for family, table in moved.items():
            pd.testing.assert_series_equal(table["change"], change(tables[0][family], tables[1][family])["change"])
            drawn = [
                [
                    np.concatenate([np.ravel(part.values) for part in parts])
                    for parts in scanned(cap, MEASURES[family](cap, own, 0.5))
                ]
                for cap, own in zip((one, two), ways, strict=True)
            ]
            low, high = quantiles(np.subtract(drawn[1], drawn[0]), (0.025, 0.975))
            measured = table[~table["metric"].isin(AS_THEY_ARE)]  # in the same order
            if "rows" in measured:
                measured = measured[measured["rows"] != "token"]
            plain = ["answer_mass", "answer_lift", "speaker_density", "box_area", "speaker_pair_mass"]  # of every draw
            rows = measured["metric"].isin(plain).to_numpy()
            assert rows.any()
            assert np.allclose(measured["low"][rows], low[rows], equal_nan=True)
            assert np.allclose(measured["high"][rows], high[rows], equal_nan=True)
    asked = moved["answer"].query("metric == 'answer_lift' and layer == -1 and speaker == 'Ann'").iloc[0]
    apart = after["answer"].loc[asked.name, "high"] - before["answer"].loc[asked.name, "low"]
    assert asked["low"] < asked["high"] < apart  # the same boxes: narrower than two bands on their own


def test_a_share_is_not_of_other_people(drawn):
    """A draw in which a rival's box is missing is no draw of the share; of the lift it is one."""
    cap = drawn(*moving_and_asking())
    assert len(cap.scene.speakers) == 2
    table = metrics.jitter(cap, ["answer_lift", "answer_share"], draws=40, amount=0.0, drop=0.7)["answer"]
    ann = table[(table["speaker"] == "Ann") & (table["layer"] == -1)].set_index("metric")
    assert ann.loc["answer_share", "high"] < 1
    assert ann.loc["answer_lift", "low"] < ann.loc["answer_lift", "high"]
