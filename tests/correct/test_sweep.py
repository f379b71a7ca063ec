"""Sweeps: every setting is the corrected re-run that one would make by hand."""

from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd
import pytest

import attnscope
from attnscope import metrics
from attnscope.correct import Knockout, SocialBias, rerun
from attnscope.correct.dose import sweep as sweep_runs
from attnscope.correct.dose.grid import axes, grid
from attnscope.correct.dose.sweep import ANSWER, run_sweep
from attnscope.errors import RequestError
from attnscope.scene import Scene
from tests.support.clip import render_clip

GIVEN = {"rows": "utterances,answer", "layers": "0.0-1.0"}


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def before(loaded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return capture(loaded, folder, question="Who does Ada ask?")


def capture(loaded, folder, **changed):
    scene = Scene.read(render_clip(folder / "clip")).model_copy(update=changed)
    plan = attnscope.Plan(layers="1-3")
    attnscope.capture(loaded, scene, folder / "before.h5", plan=plan, max_new_tokens=2, verify=False).close()
    return folder / "before.h5"


@pytest.fixture(scope="module")
def found(loaded, before):
    steps = [("social-bias", {**GIVEN, "alpha": None})]
    return run_sweep(before, steps, ["threshold=0,0.9", "alpha=0,2"], model=loaded)


def number(found, setting, name, of=None):
    rows = found.table[(found.table["setting"] == setting) & (found.table["number"] == name)]
    rows = rows if of is None else rows[rows["of"] == of]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_grid_is_every_value_with_every_other(found):
    values = [setting.values for setting in found.settings]
    assert values == [
        {},
        {"threshold": 0.0, "alpha": 0.0},
        {"threshold": 0.0, "alpha": 2.0},
        {"threshold": 0.9, "alpha": 0.0},
        {"threshold": 0.9, "alpha": 2.0},
    ]
    assert found.settings[2].corrections == (SocialBias(threshold=0.0, alpha=2.0, **GIVEN),)
    assert found.settings[0].corrections == ()
    assert found.table["threshold"].dtype == np.float64
    assert found.table.loc[found.table["setting"] == 0, "alpha"].isna().all()
    assert not found.table.duplicated(["setting", "number", "of"]).any()


def test_a_setting_is_the_rerun_under_it(loaded, before, found, tmp_path):
    with rerun(before, found.settings[2].corrections, tmp_path / "after.h5", model=loaded, verify=False) as cap:
        lps = {option["text"]: option["logprob"] for option in cap.answer["options"]}
        for text, lp in lps.items():
            assert number(found, 2, "Log-probability of an option", text)["value"] == pytest.approx(lp, abs=1e-5)
        assert (found.target, found.right) == (cap.scene.answer, True)
        row = number(found, 2, ANSWER[0])
        assert row["value"] == pytest.approx(lps[cap.scene.answer], abs=1e-5)
        assert (row["unit"], row["n"], row["of"]) == ("nat", 1, cap.scene.answer)
        share = math.exp(lps[cap.scene.answer]) / sum(map(math.exp, lps.values()))
        assert number(found, 2, ANSWER[1])["value"] == pytest.approx(share, abs=1e-6)
        assert found.runs[2]["answer"] == cap.answer["text"]
        assert found.runs[2]["records"] == cap.correction
        answer = metrics.one("answer_lift", cap).query("asked and layer == -1 and head == -1")
        lift = number(found, 2, "Answer's lift on the asked speaker")
        assert (lift["value"], lift["n"]) == pytest.approx((answer["value"].item(), answer["n"].item()), rel=1e-5)
        shares = metrics.one("mass_share", cap).query("query == 'text' and key == 'visual' and sinks == 'with'")
        shares = shares[shares["head"] == -1]  # of each layer
        seen = number(found, 2, "Mass share text \N{RIGHTWARDS ARROW} visual")["value"]
        assert seen == pytest.approx(shares["value"].mean(), rel=1e-5)
    assert lift["change"] == pytest.approx(lift["value"] - number(found, 0, lift["number"])["value"])
    assert abs(lift["change"]) > 0.1


def test_the_plain_run_is_the_capture_and_no_strength_is_the_plain_run(before, found):
    with attnscope.open(before) as cap:
        lps = {option["text"]: option["logprob"] for option in cap.answer["options"]}
        assert found.runs[0]["answer"] == cap.answer["text"]
    for text, lp in lps.items():
        assert number(found, 0, "Log-probability of an option", text)["value"] == pytest.approx(lp, abs=1e-5)
    plain = found.table[found.table["setting"] == 0].set_index(["number", "of"])["value"]
    for setting in (1, 3, 4):  # no strength, or no head over the threshold
        rows = found.table[found.table["setting"] == setting].set_index(["number", "of"])
        pd.testing.assert_series_equal(rows["value"], plain)
        assert (rows["change"].fillna(0) == 0).all()
    heads = [number(found, setting, "Active heads")["value"] for setting in range(5)]
    assert heads == [0, 0, 16, 0, 0] and number(found, 2, "Active heads")["n"] == 16  # of the model, not the capture


@pytest.mark.slow
def test_without_options_the_scenes_answer_is_scored_and_without_that_the_plain_runs_own(loaded, tmp_path):
    said = capture(loaded, tmp_path / "said", question="Who does Ada ask?", options=[])
    asked = run_sweep(said, [SocialBias(threshold=0.0, **GIVEN)], ["alpha=2"], model=loaded)
    assert (asked.target, asked.right) == ("Ben", True)
    assert not any(run["options"] for run in asked.runs)
    own = capture(loaded, tmp_path / "own", question="Who does Ada ask?", options=[], answer=None)
    free = run_sweep(own, [SocialBias(threshold=0.0, **GIVEN)], ["alpha=2"], model=loaded)
    with attnscope.open(own) as cap:
        tokens = cap.answer["tokens"]
    assert not free.right
    total = sum(token["logprob"] for token in tokens)
    assert number(free, 0, ANSWER[0])["value"] == pytest.approx(total, abs=1e-4)
    assert number(free, 0, ANSWER[1])["value"] == pytest.approx(math.exp(total), rel=1e-4)
    assert number(free, 1, ANSWER[0])["value"] != pytest.approx(total, abs=1e-3)


def test_several_corrections_and_what_their_parameters_are_called():
    steps = [("social-bias", {}), ("knockout", {})]
    swept = axes(["social-bias.rows=answer,question", "edges=answer:visual", "knockout.heads=1.2,3.0;2.1"], steps)
    assert [(axis.name, axis.values) for axis in swept] == [
        ("social-bias.rows", ("answer", "question")),
        ("knockout.edges", ("answer:visual",)),
        ("knockout.heads", ("1.2,3.0", "2.1")),
    ]
    made = [setting.corrections for setting in grid(swept, steps)]
    assert len(made) == 4
    assert made[1] == (SocialBias(rows="answer"), Knockout(edges="answer:visual", heads="2.1"))


def test_a_correction_of_a_file_may_be_swept_over(loaded, before):
    base = SocialBias(alpha=1.0, threshold=0.9, negative="gap", **GIVEN)
    one = run_sweep(before, [base], ["alpha=3"], model=loaded)
    assert one.settings[1].corrections == (SocialBias(alpha=3.0, threshold=0.9, negative="gap", **GIVEN),)


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        ([], 'sweeps: no parameter is given; say which, like sweeps="alpha=0.5,1,2"'),
        (["alpha"], 'sweeps="alpha": is not KEY=VALUE,VALUE like alpha=0.5,1,2'),
        (["alpha=1,,2"], 'sweeps="alpha=1,,2": is not KEY=VALUE,VALUE like alpha=0.5,1,2'),
        (["alpha=1,two"], 'sweeps="alpha=two": is not a number'),
        (["alpha=1,1.0"], 'sweeps="alpha=1,1.0": 1 is there twice'),
        (["alpha=1", "alpha=2"], 'sweeps="alpha=2": alpha is swept twice; give all its values at once'),
        (["rows=answer"], 'sweeps="rows=answer": rows="utterances,answer" is given too; give one of the two'),
        (
            ["threshold=0,0.1", "alpha=1,-1"],
            'sweeps="threshold=0, alpha=-1": social-bias.alpha=-1.0: must be a number of at least 0',
        ),
        (
            ["knockout.heads=1.0"],
            'sweeps="knockout.heads": "knockout" is none of the corrections in force, social-bias',
        ),
        (
            ["alpha=" + ",".join(map(str, range(21))), "threshold=0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.85,0.9"],
            "sweeps: 21 x 10 = 210 settings; at most 200 fit into one sweep",
        ),
        (["heads=9.0"], 'sweeps="heads=9.0": heads="9.0": layer 9 is not one of the layers with attention, 0-3'),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(loaded, before, sweeps, message, monkeypatch):
    monkeypatch.setattr(sweep_runs, "capture_prompts", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(RequestError) as caught:
        run_sweep(before, [("social-bias", GIVEN)], sweeps, model=loaded)
    assert str(caught.value) == message


def test_unknown_parameters_name_those_there_are():
    with pytest.raises(RequestError, match=r"sweeps=.gamma.: social-bias has no parameter gamma; it has alpha, "):
        axes(["gamma=1"], [("social-bias", {})])
    with pytest.raises(RequestError, match=r'no correction named "peak"; choose from .*social-bias'):
        axes(["alpha=1"], [("peak", {})])
    with pytest.raises(RequestError) as caught:
        axes(["rows=answer"], [("social-bias", {}), ("knockout", {})])
    assert str(caught.value) == 'sweeps="rows": several corrections have it; write social-bias.rows or knockout.rows'


def test_progress_is_told_and_single_captures_are_silent(loaded, before, caplog):
    told, logger = [], logging.getLogger("attnscope")
    level = logger.level
    with caplog.at_level(logging.INFO, "attnscope"):
        run_sweep(before, [("social-bias", GIVEN)], ["alpha=1"], model=loaded, progress=lambda *one: told.append(one))
    assert told == [("settings", 0, 2), ("settings", 1, 2), ("settings", 2, 2)]
    assert not caplog.records
    assert logger.level == level
