"""Figures of a before/after report: whom they are about, which head they show, and colours that do not exaggerate."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from attnscope.capture.read.capture import open as open_capture
from attnscope.correct.social.toward import TOWARD
from attnscope.metrics.registry import OVER
from attnscope.report.change import example
from attnscope.report.compare import compare
from attnscope.report.figures.frames.backdrop import backdrop
from attnscope.report.figures.frames.overlay import TARGET, overlay_change
from attnscope.report.figures.heads import LEAST_CHANGE, UNTOUCHED, Grid, around_change, heads_change, heads_touched
from attnscope.report.figures.layers import panels
from attnscope.report.figures.style import CYCLE, figure_of
from attnscope.report.page.output import Output
from attnscope.report.sections import correction
from attnscope.report.target import ONE_SPEAKER, SEVERAL, target_of
from tests.metrics.sketch import draw, room
from tests.report.conftest import attention, scenery, social_bias
from tests.report.pages import assert_self_contained

# ---- to whom the answer is drawn


def drawn(path, name: str, head: tuple[int, int] = (1, 0), **options):
    """A capture whose answer position a correction drew to somebody in one head (of layer 1), and one below more so."""
    sketch = scenery()
    a = attention(sketch)
    row, cells = len(sketch.tokens) - sketch.generated - 1, sketch.cells_of(name)
    for place, part in ((head, 0.8), ((2, 1), 0.95)):
        a[*place, row] *= 1 - part
        a[*place, row, cells] += part / cells.sum()
    said = social_bias(rows="answer", toward=name) | {"active": [[head[0], [head[1]]]]}
    return draw(path, sketch, a, numbers=[0, 1, 4], correction=[said], **options)


@pytest.fixture(scope="module")
def toward_cleo(before, tmp_path_factory):
    path = drawn(tmp_path_factory.mktemp("drawn") / "after.h5", "Cleo")
    return compare(before, path, tmp_path_factory.mktemp("report")), path


def test_the_page_is_about_whom_the_answer_is_target_of(toward_cleo):
    summary, _ = toward_cleo
    text = " ".join(assert_self_contained(summary.report).text)  # the question names Ben
    found = re.search(
        r"Drawn to Cleo: the answer's lift on Cleo is, on average, (\S+) before and (\S+) after over all layers and "
        r"heads; (\S+) before and (\S+) after in the head that does\.",
        text,
    )
    assert found
    changes = pd.read_parquet(summary.report.parent / "tables" / "answer_change.parquet")
    lifts = changes.query("metric == 'answer_lift' and speaker == 'Cleo'").set_index(["layer", "head"])
    wanted = [lifts.loc[place, when] for place in ((OVER, OVER), (1, 0)) for when in ("before", "after")]
    assert [float(number) for number in found.groups()] == pytest.approx(wanted, rel=0.01)
    assert wanted[3] > 2 * wanted[2]
    for said in (
        "The answer's lift on Cleo by head.",
        "layer 1, head 0, whose lift on Cleo rose most (by ",
        "The box of Ben, whom the question names, is drawn solid. The box of Cleo, to whom the correction draws",
        "The correction draws it to Cleo.",
    ):
        assert said in text, said
    assert "The answer's lift on Ben by head" not in text
    for view in ("mean", "most_changed"):
        figure = summary.report.parent / "figures" / f"answer_overlay_{view}_change.svg"
        assert TARGET.lower() in figure.read_text()


@pytest.mark.parametrize(
    ("params", "who"),
    [
        ({"rows": "question, answer", "toward": "Cleo"}, "Cleo"),
        ({"rows": "answer", "toward": "asked"}, "Ben"),
        ({"rows": "answer", "toward": "other"}, "Cleo"),
        ({"rows": "answer", "toward": "everyone"}, None),
        ({"rows": "answer", "toward": "Dan"}, None),
        ({"rows": "answer", "toward": "asked", "whose": "random"}, None),
        ({"rows": "utterances", "toward": "asked"}, None),
        ({"rows": "answer"}, None),
    ],
)
def test_to_whom_the_parameters_of_a_correction_draw(params, who, tmp_path):
    with open_capture(draw(tmp_path / "run.h5", scenery(), correction=[social_bias(**params)])) as cap:
        assert target_of(cap) == ((who, [(1, 0), (1, 2)]) if who else (None, []))
        cap.correction[0]["active"] = []
        assert target_of(cap) == (None, [])


def test_nobody_if_two_corrections_draw_to_two(tmp_path):
    both = [social_bias(rows="answer", toward=name) for name in ("Ann", "Cleo")]
    with open_capture(draw(tmp_path / "run.h5", scenery(), correction=both)) as cap:
        assert target_of(cap) == (None, [])


def test_around_the_end_of_the_scene_and_past_whom_nobody_sees(tmp_path):
    for visible, who in (("Ann", "Ann"), ("Cleo", "Cleo")):
        sketch = scenery()
        sketch.scene["question"] = "Who does Ben ask?"
        for token in sketch.tokens:
            token.covered = [name for name in token.covered if name in ("Ben", visible)]
        said = social_bias(rows="answer", toward="other")
        with open_capture(draw(tmp_path / f"{who}.h5", sketch, correction=[said])) as cap:
            assert target_of(cap)[0] == who


def test_the_words_are_those_of_the_correction():
    assert {*ONE_SPEAKER, *SEVERAL} == set(TOWARD)


def test_layers_show_the_one_drawn_to_if_not_asked():
    names = [panel.title for panel in panels("max", "live", "Cleo")]
    assert names[-2:] == ["Answer's lift on the asked", "Answer's lift on Cleo"]
    assert [panel.title for panel in panels("max", "live")] == names[:-1]


def test_the_box_of_the_target_has_a_colour_of_its_own(before):
    with open_capture(before) as cap:
        on = backdrop(cap, None)
    values = np.ones(len(on.cells))
    for target, wanted in (("Cleo", 1), (None, 0)):
        axes = overlay_change(on, values, 2 * values, title="t", speaker="Ben", target=target)
        edges = [to_hex(patch.get_edgecolor()) for patch in axes[0].patches]
        assert edges.count(TARGET.lower()) == wanted and len(edges) == 6  # three boxes, each over a black edge
        names = {text.get_text(): text for text in axes[0].texts}
        assert names["Ben"].get_fontweight() == "bold"
        assert (names["Cleo"].get_fontweight() == "bold") == (target == "Cleo")


# ---- the head that is shown


def lifts(**changes: float) -> list[pd.DataFrame]:
    """A number of two layers of two heads before and after, 1 where not said; `h01` is head 1 of layer 0."""
    places = [(layer, head) for layer in (0, 1) for head in (0, 1)]
    mean = {"layer": OVER, "head": OVER, "value": 99.0}
    one = pd.DataFrame([*({"layer": i, "head": j, "value": 1.0} for i, j in places), mean])
    return [one, one.assign(value=[*(1 + changes.get(f"h{i}{j}", 0.0) for i, j in places), 999.0])]


UNTOUCHED_HEAD = "; no correction touched it)"


@pytest.mark.parametrize(
    ("changes", "touched", "said"),
    [
        ({"h00": 0.5, "h10": 0.25}, [(1, 0), (1, 1)], "layer 1, head 0, whose lift rose most (by 0.25)"),
        ({"h00": 0.5, "h10": 0.25}, [], "layer 0, head 0, whose lift rose most (by 0.5)"),
        (
            {"h00": 0.5, "h10": 0.009},
            [(1, 0)],
            "layer 0, head 0, whose lift rose most (by 0.5; no correction touched it)",
        ),
        ({"h11": -0.5, "h10": 0.009}, [(1, 0), (1, 1)], "layer 1, head 0, highest lift of the heads touched"),
        ({"h01": 0.009}, [], "layer 0, head 1, highest lift"),  # too little to be seen
        ({}, [(7, 7)], None),
    ],
)
def test_the_example_is_a_touched_head_whose_rise_can_be_seen(changes, touched, said):
    found = example(lifts(**changes), touched, "lift")
    assert (found and found[1]) == said
    if found:
        assert found[1].startswith(f"layer {found[2]}, head {found[3]}, ")
        assert found[0] == ("most_changed" if "rose" in found[1] else "best_head")


# ---- colours


def test_a_small_change_stays_pale(before):
    one = Grid(np.full((2, 2), 2.0), [0, 1], [0, 1])
    two = Grid(one.values + np.array([[0.01, 0], [0, 0]]), [0, 1], [0, 1])
    for dim, end in ((two, LEAST_CHANGE * 2.01), (Grid(3 * one.values, [0, 1], [0, 1]), 4.0)):
        change = heads_change(one, dim, title="t", unit="u", center=1.0)[2].collections[0]
        assert change.get_clim() == pytest.approx((-end, end))
    assert around_change(np.array([np.nan]), [np.array([np.nan])]).vmax > 0
    with open_capture(before) as cap:
        on = backdrop(cap, None)
    values = np.ones(len(on.cells))
    axes = overlay_change(on, values, values * 1.02, title="t", speaker=None)
    assert figure_of(axes).axes[-1].get_ylim() == pytest.approx((-LEAST_CHANGE * 1.02, LEAST_CHANGE * 1.02))


def test_a_head_that_several_corrections_touched_is_divided_among_them():
    ax = heads_touched([0, 1, 4], 3, {"one": {(1, 0), (4, 2)}, "two": {(1, 0)}, "three": {(7, 0)}})
    drawn = [[to_hex(color) for color in row] for row in np.asarray(ax.images[0].get_array())]
    one, two = (color.lower() for color in CYCLE[:2])
    assert drawn == [[UNTOUCHED] * 6, [one, two, *[UNTOUCHED] * 4], [*[UNTOUCHED] * 4, one, one]]
    assert ax.images[0].get_extent() == [-0.5, 2.5, -0.5, 2.5] and ax.get_title() == "Heads touched: 2 of 9"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]  # three: in no layer here
    assert [to_hex(patch.get_facecolor()) for patch in ax.get_legend().get_patches()] == [one, two]


@pytest.mark.parametrize(("other", "divided"), [([1, [2]], True), ([0, [1]], False)])
def test_the_caption_says_how_heads_are_marked(other, divided, tmp_path):
    both = [social_bias(), {"method": "other", "params": {}, "active": [other]}]  # social-bias: heads 0, 2 of layer 1
    out = Output(tmp_path / "out")
    with open_capture(draw(tmp_path / "run.h5", room(), correction=both)) as cap:
        caption = correction.of_change(out, cap, cap).pictures[0].caption
    assert caption.startswith("In colour: the heads in which a correction acted.")
    assert ("is divided among them" in caption) == divided
