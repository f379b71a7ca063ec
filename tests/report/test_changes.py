"""What a before/after report says of corrections: order, parameters, heads, cost, prompts of other words."""

from __future__ import annotations

import io
import json
import re
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from attnscope import metrics
from attnscope.capture.file import encode
from attnscope.capture.read.capture import open as open_capture
from attnscope.correct import BoxesDescribed, SocialBias
from attnscope.correct.registry import about
from attnscope.errors import RequestError
from attnscope.metrics.headline import NO_SINKS
from attnscope.report.compare import NO_SINK, compare, gaps, worth_showing
from attnscope.report.cost import cost
from attnscope.report.figures.speakers import matrices_change
from attnscope.report.page import provenance
from attnscope.report.page.numbers import changed
from attnscope.report.pairing import pair
from attnscope.report.sections import changes
from attnscope.report.sections.panels import unmoved
from tests.metrics.sketch import CELL, Token, draw
from tests.report.conftest import answer, attention, scenery, social_bias
from tests.report.pages import assert_self_contained

TOLD = {"method": "boxes-told", "params": BoxesDescribed().params(), "active": [], "notes": ["no attention is changed"]}
TOLD |= about("boxes-told")
ALIGN = {
    "method": "moda-align",
    "params": {"strength": 1.0},
    "active": [[0, [0, 1, 2]], [1, [0]]],
    "notes": ["aligned"],
} | about("moda-align")


@pytest.fixture
def few(monkeypatch):
    """Pages without the figures of numbers, which take most of the time."""
    monkeypatch.setattr(changes, "sections", lambda *_: [])


def told(path, **options):
    """A capture whose prompt has four more words between the transcript and the question."""
    sketch = scenery()
    at = next(i for i, token in enumerate(sketch.tokens) if token.role == "question")
    sketch.tokens[at:at] = [Token("text", "transcript", turn=4) for _ in range(4)]
    sketch.scene["transcript"].append({"speaker": None, "text": "words", "start": None, "end": None})
    draw(path, sketch, attention(sketch), numbers=[0, 1, 4], **{"correction": [TOLD], **options})
    with h5py.File(path, "r+") as file:  # token ids are places: those after the new words keep theirs
        ids = file["tokens/token_id"]
        ids[at + 4 :] = ids[at:-4]
        ids[at : at + 4] = 900 + np.arange(4)
    return path


def with_cost(path, source, **found):
    """A copy of a capture that says what its run cost."""
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "r+") as file:
        run = json.loads(file["run"][()])
        whole = {"work": "w", "prompts": 1, "runs": 3, "seconds": 2.0, "cpu_seconds": 4.0, "memory": "resident"}
        run["cost"] = whole | {"memory_before": 100 * 2**20, "memory_peak": 110 * 2**20} | found
        del file["run"]
        encode.write_json(file, "run", run)
    return path


@pytest.mark.slow
def test_words_that_a_correction_added_do_not_hinder(before, tmp_path):
    summary = compare(before, told(tmp_path / "told.h5"), tmp_path / "out")
    text = " ".join(assert_self_contained(summary.report).text)
    for said in (
        "boxes-told changed what the model was shown: the prompt has ",
        "no head: it changes what the model is shown",
        "ours",
    ):
        assert said in text, said
    assert not summary.numbers["same_prompt"] and not summary.numbers["nothing_changed"]
    assert "overlay_mean_change" in {p.stem for p in summary.figures}
    with open_capture(before) as one, open_capture(tmp_path / "told.h5") as two:
        paired = pair(one, two)
        visual = np.flatnonzero(one.tokens["modality"].to_numpy()[: one.prompt_length] == "visual")
        cells = two.tokens[["frame_first", "x0"]].to_numpy()[paired.partner[visual]]
        assert np.array_equal(cells, one.tokens[["frame_first", "x0"]].to_numpy()[visual])
        assert paired.partner[-1] == two.prompt_length - 1 and (paired.partner >= 0).all()
        brought = paired.brought(np.arange(len(two.tokens), dtype=float))
        assert brought[-1] == two.prompt_length - 1


