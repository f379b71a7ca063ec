"""Work in threads: all of it is done, and errors come back."""

from __future__ import annotations

import os
import threading

import pytest

from attnscope.threads import MOST, spread, threads


@pytest.mark.parametrize("stated", ["1", "3", "", "no number"])
def test_every_item_is_worked_on_once(monkeypatch, stated):
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert 1 <= threads() <= min(MOST, os.cpu_count() or 1, int(stated) if stated.isdigit() else MOST)
    done, before = [], threading.active_count()
    spread(done.append, range(50))
    assert sorted(done) == [*range(50)]
    assert threading.active_count() == before  # none is left for a copy of the process to miss


@pytest.mark.parametrize("stated", ["1", "2"])
def test_an_error_of_any_item_comes_back(monkeypatch, stated):
    monkeypatch.setenv("OMP_NUM_THREADS", stated)

    def work(item):
        if item == 3:
            raise ValueError("item 3")

    with pytest.raises(ValueError, match="item 3"):
        spread(work, range(5))
