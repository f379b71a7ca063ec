"""Every family of docs/models.md, measured again: exact, placed as stated, and each token put to the test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

import attnscope
from attnscope.model import LoadedModel
from attnscope.vocabulary import LAYOUT
from docs.supported import read_table
from tests.families import EVERY
from tests.families.measured import AGREE, WORST, placing_measured, tried_corrections, worst_difference

pytestmark = pytest.mark.slow
STATED = {row["name"]: row for row in read_table()}


@pytest.fixture(scope="module", params=EVERY)
def stated(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The row of a family in docs/data/families.csv."""
    row = STATED[request.param]
    if transformers.__version__ != row["transformers"]:
        pytest.skip(f"measured with transformers {row['transformers']}, this is {transformers.__version__}")
    return row


@pytest.fixture(scope="module")
def loaded(stated: dict[str, Any], checkpoint: Callable[[str], Path]) -> LoadedModel:
    return attnscope.load(str(checkpoint(stated["name"])), dtype="float32", device="cpu")


def test_a_capture_is_exact(
    stated: dict[str, Any], loaded: LoadedModel, checkpoint: Callable[[str], Path], drawn: Path, tmp_path: Path
) -> None:
    """Full maps against transformers' own eager attention in float32."""
    worst = worst_difference(checkpoint(stated["name"]), loaded, drawn, tmp_path)
    assert worst <= WORST
    assert stated["worst"] <= WORST
    assert stated["class"] == type(loaded.model).__name__


def test_places_answer_to_repainted_pixels(stated: dict[str, Any], loaded: LoadedModel) -> None:
    """Landscape, portrait and odd sizes; 1, 2 and 5 frames of a clip, and an image."""
    measured = placing_measured(loaded)
    for name in ("how", "tokens", "cells"):
        assert measured[name] == stated[name], name
    assert _without_numbers(measured["reason"]) == _without_numbers(stated["reason"])
    assert measured["answered"] >= AGREE[stated["how"] == LAYOUT] * measured["tokens"]


def _without_numbers(reason: str) -> str:
    """A reason without its percentages, which another machine may round in another way."""
    return re.sub(r"\d+ %", "# %", reason)


def test_corrections_act_or_say_why_not(stated: dict[str, Any], loaded: LoadedModel, drawn: Path) -> None:
    outcomes = tried_corrections(loaded, drawn)
    assert [name for name, why in outcomes.items() if not why] == stated["acts"].split(", ")
