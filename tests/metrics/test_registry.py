"""The registry: what is printed beside the numbers is there, and options are checked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics import families, registry
from attnscope.metrics.registry import FAMILIES, FOUND, Metric, range_text
from attnscope.metrics.tables import Part
from attnscope.plugins import Registry
from attnscope.vocabulary import READINGS
from tests.metrics.sketch import causal, draw, room, softmax
from tests.metrics.test_sinks import with_stats


def test_every_metric_says_what_it_is():
    names = [m.name for m in metrics.all()]
    assert len(names) == len(set(names))
    for m in metrics.all():
        assert m.source in ("paper", "code", "2nd", "ours")
        assert len(m.definition) > 40
        assert m.definition.endswith(".")
        assert m.title and m.unit
    assert {m.family for m in metrics.all()} <= set(FAMILIES)
    assert all(set(m.needs) <= set(READINGS) for m in metrics.all())


def test_families_read_in_order():
    names = [m.name for m in metrics.all()]
    assert names[:4] == ["pair_mean", "mass_share", "gap", "lift"]
    assert names.index("decay_gamma") < names.index("log10_e_dda") < names.index("speaker_density")
    assert names[-5:] == ["answer_lift", "answer_share", "cross_attention", "spatial_entropy", "output_gate"]
    families = [m.family for m in metrics.all()]
    assert list(dict.fromkeys(families)) == [family for family in FAMILIES if family in families]


def test_tables_hold_exactly_the_registered_metrics_within_their_range(tmp_path):
    sketch = room()
    n = len(sketch.tokens)
    rng = np.random.default_rng(0)
    attention = softmax(rng.normal(0, 2, (3, 2, n, n)), causal(n))
    path = draw(tmp_path / "run.h5", sketch, attention, hidden=rng.normal(0, 1, (4, n, 5)))
    with open_capture(with_stats(path, attention, causal(n))) as cap:
        tables = metrics.compute(cap)
    for family, table in tables.items():
        assert list(table.columns[:3]) == ["metric", "layer", "head"]
        found = [c for c in FOUND if c in table]
        assert found[:2] == ["value", "n"] and list(table.columns[-len(found) :]) == found
        for name, rows in table.groupby("metric"):
            entry = metrics.get(name)
            assert entry.family == family
            low, high = entry.range
            values = rows["value"].dropna()
            assert low is None or (values >= low - 1e-6).all(), name
            assert high is None or (values <= high + 1e-6).all(), name
    assert {n for t in tables.values() for n in t["metric"]} == {m.name for m in metrics.all()}


def test_only_what_was_asked_for_is_computed(drawn):
    tables = metrics.compute(drawn(room()), ["gap"])
    assert list(tables) == ["modality"]
    assert set(tables["modality"]["metric"]) == {"gap"}


def test_unknown_names_and_options_are_refused(drawn):
    with pytest.raises(RequestError, match=re.escape("unknown metric 'gapp'; known: ")):
        metrics.get("gapp")
    cap = drawn(room())
    with pytest.raises(RequestError, match=re.escape("no metric takes the option 'treshold'; known: ")):
        metrics.compute(cap, treshold=0.5)
    with pytest.raises(RequestError, match="no metric takes the option 'threshold'"):
        metrics.compute(cap, ["gap"], threshold=0.5)


def test_a_key_is_a_text_or_a_number_in_all_of_a_family(drawn, monkeypatch):
    """A metric of a file of its own, whose numbers have no `threshold`, and one whose key `turn` is a text."""
    monkeypatch.setattr(registry, "_METRICS", registry._METRICS.copy())
    without = Metric("numberless", "Numberless", "The number 1, in a table whose other numbers have a threshold.")
    named = Metric("named", "Named", "The number 1, with a turn that has a name.")
    numbered = Metric("numbered", "Numbered", "The number 1, with a turn that has a number.")

    def declare(entry, key, **keys):
        families.family(entry, keys=(key,), needs=())(lambda _: [Part(entry.name, [1.0], 1, {"layer": [0]} | keys)])

    declare(without, "threshold")
    declare(named, "turn", turn="first")
    declare(numbered, "turn", turn=0)
    cap = drawn(room())
    table = metrics.compute(cap, ["numberless"])["test_registry"]
    assert np.isnan(table["threshold"].to_numpy(float)).all()
    with pytest.raises(TypeError, match="family 'test_registry': key 'turn' is a text in one metric's table"):
        metrics.compute(cap, ["named", "numbered"])


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="'gap' is defined twice"):
        metrics.metric(name="gap", title="", definition="", source="ours", unit="1", range=(0, 1))(lambda cap: cap)


def test_definitions_are_a_table():
    table = metrics.definitions()
    assert list(table["metric"]) == [m.name for m in metrics.all()]
    assert dict(zip(table["metric"], table["range"], strict=True))["pair_mean"] == "0 to 1"
    assert range_text(metrics.get("log10_e_dda")) == "unbounded"
    assert range_text(metrics.get("lift")) == "at least 0"


def test_metrics_need_no_torch():
    import subprocess
    import sys

    code = "import sys, attnscope.metrics, attnscope.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_family_is_one_declaration(monkeypatch):
    """Its parts become one table: keys in their order, the option as a column, gaps where a part has no such key."""
    monkeypatch.setattr(metrics.registry, "_METRICS", Registry("metric"))
    share = metrics.Metric("share", "Share", "The share of something in something else, by hand.")
    other = metrics.Metric(
        "count", "Count", "How many things there are, by hand, with a test.", unit="1", range=(0, None)
    )

    @metrics.family(share, other, keys=("threshold", "who", "turn"), needs=())
    def counted(cap, *, threshold: float = 0.5):  # noqa: ARG001
        yield metrics.Part("share", [[0.25, 0.5], [0.75, 1.0]], [3, 4], {"layer": [0, 1], "who": ["Ann", "Ben"]})
        yield metrics.Part("count", 7, 1, {"turn": 2}, p=np.array([0.5]))

    table = metrics.compute(None, threshold=0.25)["test_registry"]
    assert list(table.columns) == ["metric", "layer", "head", "threshold", "who", "turn", "value", "n", "p"]
    rows = table.fillna("-").to_numpy().tolist()
    assert rows[:2] == [
        ["share", 0, -1, 0.25, "Ann", -1, 0.25, 3, "-"],
        ["share", 0, -1, 0.25, "Ben", -1, 0.5, 4, "-"],
    ]
    assert rows[4] == ["count", -1, -1, 0.25, "", 2, 7.0, 1, 0.5] and len(rows) == 5
    assert [m.name for m in metrics.all()] == ["share", "count"] and metrics.get("share").source == "ours"
    assert metrics.registry.get("count").range == (0, None) and counted.__name__ == "counted"
