"""Reports of several captures: means over clips, groups of them, and what makes no groups."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics.clips import answer_shares, over_clips
from attnscope.report.analyze import analyze
from attnscope.report.figures.groups import numbers_by_group
from tests.metrics.sketch import draw
from tests.report.conftest import attention, scenery, social_bias
from tests.report.pages import assert_self_contained

pytestmark = pytest.mark.slow

MODULE = sys.modules[analyze.__module__]
SCORE = "Speaker consistency, all frames"


def capture(path: Path, clip: str, boost: float = 0.0, *, corrected: bool = False, **fields: object) -> Path:
    """A capture of a clip, with fields of its scene."""
    sketch = scenery()
    sketch.scene |= {"video": f"/nowhere/{clip}.mp4", "fields": fields}
    correction = [social_bias()] if corrected else None
    readings = ("masses", "maps")
    return draw(path, sketch, attention(sketch, boost), numbers=[0, 1, 4], readings=readings, correction=correction)


def score(path: Path) -> float:
    with open_capture(path) as cap:
        table = metrics.compute(cap, ["speaker_consistency"])["speakers"]
    return float(table.query("layer == -1 and head == -1 and frames == 'all'")["value"].item())


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two captures of one clip, one of another; the clips differ in `people`."""
    folder = tmp_path_factory.mktemp("three")
    made = (("a", "one", 0.0, 2), ("b", "one", 1.0, 2), ("c", "two", 3.0, 5))
    return [capture(folder / f"{name}.h5", clip, boost, people=people) for name, clip, boost, people in made]


@pytest.fixture(scope="module")
def done(three, tmp_path_factory):
    out = tmp_path_factory.mktemp("many")
    return analyze(three, out, by="people"), out


def row_of(summary, number: str) -> dict[str, object]:
    return next(row for row in summary.numbers["headline"] if row["number"] == number)


def test_captures_are_averaged_by_clip_with_an_interval_over_clips(done, three):
    summary, out = done
    a, b, c = map(score, three)
    one, two = (a + b) / 2, c
    row = row_of(summary, SCORE)
    assert row["value"] == pytest.approx((one + two) / 2)
    assert row["low"] is row["high"] is None  # of two clips
    assert (row["n"], row["counts"], row["p"]) == (2, "clips", None)
    text = " ".join(assert_self_contained(summary.report).text)
    assert "95 % interval over clips" in text and "2 clips" in text and "±" not in text
    pooled = pd.read_parquet(out / "tables" / "pooled.parquet")
    found = pooled.query("metric == 'speaker_consistency' and layer == -1 and head == -1")
    assert found.loc[found["group"].str.contains("frames=all"), "value"].item() == pytest.approx(row["value"])
    fits = pd.read_csv(out / "tables" / "decay_fits.csv")
    assert set(fits["n"]) == {2}
    for name, said in {
        "links": "mean of 2 clips",
        "shares": "mean of 2 clips",
        "speaker_consistency_layers": "mean of 2 clips",
        "grounding_auc": "n = 2 clips",
    }.items():
        assert said in (out / "figures" / f"{name}.svg").read_text(), name


def test_groups_on_the_page_and_in_json(done, three):
    summary, out = done
    a, b, c = map(score, three)
    found = summary.numbers["groups"]
    assert (found["by"], found["clips"]) == ("people", {"2": 1, "5": 1})
    means = {row["label"]: row for row in found["means"] if row["number"] == SCORE}
    assert means["2"]["value"] == pytest.approx((a + b) / 2) and means["5"]["value"] == pytest.approx(c)
    row = next(row for row in found["differences"] if row["number"] == SCORE)
    assert (row["base"], row["other"], row["value"]) == ("2", "5", pytest.approx(c - (a + b) / 2))
    assert row["p"] == 1 and row["low"] is None  # one clip against another says nothing
    assert json.loads((out / "report.json").read_text()) == summary.to_dict()
    text = " ".join(assert_self_contained(summary.report).text)
    for said in ("By people", "5 − 2", "Permutation p", "Wilcoxon p"):
        assert said in text, said
    assert {"groups", "contrasts"} <= {path.stem for path in summary.tables}
    svg = (out / "figures" / "groups.svg").read_text()
    assert "people (below: clips that define the number)" in svg and "Grounding AUC" in svg


