"""Where the answer looks: the figures of both reports, their order, and the words that say right or wrong."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.clips import answer_shares
from attnscope.metrics.registry import OVER
from attnscope.report.analyze import analyze
from attnscope.report.compare import compare
from attnscope.report.figures.answer import speaker_shares, speaker_shares_change
from attnscope.report.page.captures import verdict
from attnscope.report.page.provenance import acted_on_answer
from attnscope.report.page.section import Section
from attnscope.report.sections import frames, layers, modality, speakers
from tests.metrics.sketch import causal, draw, room, softmax
from tests.report.conftest import answer, attention, scenery, social_bias
from tests.report.pages import assert_self_contained

TITLE = "Where the answer looks"


@pytest.fixture
def alone(monkeypatch):
    """Pages that draw of all sections only that of the answer."""
    for module in (frames, layers, modality, speakers):
        for name in ("of_captures", "of_change"):
            monkeypatch.setattr(module, name, lambda *_: Section("Empty"), raising=False)


def table_of(path, name: str = "run") -> pd.DataFrame:
    with open_capture(path) as cap:
        return metrics.compute(cap)["answer"].assign(capture=name)


def figures(summary) -> list[str]:
    """The report's figures of the answer, in the order in which they were written."""
    return [p.stem for p in summary.figures if p.suffix == ".png" and p.stem.startswith("answer")]


def shown(summary) -> list[str]:
    """Names of the page's figures from top to bottom, after the plain frames."""
    names = re.findall(r'<figure id="([^"]+)"', summary.report.read_text())
    return [name for name in names if not re.fullmatch(r"frame-\d+", name)]


def svg(summary, name: str) -> str:
    return (summary.report.parent / "figures" / f"{name}.svg").read_text()


# ---- analyze


def test_a_report_shows_where_the_answer_looks(after, tmp_path):
    summary = analyze(after, tmp_path)
    assert figures(summary) == ["answer_lift", "answer_share", "answer_overlay_mean", "answer_overlay_best_head"]
    page = assert_self_contained(summary.report)
    titles = [s for s in page.text if s in ("Speakers", TITLE, "Attention on the frames")]
    assert titles[-3:] == ["Speakers", TITLE, "Attention on the frames"]  # the headings, after links and numbers
    for name, wanted in {
        "answer_lift": ["Answer's lift on Ben", "lift over uniform (1 = uniform)", "head (n = 3)", "● highest"],
        "answer_share": ["Ben (asked)", "Ann", "Cleo", "chance", "layer (n = 3)", "share among the speakers"],
        "answer_overlay_mean": ["Attention of the answer position", "mean of all layers and heads", "1.00 s"],
        "answer_overlay_best_head": ["layer 1, head 2, highest lift on Ben", "(times uniform)"],
    }.items():
        for label in wanted:
            assert label in svg(summary, name), (name, label)
    assert "talking" not in svg(summary, "answer_overlay_mean")
    rows = {row["number"]: row for row in summary.numbers["headline"]}
    table = table_of(after)
    lifts = table[(table["metric"] == "answer_lift") & (table["speaker"] == "Ben")]
    mean, highest = (rows[f"Answer's lift on the asked speaker{end}"] for end in ("", ", highest head"))
    assert mean["value"] == pytest.approx(lifts.loc[lifts["layer"] == OVER, "value"].item()) and mean["chance"] == 1
    assert highest["value"] == pytest.approx(lifts["value"].max()) and highest["chance"] is None


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("question", ["Who is there?", "Do Ann and Ben talk?", None])
def test_without_one_asked_speaker_the_others_are_shown_and_a_note_says_so(question, tmp_path):
    sketch = scenery()
    sketch.scene["question"] = question
    path = draw(tmp_path / "run.h5", sketch, attention(sketch))
    summary = analyze(path, tmp_path / "out")
    assert figures(summary) == ["answer_share", "answer_overlay_mean"]
    assert any("there is no answer's lift on the asked speaker" in note for note in summary.notes)
    assert ("(asked)" in svg(summary, "answer_share")) == (question is not None and "Ann" in question)
    assert not any("Answer's lift" in row["number"] for row in summary.numbers["headline"])


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_several_captures_are_averaged_over_whom_each_asks(after, tmp_path):
    other = scenery()
    other.scene["question"] = "Is Cleo there?"
    nobody, boxless = scenery(), room((), ((None, 0.0, 1.0),))
    nobody.scene["question"] = "Who is there?"
    paths = [after]
    for number, sketch in enumerate((other, nobody, boxless)):
        sketch.scene["video"] = f"/nowhere/{number}.mp4"
        paths.append(draw(tmp_path / f"{number}.h5", sketch, attention(sketch), numbers=[0, 1, 4]))
    summary = analyze(paths, tmp_path / "out")
    assert "answer_lift" in figures(summary) and "answer_overlay_best_head_2" in figures(summary)
    assert "answer_overlay_best_head_3" not in figures(summary)
    assert "Answer's lift on the asked speaker" in svg(summary, "answer_lift")
    for said in ("asked speaker", "others, each", "mean of 2 clips"):
        assert said in svg(summary, "answer_share"), said
    tables = [table_of(path, path.stem) for path in paths]
    found = answer_shares(pd.concat(tables)).set_index(["curve", "layer"])
    rows = [table.query("metric == 'answer_share' and head == -1 and layer == 4") for table in tables[:2]]
    one, two = (table.set_index("speaker")["value"] for table in rows)
    values = [one["Ben"], two["Cleo"]]
    row = found.loc[("asked speaker", 4)]
    assert row["value"] == pytest.approx(np.mean(values))
    assert row["n"] == 2 and np.isnan(row["low"]) and np.isnan(row["high"])  # two clips: too few for an interval
    assert found.loc[("others, each", 4), "value"] == pytest.approx((1 - np.mean(values)) / 2)  # two others each
    assert found.loc["chance", "value"].tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.usefixtures("alone")
