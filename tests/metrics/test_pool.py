"""Many captures as one table: by hand, under permutation and splitting, and against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.errors import RequestError
from attnscope.metrics.clips import contrast, labels, paired, pooled, shared, summarize
from tests.metrics.numbers import of, tidy
from tests.metrics.sketch import causal, room, softmax

FEW = {"draws": 200}


# ---- by hand


def test_captures_of_a_clip_are_averaged_first():
    """Clip A gives (1 + 3) / 2 = 2, clip B gives 6: the mean is 4. Two clips have no interval."""
    table = tidy({"a1": [1.0], "a2": [3.0], "b": [6.0]})
    found = pooled(table, of({"a1": "A", "a2": "A", "b": "B"})).iloc[0]
    assert (found["value"], found["n"]) == (4.0, 2)
    assert np.isnan([found["low"], found["high"]]).all()


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
    nobody = pooled(tidy({"a": [np.nan], "b": [np.nan]}), of({"a": "A", "b": "B"})).iloc[0]
    assert np.isnan(nobody["value"]) and nobody["n"] == 0


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


# ---- what is refused, and what has no p


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


# ---- everything at once


@pytest.fixture
def several(drawn):
    """Tables of four captures of three clips, the last of which shows one person; the second was corrected."""
    done = [{"method": "social-bias", "params": {}, "active": [], "notes": []}]
    caps = []
    for number, (clip, people) in enumerate(
        [("a", ("Ann", "Ben")), ("a", ("Ann", "Ben")), ("b", ("Cleo", "Dan")), ("c", ("Eve",))]
    ):
        sketch = room(people, [(name, None, None) for name in people], words=1, question=1)
        sketch.scene["video"] = f"/nowhere/{clip}.mp4"
        n = len(sketch.tokens)
        attention = softmax(np.random.default_rng(number).normal(0, 1, (1, 2, n, n)), causal(n))
        caps.append(drawn(sketch, attention, name=f"{number}.h5", correction=done if number == 1 else None))
    names = [str(number) for number in range(4)]
    parts = {"speakers": ["speaker_density"], "modality": ["mass_share"]}
    tables = {
        family: pd.concat(
            [metrics.compute(c, wanted)[family].assign(capture=n) for c, n in zip(caps, names, strict=True)]
        )
        for family, wanted in parts.items()
    }
    return tables, labels(caps, names)


def test_a_summary_by_plain_loops(several):
    """Clip means of the density on the own speaker, whoever it is, in one head; then mean and differences of clips."""
    tables, about = several
    dense = tables["speakers"]
    own = dense[(dense["speaker"] == dense["target"]) & (dense["head"] == 1) & (dense["frames"] == "all")]
    by_capture = {name: float(np.mean(rows["value"])) for name, rows in own.groupby("capture")}
    clips = [(by_capture["0"] + by_capture["1"]) / 2, by_capture["2"], by_capture["3"]]

    found = summarize(tables, about, "speakers", heads=True, **FEW)
    assert list(found) == ["pooled", "groups", "contrasts"]  # no clip shows both one and two
    group = "frames=all; threshold=0.5; speaker=each; target=own"

    def row(name: str, **where: object) -> pd.Series:
        rows = found[name][(found[name]["group"] == group) & (found[name]["head"] == 1)]
        for column, value in where.items():
            rows = rows[rows[column] == value]
        assert len(rows) == 1
        return rows.iloc[0]

    assert (row("pooled")["value"], row("pooled")["n"]) == (pytest.approx(np.mean(clips)), 3)
    assert row("pooled")["definition"] == metrics.get("speaker_density").id
    assert row("groups", label="2")["value"] == pytest.approx(np.mean(clips[:2]))
    assert np.isnan(row("groups", label="1")["low"])  # a single clip
    change = row("contrasts", field="speakers", base="1", other="2")
    assert (change["value"], change["n"]) == (pytest.approx(np.mean(clips[:2]) - clips[2]), 3)
    assert set(found["contrasts"]["metric"]) == {"speaker_density", "mass_share"}
    for table in found.values():
        places = [
            c for c in table.columns if c in ("field", "label", "base", "other", "metric", "layer", "head", "group")
        ]
        assert not table.duplicated(places).any()


def test_a_summary_pairs_labels_that_share_clips(several):
    tables, about = several
    found = summarize(tables, about, "correction", **FEW)
    assert list(found) == ["pooled", "groups", "contrasts", "paired"]
    assert set(found["paired"]["head"]) == {-1}  # single heads only where they are asked for
    assert set(found["pooled"]["head"]) == {-1, 0, 1}
    changed = found["paired"].query("metric == 'mass_share' and layer == 0")
    rows = tables["modality"][tables["modality"]["head"] == -1].set_index(["capture", "query", "key", "sinks"])["value"]
    for (_, query, key, sinks), before in rows.loc[["0"]].items():
        said = changed[changed["group"].str.contains(f"query={query}; key={key}; .*sinks={sinks}$")].iloc[0]
        after = rows["1", query, key, sinks]
        assert (said["before"], said["after"]) == pytest.approx((before, after), nan_ok=True)
        assert said["value"] == pytest.approx(after - before, nan_ok=True)
        assert (said["base"], said["other"]) == ("plain", "social-bias")
    assert changed["definition"].eq(metrics.get("mass_share").id).all()


def test_a_summary_without_groups_is_what_pooled_says(several):
    tables, about = several
    found = summarize(tables, about, **FEW)
    assert list(found) == ["pooled"]
    plain = [pooled(shared(table), about, **FEW) for table in tables.values()]
    assert found["pooled"]["value"].tolist() == pytest.approx(pd.concat(plain)["value"].tolist(), nan_ok=True)
    assert (found["pooled"]["low"].dropna() <= found["pooled"]["value"][found["pooled"]["low"].notna()] + 1e-12).all()
    with pytest.raises(RequestError, match="field 'people': no scene has it"):
        summarize(tables, about, "people")
