"""The words and tables of a before/after page: options, digits, cost, and what stands first and last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnscope.capture.read.capture import open as open_capture
from attnscope.report.compare import compare
from attnscope.report.cost import cost
from attnscope.report.page.captures import options_change, together, unlikely
from attnscope.report.page.numbers import aligned, likelihood, percent, points
from attnscope.report.page.provenance import corrections
from attnscope.report.page.section import Section
from attnscope.report.page.summary import records
from attnscope.report.sections import answer as answer_section
from attnscope.report.sections import changes, frames, layers, modality, speakers
from tests.metrics.sketch import draw
from tests.report.conftest import answer, attention, scenery, social_bias
from tests.report.pages import assert_self_contained
from tests.report.test_changes import with_cost


@pytest.fixture
def few(monkeypatch):
    """Pages without the figures of numbers, which take most of the time."""
    monkeypatch.setattr(changes, "sections", lambda *_: [])


def scored(path: Path, *logprobs: float | None, **options) -> Path:
    """A capture with these log-probabilities of its options."""
    sketch = scenery()
    return draw(path, sketch, attention(sketch), numbers=[0, 1, 4], answer=answer("Gus", *logprobs), **options)


# ---- digits


@pytest.mark.parametrize(
    ("before", "after", "cells"),
    [
        (1.06, 1.05803, ("1.0600", "1.0580", "−0.0020")),
        (0.487, 0.487, ("0.487", "0.487", "0")),
        (-90.65, -81.22, ("−90.7", "−81.2", "+9.4")),
        (1.0, 0.99996, ("1.000000", "0.999960", "−0.000040")),
        (1.020858, 1.00000001, ("1.021", "1.000", "−0.021")),  # as good as 1
        (0.9996, 0.5, ("0.9996", "0.5000", "−0.4996")),  # 1.000 would say: certain
        (1e-5, 2e-5, ("1.00e−5", "2.00e−5", "+1.00e−5")),
        (1e-7, 0.5, ("1.00e−7", "0.500", "+0.500")),
        (None, 0.5, ("—", "0.500", "—")),
        (0.0, 0.0, ("0", "0", "0")),
        (2.5e6, 2e6, ("2.50e6", "2.00e6", "−5.00e5")),
    ],
)
def test_before_and_after_have_the_digits_that_the_change_needs(before, after, cells):
    change = None if None in (before, after) else after - before
    assert aligned({"before": before, "after": after, "change": change}) == cells


def test_log_probabilities_have_no_powers_of_ten():
    row = {"logprob_before": -3.676e-4, "logprob_after": -0.02255, "change": -0.02218}
    assert aligned(row, "logprob_", 2) == ("−0.0004", "−0.0226", "−0.0222")
    row = {"logprob_before": -3.676e-4, "logprob_after": -3.676e-4, "change": 0.0}
    assert aligned(row, "logprob_", 2) == ("−0.000368", "−0.000368", "0")
    row = {"logprob_before": -3.676e-4, "logprob_after": -7.4, "change": -7.3996}
    assert aligned(row, "logprob_", 2) == ("> −0.01", "−7.40", "−7.40")
    assert aligned({"logprob_before": -90.65, "logprob_after": -81.2, "change": 9.45}, "logprob_", 2)[0] == "−90.65"


def test_shares_in_percent_have_a_floor():
    shown = [percent(share) for share in (0.0, 1e-7, 1e-4, 0.5, 0.9999, 0.9999998, 1.0, None)]
    assert shown == ["0 %", "< 0.01 %", "0.01 %", "50.00 %", "99.99 %", "> 99.99 %", "100 %", "—"]
    assert [points(c) for c in (0.0185, -0.0199, 2.4e-6, -2.4e-6, 0.0, None)] == [
        "+1.85", "−1.99", "< +0.01", "> −0.01", "0", "—",
    ]  # fmt: skip


def test_probabilities_too_small_for_percent_have_their_power_of_ten():
    logs = (0.0, np.log(0.25), np.log(2e-33), -2000.0, np.log(9.7e-6), 1e-9, None)
    assert [likelihood(log) for log in logs] == ["100 %", "25.00 %", "2e−33", "3e−869", "1e−5", "100 %", "—"]


# ---- options


def test_all_options_together(tmp_path, before):
    path = scored(tmp_path / "after.h5", -75.0, -90.0, None)
    with open_capture(before) as one, open_capture(path) as two:
        rows = records(options_change(one, two))
    found = together(rows)
    assert found["before"] == pytest.approx(np.log(np.exp([-1.0, -0.5, -3.0]).sum()))
    assert found["after"] == pytest.approx(np.log(np.exp(-75.0) + np.exp(-90.0)))
    assert unlikely(rows) == ["after"]
    assert unlikely([{"logprob_before": np.log(0.02), "logprob_after": None}]) == []
    assert together([]) == {"before": None, "after": None}


@pytest.mark.usefixtures("few")
def test_the_page_warns_of_shares_of_almost_nothing(tmp_path, before):
    path = scored(tmp_path / "after.h5", -75.1, -90.65, -100.0)
    text = " ".join(assert_self_contained(compare(before, path, tmp_path / "out").report).text)
    total = np.exp([-1.0, -0.5, -3.0]).sum()
    said = f"a probability of {100 * min(total, 1):.0f} % before and 2e−33 after: shares after divide almost nothing."
    assert f"The model gives all options together {said}" in text
    assert "> 99.99 %" in text and "< 0.01 %" in text and "0.99999" not in text
    text = " ".join(assert_self_contained(compare(before, before, tmp_path / "same").report).text)
    assert "divide almost nothing" not in text


@pytest.mark.usefixtures("few")
def test_the_head_of_the_option_table_is_grouped(tmp_path, before, after):
    page = compare(before, after, tmp_path / "out").report.read_text()
    options = page[page.index('aria-label="Options before and after"') :]
    head = options[options.index("<thead>") : options.index("</thead>")]
    assert head.count("<tr>") == 2 and head.count('colspan="3"') == 2
    assert [head.count(f">{word}<") for word in ("before", "after", "change")] == [2, 2, 2]


# ---- cost


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_on_a_busy_machine_the_time_is_not_to_be_relied_on(before, after, tmp_path):
    one = with_cost(tmp_path / "one.h5", before)
    for seconds, reliable in ((3.0, True), (9.0, False)):
        two = with_cost(tmp_path / "two.h5", after, seconds=seconds, cpu_seconds=5.0)
        with open_capture(one) as a, open_capture(two) as b:
            found = cost(a, b)
        assert [row["reliable"] for row in found.rows] == [reliable, True, True]
        assert found.title == "Cost of the correction"
        page = compare(one, two, tmp_path / "out").report.read_text()
        assert ("(not reliable)" in page) != reliable
        assert ("<b>1.50 ×</b>" in page) == reliable and "<b>1.25 ×</b>" in page and "<b>4.50 ×</b>" not in page


@pytest.mark.usefixtures("few")
def test_without_a_correction_it_is_the_cost_of_two_runs(before, tmp_path):
    one, two = with_cost(tmp_path / "one.h5", before), with_cost(tmp_path / "two.h5", before)
    text = " ".join(assert_self_contained(compare(one, two, tmp_path / "out").report).text)
    assert "Cost of the two runs" in text and "Cost of the correction" not in text and "a correction does" not in text


# ---- what stands first, and what last


def test_warnings_stand_first_and_what_is_missing_last(before, tmp_path, monkeypatch):
    for module in (answer_section, frames, layers, modality, speakers):  # drawing takes time
        monkeypatch.setattr(module, "of_change", lambda *_: Section("Empty", "Nothing.", [], ["nothing"]))
    sketch = scenery()
    warning = "the largest logit is negative in 68.7% of 12 biased rows (there the published bias lowers attention)"
    said = social_bias() | {"notes": ["8 fixed heads in 1 layer", warning], "cautions": [warning]}
    path = draw(tmp_path / "after.h5", sketch, attention(sketch, 1.0), numbers=[0, 1, 4], correction=[said])
    summary = compare(before, path, tmp_path / "out")
    text = assert_self_contained(summary.report).text
    first, question, changed = (
        text.index(part) for part in ("Read this first", "Question and answer", "What was changed")
    )
    assert first < text.index(f"social-bias: {warning}") < question < changed < text.index("8 fixed heads in 1 layer")
    missing = [note for note in summary.notes if note.startswith("Not computed")]
    heading = len(text) - 1 - text[::-1].index("Not computed, and why")
    assert missing and all(text.index(note) > heading > changed for note in missing)
    assert summary.numbers["corrections"][0]["cautions"] == [warning]


def test_parameters_that_play_no_role_are_told_apart(tmp_path):
    said = social_bias(threshold=5e-5) | {"unused": ["threshold"]}
    with open_capture(draw(tmp_path / "run.h5", scenery(), correction=[said, social_bias()])) as cap:
        one, two = (item["parameters"] for item in corrections(cap))
    assert {p["name"]: p["used"] for p in one} == {"alpha": True, "threshold": False}
    assert all(p["used"] for p in two)