def test_nothing_is_drawn_of_what_is_not_defined(tmp_path):
    alone = draw(tmp_path / "alone.h5", room(("Ann",), (("Ann", 0.0, 1.0),)))
    assert figures(analyze(alone, tmp_path / "out")) == ["answer_overlay_mean"]  # nobody to share with, nobody asked
    assert speaker_shares(answer_shares(table_of(alone))) is None
    assert speaker_shares_change(*[answer_shares(table_of(alone))] * 2) is None
    masses = draw(tmp_path / "masses.h5", room(), readings=("masses",))
    assert figures(analyze(masses, tmp_path / "out")) == []


@pytest.mark.usefixtures("alone")
def test_nobody_asked_before_and_after(tmp_path):
    sketch = room()
    z = np.random.default_rng(0).normal(0, 1, (1, 1, len(sketch.tokens), len(sketch.tokens)))
    even, other = draw(tmp_path / "a.h5", sketch), draw(tmp_path / "b.h5", sketch, softmax(z, causal(z.shape[-1])))
    assert figures(compare(even, other, tmp_path / "out")) == ["answer_overlay_mean_change", "answer_share_change"]


# ---- figures


def test_the_asked_line_is_bold_and_chance_dotted(after, before):
    ax = speaker_shares(answer_shares(table_of(after)))
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert set(lines) == {"chance", "Ben (asked)", "Ann", "Cleo"}
    assert lines["chance"].get_linestyle() == ":" and lines["chance"].get_ydata() == pytest.approx([1 / 3] * 3)
    assert lines["Ben (asked)"].get_linewidth() > 2 * lines["Ann"].get_linewidth()
    total = sum(lines[name].get_ydata() for name in ("Ben (asked)", "Ann", "Cleo"))
    assert total == pytest.approx([1.0] * 3)
    axes = speaker_shares_change(answer_shares(table_of(before)), answer_shares(table_of(after)))
    drawn = [next(line for line in ax.get_lines() if line.get_label() == "Ben (asked)").get_ydata() for ax in axes]
    assert drawn[2] == pytest.approx(drawn[1] - drawn[0])
    assert axes[0].get_ylim() == axes[1].get_ylim()


@pytest.mark.usefixtures("alone")
def test_names_with_dollars_are_no_formula(tmp_path):
    sketch = room(("$Ann_1$", "Ben"), (("Ben", 0.0, 0.4),))
    sketch.scene["question"] = "What does $Ann_1$ hold?"
    summary = analyze(draw(tmp_path / "run.h5", sketch), tmp_path / "out")
    for name in ("answer_lift", "answer_share", "answer_overlay_best_head"):
        assert "$Ann_1$" in svg(summary, name), name


