"""The p-values of the speaker metrics, on captures: uniform where nothing is planted, and what the docs say of them."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.nulls import DOCS, NULLS, sample, table

CASES = {(null, frames) for null in NULLS for frames in ("all", "live")}


@pytest.mark.slow
def test_p_is_uniform_on_captures_with_shuffled_speakers():
    """Both nulls at both choices of frames, 520 heads each (Kolmogorov and Smirnov)."""
    rows = table({0.0: sample(0.0, 26)})
    assert {(row.null, row.frames) for row in rows.itertuples()} == CASES
    assert (rows["n"] == 520).all()
    assert (rows["ks_p"] > 0.05 / len(CASES)).all(), rows  # four tests: any of them fails by chance 1 time in 20
    planted = table({0.6: sample(0.6, 2)})  # a test that finds nothing would be uniform too
    assert (planted["share_0.05"] > 0.8).all(), planted


def test_what_is_recorded_is_calibrated_and_finds_what_is_planted():
    rows = pd.read_csv(DOCS / "data" / "nulls.csv")
    nothing, most = rows[rows["strength"] == 0], rows[rows["strength"] == rows["strength"].max()]
    assert {(row.null, row.frames) for row in nothing.itertuples()} == CASES
    assert (nothing["n"] >= 500).all() and (nothing["ks_p"] > 0.05).all()
    assert ((nothing["low"] <= 0.05) & (nothing["high"] >= 0.05)).all()
    assert (most["share_0.05"] > 0.95).all()
