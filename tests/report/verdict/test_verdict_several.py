"""The verdict on several captures: over clips, with the intervals and tests of the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.clips import labels
from attnscope.metrics.clips.asked import asked_over_chance, looks_at_asked
from attnscope.report.verdict import Verdict, of_captures
from tests.report.verdict.sketches import asking, bias, capture, said


def toward(ben: float, layers: int = 2) -> Any:
    """Attention of a share on Ben, whom the question is about, in the last layer; even in the others."""
    even = ({"Ann": 0.2, "Ben": 0.2, "Cleo": 0.2},)
    rest = (0.6 - ben) / 2
    return (*(even for _ in range(layers - 1)), ({"Ann": rest, "Ben": ben, "Cleo": rest},))


@pytest.fixture
def judge(tmp_path: Path):
    """`judge(runs)`: the verdict on captures; a run is (clip, looks, answer, options of the capture)."""

    def make(runs: Sequence[tuple[str, Any, str, dict[str, Any]]]) -> Verdict:
        with ExitStack() as stack:
            caps, names, parts = [], [], []
            for row, (clip, looks, text, options) in enumerate(runs):
                scene = {key: options.pop(key) for key in ("question", "expected") if key in options}
                sketch = asking(**scene)
                sketch.scene["video"] = f"/nowhere/{clip}.mp4"
                path = capture(tmp_path / f"run{row}.h5", looks, sketch=sketch, answer=said(text), **options)
                cap = stack.enter_context(open_capture(path))
                caps.append(cap)
                names.append(path.stem)
                if cap.has("maps"):
                    table = metrics.compute(cap, ["answer_share"])["answer"]
                    parts.append(table.assign(capture=path.stem))
            tables = {"answer": pd.concat(parts, ignore_index=True)} if parts else {}
            return of_captures(caps, names, tables)

    return make


def clips(values: Sequence[float], answers: Sequence[str] = (), **options: Any) -> list[Any]:
    answers = answers or ["Ann"] * len(values)
    return [(f"clip{i}", toward(v), a, dict(options)) for i, (v, a) in enumerate(zip(values, answers, strict=True))]


def text(verdict: Verdict, about: str) -> str:
    return next(statement.text for statement in verdict.statements if statement.about == about)


def test_more_than_chance(judge):
    verdict = judge(clips([0.4, 0.45, 0.5, 0.42, 0.48, 0.44, 0.46, 0.43], ["Ann"] * 5 + ["Cleo"] * 3))
    assert "The model answers 5 of 8 questions right (8 captures of 8 clips)." in text(verdict, "answer")
    own = text(verdict, "attention")
    assert own.startswith("When it answers, it looks at the person asked about more than chance.")
    assert "That person comes first in 8 of 8 captures." in own
    assert "The share is above chance in layer 1" in own
    facts = verdict.facts["attention"]
    assert facts["decision"] == "more" and (facts["first"], facts["of"]) == (8, 8)


def test_less_than_chance_and_nothing_shown(judge):
    verdict = judge(clips([0.02, 0.05, 0.03, 0.04, 0.01, 0.06, 0.02, 0.03]))
    assert "less than chance: it looks at others instead." in text(verdict, "attention")
    verdict = judge(clips([0.1, 0.3, 0.15, 0.25, 0.3, 0.1, 0.22, 0.18]))
    own = text(verdict, "attention")
    assert own.startswith("It is not shown that it looks at the person asked about more or less than chance.")
    assert "In no single layer is the share shown to differ from chance." in own


def test_the_numbers_by_hand(judge):
    """Two layers: 0.2 of 0.6, and Ben's share; the mean lift of both layers is that of the mean of the masses."""
    values = [0.4, 0.5, 0.3, 0.45, 0.35, 0.5]
    verdict = judge(clips(values))
    rows = {row["layer"]: row for row in verdict.facts["attention"]["by_layer"]}
    shares = [((0.2 + v) / 2) / 0.6 for v in values]
    assert rows[-1]["share"] == pytest.approx(sum(shares) / 6)
    assert rows[-1]["value"] == pytest.approx(sum(shares) / 6 - 1 / 3) and rows[-1]["n"] == 6
    assert rows[1]["share"] == pytest.approx(sum(values) / 6 / 0.6)
    assert rows[0]["value"] == pytest.approx(0, abs=1e-6)
    assert rows[-1]["p"] == pytest.approx(2 / 2**6)  # all differences have one sign
    assert rows[-1]["q"] is None


