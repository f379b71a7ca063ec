"""Reports of sweeps and of what-ifs."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from attnscope.correct import SocialBias
from attnscope.correct.dose.grid import axes, grid
from attnscope.correct.dose.sweep import ANSWER, HEADS, Sweep
from attnscope.correct.what_if.what_if import ALONE, WhatIf
from attnscope.errors import RequestError
from attnscope.report import sweep as report
from attnscope.report import what_if as answered
from attnscope.report.figures.dose import Panel, dose_response, geometric
from attnscope.report.figures.style import figure_of
from attnscope.report.sweep import brief, panels_of
from tests.report.conftest import social_bias
from tests.report.pages import assert_self_contained

STEPS = [("social-bias", {"rows": "answer", "alpha": None})]
LIFT = "Answer's lift on the asked speaker"


def rows_of(alpha, topk):
    """What a made-up model answers: the log-probability rises with the dose's logarithm, the lift with the dose."""
    lp = -2.0 if alpha is None else -1.5 + 0.2 * np.log2(alpha) - 0.1 * topk
    lift = 1.0 if alpha is None else 1 + alpha * topk
    rows = [
        (ANSWER[0], "Ann", "logprob", "nat", lp, 1, "prompts"),
        (ANSWER[1], "Ann", "probability", "1", np.exp(lp), 1, "prompts"),
        ("Log-probability of an option", "Ann", "logprob", "nat", lp, 1, "prompts"),
        ("Log-probability of an option", "Ben", "logprob", "nat", -0.5, 1, "prompts"),
        (HEADS, "", "active_heads", "1", 0 if alpha is None else topk, 9, "heads"),
        (LIFT, "", "answer_lift", "1", lift, 12, "cells"),
        ("Speaker consistency over chance, live frames", "", "speaker_consistency_lift", "1", np.nan, 0, "speakers"),
    ]
    columns = pd.Index(["number", "of", "metric", "unit", "value", "n", "counts"])
    return pd.DataFrame(rows, columns=columns).assign(alpha=alpha, topk=topk)


def made_up(sweeps=("alpha=0.25,0.5,1,2,4", "threshold=0.1,0.2"), right=True):
    swept = axes(sweeps, STEPS)
    settings = [type(grid(swept, STEPS)[0])({}, ()), *grid(swept, STEPS)]
    parts, runs = [], []
    for number, setting in enumerate(settings):
        alpha, other = setting.values.get("alpha"), setting.values.get("threshold", 0.1)
        part = rows_of(alpha, round(10 * other)).drop(columns=["alpha", "topk"])
        parts.append(part.assign(setting=number, **{axis.name: setting.values.get(axis.name) for axis in swept}))
        heads = [[1, [0]]] if number != 1 else []
        record = {"method": "social-bias", "params": {}, "active": heads, "notes": [f"note {number}"]}
        options = [{"text": "Ann", "logprob": -2.0, "share": 0.2}, {"text": "Ben", "logprob": -0.5, "share": 0.8}]
        runs.append(
            {"answer": "Ben", "options": options, "records": [record] * bool(number), "notes": [f"note {number}"]}
        )
    table = pd.concat(parts, ignore_index=True)
    plain = parts[0].set_index(["number", "of"])["value"]
    table["plain"] = [plain[pair] for pair in zip(table["number"], table["of"], strict=True)]
    table["change"] = table["value"] - table["plain"]
    names = [axis.name for axis in swept]
    table = table[["setting", *names, "number", "of", "metric", "unit", "value", "plain", "change", "n", "counts"]]
    return Sweep(swept, STEPS, settings, "Ann", right, runs, table)


@pytest.fixture(scope="module")
def done(before, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "run_sweep", lambda *_, **__: made_up())
        return report.sweep(before, STEPS, ["alpha=..."], out), out


