"""A family without a layout: what needs places says that they are unknown, and what needs none works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnscope
from attnscope import metrics
from attnscope.capture import Capture
from attnscope.correct import make, requested, rerun
from attnscope.correct.what_if.what_if import what_if
from attnscope.errors import ModelError, RequestError
from attnscope.families import NO_PLACES
from tests.cli.conftest import SCENE
from tests.scene.films import film

NEEDS = [
    ("social-bias", {}),
    ("social-bias", {"rows": "answer", "toward": "Ann"}),
    ("social-bias", {"rows": "answer", "toward": "visual"}),
    ("social-bias", {"heads": "0.0", "whose": "everyone"}),
    ("knockout", {"edges": "answer:Ann"}),
    ("knockout", {"edges": "utterances:own"}),
    ("knockout", {"edges": "answer:speakers"}),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Path:
    folder = tmp_path_factory.mktemp("unplaced")
    film(folder / "clip.mp4")
    (folder / "scene.json").write_text(json.dumps(SCENE), encoding="utf-8")
    how: dict[str, Any] = {"sampling": attnscope.Sampling(frames=2), "max_new_tokens": 1}
    model = attnscope.load(checkpoint("idefics2"), device="cpu")
    attnscope.capture(model, folder / "scene.json", folder / "run.h5", plan=attnscope.Plan(qk=True), **how).close()
    return folder / "run.h5"


@pytest.mark.parametrize(("method", "given"), NEEDS)
def test_the_family_is_the_reason_and_not_the_boxes(
    method: str, given: dict[str, Any], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said from the capture, before a model is loaded."""
    monkeypatch.setattr("attnscope.model.load", lambda *_, **__: pytest.fail("a model was loaded"))
    with pytest.raises(
        ModelError, match=r"which is unknown \(family idefics2 has no layout, and each visual token"
    ) as found:
        rerun(run, requested([method], given), tmp_path / "after.h5")
    assert found.value.exit_code == 2
    assert "no box" not in str(found.value)
    assert not list(tmp_path.iterdir())


def test_a_what_if_says_the_same(run: Path) -> None:
    with pytest.raises(ModelError, match="; the boxes of the scene are not the reason"):
        what_if(run, [make("social-bias", rows="answer", toward="Ann")])


def test_what_the_capture_says_is_what_is_there(run: Path) -> None:
    """Whatever the warning names is undefined, and whatever it says works is defined."""
    with attnscope.open(run) as cap:
        assert sum(NO_PLACES in warning for warning in cap.prompt["warnings"]) == 1
        assert any("(family idefics2 has no layout, and each visual token" in note for note in metrics.explain(cap))
        tables = metrics.compute(cap)
    without = {"speakers", "grounding", "pairs", "answer", "heads"}
    for family, table in tables.items():
        assert np.isfinite(table["value"].to_numpy(np.float64)).any() != (family in without), family


@pytest.mark.parametrize("method", ["boxes-drawn", "pai", "moda-mask"])
def test_corrections_without_places_work(method: str, run: Path, tmp_path: Path) -> None:
    cap: Capture = rerun(run, [make(method)], tmp_path / "after.h5", verify=False)
    with cap:
        assert cap.correction[0]["method"] == method


def test_a_family_with_places_is_told_of_its_boxes(things: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="needs speakers with boxes, and the scene has none"):
        rerun(things / "boxless.h5", [make("social-bias")], tmp_path / "after.h5")