def test_other_words_without_such_a_correction_or_other_places_are_refused(before, tmp_path):
    plain = told(tmp_path / "plain.h5", correction=[social_bias()])
    with pytest.raises(RequestError, match="only captures of one scene can be compared"):
        compare(before, plain, tmp_path / "out")
    moved = told(tmp_path / "moved.h5")
    with h5py.File(moved, "r+") as file:
        file["tokens/x0"][3] += CELL
    with pytest.raises(RequestError, match=re.escape(f"{moved}: the prompt has ")):
        compare(before, moved, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("few")
def test_several_corrections_stand_in_order_with_every_parameter(before, tmp_path):
    sketch = scenery()
    params = SocialBias(alpha=2.0).params()
    both = [ALIGN, {**social_bias(), "params": params, **about("social-bias")}]
    path = draw(tmp_path / "after.h5", sketch, attention(sketch, 3.0), numbers=[0, 1, 4], correction=both)
    summary = compare(before, path, tmp_path / "out")
    text = " ".join(assert_self_contained(summary.report).text)
    assert text.index("1. moda-align code") < text.index("2. social-bias 2nd") < text.index("Applied in this order.")
    for name in params:
        assert f" {name} " in text, name
    assert "alpha 2.0 (default 1.0)" in text and "coverage 0.5 (default" not in text
    assert "aligned" in text and "a note on the bias" in text
    assert "Together: layer 0: all heads; layer 1: heads 0, 2." in text
    found = summary.numbers["corrections"]
    assert [one["method"] for one in found] == ["moda-align", "social-bias"]
    assert [p["name"] for p in found[1]["parameters"]] == list(params)


def test_heads_in_words():
    assert (
        provenance.heads_in_words([(2, 0), (2, 1), (4, 1), (4, 0), (5, 3)], 4)
        == "layers 2, 4: heads 0-1; layer 5: head 3"
    )
    assert provenance.heads_in_words([(0, h) for h in range(3)], 3) == "layer 0: all heads"


@pytest.mark.usefixtures("few")
def test_the_cost_is_a_ratio_of_the_same_run(before, after, tmp_path):
    one = with_cost(tmp_path / "one.h5", before)
    two = with_cost(tmp_path / "two.h5", after, seconds=3.0, cpu_seconds=5.0, memory_peak=125 * 2**20)
    with open_capture(one) as a, open_capture(two) as b:
        rows = {row["what"]: row for row in cost(a, b).rows}
    assert [row["ratio"] for row in rows.values()] == [1.5, 1.25, 2.5]
    assert rows["Memory that the run needs beyond what was held"]["before"] == 10.0
    summary = compare(one, two, tmp_path / "out")
    assert "1.50 ×" in assert_self_contained(summary.report).text
    assert summary.numbers["cost"]["rows"] == list(rows.values())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"prompts": 2}, "Not comparable: prompts is 1 before, 2 after."),
        ({"memory": None}, "Memory could not be measured here."),
        ({"memory_peak": 100 * 2**20}, "Less than 1 MiB is too little for a ratio."),
    ],
)
def test_a_cost_that_cannot_be_compared_says_so(found, said, before, after, tmp_path):
    one, two = with_cost(tmp_path / "one.h5", before), with_cost(tmp_path / "two.h5", after, **found)
    with open_capture(one) as a, open_capture(two) as b, open_capture(before) as bare:
        assert said in cost(a, b).note
        assert cost(bare, b).note.startswith("Not measured in before.h5: made without verification")