# ---- compare


@pytest.fixture(scope="module")
def compared(before, after, tmp_path_factory):
    return compare(before, after, tmp_path_factory.mktemp("compared"))


def test_a_comparison_shows_the_answer_before_after_and_the_change(compared):
    page = [name for name in shown(compared) if name.startswith("answer")]
    first = ["answer_lift_change", "answer_share_change", "answer_overlay_most_changed_change"]
    assert page == [*first, "answer_overlay_mean_change"]
    after = ["heads_touched", "speaker_matrix_change", "speaker_consistency_live_change"]
    assert shown(compared)[:6] == [*first, *after]  # what carries the verdict; then words, which the correction changed
    for name, wanted in {
        "answer_lift_change": ["Before", "After", "Change", "outlined: the 2 heads corrected", "lift over uniform"],
        "answer_share_change": ["Before", "After", "Change", "Ben (asked)", "change of the share"],
        "answer_overlay_most_changed_change": ["layer 1, head 2, whose lift on Ben rose most", "Change"],
    }.items():
        for label in wanted:
            assert label in svg(compared, name), (name, label)


@pytest.mark.usefixtures("alone")
def test_where_no_head_rose_the_highest_is_shown(before, tmp_path):
    sketch = scenery()
    a = attention(sketch, 3.0)
    a[1, 2, -2] = attention(sketch)[1, 2, -2]  # the answer position looks where it did
    path = draw(tmp_path / "after.h5", sketch, a, numbers=[0, 1, 4])
    summary = compare(before, path, tmp_path / "out")
    table = table_of(before).query("metric == 'answer_lift' and speaker == 'Ben' and layer >= 0 and head >= 0")
    top = table.loc[table["value"].idxmax()]
    said = f"the answer position, layer {top['layer']}, head {top['head']}, highest lift on Ben (the same)"
    assert said in " ".join(assert_self_contained(summary.report).text)
    assert figures(summary) == []  # what did not change is told


def test_the_answer_comes_first_if_the_correction_acted_on_it(before, tmp_path):
    sketch = scenery()
    changed = social_bias(rows="utterances, answer")
    path = draw(tmp_path / "after.h5", sketch, attention(sketch, 3.0), numbers=[0, 1, 4], correction=[changed])
    summary = compare(before, path, tmp_path / "out")
    first = ["answer_overlay_most_changed_change", "answer_lift_change", "answer_share_change"]
    assert shown(summary)[:5] == [*first, "heads_touched", "answer_overlay_mean_change"]  # the answer's own, then words
    text = assert_self_contained(summary.report).text
    assert text.index(TITLE) < text.index("Speakers")


@pytest.mark.parametrize(
    ("rows", "acted"), [("answer", True), ("question,answer", True), ("utterances", False), ("answers", False)]
)
def test_what_a_correction_acted_on(rows, acted, tmp_path):
    path = draw(tmp_path / "run.h5", room(), correction=[{"method": "other"}, social_bias(rows=rows)])
    with open_capture(path) as cap:
        assert acted_on_answer(cap) == acted


# ---- right or wrong


@pytest.mark.parametrize(
    ("said", "expected", "word"),
    [("Ann", "Ann", "right"), (" ann\n", "Ann", "right"), ("Ben", "Ann", "wrong"), ("", "Ann", ""), ("Ann", None, "")],
)
def test_verdict(said, expected, word, tmp_path):
    sketch = scenery()
    sketch.scene["answer"] = expected
    with open_capture(draw(tmp_path / "run.h5", sketch, answer=answer(said, -1.0, -1.0, -1.0))) as cap:
        assert verdict(cap) == word


def test_the_page_says_right_and_wrong_in_words(compared):
    text = " ".join(assert_self_contained(compared.report).text)
    assert "Before: Ben ✗ wrong After: Ann ✓ right The scene's answer: Ann (right: " in text


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_without_an_expected_answer_nothing_is_right_or_wrong(tmp_path):
    sketch = room((), ((None, 0.0, 1.0),))
    sketch.scene["answer"] = None
    path = draw(tmp_path / "run.h5", sketch)
    summary = compare(path, path, tmp_path / "out")
    text = assert_self_contained(summary.report).text
    assert not any("right" in part or "wrong" in part for part in text[: text.index("What was changed")])
    assert summary.numbers["answer"]["verdict_before"] is None
