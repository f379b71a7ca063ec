"""The report of captures: files, numbers, pages, refusals."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics.headline import NO_SINKS
from attnscope.report.analyze import analyze
from attnscope.report.inputs import subject
from attnscope.report.page import drawing, output
from attnscope.report.page.numbers import number, signed
from attnscope.report.page.render import CAUSAL
from tests.metrics.sketch import draw, room
from tests.report.conftest import attention, scenery
from tests.report.pages import assert_self_contained


@pytest.fixture(scope="module")
def done(before, tmp_path_factory):
    out = tmp_path_factory.mktemp("analyze") / "deep" / "out"
    return analyze(before, out), out


def test_files_are_where_the_summary_says(done):
    summary, out = done
    assert summary.report == out / "report.html"
    for path in [*summary.tables, *summary.figures]:
        assert path.stat().st_size > 60  # no file is empty
    assert {p.suffix for p in summary.tables} == {".csv", ".parquet"}
    assert {p.suffix for p in summary.figures} == {".png", ".svg"}
    assert json.loads((out / "report.json").read_text()) == summary.to_dict()
    assert {p.name for p in out.iterdir()} == {"figures", "report.html", "report.json", "tables"}


def test_csv_and_parquet_agree_with_the_metrics(done, before):
    _, out = done
    with open_capture(before) as cap:
        expected = metrics.compute(cap)
    for family, table in expected.items():
        csv = pd.read_csv(out / "tables" / f"{family}.csv", keep_default_na=True)
        parquet = pd.read_parquet(out / "tables" / f"{family}.parquet")
        assert len(csv) == len(parquet) == len(table)
        assert set(parquet["capture"]) == {"before"}
        assert np.allclose(csv["value"], table["value"], equal_nan=True)
        assert np.allclose(parquet["value"], table["value"], equal_nan=True)


def test_page_is_self_contained_and_complete(done):
    page = assert_self_contained(done[0].report)
    text = " ".join(page.text)
    assert page.tags.count("img") == len([p for p in done[0].figures if p.suffix == ".png"])
    assert CAUSAL in text
    for m in metrics.all():
        assert m.name in page.text and m.definition in text
    for said in ("by a layout", "drawn/by-hand", "torch 2.15.0", "Who does Ben ask?", "conservation", "3 of 5: 0-1, 4"):
        assert said in text, said


def test_how_tokens_were_placed_is_a_table(done):
    rows = pd.read_csv(done[1] / "tables" / "placing.csv", keep_default_na=False).to_dict("records")
    assert [row | {"cells": 0} for row in rows] == [
        {"capture": "before", "placed": "layout", "family": "unknown", "cells": 0, "verified": "", "reason": ""}
    ]
    assert rows[0]["cells"] > 0


def test_page_shows_the_numbers(done):
    summary, _ = done
    text = assert_self_contained(summary.report).text
    rows = {r["number"]: r for r in summary.numbers["headline"]}
    for name, row in rows.items():
        if name.endswith(NO_SINKS):
            assert number(row["value"]) in text  # beside that with sinks
            continue
        at = text.index(name)
        assert text[at + 1 : at + 3] == ["?", number(row["value"])]
    assert text.index("Without sinks") < text.index("Speaker consistency, live frames")
    consistency = rows["Speaker consistency, all frames"]
    assert consistency["chance"] == pytest.approx(1 / 3)
    assert consistency["n"] == 3
    assert "−0.5" in text and "59.22 %" in text  # log-probability of Ben, and its share: e^-.5 / (e^-1 + e^-.5 + e^-3)


def test_figures_have_labels_units_and_n(done):
    labels = {
        "speaker_consistency_all": ["head (n = 3)", "layer (n = 3)", "lift over chance (1 = chance)"],
        "cross_modal_mass": ["share of attention mass"],
        "links": ["mean attention per pair", "layer (n = 3)", "text → visual", "Without sinks"],
        "scores": ["on text (mean 0.0", "n = 15 text queries", "text ÷"],
        "flow": ["share of attention mass", "Words said (n = 12)", "on special", "of it on sinks"],
        "decay": ["γ = ", "R² = "],
        "gap": ["gap |s − c| / max(s, c)", "even attention"],
        "grounding_auc": ["AUC (0.5 = chance)", "n = 3 speakers"],
        "own_share": ["own speaker", "time (s; n = 3 moments)", "Cleo"],
        "speaker_consistency_layers": ["heads (n = 3 a layer)", "chance (1)"],
        "speaker_pairs": ["attention per pair", "the others, each"],
        "rollout_lift": ["Lift of the rollout", "special"],
        "overlay_mean": ["0.00 s · talking", "1.00 s", "Ann", "(times uniform)"],
        "overlay_best_head": ["highest speaker consistency"],
        "speaker_matrix": ["words of", "pixels of", "Cleo", "white: chance 0.33; outlined: own"],
        "speaker_matrix_depth": ["layer 0", "layer 1", "layer 4", "Who attends to whom (n = 3 speakers)"],
    }
    for name, wanted in labels.items():
        svg = (done[1] / "figures" / f"{name}.svg").read_text()
        for label in wanted:
            assert label in svg, (name, label)


@pytest.fixture(scope="module")
def chosen(before, tmp_path_factory):
    out = tmp_path_factory.mktemp("chosen")
    return analyze(before, out, speaker="Cleo", denominator="sum"), out


def test_overlay_of_a_chosen_speaker(chosen):
    summary, out = chosen
    svg = (out / "figures" / "overlay_mean.svg").read_text()
    assert "Attention of the words of Cleo" in svg
    assert "2.00 s · talking" in svg and "0.00 s · talking" not in svg
    assert summary.numbers["settings"]["speaker"] == "Cleo"


def test_a_speaker_is_known_by_what_can_be_seen_of_the_name(before):
    with open_capture(before) as cap:
        assert subject(cap, "\u202aCleo\u00a0\u200b") == ("speaker:Cleo", "Cleo")
        with pytest.raises(RequestError, match=r'it has Ann, Ben, Cleo; did you mean "Cleo"\?$'):
            subject(cap, "CLEO")


def test_denominator_changes_the_gap(chosen):
    summary, out = chosen
    assert any(r["number"] == "Gap of text (/sum)" for r in summary.numbers["headline"])
    assert "gap |s − c| / (s + c)" in (out / "figures" / "gap.svg").read_text()


@pytest.mark.slow
def test_settings_films_and_a_band_from_disturbed_boxes(before, tmp_path):
    summary = analyze(before, tmp_path, jitter={"amount": 0.1, "draws": 4}, films=True, style="slides")
    wanted = {"by": None, "jitter": {"amount": 0.1, "draws": 4}, "style": "slides", "films": True}
    assert wanted.items() <= summary.numbers["settings"].items()
    films = [path for path in summary.figures if path.suffix in (".mp4", ".gif")]
    assert [path.name for path in films] == ["overlay_mean.mp4", "overlay_mean.gif"]
    assert all(path.stat().st_size > 1000 for path in films)
    source = summary.report.read_text()
    for path in films:
        assert f'<a href="figures/{path.name}">' in source
    rows = {row["number"]: row for row in summary.numbers["headline"]}
    auc, share = rows["Grounding AUC, live frames"], rows["Mass share text \N{RIGHTWARDS ARROW} visual"]
    assert auc["low"] <= auc["high"] and share["low"] is None  # only what depends on boxes has a band
    assert "95 % of disturbed boxes" in source and "boxes disturbed with amount 0.1, draws 4" in source
    with Image.open(tmp_path / "figures" / "gap.png") as large:
        assert large.width > 1200  # 3.3 inches at 200 dpi are 660 in the style of a paper


def test_tables_hold_plain_types_and_no_index(done):
    """What R and DuckDB read: numbers, truth and texts; no column of an index, NaN an empty field."""
    plain = {pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.large_string()}
    for path in done[0].tables:
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            assert {field.type for field in schema} <= plain, (path.name, schema)
            assert not any(name.startswith("__") for name in schema.names)
        else:
            first, second = path.read_text().splitlines()[:2]
            assert not first.startswith((",", '"",')) and "nan" not in second.lower()


EDGES = {
    "no speakers": (room((), ((None, 0.0, 1.0),)), "the scene names no speaker boxes"),
    "no turns": (room(turns=()), "the scene has no transcript"),
    "no question": (room(question=0), "none was asked"),
    "one speaker": (room(("Ann",), (("Ann", 0.0, 1.0),)), "and a second person with a visible box"),
    "one image": (room(times=[0.0], kind="image"), "one image, 96 × 32 pixels"),
}


QUICK_EDGES = ("no speakers", "no turns")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case not in QUICK_EDGES)) for case in EDGES]
)
def test_scenes_that_lack_something_still_have_a_report(case, tmp_path):
    sketch, sentence = EDGES[case]
    summary = analyze(draw(tmp_path / "run.h5", sketch), tmp_path / "out")
    page = assert_self_contained(summary.report)
    assert sentence in " ".join(page.text)
    assert "nan" not in [t.lower() for t in page.text]


def test_unknown_places_have_a_report_without_frames(tmp_path):
    sketch = room()
    for token in sketch.tokens:
        token.cell, token.frames, token.covered = -1, (-1, -1), ()
    summary = analyze(draw(tmp_path / "run.h5", sketch), tmp_path / "out")
    assert any("are unknown (family drawn has no layout)" in note for note in summary.notes)
    assert "nowhere: family drawn has no layout" in " ".join(assert_self_contained(summary.report).text)
    assert summary.numbers["placing"]["run"] == {
        "how": "none",
        "verified": None,
        "reason": "family drawn has no layout",
    }
    assert not any("overlay" in p.name for p in summary.figures)
    assert "Nothing to draw here" in " ".join(assert_self_contained(summary.report).text)


@pytest.mark.parametrize(
    "readings", [("maps",), *(pytest.param((name,), marks=pytest.mark.slow) for name in ("full", "masses"))]
)
def test_captures_with_few_readings(readings, tmp_path):
    summary = analyze(draw(tmp_path / "run.h5", room(), readings=readings), tmp_path / "out")
    assert_self_contained(summary.report)
    said = " ".join(summary.notes)
    for reading in ("masses", "maps", "stats", "hidden"):
        assert (f"'{reading}'" in said) == (reading not in readings)


def test_names_are_escaped(tmp_path):
    sketch = room(("<i>$A_1$", "Ben & Co"), (("<i>$A_1$", 0.0, 0.4), ("Ben & Co", 0.6, 1.4)))
    summary = analyze(draw(tmp_path / "run.h5", sketch), tmp_path / "out")
    source = summary.report.read_text()
    assert "<i>$A_1$" not in source
    assert "&lt;i&gt;$A_1$" in source
    assert_self_contained(summary.report)
    for name in ("overlay_mean", "speaker_matrix", "own_share"):  # and dollars are no formula
        assert "$A_1$" in (tmp_path / "out" / "figures" / f"{name}.svg").read_text()


@pytest.fixture
def few(monkeypatch):
    """Pages without figures, which take most of the time."""
    monkeypatch.setattr(drawing, "_drawn", lambda *_: [])
    monkeypatch.setattr(drawing, "is_possible", lambda: False)


@pytest.mark.usefixtures("few")
def test_a_failed_check_is_shown(tmp_path):
    check = {
        "verified": True,
        "passed": False,
        "checks": [{"name": "logits", "value": 0.5, "tolerance": 1e-4, "passed": False}],
    }
    summary = analyze(draw(tmp_path / "run.h5", room(), check=check), tmp_path / "out")
    text = " ".join(assert_self_contained(summary.report).text)
    warning = "The self-check FAILED: do not trust these numbers."
    assert warning in summary.notes
    assert f"Read this first {warning} Verdict" in text  # before everything else, and in no fold
    assert "<details" not in summary.report.read_text().partition(warning)[0]
    assert "self-check FAILED logits: 0.5 (tolerance 1.00e−4), FAILED" in text


def test_refusals(before, tmp_path):
    sketch = scenery()
    other = draw(tmp_path / "other.h5", sketch, attention(sketch)[:2])
    silent = draw(tmp_path / "silent.h5", room(turns=(("Ann", 0.0, 1.0),)))
    (tmp_path / "file").write_text("")
    covered = "is out of range; it is a covered fraction, above 0 and at most 1"
    cases = [
        ([], {}, "no capture given; name at least one .h5 file"),
        (before, {"threshold": 0}, f"threshold 0 {covered}"),
        (before, {"threshold": 1.5}, f"threshold 1.5 {covered}"),
        (before, {"denominator": "mean"}, "unknown denominator 'mean'; known: max, sum, self"),
        (before, {"speaker": "Zoe"}, f"{before}: no speaker 'Zoe' in the scene; it has Ann, Ben, Cleo"),
        (
            silent,
            {"speaker": "Ben"},
            f"{silent}: speaker 'Ben' has no words in the prompt; speakers with words: Ann",
        ),
        (
            [before, other],
            {},
            f"{other}: layers [0, 1] differ from [0, 1, 4] in {before}; report them apart",
        ),
        (
            before,
            {"out": tmp_path / "file"},
            f"{tmp_path / 'file'}: cannot be used as the output folder: file exists",
        ),
        (tmp_path / "none.h5", {}, f"{tmp_path / 'none.h5'}: no such file"),
    ]
    for paths, options, message in cases:
        with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
            analyze(paths, **{"out": tmp_path / "out", **options})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (float("inf"), "∞"),
        (3, "3"),
        (0.12345, "0.123"),
        (-0.5, "−0.5"),
        (1.23e-5, "1.23e−5"),
        (0.0, "0"),
        (1.0, "1"),
        (0.9996, "0.9996"),
        (1.0034, "1.003"),
    ],
)
def test_numbers_in_cells(value, text):
    assert number(value) == text


def test_changes_carry_a_sign():
    assert [signed(v) for v in (0.25, -0.25, 0.0, None)] == ["+0.25", "−0.25", "0", "—"]


@pytest.mark.usefixtures("few")
def test_large_tables_are_csv_on_request(before, tmp_path, monkeypatch, caplog):
    """A table of more rows than the limit is parquet alone, and the log says which."""
    with open_capture(before) as cap:
        rows = sorted(len(table) for table in metrics.compute(cap).values())
    monkeypatch.setattr(output, "CSV_ROWS", rows[-2])
    written, logged = [], []
    for csv in (False, True):
        caplog.clear()
        with caplog.at_level("INFO", "attnscope"):
            written.append({path.name for path in analyze(before, tmp_path / "out", csv=csv).tables})
        logged.append(caplog.text)
    large = sorted({name.partition(".")[0] for name in written[1] - written[0]})
    assert written[1] - written[0] == {f"{name}.csv" for name in large}
    assert len(large) == 2 and "metrics" in large
    assert all(f"{name}.parquet" in written[0] for name in large)
    assert re.search(rf"also as CSV \(not ({'|'.join(large)}), ({'|'.join(large)})\)", logged[0])
    assert "CSV" not in logged[1]
    assert {path.name for path in (tmp_path / "out/tables").iterdir()} == written[1]
