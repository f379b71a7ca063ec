"""The opening numbers of a report: by hand on two captures, and against the dense map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.metrics.headline import across, change, headline
from tests.metrics.sketch import causal, room, softmax

SHARE, LIFT = "Mass share text \N{RIGHTWARDS ARROW} visual", "Lift text \N{RIGHTWARDS ARROW} visual"
GAP = "Gap of text (/max)"


def rows(metric: str, capture: str, values: dict[int, float], n: int, **keys: Any) -> pd.DataFrame:
    """Rows of a metric by layer, mean over heads."""
    table = pd.DataFrame({"metric": metric, "layer": list(values), "head": -1, "value": list(values.values()), "n": n})
    return table.assign(capture=capture, **keys)


def two_captures() -> dict[str, pd.DataFrame]:
    """Text gives the video 0.2 and 0.4 in two layers of one capture, 0.6 in each of the other; one has no lift."""
    link = {"query": "text", "key": "visual", "sinks": "with"}
    gap = {"query": "text", "sinks": "with", "denominator": "max"}
    parts = [
        rows("mass_share", "a", {0: 0.2, 1: 0.4}, 5, **link),
        rows("mass_share", "b", {0: 0.6, 1: 0.6}, 7, **link),
        rows("mass_share", "a", {0: 0.9, 1: 0.9}, 5, **link | {"key": "text"}),
        rows("mass_share", "a", {0: 0.9}, 5, **link).assign(head=0),
        rows("lift", "a", {0: 1.5, 1: 2.5}, 5, **link),
        rows("lift", "b", {0: np.nan, 1: np.nan}, 7, **link),
        rows("gap", "a", {-1: 0.3, 0: 0.9}, 2, **gap),
        rows("gap", "b", {-1: 0.5}, 2, **gap),
        rows("gap_uniform", "a", {-1: 0.1}, 2, **gap),
        rows("gap_uniform", "b", {-1: 0.3}, 2, **gap),
        rows("gap", "a", {-1: np.nan}, 0, **gap | {"query": "visual"}),
        rows("gap_uniform", "a", {-1: 0.2}, 2, **gap | {"query": "visual"}),
    ]
    return {"modality": pd.concat(parts, ignore_index=True)}


def test_mean_and_standard_error_by_hand():
    found = headline(two_captures()).set_index("number")
    share = found.loc[SHARE]
    # 0.3 and 0.6: mean 0.45, standard deviation 0.3 / sqrt(2), standard error 0.15
    assert (share["value"], share["se"]) == (pytest.approx(0.45), pytest.approx(0.15))
    assert (share["n"], share["counts"], share["captures"]) == (5 + 7, "queries", 2)
    assert np.isnan(share["chance"])  # a share of what is allowed has no level of its own
    lift = found.loc[LIFT]
    assert (lift["value"], lift["chance"], lift["n"], lift["captures"]) == (pytest.approx(2.0), 1.0, 5, 1)
    assert np.isnan(lift["se"])  # of a single capture
    gap = found.loc[GAP]
    assert (gap["value"], gap["chance"], gap["counts"]) == (pytest.approx(0.4), pytest.approx(0.2), "layers")
    nothing = found.loc["Gap of visual (/max)"]
    assert np.isnan([nothing["value"], nothing["se"], nothing["chance"]]).all()
    assert (nothing["captures"], nothing["n"]) == (0, 0)
    assert list(found.index) == [SHARE, LIFT, GAP, "Gap of visual (/max)"]  # what no table has is left out


def test_another_denominator_and_no_tables():
    assert not any("Gap" in number for number in headline(two_captures(), "sum")["number"])
    assert headline({}).empty and "number" in headline({})


def test_chance_and_p_of_speakers():
    keys: dict[str, Any] = {"frames": "all"}
    level = {"speaker_consistency": 0.8, "speaker_consistency_lift": 1.6, "speaker_consistency_chance": 0.5}
    one = pd.concat([rows(m, "a", {-1: v}, 2, **keys) for m, v in level.items()], ignore_index=True)
    one["p"] = np.where(one["metric"] == "speaker_consistency_lift", 0.01, np.nan)
    found = headline({"speakers": one}).set_index("number")
    score, lift = "Speaker consistency, all frames", "Speaker consistency over chance, all frames"
    assert found.loc[score, "chance"] == 0.5 and found.loc[lift, "chance"] == 1.0
    assert np.isnan(found.loc[score, "p"]) and found.loc[lift, "p"] == 0.01
    two = pd.concat([one, one.assign(capture="b")])
    assert headline({"speakers": two}).set_index("number")["p"].isna().all()  # p belongs to one capture


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(3)), values=st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_the_order_of_captures_does_not_matter(order, values):
    link = {"query": "text", "key": "visual", "sinks": "with"}
    parts = [rows("mass_share", str(i), {0: v}, i + 1, **link) for i, v in enumerate(values)]
    first = headline({"modality": pd.concat(parts)})
    second = headline({"modality": pd.concat([parts[i] for i in order])})
    pd.testing.assert_frame_equal(first, second)
    assert first["value"].item() == pytest.approx(np.mean(values))
    assert first["se"].item() == pytest.approx(np.std(values, ddof=1) / np.sqrt(3), abs=1e-12)


def test_numbers_equal_those_of_the_dense_map(drawn):
    sketch = room()
    n = len(sketch.tokens)
    text, visual = sketch.where(modality="text"), sketch.where(modality="visual")
    tables, shares, gaps = [], [], []
    for capture in ("a", "b"):
        a = softmax(np.random.default_rng(ord(capture)).normal(0, 2, (3, 2, n, n)), causal(n))
        cap = drawn(sketch, a, name=f"{capture}.h5")
        tables.append(metrics.compute(cap, ["mass_share", "gap"])["modality"].assign(capture=capture))
        shares.append(a[:, :, text][..., visual].sum(-1).mean())
        by_layer = []
        for layer in a.mean(1):
            pairs = causal(n) & text[:, None]
            s, c = layer[pairs & text].mean(), layer[pairs & visual].mean()
            by_layer.append(abs(s - c) / max(s, c))
        gaps.append(np.mean(by_layer))
    found = headline({"modality": pd.concat(tables)}).set_index("number")
    assert found.loc[SHARE, "value"] == pytest.approx(np.mean(shares), rel=1e-5)
    assert found.loc[SHARE, "se"] == pytest.approx(abs(shares[0] - shares[1]) / 2, rel=1e-4)
    assert found.loc[GAP, "value"] == pytest.approx(np.mean(gaps), rel=1e-5)


def test_average_of_every_row():
    table = two_captures()["modality"]
    found = across(table).set_index(["metric", "layer", "head", "query", "key"])
    share = found.loc[("mass_share", 0, -1, "text", "visual")]
    assert (share["mean"], share["se"], share["captures"]) == (pytest.approx(0.4), pytest.approx(0.2), 2)
    lift = found.loc[("lift", 1, -1, "text", "visual")]
    assert (lift["mean"], lift["captures"]) == (2.5, 1)
    assert len(found) == len(table) - 6  # rows of both captures that share their keys are one


def test_change_joins_on_keys_in_the_order_of_the_first():
    link = {"query": "text", "key": "visual", "sinks": "with"}
    before = rows("mass_share", "x", {1: 0.2, 0: 0.5, 2: 0.3}, 5, **link)
    after = rows("mass_share", "y", {0: 0.1, 1: 0.6}, 9, **link)
    found = change(before, after)
    assert found["layer"].tolist() == [1, 0, 2]
    assert found["change"].tolist() == pytest.approx([0.6 - 0.2, 0.1 - 0.5, np.nan], nan_ok=True)
    assert not {"n", "capture", "value"} & set(found.columns)
