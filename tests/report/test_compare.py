"""Before and after."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from attnscope.capture.file import encode
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.compare import NO_BAND, cautions, compare
from attnscope.report.pairing import pair
from tests.capture.test_lies import edit
from tests.metrics.sketch import causal, draw, room, softmax
from tests.report.conftest import ACTIVE, attention, scenery
from tests.report.pages import assert_self_contained


@pytest.fixture(scope="module")
def done(before, after, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare")
    return compare(before, after, out), out


def test_answers_options_and_heads(done):
    numbers = done[0].numbers
    verdicts = {"verdict_before": "wrong", "verdict_after": "right"}
    assert numbers["answer"] == {"before": "Ben", "after": "Ann", "changed": True, **verdicts}
    assert [o["option"] for o in numbers["options"]] == ["Ann", "Ben", "Cleo"]
    assert [o["change"] for o in numbers["options"]] == [0.75, -1.0, 0.0]
    assert numbers["active_heads"] == [list(h) for h in ACTIVE]


def test_every_metric_has_its_change(done):
    summary, out = done
    for family in ("modality", "decay", "speakers", "answer"):
        table = pd.read_parquet(out / "tables" / f"{family}_change.parquet")
        assert len(table)
        assert np.allclose(table["change"], table["after"] - table["before"], equal_nan=True)
    lifts = pd.read_parquet(out / "tables" / "speakers_change.parquet").query(
        "metric == 'speaker_consistency_lift' and head >= 0 and frames == 'all'"
    )
    risen = {(int(r.layer), int(r.head)) for r in lifts.itertuples() if r.change > 0.2}
    assert risen == set(ACTIVE)
    headline = {r["number"]: r for r in summary.numbers["headline"]}
    row = headline["Speaker consistency, all frames"]
    assert row["change"] == pytest.approx(row["after"] - row["before"]) and row["change"] > 0
    assert next(iter(headline)) == "Speaker consistency, live frames"


def test_page(done):
    page = assert_self_contained(done[0].report)
    text = " ".join(page.text)
    for said in (
        "social-bias",
        "Active in 2 of 9 heads (layer 1: heads 0, 2).",
        "Not measured in before.h5 and after.h5",
        "a note on the bias",
        "+0.75",
        "before.h5 → after.h5",
    ):
        assert said in text, said
    assert json.loads((done[1] / "report.json").read_text()) == done[0].to_dict()


def test_figures_share_a_scale_and_name_the_active_heads(done):
    for name, wanted in {
        "speaker_consistency_live_change": [
            "Before",
            "After",
            "Change",
            "outlined: the 2 heads corrected",
            "change, lift over chance",
        ],
        "cross_modal_mass_change": ["share of mass"],
        "links_change": ["text → visual, before (γ = ", "text → visual, after (γ = "],
        "layers_change": ["Gap (/max)", "Speaker consistency, lift", "Grounding AUC", "before", "after"],
        "speaker_matrix_change": ["Who attends to whom (n = 3 speakers)", "Before", "After", "Change"],
        "heads_touched": ["Heads touched: 2 of 9"],
        "overlay_mean_change": ["Before", "After", "Change", "(times uniform)", "0.00 s · talking"],
        "overlay_most_changed_change": ["layer 1, head"],
    }.items():
        svg = (done[1] / "figures" / f"{name}.svg").read_text()
        for label in wanted:
            assert label in svg, (name, label)


def test_scales():
    from attnscope.report.figures.heads import around, from_zero

    before, after = np.array([[0.1, np.nan]]), np.array([[0.4, 0.2]])
    assert (from_zero([before, after]).vmin, from_zero([before, after]).vmax) == (0.0, 0.4)
    change = around([after - before], 0.0)
    assert change.vmin == -change.vmax == pytest.approx(-0.3)
    lift = around([np.array([0.9, 1.5])], 1.0)
    assert (lift.vmin, lift.vmax) == (0.5, 1.5)
    assert around([np.array([np.nan])], 0.0).vmax > 0


def test_heads_change_draws_both_on_one_scale():
    from attnscope.report.figures.heads import Grid, heads_change

    rng = np.random.default_rng(0)
    one, two = (Grid(rng.random((3, 2)), [0, 1, 2], [0, 1]) for _ in range(2))
    axes = heads_change(one, two, title="t", unit="u", active=[(1, 0)])
    images = [ax.collections[0] for ax in axes[:3]]
    assert images[0].get_clim() == images[1].get_clim()
    low, high = images[2].get_clim()
    assert low == -high
    assert [len(ax.patches) for ax in axes[:3]] == [0, 1, 1]


def test_overlay_paints_each_token_in_its_cell(before):
    from attnscope.report.figures.frames.backdrop import backdrop, paint

    with open_capture(before) as cap:
        on = backdrop(cap, "Ann")
        values = cell_lift(cap, "speaker:Ann")
        for f in range(3):
            heat = paint(on, values, f)
            assert heat.shape == on.images.shape[1:3]
            for p in np.flatnonzero(on.placed & (on.first == f)):
                x0, y0, x1, y1 = on.cells[p].astype(int)
                assert (heat[y0:y1, x0:x1] == values[p]).all()
        assert on.live.tolist() == [True, False, True]


def test_frames_are_chosen_evenly_and_include_the_talking_ones(before):
    from dataclasses import replace

    from attnscope.report.figures.frames.backdrop import backdrop, choose

    with open_capture(before) as cap:
        on = backdrop(cap, "Ann")
    live = np.zeros(40, bool)
    live[[11, 12, 13]] = True
    many = replace(on, times=np.arange(40.0), live=live)
    chosen = choose(many, 8)
    assert len(chosen) == len(set(chosen)) == 8
    assert {11, 12, 13} <= set(chosen)
    assert (chosen[0], chosen[-1]) == (0, 39)
    assert choose(on, 8) == [0, 1, 2]


@pytest.mark.slow
def test_nothing_changed(before, tmp_path):
    summary = compare(before, before, tmp_path)
    assert all(r["change"] in (0.0, None) for r in summary.numbers["headline"])
    assert summary.numbers["active_heads"] == [] and summary.numbers["nothing_changed"]
    assert {p.stem for p in summary.figures} == {"layers_change"}  # the rest is told
    assert summary.notes[0] == "These are the same capture, before.h5: nothing can differ."
    assert not any("correction" in note for note in summary.notes)
    assert "(unchanged)" in assert_self_contained(summary.report).text


@pytest.mark.slow
def test_places_of_two_kinds_are_a_caution(before, tmp_path):
    probed = Path(shutil.copy(before, tmp_path / "probed.h5"))
    with h5py.File(probed, "r+") as file:
        edit(file, "prompt", lambda document: document.update(placing={"how": "probed", "verified": 1.0, "reason": ""}))
    summary = compare(before, probed, tmp_path / "out")
    sentence = "Visual tokens were placed in two ways (by a layout before, probed (100 % of "
    assert sum(note.startswith(sentence) for note in summary.notes) == 1
    assert not any("two ways" in note for note in compare(probed, probed, tmp_path / "same").notes)


def test_a_sample_beside_all_rows_is_a_caution(before, tmp_path):
    part = Path(shutil.copy(before, tmp_path / "sampled.h5"))
    with open_capture(before) as cap:
        visual = np.flatnonzero(cap.tokens["modality"] == "visual")
    with h5py.File(part, "r+") as file:
        encode.write(file, "/masses/sampled", visual[::2])
    with open_capture(before) as first, open_capture(part) as second:
        paired = pair(first, second)
        notes = cautions(first, second, paired, nothing=False)
        same = cautions(second, second, paired, nothing=False)
    sentence = (
        "Visual queries were read in two ways (all of them before, a sample after): a change of what visual queries"
        " give to single frames and speakers' cells includes the error of the sample."
    )
    assert notes.count(sentence) == 1
    assert not any("two ways" in note for note in same)


@pytest.mark.slow
def test_generated_tokens_may_differ(before, tmp_path):
    sketch = scenery()
    sketch.tokens.append(sketch.tokens[-1])
    sketch.generated = 2
    longer = draw(tmp_path / "longer.h5", sketch, attention(sketch), numbers=[0, 1, 4])
    assert_self_contained(compare(before, longer, tmp_path / "out").report)


def test_other_prompts_layers_or_models_are_refused(before, tmp_path):
    sketch = room(words=4)
    longer = draw(tmp_path / "longer.h5", sketch, attention(sketch), numbers=[0, 1, 4])
    with pytest.raises(
        RequestError,
        match=re.escape(f"{longer}: the prompt has {len(sketch.tokens)} tokens, that of {before} has "),
    ):
        compare(before, longer, tmp_path)
    other = scenery()
    path = draw(tmp_path / "other.h5", other, attention(other), numbers=[0, 1, 4])
    import h5py

    with h5py.File(path, "r+") as file:
        file["tokens/token_id"][5] = 99
    message = f"{path}: token 5 of the prompt is 99, in {before} it is 5; "
    message += "only captures of one scene can be compared"
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        compare(before, path, tmp_path)
    fewer = draw(tmp_path / "fewer.h5", other, attention(other)[:, :2], numbers=[0, 1, 4])
    with pytest.raises(RequestError, match="heads 2 differ from 3"):
        compare(before, fewer, tmp_path)


@pytest.mark.slow
def test_a_scene_without_speakers(tmp_path):
    sketch = room((), ((None, 0.0, 1.0),))
    weights = np.random.default_rng(0).random((1, 1, len(sketch.tokens), len(sketch.tokens)))
    one, two = (
        draw(tmp_path / "a.h5", sketch),
        draw(tmp_path / "b.h5", sketch, softmax(weights, causal(weights.shape[-1]))),
    )
    summary = compare(one, two, tmp_path / "out", jitter={"amount": 0.1})
    text = " ".join(assert_self_contained(summary.report).text)
    assert NO_BAND in text and "of disturbed boxes (" not in text
    assert any("overlay_mean_change" in p.name for p in summary.figures)  # of the question