@pytest.mark.usefixtures("few")
def test_disturbed_boxes_give_bands_to_what_depends_on_boxes(before, after, tmp_path):
    summary = compare(before, after, tmp_path, jitter={"draws": 4, "amount": 0.2})
    rows = {row["number"]: row for row in summary.numbers["headline"]}
    for name in ("Speaker consistency, all frames", "Answer's lift on the asked speaker"):
        row = rows[name]
        assert row["low_after"] <= row["high_after"] and row["low_before"] is not None
        assert row["low_change"] <= row["high_change"]
    assert rows["Gap of text (/max)"]["low_after"] is None and rows["Gap of text (/max)"]["low_change"] is None
    table = pd.read_parquet(tmp_path / "tables" / "answer_change.parquet").query("layer == -1 and asked")
    lift = table[table["metric"] == "answer_lift"].iloc[0]
    row = rows["Answer's lift on the asked speaker"]
    assert (row["low_change"], row["high_change"]) == (lift["low"], lift["high"])
    text = " ".join(assert_self_contained(summary.report).text)
    said = "boxes moved by 20 % of their size, 4 draws, the same before and after"
    assert f"the band that holds 95 % of disturbed boxes ({said})" in text
    assert "One clip: there is no interval over clips" in text


@pytest.mark.usefixtures("few")
def test_without_disturbed_boxes_there_is_no_band_and_no_word_of_one(before, after, tmp_path):
    summary = compare(before, after, tmp_path)
    assert not any(key.startswith(("low", "high")) for row in summary.numbers["headline"] for key in row)
    assert "of disturbed boxes" not in " ".join(assert_self_contained(summary.report).text)


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_captures_in_the_wrong_order_or_without_a_difference_say_so(before, after, tmp_path):
    reversed_ = compare(after, before, tmp_path / "reversed").notes
    assert reversed_[0] == (
        "The order looks reversed: the first capture, after.h5, is the corrected one (social-bias), and no correction "
        "is recorded in the second."
    )
    assert not any("another cause" in note or "itself made" in note for note in reversed_)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(before.read_bytes())
    assert compare(before, copy, tmp_path / "copy").notes[0] == (
        "No correction is recorded in the second capture: nothing differs."
    )


@pytest.mark.usefixtures("few")
def test_numbers_without_sinks_are_shown_where_they_say_something_of_their_own(before, after, tmp_path):
    """Where nothing is a sink they would repeat the rows with sinks, number by number."""
    summary = compare(before, after, tmp_path / "none")
    page = assert_self_contained(summary.report)
    assert not any(text.endswith(NO_SINKS) for text in page.text) and NO_SINK in page.text
    assert any(row["number"].endswith(NO_SINKS) for row in summary.numbers["headline"])
    rows = [{"number": f"Lift{end}", "before": 1.0, "after": 2.0} for end in ("", NO_SINKS)]
    assert worth_showing(rows) == (rows[:1], [NO_SINK])
    for differs in ({"after": 2.1}, {"before": None}):
        other = [rows[0], rows[1] | differs]
        assert worth_showing(other) == (other, [])


def test_a_correction_that_changed_nothing_says_so(before, tmp_path):
    sketch = scenery()
    how = {"numbers": [0, 1, 4], "answer": answer("Ben", -1.0, -0.5, -3.0)}
    path = draw(tmp_path / "after.h5", sketch, attention(sketch), correction=[social_bias()], **how)
    summary = compare(before, path, tmp_path / "out")
    said = "The correction changed nothing: the answer, the options and every number are the same."
    assert summary.notes[0] == said and summary.numbers["nothing_changed"]
    assert "speaker consistency, live frames, of every head (the same)" in assert_self_contained(summary.report).text


