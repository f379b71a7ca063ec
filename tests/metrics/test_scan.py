"""All families read the maps in one pass, and each gives what it gives alone."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest

from attnscope import metrics
from attnscope.metrics.scan import Scan, run, scanned
from tests.metrics.planted import asking, planted


@pytest.fixture
def cap(drawn):
    sketch = asking()
    return drawn(sketch, planted(sketch, 0), numbers=[2, 7])


def test_each_layer_is_read_once_for_all_families(cap, monkeypatch):
    layers, maps = [], cap.maps

    def counted(layer=None, head=None, group=None):
        layers.append(layer)
        return maps(layer, head, group)

    monkeypatch.setattr(cap, "maps", counted)
    tables = metrics.compute(cap)
    assert layers == [2, 7]
    assert {"speakers", "grounding", "pairs", "answer", "heads", "sinks"} <= set(tables)
    layers.clear()
    metrics.jitter(cap, tables=tables, draws=2)
    assert layers == [2, 7]


def test_a_metric_alone_has_the_numbers_that_it_has_among_all(cap):
    tables = metrics.compute(cap)
    for name in ("grounding_auc", "speaker_density", "answer_lift", "spatial_entropy", "cross_attention", "bos_share"):
        family = metrics.get(name).family
        among = tables[family][tables[family]["metric"] == name].reset_index(drop=True)
        alone = metrics.one(name, cap)
        pd.testing.assert_frame_equal(alone, among[alone.columns])


def test_scans_get_their_own_groups_in_their_order(cap):
    names = cap.query_groups["name"].tolist()
    chosen, seen = [names[2], names[0]], {}
    scans = [
        Scan(chosen, lambda row, maps: seen.update({row: maps.copy()}), lambda: "apart"),
        Scan(names[:1], lambda *_: None, lambda: "first"),
        Scan((), lambda *_: pytest.fail("there is no group"), lambda: "none"),
    ]
    run(cap, scans)
    assert [scan.result() for scan in scans] == ["apart", "first", "none"]
    for row, layer in enumerate(cap.layers):
        assert np.array_equal(seen[row], cap.maps(int(layer), group=chosen).values)
    assert scanned(cap, scans[2]) == "none"


@pytest.mark.parametrize("stated", ["1", "2"])
def test_layers_come_in_order_also_when_they_are_read_ahead(cap, monkeypatch, stated):
    """With two threads a layer is read while the one before is used; an error in reading it comes back."""
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    name, seen, maps = cap.query_groups["name"].iloc[0], [], cap.maps
    run(cap, [Scan([name], lambda row, values: seen.append((row, values.copy())), lambda: None)])
    assert [row for row, _ in seen] == [0, 1]
    for (_, values), layer in zip(seen, (2, 7), strict=True):
        assert np.array_equal(values, cap.maps(layer, group=[name]).values)

    def broken(layer=None, head=None, group=None):
        if layer == 7:
            raise OSError("layer 7")
        return maps(layer, head, group)

    monkeypatch.setattr(cap, "maps", broken)
    taken = []
    with pytest.raises(OSError, match="layer 7"):
        run(cap, [Scan([name], lambda row, _: taken.append(row), lambda: None)])
    assert taken == [0]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_a_choice_of_heads_and_groups_is_read_as_one_by_one(cap):
    """Neighbours come in one read, others one by one; each is the whole, indexed."""
    whole = cap.maps().values  # [L, H, R, P]
    names = cap.query_groups["name"].tolist()
    heads = [[0, 1], [1, 0], [1], [*range(cap.heads)]]
    for head in heads:
        for rows in ([0, 1], [2, 0], [1], [0, 2], [1, 1], []):
            got = cap.maps(7, head, [names[row] for row in rows]).values
            assert np.array_equal(got, whole[1][head][:, rows])