def parameters(page):
    """Of the first correction on a page: each parameter's text, and whether it is marked as not the default."""
    listed = re.search(r'<ul class="params">(.*?)</ul>', page.read_text(), re.DOTALL)[1]
    items = re.findall(r"<li(.*?)><code>(.*?)</code> (.*?)</li>", listed)
    return {name: (re.sub("<.*?>", "", value), "own" in mark) for mark, name, value in items}


def test_tables(done):
    summary, out = done
    assert all(path.exists() and out in path.parents for path in [summary.report, *summary.tables, *summary.figures])
    tidy = pd.read_parquet(out / "tables" / "sweep.parquet")
    pd.testing.assert_frame_equal(tidy, made_up().table.astype(tidy.dtypes))
    assert len(pd.read_csv(out / "tables" / "sweep.csv")) == len(tidy) == 11 * 7
    wide = pd.read_csv(out / "tables" / "sweep_wide.csv")
    assert wide["setting"].tolist() == list(range(11))
    assert wide["alpha"].tolist()[1:] == [a for a in (0.25, 0.5, 1, 2, 4) for _ in range(2)]
    best = wide[(wide["alpha"] == 4) & (wide["threshold"] == 0.2)].iloc[0]
    assert best[LIFT] == 9 and best["answer"] == "Ben" and best["Log-probability of an option: Ben"] == -0.5
    assert best["change"] == pytest.approx(-1.5 + 0.4 - 0.2 + 2.0)


def test_page_and_json(done):
    summary, out = done
    page = assert_self_contained(summary.report)
    text = " ".join(page.text)
    for said in (
        "Dose and response: social-bias",
        "10 settings and the plain run",
        report.ONE_PROMPT,
        "In 1 of 10 settings no head was active: alpha=0.25, threshold=0.1.",
        "Followed answer (the scene's right answer): Ann",
        "Probability of “Ann”",
        "Log-probability of “Ann”",
        "Change: of the log-probability of the followed answer, “Ann”, against the plain run.",
        "plain run",
        "note 10",
    ):
        assert said in text, said
    shown = parameters(summary.report)
    assert list(shown) == list(SocialBias().params()) and set(shown) == {field.name for field in fields(SocialBias)}
    own = {name: value for name, (value, differs) in shown.items() if differs}
    assert own == {
        "alpha": "swept: 0.25, 0.5, 1.0, 2.0, 4.0 (default 1.0)",
        "threshold": "swept: 0.1, 0.2 (default 5e-05)",
        "rows": "answer (default utterances)",
    }
    assert shown["negative"] == ("paper", False) and shown["topk"] == ("none", False)
    written = json.loads((out / "report.json").read_text())
    assert written == summary.to_dict()
    assert written["sweep"] == {"alpha": [0.25, 0.5, 1, 2, 4], "threshold": [0.1, 0.2]}
    assert written["corrections"] == [{"method": "social-bias", "params": {"rows": "answer"}}]
    first = written["settings"][1]
    assert first["values"] == {"alpha": 0.25, "threshold": 0.1} and first["notes"] == ["note 1"]
    numbers = {row["number"]: row for row in first["numbers"]}
    assert numbers[LIFT]["value"] == 1.25 and numbers[LIFT]["change"] == 0.25
    assert numbers["Speaker consistency over chance, live frames"]["value"] is None


def test_answers_are_right_or_wrong_where_the_right_one_is_known(before, tmp_path, monkeypatch):
    """In the table of the page and on the terminal; case and white space do not count."""
    found = made_up(["alpha=1,2"])
    found.runs[2]["answer"] = " ann\n"
    for right, marks in ((True, ["✗ wrong", "✗ wrong", "✓ right"]), (False, [])):
        monkeypatch.setattr(report, "run_sweep", lambda *_, right=right, **__: replace(found, right=right))
        summary = report.sweep(before, STEPS, ["alpha=..."], tmp_path / str(right))
        page = assert_self_contained(summary.report)
        assert [text for text in page.text if text.startswith(("✓", "✗"))] == marks[:1] + marks
        columns, rows = brief(summary)
        said = ["Ben wrong", "Ben wrong", "ann right"] if right else ["Ben", "Ben", "ann"]
        assert columns == ["alpha", "answer", "heads", "Log-probability of “Ann”", "Probability of “Ann”", LIFT]
        assert [row[:3] for row in rows] == [["plain", said[0], "0"], ["1", said[1], "1"], ["2", said[2], "1"]]
        assert [row[3] for row in rows] == ["−2", "−1.6", "−1.4"]


