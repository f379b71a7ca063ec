"""The opening numbers of a report: by hand on two captures, and against the dense map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.metrics.headline import by_group, change, headline
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


def test_mean_and_interval_by_hand():
    found = headline(two_captures()).set_index("number")
    share = found.loc[SHARE]
    assert share["value"] == pytest.approx(0.45)  # of 0.3 and 0.6
    assert np.isnan([share["low"], share["high"]]).all()  # of two clips
    assert (share["n"], share["counts"], share["group"]) == (2, "clips", "Text and video")
    assert np.isnan(share["chance"])  # a share of what is allowed has no level of its own
    lift = found.loc[LIFT]
    assert (lift["value"], lift["chance"], lift["n"]) == (pytest.approx(2.0), 1.0, 1)
    assert np.isnan(lift["low"])  # of a single clip
    gap = found.loc[GAP]
    assert (gap["value"], gap["chance"]) == (pytest.approx(0.4), pytest.approx(0.2))
    nothing = found.loc["Gap of visual (/max)"]
    assert np.isnan([nothing["value"], nothing["low"], nothing["chance"]]).all() and nothing["n"] == 0
    assert list(found.index) == [SHARE, LIFT, GAP, "Gap of visual (/max)"]  # what no table has is left out


def test_captures_of_one_clip_are_one():
    tables = two_captures()
    more = tables["modality"].query("capture == 'b'").assign(capture="c")
    tables = {"modality": pd.concat([tables["modality"], more])}
    about = pd.DataFrame({"capture": ["a", "b", "c"], "clip": ["x", "y", "y"]})
    share = headline(tables, about=about).set_index("number").loc[SHARE]
    assert share["value"] == pytest.approx((0.3 + (0.6 + 0.6) / 2) / 2) and share["n"] == 2
    alone = headline(tables, about=about.assign(clip="x")).set_index("number").loc[SHARE]
    assert alone["value"] == pytest.approx(0.5) and alone["n"] == 1 and np.isnan(alone["low"])


def test_a_single_capture_keeps_its_n_and_its_band():
    tables = {"modality": two_captures()["modality"].query("capture == 'a'")}
    share = headline(tables).set_index("number").loc[SHARE]
    assert (share["value"], share["n"], share["counts"]) == (pytest.approx(0.3), 5, "queries")
    auc = rows("grounding_auc", "a", {-1: 0.7}, 2, frames="live", speaker="", turn=-1).assign(low=0.6, high=0.75)
    found = headline({"grounding": auc}).iloc[0]
    assert (found["value"], found["low"], found["high"], found["chance"]) == (0.7, 0.6, 0.75, 0.5)


def test_own_cells_are_compared_with_those_of_others():
    keys: dict[str, Any] = {"frames": "live", "heads": "mean", "rows": "turn"}
    parts = [
        rows("speaker_pair_mean", capture, {-1: value}, 4, match=match, **keys)
        for capture, values in (("a", (0.02, 0.01)), ("b", (0.04, 0.02)))
        for match, value in zip(("matched", "mismatched"), values, strict=True)
    ]
    found = headline({"pairs": pd.concat(parts)})
    assert (found["value"].item(), found["chance"].item()) == (pytest.approx(0.03), pytest.approx(0.015))


def test_own_cells_and_those_of_others_are_over_the_same_clips():
    """Clip b shows one person, whose words have nobody else's cells: 0.02 against 0.03, not (0.02 + 0.08) / 2."""
    keys: dict[str, Any] = {"frames": "live", "heads": "mean", "rows": "turn"}
    parts = [
        rows("speaker_pair_mean", capture, {-1: value}, 4, match=match, **keys)
        for capture, values in (("a", (0.02, 0.03)), ("b", (0.08, np.nan)), ("c", (0.02, 0.03)))
        for match, value in zip(("matched", "mismatched"), values, strict=True)
    ]
    found = headline({"pairs": pd.concat(parts)}).iloc[0]
    assert (found["value"], found["chance"], found["n"]) == (pytest.approx(0.02), pytest.approx(0.03), 2)
    alone = headline({"pairs": pd.concat(parts[2:4] + [part.assign(capture="d") for part in parts[2:4]])}).iloc[0]
    assert (alone["value"], alone["n"]) == (pytest.approx(0.08), 2) and np.isnan(alone["chance"])


def test_an_interval_over_six_clips():
    link = {"query": "text", "key": "visual", "sinks": "with"}
    values = np.linspace(0.1, 0.6, 6)
    found = headline({"modality": pd.concat([rows("mass_share", str(v), {0: v}, 5, **link) for v in values])}).iloc[0]
    assert 0.1 < found["low"] < found["value"] < found["high"] < 0.6 and found["n"] == 6


# ---- groups of captures


def grouped() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Two clips with two people, whose text gives the video 0.1 and 0.2, and two with five, 0.5 and 0.7."""
    link = {"query": "text", "key": "visual", "sinks": "with"}
    values = {"a": 0.1, "b": 0.2, "c": 0.5, "d": 0.7}
    table = pd.concat([rows("mass_share", name, {0: value}, 5, **link) for name, value in values.items()])
    lift = rows("lift", "a", {0: np.nan}, 5, **link)
    about = pd.DataFrame({"capture": list(values), "clip": list(values), "field:people": ["2", "2", "5", "5"]})
    return {"modality": pd.concat([table, lift])}, about


def test_groups_and_their_difference_by_hand():
    means, differences = by_group(*grouped(), "people")
    assert set(means["number"]) == {SHARE}  # the lift is defined nowhere
    assert means.set_index("label")["value"].to_dict() == pytest.approx({"2": 0.15, "5": 0.6})
    assert means["n"].tolist() == [2, 2] and means["low"].isna().all()
    row = differences.iloc[0]
    assert (row["base"], row["other"], row["value"], row["n"]) == ("2", "5", pytest.approx(0.45), 4)
    assert row["p"] == pytest.approx(2 / 6)  # of the 6 ways to choose two of four clips, these are the two extremes
    assert np.isnan(row["p_wilcoxon"]) and not row["paired"]


def test_groups_that_share_clips_are_compared_clip_by_clip():
    tables, about = grouped()
    about = about.assign(clip=["x", "y", "x", "y"], **{"field:correction": ["plain", "plain", "bias", "bias"]})
    _, differences = by_group(tables, about, "correction")
    row = differences.iloc[0]
    # changes 0.4 and 0.5; of the 4 ways to sign two changes, ++ and -- are as far from 0
    assert (row["base"], row["value"], row["p"], row["n"]) == ("plain", pytest.approx(0.45), 2 / 4, 2)
    assert row["paired"] and row["p_wilcoxon"] == pytest.approx(0.5)


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
    assert found.loc[GAP, "value"] == pytest.approx(np.mean(gaps), rel=1e-5)


def test_change_joins_on_keys_in_the_order_of_the_first():
    link = {"query": "text", "key": "visual", "sinks": "with"}
    before = rows("mass_share", "x", {1: 0.2, 0: 0.5, 2: 0.3}, 5, **link)
    after = rows("mass_share", "y", {0: 0.1, 1: 0.6}, 9, **link)
    found = change(before, after)
    assert found["layer"].tolist() == [1, 0, 2]
    assert found["change"].tolist() == pytest.approx([0.6 - 0.2, 0.1 - 0.5, np.nan], nan_ok=True)
    assert not {"n", "capture", "value"} & set(found.columns)
