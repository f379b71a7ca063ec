"""A document keeps its budget, says what it leaves out, and what it keeps is right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.viewer import measures
from attnscope.report.viewer.budget import rank
from attnscope.report.viewer.document import BUDGET, view_document
from attnscope.report.viewer.looks import Look
from attnscope.report.viewer.packing import unpack
from tests.report.viewer.large import large

LIFT = "answer_lift:Ben"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """2,000 visual tokens, 12 layers of 8 heads, 18 groups."""
    return open_capture(large(tmp_path_factory.mktemp("large") / "wide.h5", layers=12, heads=8))


@pytest.fixture(scope="module")
def numbers(wide: Capture) -> list[dict[str, Any]]:
    return [measures.compute(wide)]


def size(document: dict[str, Any]) -> int:
    return len(json.dumps(document))


def shown(document: dict[str, Any], capture: int = 0) -> list[tuple[int | None, int | None]]:
    return [(look["layer"], look["head"]) for look in document["captures"][capture]["views"]["looks"]]


@pytest.mark.parametrize("budget", [30_000_000, 12_000_000, 6_000_000, 3_000_000, 1_500_000, 900_000])
def test_a_budget_is_kept_and_what_is_left_out_is_said(
    wide: Capture, numbers: list[dict[str, Any]], budget: int
) -> None:
    document = view_document([wide], numbers, budget=budget)
    assert size(document) <= budget
    view, notes = document["captures"][0], " ".join(document["notes"])
    looks = shown(document)
    heads = sum(head is not None for _, head in looks)
    assert len(set(looks)) == len(looks) and (None, None) in looks
    assert (heads < 96) == (f"{heads} of 96 heads" in notes)
    assert (view["views"]["maps"]["dtype"] == "float16") == ("16 bits" in notes)
    assert (len(view["groups"]) < len(wide.query_groups)) == ("The overlays of" in notes)
    assert unpack(view["views"]["maps"]).shape == (len(looks), len(view["groups"]), 1900)
    assert unpack(view["views"]["masses"]).shape[::2] == (len(looks), len(view["keys"]))
    assert {"question", "answer_position", "speaker:Ann"} <= {group["name"] for group in view["groups"]}


def test_a_larger_budget_never_holds_less(wide: Capture, numbers: list[dict[str, Any]]) -> None:
    held = []
    for budget in (900_000, 3_000_000, 30_000_000):
        document = view_document([wide], numbers, budget=budget)
        held.append(np.prod(document["captures"][0]["views"]["maps"]["shape"]))
    assert held == sorted(held) and held[0] < held[-1]


def test_numbers_that_are_kept_are_right_whatever_their_form(wide: Capture, numbers: list[dict[str, Any]]) -> None:
    document = view_document([wide], numbers, budget=2_000_000)
    view, cells = document["captures"][0], unpack(document["stages"][0]["cells"]["positions"])
    assert view["views"]["maps"]["dtype"] == "float16" and view["views"]["maps"]["codec"] == "deflate"
    maps = unpack(view["views"]["maps"]).astype(np.float64)
    for v in (0, 1, len(maps) - 1):
        for g, group in enumerate(view["groups"]):
            own = cell_lift(wide, group["name"], *shown(document)[v])[cells]
            assert np.all(np.abs(maps[v, g] - own) <= np.maximum(own * 2.0**-10.9, 2.0**-24))


def test_heads_that_are_kept_are_those_that_measures_rank_first(wide: Capture, numbers: list[dict[str, Any]]) -> None:
    document = view_document([wide], numbers, budget=2_000_000)
    value = unpack(document["captures"][0]["values"][LIFT]["value"])
    best = np.unravel_index(np.argsort(-value, axis=None, kind="stable")[:3], value.shape)
    assert document["measures"][0]["id"] == LIFT
    heads = [look for look in shown(document) if look[1] is not None]
    assert heads[0] == (best[0][0], best[1][0])
    assert set(zip(*(part.tolist() for part in best), strict=True)) <= set(heads)


def test_captures_of_one_prompt_keep_the_same_heads_within_the_budget(
    wide: Capture, numbers: list[dict[str, Any]]
) -> None:
    document = view_document([wide, wide], numbers * 2, ["before", "after"], budget=4_000_000)
    assert size(document) <= 4_000_000
    assert len(document["stages"]) == 1 and shown(document, 0) == shown(document, 1)


def test_frames_are_chosen_evenly_where_not_all_have_room(wide: Capture, numbers: list[dict[str, Any]]) -> None:
    document = view_document([wide], numbers, budget=900_000)
    pictures = [row for row, frame in enumerate(document["stages"][0]["frames"]) if frame["image"]]
    steps = np.diff(pictures)
    assert 1 < len(pictures) < 100 and steps.max() - steps.min() <= 1
    assert any(re.search(rf"pictures of {len(pictures)} of 100 frames", note) for note in document["notes"])


def test_best_changed_and_corrected_heads_take_turns(before: Path, after: Path) -> None:
    with open_capture(before) as first, open_capture(after) as second:
        caps = [first, second]
        values = [measures.values(cap, measures.compute(cap)) for cap in caps]
        order = rank(caps, values, measures.measures(caps, values))
        assert sorted((look.layer, look.head) for look in order) == [(n, h) for n in (0, 1, 4) for h in range(3)]
        changed = values[1][LIFT].value - values[0][LIFT].value
        most = np.unravel_index(np.abs(changed).argmax(), changed.shape)
        assert Look(first.layers[most[0]], most[1]) in order[:3]
        assert {Look(1, 0), Look(1, 2)} <= set(order[:8])


@pytest.mark.slow
def test_a_usual_capture_fits_the_budget_of_a_page(tmp_path: Path) -> None:
    """28 layers of 28 heads."""
    with open_capture(large(tmp_path / "usual.h5")) as cap:
        document = view_document([cap])
        assert size(document) <= BUDGET
        assert {(layer, None) for layer in range(28)} <= set(shown(document))
        assert sum(head is not None for _, head in shown(document)) >= 16