def test_captures_of_one_clip_are_one(judge):
    runs = [("one", toward(v), "Ann", {}) for v in (0.4, 0.5, 0.45, 0.42, 0.47, 0.44, 0.46)]
    verdict = judge(runs)
    assert verdict.facts["clips"] == 1 and verdict.facts["captures"] == 7
    assert "cannot be said of 1 clip; 6 are needed." in text(verdict, "attention")
    assert text(verdict, "limits").startswith("1 clip is too few for an interval")


def test_five_clips_are_too_few(judge):
    verdict = judge(clips([0.5] * 5))
    assert "cannot be said of 5 clips; 6 are needed." in text(verdict, "attention")
    assert text(verdict, "limits").startswith("5 clips are too few for an interval")
    assert verdict.facts["attention"]["decision"] == "no interval"


def test_nobody_asked_about_and_no_maps(judge):
    verdict = judge(clips([0.4] * 6, question="Who asks?"))
    assert "cannot be pooled: no question names exactly one of several people" in text(verdict, "attention")
    assert verdict.facts["attention"] is None
    verdict = judge(clips([0.4] * 6, readings=("masses",)))
    assert "cannot be pooled" in text(verdict, "attention")


def test_no_right_answers(judge):
    verdict = judge(clips([0.4] * 6, expected=None))
    assert "Whether the answers are right is not known in these 6 captures of 6 clips." in text(verdict, "answer")
    runs = [*clips([0.4] * 5), ("clip6", toward(0.4), "Ann", {"expected": None})]
    verdict = judge(runs)
    assert "5 of 5 questions right" in text(verdict, "answer") and "Of 1 capture nobody knows" in text(
        verdict, "answer"
    )


@pytest.mark.slow
def test_a_correction_over_clips(judge):
    wrong, right = ["Cleo"] * 8, ["Ann"] * 8
    runs = clips([0.2] * 8, wrong) + clips([0.4] * 8, right, correction=[bias()])
    verdict = judge(runs)
    assert "Without a correction, the model answers 0 of 8 questions right" in text(verdict, "answer")
    assert verdict.facts["condition"] == "plain"
    own = text(verdict, "correction")
    assert own.startswith(
        "social-bias helps: right answers 0 % before, 100 % after, 8 clips, p = "
    )  # as an index has it
    assert "The correction is compared with plain captures of the same clips." in own
    runs = clips([0.2] * 8, wrong) + clips([0.4] * 8, ["Ann", *wrong[1:]], correction=[bias()])
    assert "social-bias is not shown to change how many answers are right" in text(judge(runs), "correction")
    runs = clips([0.2] * 3, wrong[:3]) + clips([0.4] * 3, right[:3], correction=[bias()])
    assert "that is too few clips to judge it (at least 6)" in text(judge(runs), "correction")
    runs = [*clips([0.2] * 2, wrong[:2]), ("other", toward(0.4), "Ann", {"correction": [bias()]})]
    assert "no clip has a judged answer with and without it" in text(judge(runs), "correction")


def test_a_failed_check_is_named(judge):
    failed = {"verified": True, "passed": False, "checks": []}
    runs = [*clips([0.4] * 5), ("clip6", toward(0.4), "Ann", {"check": failed})]
    verdict = judge(runs)
    assert verdict.sentences == [
        "There is no verdict: the self-check failed in run5, so their numbers cannot be trusted."
    ]


def test_looks_at_asked_leaves_out_what_has_no_one_person(tmp_path):
    parts, caps = [], []
    for row, (question, looks) in enumerate([("What does Ben say?", toward(0.4)), ("Ann or Ben?", toward(0.4))]):
        cap = open_capture(capture(tmp_path / f"{row}.h5", looks, question=question))
        parts.append(metrics.compute(cap, ["answer_share"])["answer"].assign(capture=str(row)))
        caps.append(cap)
    looks_of = looks_at_asked(pd.concat(parts, ignore_index=True))
    assert set(looks_of["capture"]) == {"0"}
    rows = looks_of.set_index("layer")
    assert rows.loc[1, "share"] == pytest.approx(0.4 / 0.6) and rows.loc[1, "chance"] == pytest.approx(1 / 3)
    assert rows.loc[1, "first"] == 1 and rows.loc[0, "first"] == 0  # nobody is first in a tie
    table = asked_over_chance(looks_of, labels(caps, ["0", "1"]))
    assert table["n"].tolist() == [1, 1, 1] and table["low"].isna().all()
    for cap in caps:
        cap.close()


def test_captures_that_are_all_corrected_say_so(judge):
    verdict = judge(clips([0.4] * 6, correction=[bias()]))
    assert text(verdict, "answer").startswith("Under social-bias, the model answers 6 of 6 questions right")
    assert "All this is under social-bias, which may itself draw attention to people." in text(verdict, "attention")
