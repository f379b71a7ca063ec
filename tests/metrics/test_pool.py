"""Many captures as one table: by hand, under permutation and splitting, and against plain scipy and plain loops."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, kstest, wilcoxon

from attnscope.errors import RequestError
from attnscope.metrics.pool import contrast, groups, labels, paired, pooled
from attnscope.metrics.resample import interval, labels_exchanged, sign_flips, signed_ranks
from tests.metrics.sketch import room

FEW = {"draws": 200}


def tidy(values: dict[str, list[float]], metric: str = "m") -> pd.DataFrame:
    """Numbers of the heads of one layer by capture."""
    rows = [
        {"capture": name, "metric": metric, "layer": 0, "head": head, "value": value, "n": 1}
        for name, heads in values.items()
        for head, value in enumerate(heads)
    ]
    return pd.DataFrame(rows)


def of(clips: dict[str, str], **fields: dict[str, str]) -> pd.DataFrame:
    """What captures are of: clip by capture, and fields."""
    about = pd.DataFrame({"capture": list(clips), "clip": list(clips.values())})
    return about.assign(**{f"field:{name}": about["capture"].map(label) for name, label in fields.items()})


# ---- by hand


def test_captures_of_a_clip_are_averaged_first():
    """Clip A gives (1 + 3) / 2 = 2, clip B gives 6: the mean is 4. Drawn again: A A = 2, A B = 4, B B = 6."""
    table = tidy({"a1": [1.0], "a2": [3.0], "b": [6.0]})
    found = pooled(table, of({"a1": "A", "a2": "A", "b": "B"})).iloc[0]
    assert (found["value"], found["n"], found["low"], found["high"]) == (4.0, 2, 2.0, 6.0)


def test_one_clip_has_no_interval():
    found = pooled(tidy({"a1": [1.0], "a2": [3.0]}), of({"a1": "A", "a2": "A"})).iloc[0]
    assert (found["value"], found["n"]) == (2.0, 1)
    assert np.isnan([found["low"], found["high"]]).all()


def test_a_number_is_over_the_clips_that_define_it():
    found = pooled(
        tidy({"a": [1.0, np.nan], "b": [3.0, np.nan], "c": [np.nan, 5.0]}), of({"a": "A", "b": "B", "c": "C"})
    )
    assert found["value"].tolist() == [2.0, 5.0]
    assert found["n"].tolist() == [2, 1]
    assert (found["low"].iloc[0], found["high"].iloc[0]) == (1.0, 3.0)
    nobody = pooled(tidy({"a": [np.nan], "b": [np.nan]}), of({"a": "A", "b": "B"})).iloc[0]
    assert np.isnan(nobody["value"]) and nobody["n"] == 0


def test_paired_by_hand():
    """Three clips change by 1, 2 and 3, mean 2. Of 2^3 = 8 ways to give signs, +++ and --- are as far from 0: p = 2/8.

    Ranks 1, 2, 3 all positive: of 8 ways the extreme two again, so Wilcoxon's p is 2/8 too.
    """
    table = tidy({"a": [1.0], "b": [1.0], "c": [5.0], "a+": [2.0], "b+": [3.0], "c+": [8.0], "d+": [9.0], "e": [7.0]})
    about = of({"a": "A", "b": "B", "c": "C", "a+": "A", "b+": "B", "c+": "C", "d+": "D", "e": "E"})
    found = paired(table, about, ["a", "b", "c", "e"], ["a+", "b+", "c+", "d+"]).iloc[0]
    assert (found["before"], found["after"], found["value"], found["n"]) == pytest.approx((7 / 3, 13 / 3, 2.0, 3))
    assert (found["low"], found["high"]) == (1.0, 3.0)
    assert (found["p"], found["p_wilcoxon"], found["q"], found["q_wilcoxon"]) == pytest.approx((0.25,) * 4)


def test_contrast_by_hand():
    """Groups 5, 6 and 1, 2: means 5.5 and 1.5, difference 4. Of 4!/(2!2!) = 6 ways to label, two are as far apart."""
    table = tidy({"a": [5.0], "b": [6.0], "c": [1.0], "d": [2.0]})
    about = of({"a": "A", "b": "B", "c": "C", "d": "D"}, people={"a": "2", "b": "2", "c": "10", "d": "10"})
    found = contrast(table, about, "people").iloc[0]
    assert (found["field"], found["group"], found["other"]) == ("people", "2", "10")
    assert (found["value"], found["n"], found["p"], found["q"]) == pytest.approx((4.0, 4, 2 / 6, 2 / 6))
    assert 3 <= found["low"] < found["high"] <= 5
    means = pooled(table, about, "people")
    assert means[["group", "value", "n"]].to_numpy().tolist() == [["2", 5.5, 2], ["10", 1.5, 2]]


def test_heads_are_corrected_together_and_their_means_apart():
    """Six clips that all rise, p = 2/64, but for head 1: q is p for a head alone, twice p for the better of two."""
    rng = np.random.default_rng(0)
    rows = []
    for clip in "ABCDEF":
        for when, shift in (("", 0.0), ("+", 1.0)):
            for metric, layer, head in (("m", 0, 0), ("m", 0, 1), ("m", 0, -1), ("m", -1, -1), ("o", 0, 0)):
                value = rng.normal(0, 0.01) + shift * (head != 1)
                rows.append((clip + when, metric, layer, head, value, 1))
    table = pd.DataFrame(rows, columns=["capture", "metric", "layer", "head", "value", "n"])
    about = of({clip + when: clip for clip in "ABCDEF" for when in ("", "+")})
    found = paired(table, about, list("ABCDEF"), [clip + "+" for clip in "ABCDEF"])
    least = 2 / 2**6
    assert found["p"][[0, 2, 3, 4]].tolist() == pytest.approx([least] * 4)
    assert found["q"][4] == pytest.approx(least)  # alone
    assert found["q"][0] == pytest.approx(2 * least)  # the better of two heads
    assert found["q"][1] == pytest.approx(found["p"][1])
    assert found["q"][[2, 3]].isna().all()  # means over heads are no tests of heads


# ---- properties


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(5)), heads=st.permutations(range(3)))
def test_the_order_of_captures_and_heads_does_not_matter(seed, order, heads):
    rng = np.random.default_rng(seed)
    values = {f"c{i}": rng.normal(size=3).tolist() for i in range(5)}
    about = of({name: name.upper() for name in values}, half={name: str(int(name[1]) % 2) for name in values})
    table = tidy(values)
    other = pd.concat([table[table["capture"] == f"c{i}"] for i in order])
    other["head"] = other["head"].map(dict(enumerate(heads)))
    for one, two in (
        (pooled(table, about, **FEW), pooled(other, about.iloc[list(order)], **FEW)),
        (contrast(table, about, "half", **FEW), contrast(other, about.iloc[list(order)], "half", **FEW)),
    ):
        one["head"] = one["head"].map(dict(enumerate(heads)))
        left, right = (t.sort_values("head").reset_index(drop=True) for t in (one, two))
        pd.testing.assert_frame_equal(left, right)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), copies=st.integers(1, 3))
def test_a_capture_split_into_equal_ones_changes_nothing(seed, copies):
    """Neither estimates nor intervals: they are of clips."""
    values = {f"c{i}": [v] for i, v in enumerate(np.random.default_rng(seed).normal(size=5))}
    split = {**values, **{f"c0 copy {i}": values["c0"] for i in range(copies)}}
    one = pooled(tidy(values), of({name: name[:2] for name in values}), **FEW)
    two = pooled(tidy(split), of({name: name[:2] for name in split}), **FEW)
    pd.testing.assert_frame_equal(one, two)


def test_p_is_uniform_where_nothing_differs():
    change = np.random.default_rng(10).normal(size=(600, 11))
    for p in (sign_flips(change), labels_exchanged(change, np.arange(11) < 5)):
        assert kstest(p, "uniform").pvalue > 0.05
    ranks = signed_ranks(change)  # few values are possible: uniform from above
    assert all(0.7 * level < (ranks <= level).mean() < 1.2 * level for level in (0.1, 0.3, 0.5))
    shifted = sign_flips(change + 1)
    assert np.median(shifted) < 0.05


# ---- against plain scipy and plain loops


def test_intervals_are_those_of_scipy():
    """scipy draws values; we let it draw clips: the same draws, so the same ends."""
    values = np.random.default_rng(3).gamma(1, size=(4, 9))
    low, high = interval(values, draws=500, seed=5)
    for row in range(4):
        rng = np.random.default_rng(5)
        plain = bootstrap((values[row],), np.mean, n_resamples=500, method="percentile", random_state=rng)
        assert (low[row], high[row]) == pytest.approx(tuple(plain.confidence_interval))


def test_intervals_of_differences_and_gaps_by_a_loop():
    rng = np.random.default_rng(3)
    one, two = rng.normal(size=(2, 1, 7))
    one[0, [0, 3]] = two[0, [1, 2]] = np.nan
    low, high = interval(one, two, draws=400, seed=2)
    picks = np.random.default_rng(2).integers(0, 7, (400, 7))
    drawn = []
    for pick in picks:
        a, b = ([v for v in part[0, pick] if np.isfinite(v)] for part in (one, two))
        if a and b:
            drawn.append(sum(a) / len(a) - sum(b) / len(b))
    assert (low[0], high[0]) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def test_blocks_do_not_change_the_numbers(monkeypatch):
    values = np.random.default_rng(0).normal(size=(7, 6))
    values[2, 1] = np.nan
    whole = (*interval(values, draws=50), sign_flips(values), labels_exchanged(values, np.arange(6) < 2))
    monkeypatch.setattr("attnscope.metrics.resample._BLOCK", 100)
    parts = (*interval(values, draws=50), sign_flips(values), labels_exchanged(values, np.arange(6) < 2))
    assert np.allclose(whole, parts)


def test_sign_flips_by_counting_all():
    change = np.round(np.random.default_rng(2).normal(0.3, 1, size=(5, 8)), 1)
    change[1, 2] = np.nan
    change[2, :6] = 0
    change[4] = 0
    p = sign_flips(change)
    for row in range(5):
        own = change[row][np.isfinite(change[row])]
        sums = np.array([np.dot(own, signs) for signs in product([1, -1], repeat=len(own))])
        assert p[row] == pytest.approx(min(1, 2 * np.mean(sums >= abs(own.sum()) - 1e-9)))


def test_exchanged_labels_by_counting_all():
    values = np.round(np.random.default_rng(2).normal(0, 1, size=(4, 6)), 1)
    values[1, 5] = np.nan
    first = np.array([True, True, False, False, False, False])
    p = labels_exchanged(values, first)
    for row in range(4):
        keep = np.isfinite(values[row])
        own, label = values[row][keep], first[keep]
        apart = [own[list(o)][label].mean() - own[list(o)][~label].mean() for o in permutations(range(len(own)))]
        observed = own[label].mean() - own[~label].mean()
        tails = np.mean(np.array(apart) >= observed - 1e-9), np.mean(np.array(apart) <= observed + 1e-9)
        assert p[row] == pytest.approx(min(1, 2 * min(tails)))


def test_signed_ranks_are_those_of_scipy_row_by_row():
    rng = np.random.default_rng(4)
    change = rng.normal(size=(6, 9))
    change[0, 0] = 0  # left out
    change[1] = np.round(change[1])  # ties
    change[2, 3] = np.nan
    change[3] = 0
    change[4, 1:] = np.nan
    p = signed_ranks(change)
    assert p[0] == pytest.approx(wilcoxon(change[0, 1:], method="exact").pvalue)
    assert p[1] == pytest.approx(wilcoxon(change[1][change[1] != 0], method="approx").pvalue)
    assert p[2] == pytest.approx(wilcoxon(np.delete(change[2], 3), method="exact").pvalue)
    assert p[3] == 1
    assert np.isnan(p[4])
    assert p[5] == pytest.approx(wilcoxon(change[5]).pvalue)


# ---- captures, groups and what is refused


def test_captures_say_what_they_are_of(drawn):
    two, one = room(), room(("Ann",), (("Ann", 0.0, 1.0),))
    two.scene |= {"video": "/nowhere/a.mp4", "fields": {"task": "who", "hard": True, "cast": ["x", "y"]}}
    one.scene |= {"video": "/nowhere/b.mp4", "fields": {"people": 10}}
    about = labels([drawn(two, name="a.h5"), drawn(one, name="b.h5")], ["a", "b"])
    assert about["clip"].tolist() == ["/nowhere/a.mp4", "/nowhere/b.mp4"]
    assert groups(about, "speakers") == {"1": ["b"], "2": ["a"]}
    assert groups(about, "task") == {"who": ["a"], "(none)": ["b"]}
    assert groups(about, "cast") == {"x, y": ["a"], "(none)": ["b"]}
    assert groups(of({"a": "A", "b": "B", "c": "C"}, n={"a": "10", "b": "9", "c": "few"}), "n") == {
        "9": ["b"],
        "10": ["a"],
        "few": ["c"],
    }
    with pytest.raises(
        RequestError, match="field 'peopel': no scene has it; the fields are speakers, task, hard, cast, people"
    ):
        groups(about, "peopel")


def test_what_cannot_be_pooled_is_refused():
    table = tidy({"a": [1.0], "b": [2.0]})
    about = of({"a": "A", "b": "B"}, task={"a": "x", "b": "x"})
    with pytest.raises(RequestError, match="the table holds a number of 'm' of capture 'a' twice"):
        pooled(pd.concat([table, table]), about)
    with pytest.raises(RequestError, match="the table holds capture 'b', of which nothing is known"):
        pooled(table, about.iloc[:1])
    with pytest.raises(RequestError, match="the two sets of captures share no clip"):
        paired(table, about, ["a"], ["b"])
    with pytest.raises(RequestError, match="capture 'a' is in both of the sets"):
        paired(table, about, ["a"], ["a", "b"])
    with pytest.raises(RequestError, match="field 'task': every capture is in the group 'x'"):
        contrast(table, about, "task")


def test_groups_that_share_a_clip_have_no_p_but_an_interval():
    table = tidy({"a who": [1.0], "a what": [2.0], "b who": [3.0], "b what": [5.0]})
    names = {name: name.split() for name in set(table["capture"])}
    about = of({n: words[0] for n, words in sorted(names.items())}, task={n: words[1] for n, words in names.items()})
    found = contrast(table, about, "task").iloc[0]
    assert (found["group"], found["value"], found["n"]) == ("what", 1.5, 4)
    assert np.isnan(found["p"])
    assert (found["low"], found["high"]) == (1.0, 2.0)  # clip by clip: 1 and 2
    about.loc[about["capture"] == "b who", "clip"] = "c"  # a clip in both groups, and one in each
    assert np.isnan(contrast(table, about, "task").iloc[0]["p"])
