"""Disturbed boxes: no noise changes nothing, and every way to disturb them does what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.errors import RequestError
from attnscope.metrics.jitter import covered, disturb, quantile
from tests.metrics.sketch import CELL, causal, room, softmax

SEATS = [(0, 1), (1, 2), (2, 0)]
TURNS = [("Ann", 0.0, 1.2), ("Ben", 0.8, 2.2), ("Ann", 2.0, 2.0)]


@pytest.fixture
def cap(drawn):
    sketch = room(("Ann", "Ben"), TURNS, times=(0.0, 1.0, 2.0), seats=SEATS, hidden=[("Ben", 2)])
    n = len(sketch.tokens)
    return drawn(sketch, softmax(np.random.default_rng(4).normal(0, 2, (1, 2, n, n)), causal(n)))


def boxes_of(cap, draws: int = 1, amount: float = 0.0, unit="box", drop: float = 0.0, grow: float = 0.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    return disturb(cap, draws, amount=amount, unit=unit, drop=drop, grow=grow, rng=rng)


def test_without_noise_the_band_is_the_number(cap):
    """And the numbers are those of the metrics, for every row of every family, in the same order."""
    for family, table in metrics.jitter(cap, draws=2, amount=0.0).items():
        names = [m.name for m in metrics.all() if m.family == family]
        assert table[["metric", "value"]].equals(metrics.compute(cap, names)[family][["metric", "value"]])
        banded = table[table["metric"] != "speaker_timing_lift"]  # it needs the boxes of other times
        assert np.allclose(banded["low"], banded["value"], equal_nan=True)
        assert np.allclose(banded["high"], banded["value"], equal_nan=True)
        assert table.loc[table["metric"] == "speaker_timing_lift", "low"].isna().all()


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


def test_a_number_lost_in_every_draw_has_no_band(cap):
    table = metrics.jitter(cap, ["speaker_consistency"], draws=2, drop=1.0)["speakers"]
    assert table["value"].notna().any()
    assert table["low"].isna().all()
    assert table["high"].isna().all()


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


def test_quantile_is_that_of_numpy():
    values = np.random.default_rng(1).random((9, 20))
    values[values < 0.3] = np.nan
    values[:, 0] = np.nan
    for share in (0.0, 0.025, 0.5, 0.8, 1.0):
        assert np.isnan(quantile(values, share)[0])
        assert np.allclose(quantile(values, share)[1:], np.nanquantile(values[:, 1:], share, axis=0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"draws": 0}, "jitter: draws is 0; it is at least 1"),
        ({"amount": -1.0}, "jitter: amount is -1.0; it is at least 0"),
        ({"unit": "cm"}, "jitter: unit is cm; it is box or px"),
        ({"drop": 1.5}, "jitter: drop is 1.5; it is a probability, 0 to 1"),
        ({"grow": -0.5}, "jitter: grow is -0.5; it is above -0.5, where nothing is left of a box"),
        ({"level": 1.0}, "jitter: level is 1.0; it is a share of the draws, above 0 and below 1"),
        ({"names": ["gap"]}, "metric 'gap' does not depend on boxes; those that do: speaker_density"),
    ],
)
def test_bad_options_are_refused(cap, options, said):
    with pytest.raises(RequestError) as error:
        metrics.jitter(cap, **options)
    assert str(error.value).startswith(said)


def test_a_capture_without_maps_has_no_tables(drawn):
    assert metrics.jitter(drawn(room(), readings=("masses",))) == {}