@pytest.mark.parametrize(
    ("method", "after", "said"),
    [
        (
            "moda-mask",
            (0.741, 0.2),
            "moda-mask is meant to lower the gap between self and cross attention, and it raises "
            "that of text queries. Gap of text (/max): 0.243 before, 0.741 after; Gap of visual (/max): 0.309 before, "
            "0.2 after.",
        ),
        ("moda-align", (0.3, 0.4), "and it raises that of text and visual queries."),
        ("moda-calibrate", (0.2, 0.1), "and it does not rise."),
        ("social-bias", (0.9, 0.9), ""),
    ],
)
def test_a_gap_that_a_moda_method_raises_is_said(method, after, said):
    rows = [
        {"number": f"Gap of {name} (/max)", "metric": "gap", "before": before, "after": value}
        for name, before, value in zip(("text", "visual"), (0.243, 0.309), after, strict=True)
    ]
    rows.append({"number": "Gap of text (/max)" + NO_SINKS, "metric": "gap", "before": 0.0, "after": 1.0})
    found = gaps(SimpleNamespace(correction=[{"method": method}]), rows)
    assert bool(found) == bool(said)
    assert all(said in note for note in found)


@pytest.mark.usefixtures("few")
def test_the_page_of_a_moda_method_has_its_gaps(before, after, tmp_path):
    path = tmp_path / "moda.h5"
    path.write_bytes(after.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["correction"]
        encode.write_json(file, "correction", [social_bias() | {"method": "moda-mask", "params": {}}])
    summary = compare(before, path, tmp_path / "out")
    gaps = [row for row in summary.numbers["headline"] if row["metric"] == "gap" and NO_SINKS not in row["number"]]
    (note,) = [note for note in summary.notes if note.startswith("moda-mask is meant to lower the gap")]
    assert all(row["number"] in note for row in gaps if row["before"] is not None)
    assert note in " ".join(assert_self_contained(summary.report).text)


def test_small_changes_are_told():
    one = np.array([1.0, np.nan, 8.0])
    assert unmoved(one, one) == "the same"
    assert unmoved(one, one + 0.01) == "changed by at most 0.01, of up to 8"
    assert unmoved(one, one + 0.1) is None
    assert unmoved(one, np.array([1.0, 2.0, 8.0])) is None  # now defined
    assert changed({"before": 0.3, "after": 0.3 + 1e-9, "change": 1e-9}) == "0"
    assert changed({"before": 1e-5, "after": 2e-5, "change": 1e-5}) == "+1.00e−5"
    assert changed({"before": None, "after": 1.0, "change": None}) == "—"


@pytest.mark.usefixtures("few")
def test_frames_that_a_correction_drew_on_are_shown(before, tmp_path):
    sketch = scenery()
    drawn = {"method": "boxes-drawn", "params": {"line": 0.01, "label": 0.06}, "active": [], "notes": ["drawn"]}
    drawn |= about("boxes-drawn")
    path = draw(tmp_path / "drawn.h5", sketch, attention(sketch, 1.0), numbers=[0, 1, 4], correction=[drawn])
    with open_capture(path) as cap:
        images = np.array(cap.frames.images)
    images[:, 4:8] = (230, 159, 0)
    buffers = [io.BytesIO() for _ in images]
    for image, buffer in zip(images, buffers, strict=True):
        Image.fromarray(image).save(buffer, "JPEG")
    with h5py.File(path, "r+") as file:
        del file["frames/jpeg"]
        encode.write_bytes(file["frames"], "jpeg", [buffer.getvalue() for buffer in buffers])
    summary = compare(before, path, tmp_path / "out")
    assert "frames_shown" in {p.stem for p in summary.figures}
    assert any(note.startswith("boxes-drawn changed the frames") for note in summary.notes)


def test_matrices_share_a_scale(before, after):
    tables = []
    for path in (before, after):
        with open_capture(path) as cap:
            tables.append(metrics.compute(cap)["speakers"])
    axes = matrices_change(*tables, "live")
    images = [ax.collections[0] for ax in axes]
    assert images[0].get_clim() == images[1].get_clim()
    one, two, change = (np.asarray(image.get_array()) for image in images)
    assert np.allclose(change, two - one, equal_nan=True)
    low, high = images[2].get_clim()
    assert low == -high