def test_the_figure_has_doses_at_their_places_and_the_plain_run_dotted(done):
    axes = dose_response(made_up().table, ["alpha", "threshold"], panels_of(made_up()))
    assert [ax.get_title() for ax in axes] == ["Log-probability of “Ann”", "Probability of “Ann”", LIFT]
    for ax, plain in zip(axes, (-2.0, np.exp(-2.0), 1.0), strict=True):
        assert ax.get_xscale() == "log"
        assert ax.get_xticks().tolist() == [0.25, 0.5, 1, 2, 4]
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0.25", "0.5", "1", "2", "4"]
        assert ax.get_xlabel() == "alpha (n = 5 doses, 1 prompt)"
        lines = {line.get_label(): line for line in ax.get_lines()}
        assert list(lines) == ["threshold 0.1", "threshold 0.2", "plain run"]
        assert lines["plain run"].get_linestyle() == ":" and lines["plain run"].get_ydata()[0] == plain
        assert lines["threshold 0.1"].get_color() != lines["threshold 0.2"].get_color()
        assert lines["threshold 0.1"].get_marker() != lines["threshold 0.2"].get_marker()
    assert axes[2].get_lines()[1].get_ydata().tolist() == [1.5, 2.0, 3.0, 5.0, 9.0]
    assert axes[0].get_ylabel() == "nats\nn = 1 prompt" and axes[2].get_ylabel() == "× uniform attention\nn = 12 cells"
    assert axes[1].get_ylim() == pytest.approx((-0.03, 1.03))
    assert axes[1].get_ylabel() == "share of the options\nn = 1 prompt"
    svg = (done[1] / "figures" / "dose_response.svg").read_text()
    assert "threshold 0.2" in svg and "plain run" in svg
    assert len(figure_of(axes).axes) == 3


@pytest.mark.parametrize(
    ("doses", "scale", "ticks"),
    [
        ("alpha=1,2,3,4", "linear", ["1", "2", "3", "4"]),
        ("alpha=0.1,1", "linear", ["0.1", "1"]),
        ("alpha=4,1,16", "log", ["1", "4", "16"]),
    ],
)
def test_scales(doses, scale, ticks):
    (ax,) = dose_response(made_up([doses]).table, ["alpha"], [Panel(LIFT, "t", "u")])
    assert ax.get_xscale() == scale
    assert [label.get_text() for label in ax.get_xticklabels()] == ticks
    assert ax.figure.legends  # the plain run
    x = ax.get_lines()[0].get_xdata()
    assert sorted(x) == sorted(float(one) for one in ticks)


def test_no_dose_among_doses_and_doses_that_are_words():
    table = made_up(["alpha=1,2,4"]).table
    zero = table[table["setting"] == 0].assign(setting=4, alpha=0.0)
    (ax,) = dose_response(pd.concat([table, zero]), ["alpha"], [Panel(LIFT, "t", "u")])
    assert ax.get_xscale() == "symlog"
    words = table.assign(alpha=[None if a is None else f"rule {a:g}" for a in table["alpha"]])
    (ax,) = dose_response(words, ["alpha"], [Panel(LIFT, "t", "u")])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["rule 1", "rule 2", "rule 4"]
    assert list(ax.get_lines()[0].get_xdata()) == [0, 1, 2]


def test_what_is_geometric():
    assert geometric(np.array([0.25, 0.5, 1, 2, 4])) and geometric(np.array([1, 4, 16.0]))
    assert not geometric(np.array([1.0, 2, 3, 4])) and not geometric(np.array([0.0, 1, 2]))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RequestError("no")])
