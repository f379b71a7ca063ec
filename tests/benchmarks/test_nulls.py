"""The p-values of the speaker metrics, on captures: uniform where nothing is planted, and what the docs say of them."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.nulls import DEALT, DOCS, RUNS, SEATS, TESTED, sample, table

CASES = {(design, null, frames) for design, nulls in TESTED.items() for null in nulls for frames in ("all", "live")}
# The labels of turns in runs are not exchangeable where attention drifts: that p is the one which is not to be trusted
UNIFORM = {case for case in CASES if case[0] != RUNS}


@pytest.mark.slow
@pytest.mark.parametrize("design", [DEALT, SEATS])
def test_p_is_uniform_on_captures_with_shuffled_speakers(design):
    """Every null at both choices of frames, 520 heads each (Kolmogorov and Smirnov)."""
    rows = table({0.0: sample(0.0, 26, design=design)}, design)
    assert {(row.design, row.null, row.frames) for row in rows.itertuples()} == {c for c in CASES if c[0] == design}
    assert (rows["n"] == 520).all()
    exact = rows[rows["null"].isin(["labels", "time"])]
    assert (exact["ks_p"] > 0.05 / 4).all(), rows  # four tests: any of them fails by chance 1 time in 20
    assert (rows["low"] <= 0.05).all(), rows  # the others may find too little, but never too much
    planted = table({0.6: sample(0.6, 2, design=design)}, design)  # a test that finds nothing would be uniform too
    assert (planted["share_0.05"] > 0.7).all(), planted


@pytest.mark.slow
def test_runs_and_drift_do_not_pass_for_alignment():
    rows = table({0.0: sample(0.0, 26, design=RUNS)}, RUNS).set_index(["null", "frames"])
    assert (rows.loc["drift", "share_0.05"] <= 0.07).all(), rows
    assert rows.loc[("labels", "all"), "share_0.05"] > 0.1, rows


def test_what_is_recorded_is_calibrated_and_finds_what_is_planted():
    rows = pd.read_csv(DOCS / "data" / "nulls.csv")
    nothing = rows[rows["strength"] == 0].set_index(["design", "null", "frames"])
    most = rows[rows["strength"] == rows["strength"].max()].set_index(["design", "null", "frames"])
    assert set(nothing.index) == CASES
    assert (nothing["n"] >= 500).all()
    for case in UNIFORM:
        assert nothing.loc[case, "low"] <= 0.05, case
    assert (nothing.loc[(RUNS, "drift"), "low"] <= 0.05).all()
    assert (nothing.loc[(RUNS, "labels"), "low"] > 0.05).any()
    assert (most["share_0.05"] > 0.7).all()