@pytest.mark.slow
def test_groups_that_share_clips_are_compared_clip_by_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "sections", lambda _analysis, meanwhile: meanwhile() or [])
    paths = []
    for number, clip in enumerate(("one", "two")):
        paths.append(capture(tmp_path / f"plain{number}.h5", clip))
        paths.append(capture(tmp_path / f"bias{number}.h5", clip, 2.0 + number, corrected=True))
    summary = analyze(paths, tmp_path / "out", by="correction")
    row = next(row for row in summary.numbers["groups"]["differences"] if row["number"] == SCORE)
    assert (row["base"], row["other"]) == ("plain", "social-bias")
    assert row["paired"] and row["p_wilcoxon"] == pytest.approx(0.5) and row["p"] == pytest.approx(0.5)
    assert "paired" in {path.stem for path in summary.tables}


def test_fields_that_make_no_groups_are_refused_before_any_work(three, tmp_path):
    alone = "field 'people': every capture is in the group '2'; there is none to compare it with"
    for paths, by, message in (
        (three[:2], "people", alone),
        (three[:1], "people", alone),
        (three, "seats", "field 'seats': no scene has it; the fields are speakers, correction, people"),
    ):
        with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
            analyze(paths, tmp_path / "out", by=by)
    with pytest.raises(RequestError, match=r"^unknown style 'poster'; known: paper, slides$"):
        analyze(three, tmp_path / "out", style="poster")
    assert not (tmp_path / "out").exists()


def test_the_figure_of_groups_draws_means_intervals_and_chance():
    groups = pd.DataFrame(
        {
            "number": ["AUC", "AUC", "Mass", "Mass"],
            "label": ["0", "5", "0", "5"],
            "value": [0.6, 0.9, np.nan, 0.2],
            "low": [0.5, np.nan, np.nan, 0.1],
            "high": [0.7, np.nan, np.nan, 0.3],
            "n": [3, 1, 0, 4],
        }
    )
    auc, mass = numbers_by_group(groups, "people", chance={"AUC": 0.5})
    dotted, points = auc.get_lines()
    assert dotted.get_ydata() == [0.5, 0.5] and points.get_ydata().tolist() == [0.6, 0.9]
    assert [tick.get_text() for tick in auc.get_xticklabels()] == ["0\n3", "5\n1"]
    bars = auc.collections[0].get_segments()
    assert bars[0][:, 1].tolist() == [0.5, 0.7]
    assert len(mass.get_lines()) == 1  # no chance level
    long = numbers_by_group(groups.assign(label=["a long label for one", "b"] * 2), "$x$")[0]
    assert [tick.get_text() for tick in long.get_xticklabels()] == ["a lon…or one (3)", "b (1)"]


def test_curves_of_both_matches_are_over_the_same_clips():
    """Clip b shows one person, so it says nothing of others: matched is 2, not (2 + 8) / 2."""
    values = {("a", "matched"): 2.0, ("a", "mismatched"): 3.0, ("b", "matched"): 8.0, ("c", "matched"): 2.0}
    values |= {("b", "mismatched"): np.nan, ("c", "mismatched"): 3.0}
    rows = pd.DataFrame([(c, "m", 0, -1, m, v, 1) for (c, m), v in values.items()])
    rows.columns = pd.Index(["capture", "metric", "layer", "head", "match", "value", "n"])
    found = over_clips(rows).set_index("match")
    assert found["value"].to_dict() == {"matched": 2.0, "mismatched": 3.0}
    assert found["n"].tolist() == [2, 2]


def test_chance_of_answer_shares_is_that_of_clips():
    """Clip A has two captures with two people, clip B one with four: (1/2 + 1/4) / 2, not (1/2 + 1/2 + 1/4) / 3."""
    parts = []
    for capture, people in (("a1", 2), ("a2", 2), ("b", 4)):
        names = [f"S{s}" for s in range(people)]
        part = pd.DataFrame({"speaker": names, "asked": [True] + [False] * (people - 1), "value": 1 / people})
        parts.append(part.assign(capture=capture, metric="answer_share", layer=0, head=-1, named=1, n=4))
    about = pd.DataFrame({"capture": ["a1", "a2", "b"], "clip": ["A", "A", "B"]})
    found = answer_shares(pd.concat(parts, ignore_index=True), about).set_index("curve")["value"]
    assert found["chance"] == pytest.approx(3 / 8) and found["asked speaker"] == pytest.approx(3 / 8)
