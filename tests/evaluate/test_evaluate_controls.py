"""Controls beside a correction, and corrections that change what the model is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from attnscope.correct import Knockout, SocialBias, controls
from attnscope.errors import NotApplicableError, RequestError
from attnscope.evaluate import evaluate
from attnscope.model import LoadedModel
from attnscope.scene import Frames, Sampling, Scene

ANSWER = SocialBias(alpha=4.0, rows="answer", heads="0.0,0.1,1.2,2.0", strength="constant")
HOW: dict[str, Any] = {"batch": 3, "sampling": Sampling(frames=2)}


@dataclass(frozen=True)
class Darkened(Knockout):
    """Shows black frames where the question names Ann, and cuts nothing that matters."""

    method: ClassVar[str] = "test-darkened"

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        if "Ann" not in str(scene.question):
            raise NotApplicableError(f"{scene.video}: Ann is not asked about")
        return scene, replace(frames, images=frames.images * 0)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_each_question_is_also_scored_under_each_control(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    other = replace(ANSWER, toward="other")
    found = evaluate(model, questions, tmp_path / "out", [ANSWER], controls={"other": [other]}, **HOW)
    alone = evaluate(model, questions, tmp_path / "alone", [other], **HOW)
    assert found.conditions == ["plain", "corrected", "control: other"]
    for line, single in zip(lines(found.folder), lines(alone.folder), strict=True):
        assert line["control: other"] == single["corrected"]
        assert line["plain"] == single["plain"]
    assert any(line["control: other"]["logprobs"] != line["corrected"]["logprobs"] for line in lines(found.folder))
    table = found.comparison([])
    assert table["condition"].tolist() == ["corrected", "control: other"]
    single = alone.comparison([]).iloc[0].drop("condition")
    assert table.iloc[1].drop("condition").equals(single) and single["applied"] == 6
    assert found.run["controls"] == {"other": [{"method": "social-bias", "params": other.params()}]}
    assert found.to_dict()["controls"] == found.run["controls"]
    written = pd.read_csv(found.folder / "comparison.csv")
    assert set(written["condition"]) == {"corrected", "control: other"}


def test_other_controls_are_another_evaluation(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    evaluate(model, questions, tmp_path / "out", [ANSWER], limit=2, **HOW)
    with pytest.raises(RequestError, match="holds an evaluation with another controls"):
        evaluate(model, questions, tmp_path / "out", [ANSWER], controls={"same": [ANSWER]}, limit=2, **HOW)
    with pytest.raises(RequestError, match="controls need at least one correction"):
        evaluate(model, questions, tmp_path / "plain", controls={"same": [ANSWER]}, **HOW)


def test_all_controls_of_a_correction(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    found = evaluate(model, questions, tmp_path / "out", [ANSWER], controls=True, limit=2, **HOW)
    made = controls.controls([ANSWER])
    assert found.conditions == ["plain", "corrected", *(f"control: {name}" for name in made)]
    assert list(found.run["controls"]) == list(made)
    assert found.to_dict()["controls_left_out"] == {}
    cut = evaluate(model, questions, tmp_path / "cut", [Knockout(heads="0.0")], controls=True, limit=2, **HOW)
    assert cut.conditions == ["plain", "corrected"]
    assert set(cut.to_dict()["controls_left_out"]) == set(made)


def test_controls_go_on_where_they_stopped_and_not_without_them(
    model: LoadedModel, questions: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {**HOW, "controls": {"other": [replace(ANSWER, toward="other")]}}
    evaluate(model, questions, tmp_path / "whole", [ANSWER], **how)
    evaluate(model, questions, tmp_path / "out", [ANSWER], limit=3, **how)
    with pytest.raises(
        RequestError, match=r'holds an evaluation with another conditions: .*, not \["plain", "corrected"\]'
    ):
        evaluate(model, questions, tmp_path / "out", [ANSWER], **HOW)
    evaluate(model, questions, tmp_path / "out", [ANSWER], **how)
    for name in ("samples.jsonl", "comparison.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_correction_may_change_what_is_shown(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    dark = Darkened(heads="0.0", rows="answer")
    found = lines(evaluate(model, questions, tmp_path / "out", [dark], **HOW).folder)
    cut = lines(evaluate(model, questions, tmp_path / "cut", [Knockout(heads="0.0", rows="answer")], **HOW).folder)
    for line, only_cut in zip(found, cut, strict=True):
        asked = "Ann" in line["question"]
        assert line["corrected"]["applied"] == asked
        if asked:
            assert line["corrected"]["logprobs"] != only_cut["corrected"]["logprobs"]
        else:
            assert line["corrected"]["reason"] == "Ann is not asked about"
            assert line["corrected"]["logprobs"] == line["plain"]["logprobs"]
