"""The page of an evaluation: its numbers are those of the result, and its sentences say no more than they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attnscope.evaluate import Evaluation
from attnscope.report import evaluation
from attnscope.report.evaluation import judge
from attnscope.report.page.numbers import in_percent
from tests.report.pages import assert_self_contained

HOSTILE = "<b>Eve</b><script>alert(1)</script>"
CONDITIONS = ("plain", "corrected", "control: random box")


def scored(folder: Path, right: dict[str, list[bool]], applied: dict[str, list[bool]] | None = None) -> Evaluation:
    """An evaluation of questions, one a clip, with these right answers under each condition."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(right["plain"])
    names = {"random box": []} if "control: random box" in right else {}
    model = {
        "id": "a/model",
        "class": "Model",
        "family": "tiny",
        "versions": {"torch": "2"},
        "weights_sha256": "a" * 64,
    }
    correction = [{"method": "social-bias", "params": {"alpha": 1.0}}] if len(right) > 1 else []
    run: dict[str, Any] = {"model": model, "correction": correction, "controls": names, "cautions": []}
    run |= {
        "manifest": {"path": "manifest.jsonl", "questions": count},
        "sampling": {"frames": 8},
        "score": {"rule": "logprob"},
    }
    (folder / "run.json").write_text(json.dumps(run))
    lines = []
    for number in range(count):
        line: dict[str, Any] = {
            "doc_id": number,
            "id": f"q{number}",
            "clip": f"{number}.mp4",
            "fields": {"task": "who"},
        }
        line |= {"question": HOSTILE, "options": ["Ada", "Ben"], "answer": "Ada"}
        for condition, correct in right.items():
            fits = (applied or {}).get(condition, [True] * count)[number]
            own: dict[str, Any] = {} if condition == "plain" else {"applied": fits}
            line[condition] = own | {"prediction": "Ada" if correct[number] else "Ben", "correct": correct[number]}
            if not fits:
                line[condition]["reason"] = "no box"
        lines.append(json.dumps(line) + "\n")
    (folder / "samples.jsonl").write_text("".join(lines))
    return Evaluation.read(folder)


def test_numbers_are_those_of_the_result(tmp_path: Path) -> None:
    right = {
        "plain": [True] * 4 + [False] * 8,
        "corrected": [False] + [True] * 11,
        CONDITIONS[2]: [True] * 4 + [False] * 8,
    }
    result = scored(tmp_path, right)
    summary = evaluation(result)
    page = assert_self_contained(summary.report)
    rows = result.table().to_dict("records")
    assert all(in_percent(row) in page.text for row in rows)
    for row in result.comparison().to_dict("records"):
        assert in_percent(row, "difference", change=True) in page.text
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == summary.to_dict()
    assert {key: document[key] for key in ("kind", "questions", "clips")} == {
        "kind": "evaluation",
        "questions": 12,
        "clips": 12,
    }
    changed = (tmp_path / "tables/changed.csv").read_text().splitlines()
    assert len(changed) == 1 + 9 and sum(line.endswith(",right") for line in changed) == 8
    assert "8 questions became right, 1 became wrong." in " ".join(page.text)
    assert "<script>alert" not in summary.report.read_text("utf-8")
    assert {path.name for path in summary.figures} == {
        f"{name}.{kind}" for name in ("accuracy", "differences") for kind in ("png", "svg")
    }


@pytest.mark.parametrize(
    ("corrected", "control", "says"),
    [
        ([True] * 12, [True] * 3 + [False] * 9, "The correction helps: +75.0 points"),
        ([True] * 12, [True] * 12, "Controls that gain at least as much: random box."),
        ([True] * 3 + [False] * 9, [True] * 3 + [False] * 9, "The correction shows no difference: +0.0 points"),
        ([False] * 12, [False] * 12, "What its control does stands below."),
    ],
)
def test_the_verdict_says_what_the_numbers_do(tmp_path: Path, corrected, control, says: str) -> None:
    right = {"plain": [True] * 3 + [False] * 9, "corrected": corrected, CONDITIONS[2]: control}
    verdict = judge(scored(tmp_path, right).to_dict())
    assert says in " ".join(verdict.sentences)
    assert (verdict.statements[1].lead.startswith("The correction helps")) == (sum(corrected) == 12)


def test_few_clips_and_no_correction(tmp_path: Path) -> None:
    result = scored(tmp_path / "few", {"plain": [True, False]})
    page = assert_self_contained(evaluation(result).report)
    assert "50.0" in page.text
    assert any("fewer than 6 have no interval" in text for text in page.text)
    assert "changed" not in page.ids
    right = {"plain": [False] * 4, "corrected": [False, True, False, False]}
    verdict = judge(scored(tmp_path / "some", right, {"corrected": [False, True, True, False]}).to_dict())
    assert verdict.statements[1].lead.startswith("Whether the correction helps cannot be said of so few clips")
    assert "It applied to 2 of 4 questions; the others count as unchanged." in verdict.statements[1].details


def test_a_page_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    right = {"plain": [True, False], "corrected": [True, True]}
    evaluation(scored(tmp_path, right))
    assert (tmp_path / "figures/differences.png").exists()
    evaluation(scored(tmp_path, {"plain": [True, False]}))
    assert not (tmp_path / "figures/differences.png").exists() and not (tmp_path / "tables/changed.csv").exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "figures",
        "report.html",
        "report.json",
        "run.json",
        "samples.jsonl",
        "tables",
    }


def test_controls_that_applied_to_nothing_say_nothing(tmp_path: Path) -> None:
    right = {"plain": [False] * 8, "corrected": [True] * 8, CONDITIONS[2]: [False] * 8}
    verdict = judge(scored(tmp_path, right, {CONDITIONS[2]: [False] * 8}).to_dict())
    assert "Its controls applied to no question, so that they say nothing." in verdict.statements[1].details
