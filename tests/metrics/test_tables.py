"""One table of all numbers, as files: by hand, against plain loops, and as pandas and DuckDB read it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.errors import RequestError, RunError
from attnscope.metrics.registry import FOUND
from tests.metrics.sketch import causal, room, softmax

WHAT = ["capture", "metric", "layer", "head", "group"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """All families of two captures."""
    from attnscope.capture.read.capture import open as open_capture
    from tests.metrics.sketch import draw

    parts: dict[str, list[pd.DataFrame]] = {}
    for name, people in (("one", ("Ann", "Ben")), ("two", ("NA", "Cleo"))):
        sketch = room(people, [(who, t, t + 0.4) for t, who in enumerate(people)], generated=2)
        n = len(sketch.tokens)
        attention = softmax(np.random.default_rng(n).normal(0, 2, (2, 2, n, n)), causal(n))
        with open_capture(draw(tmp_path_factory.mktemp(name) / "run.h5", sketch, attention)) as cap:
            for family, table in metrics.compute(cap).items():
                parts.setdefault(family, []).append(table.assign(capture=name))
    return {family: pd.concat(several, ignore_index=True) for family, several in parts.items()}


@pytest.fixture(scope="module")
def whole(tables):
    return metrics.long(tables)


def test_long_by_hand():
    """Keys that a number does not have are left out; without any it is of all."""
    keys = {"threshold": 0.5, "speaker": ["Ann", ""], "turn": [3, -1], "time": [np.nan, 1 / 3]}
    one = pd.DataFrame(
        {"capture": "a", "metric": "gap", "layer": 2, "head": [1, 0], **keys, "value": [0.1, 0.2], "n": 5}
    )
    two = pd.DataFrame({"capture": ["a"], "metric": "lift", "layer": 0, "head": -1, "value": np.nan, "n": 0, "p": 0.25})
    three = two.assign(speaker="", turn=-1, layer=1)  # it has keys, but is not of one of them
    found = metrics.long({"one": one, "two": two, "three": three[["capture", "speaker", "turn", *two.columns[1:]]]})
    assert list(found.columns) == [*WHAT, "value", "n", "low", "high", "p", "q", "definition"]
    gap, lift = metrics.get("gap").id, metrics.get("lift").id
    assert found.fillna("?").to_numpy().tolist() == [
        ["a", "gap", 2, 1, "threshold=0.5; speaker=Ann; turn=3", 0.1, 5, "?", "?", "?", "?", gap],
        ["a", "gap", 2, 0, "threshold=0.5; time=0.333333333", 0.2, 5, "?", "?", "?", "?", gap],
        ["a", "lift", 0, -1, "all", "?", 0, "?", "?", 0.25, "?", lift],
        ["a", "lift", 1, -1, "all", "?", 0, "?", "?", 0.25, "?", lift],
    ]
    with pytest.raises(RequestError, match="unknown metric 'gapp'"):
        metrics.long({"one": one.replace("gap", "gapp")})


def test_every_number_has_a_row_of_its_own(tables, whole):
    assert len(whole) == sum(len(table) for table in tables.values())
    assert not whole.duplicated(WHAT).any()
    assert whole["definition"].str.fullmatch(r"[a-z0-9_]+/[0-9]+").all()
    assert (whole["definition"].str.split("/").str[0] == whole["metric"]).all()
    assert whole[["layer", "head", "n"]].dtypes.eq(np.int64).all()


@pytest.mark.parametrize("family", ["modality", "speakers", "answer", "grounding"])
def test_rows_by_a_plain_loop(tables, whole, family):
    table = tables[family]
    keys = [c for c in table.columns if c not in (*FOUND, "capture", "metric", "layer", "head")]
    known = {tuple(row): value for *row, value in whole[[*WHAT, "value"]].itertuples(index=False)}
    for row in table.sample(40, random_state=0).to_dict("records"):
        row |= {k: f"{v:.9g}" for k, v in row.items() if k in keys and isinstance(v, float) and v == v}
        said = [f"{k}={row[k]}" for k in keys if row[k] == row[k] and row[k] != "" and (k, row[k]) != ("turn", -1)]
        place = (row["capture"], row["metric"], row["layer"], row["head"], "; ".join(said) or "all")
        assert known[place] == pytest.approx(row["value"], nan_ok=True)


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(4)), seed=st.integers(0, 100))
def test_the_order_of_families_and_rows_does_not_matter(tables, order, seed):
    names = ["modality", "speakers", "answer", "heads"]
    one = metrics.long({name: tables[name] for name in names})
    two = metrics.long({names[i]: tables[names[i]].sample(frac=1, random_state=seed) for i in order})
    left, right = (t.sort_values(WHAT).reset_index(drop=True) for t in (one, two))
    pd.testing.assert_frame_equal(left, right)


def test_pandas_reads_what_was_written(whole, tmp_path):
    for ending in ("csv", "parquet"):
        metrics.write(whole, tmp_path / f"m.{ending}")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "m.parquet"), whole)
    again = pd.read_csv(tmp_path / "m.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(again, whole)  # types too: no text is taken for a number, or for nothing
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.csv", "m.parquet"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_duckdb_reads_what_was_written(whole, tmp_path, ending):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed; it is no dependency")
    metrics.write(whole, tmp_path / f"m.{ending}")
    sql = f"""SELECT metric, layer, count(value), sum(value), max(n) FROM '{tmp_path}/m.{ending}'
              WHERE "group" LIKE '%sinks=with%' AND NOT isnan(value) GROUP BY ALL ORDER BY ALL"""
    rows = whole[whole["group"].str.contains("sinks=with") & whole["value"].notna()]
    expected = rows.groupby(["metric", "layer"]).agg(c=("value", "size"), s=("value", "sum"), n=("n", "max"))
    found = duckdb.sql(sql).fetchall()
    assert [row[:3] for row in found] == [(*place, row["c"]) for place, row in expected.iterrows()]
    assert [row[3:] for row in found] == [pytest.approx((row["s"], row["n"])) for _, row in expected.iterrows()]


def test_what_cannot_be_written(whole, tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=r"m.txt: the name of a table ends in .csv or .parquet$"):
        metrics.write(whole, tmp_path / "m.txt")
    with pytest.raises(RunError, match=r"gone/m.csv: cannot be written: "):
        metrics.write(whole, tmp_path / "gone" / "m.csv")

    def without(*_: object, **__: object) -> None:
        raise ImportError("Missing optional dependency 'pyarrow'.\nUse pip or conda.")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", without)
    hint = "m.parquet: parquet needs the package pyarrow: pip install pyarrow, or write .csv"
    with pytest.raises(RunError, match=re.escape(hint)):
        metrics.write(whole, tmp_path / "m.parquet")
    assert not list(tmp_path.iterdir())
