"""The commands of the guide that take a data set from import to a report, run as they are printed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from docs import generate
from tests.cli.conftest import Ran

GUIDE = (generate.ROOT / "docs/guide.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("<!-- four commands:", 1)[1].split("<!-- /four commands -->", 1)[0]
LINES = re.findall(r"^\$ attnscope (.+)$", SECTION, flags=re.MULTILINE)


def test_there_are_four_commands_and_one_that_makes_the_folder() -> None:
    assert [line.split()[0] for line in LINES] == ["demo-scenes", "import", "eval", "capture", "analyze"]


@pytest.mark.slow
def test_from_a_folder_of_tvqa_to_a_report(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown: dict[str, Ran] = {}
    for line in LINES:
        words = shlex.split(line)
        shown[words[0]] = ran = cli(*words)
        assert ran.code == 0, ran.err
    annotations = json.loads(Path("tvqa_plus/tvqa_plus_val.json").read_text(encoding="utf-8"))
    assert f"samples: imported {len(annotations)}\n" in shown["import"].out
    scores = pd.read_csv("tvqa-scores/accuracy.csv")
    assert set(scores["condition"]) == {"plain", "corrected"}
    assert set(scores["n"]) == {len(annotations)}
    assert scores["chance"].tolist() == pytest.approx([0.2] * len(scores))
    samples = [json.loads(line) for line in Path("tvqa-scores/samples.jsonl").read_text().splitlines()]
    answers = {str(item["qid"]): item[f"a{item['answer_idx']}"] for item in annotations}
    assert {sample["id"]: sample["answer"] for sample in samples} == answers
    page = Path("tvqa-report/report.html").read_text(encoding="utf-8")
    assert annotations[0]["q"] in page
    speakers = pd.read_parquet("tvqa-report/tables/speakers.parquet")
    assert speakers["value"].notna().any()