def test_what_fails_leaves_nothing(before, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(report, "run_sweep", fail)
    with pytest.raises(BaseException):  # noqa: B017
        report.sweep(before, STEPS, ["alpha=1"], tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.txt").write_text("mine")
    monkeypatch.setattr(report, "run_sweep", lambda *_, **__: made_up())
    monkeypatch.setattr("attnscope.report.page.page.render", fail)  # after the tables and the figure were written
    with pytest.raises(BaseException):  # noqa: B017
        report.sweep(before, STEPS, ["alpha=1"], tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_used_is_said_before_the_run(before, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "run_sweep", lambda *_, **__: pytest.fail("it ran"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="file/out: cannot be used as the output folder"):
        report.sweep(before, STEPS, ["alpha=1"], tmp_path / "file" / "out")


# ---- what-if


def answer_of(change):
    """Two layers of two heads; the answer's lift on Ben changes in layer 1, head 0."""
    rows = []
    for layer in (0, 4):
        for head in (0, 1, -1):
            by = change * {0: 1.0, 1: 0.0, -1: 0.5}[head] * (layer == 4)
            place = ("answer_position", "answer_position", "visual:Ben", "Ben", "")
            rows.append(("lift", layer, head, *place, 1.0, 1.0 + by, by, 12))
            rows.append(("speaker_consistency_lift", layer, head, "", "", "", "", "live", 1.1, 1.1, 0.0, 2))
    columns = ["metric", "layer", "head", "query_group", "kind", "keys", "speaker", "frames", "before", "after"]
    table = pd.DataFrame(rows, columns=pd.Index([*columns, "change", "n"]))
    record = social_bias(alpha=2.0) | {"active": [[4, [0]]]}
    return WhatIf(table, [record], [ALONE, "another note"], [0, 4], [4] if change else [], "Ben")


@pytest.mark.parametrize("change", [2.5, 0.0])
def test_a_what_if(before, tmp_path, monkeypatch, change):
    monkeypatch.setattr(answered, "compute", lambda *_, **__: answer_of(change))
    summary = answered.what_if(before, [SocialBias()], tmp_path / "out")
    page = assert_self_contained(summary.report)
    text = " ".join(page.text)
    for said in (ALONE, "another note", "a note on the bias", "What if: social-bias", "Answer's lift on Ben"):
        assert said in text, said
    assert summary.notes[0] == ALONE
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written == summary.to_dict()
    assert written["notes"][0] == ALONE
    main = written["main"]
    assert main["number"] == "Answer's lift on Ben"
    assert main["by_layer"] == [
        {"layer": 0, "before": 1.0, "after": 1.0, "change": 0.0, "heads": 0},
        {"layer": 4, "before": 1.0, "after": 1.0 + change / 2, "change": change / 2, "heads": 1},
    ]
    most = [{"layer": 4, "head": 0, "before": 1.0, "after": 3.5, "change": 2.5}]
    assert main["most_changed"] == (most if change else [])
    assert ("No head would change" in text) == (not change)
    lines, columns, rows = answered.brief(summary)
    said = "heads that would change most" if change else "no change"
    assert lines == ["social-bias: acts in layer 4: head 0", f"Answer's lift on Ben: {said}"]
    assert columns == ["layer", "head", "before", "after", "change"]
    assert rows == ([["4", "0", "1", "3.5", "+2.5"]] if change else [])
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "out" / "tables" / "what_if.parquet"), answer_of(change).table
    )
    svg = (tmp_path / "out" / "figures" / "what_if_1.svg").read_text()
    assert all(label in svg for label in ("Before", "After", "Change", "outlined: the 1 heads corrected"))


def test_the_main_number_is_one_that_changes():
    found = answer_of(0.0)
    words = found.table["metric"] == "speaker_consistency_lift"
    found.table.loc[words, "change"] = 0.5
    assert next(iter(answered.views(found))) == "Speaker consistency over chance, live frames"
    assert list(answered.views(answer_of(1.0))) == [
        "Answer's lift on Ben",
        "Speaker consistency over chance, live frames",
    ]
