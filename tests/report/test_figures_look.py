"""How figures look: nothing cut off, no words on other words, in every style."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.legend import Legend
from matplotlib.text import Text

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics import OVER
from attnscope.metrics.clips import answer_shares, attention_scores, fit_means, layer_means, over_clips, rows_of
from attnscope.metrics.people.cells import cell_lift
from attnscope.report import figures
from attnscope.report.figures import speakers
from attnscope.report.figures.style import COLUMN, PAGE, figure_of, lay_out, scaled, short_labels, styled


@pytest.fixture(autouse=True)
def laid_out(monkeypatch):
    """Matrices are trimmed as they are outside of tests."""
    monkeypatch.setattr(speakers, "TRIMS", 3)


@pytest.fixture(scope="module")
def drawn(before, after):
    """Every figure of one capture, and of two with intervals, as functions to call."""
    with open_capture(before) as cap, open_capture(after) as other:
        one = metrics.compute(cap)
        found = {"one": one, "two": metrics.compute(other)}
        on, values, scene = figures.read_backdrop(cap, "Ann"), cell_lift(cap, "speaker:Ann"), cap.scene
    both = {f: pd.concat([t[f].assign(capture=n) for n, t in found.items()], ignore_index=True) for f in one}
    return {f"{name}, {count}": make for count, t in (("one", one), ("two", both)) for name, make in makers(t)} | {
        "own share": lambda: figures.own_share_over_time(one["speakers"], scene, HEADS),
        "overlay": lambda: figures.overlay_frames(on, values, title="Attention of Ann\nmean", speaker="Ann"),
        "overlay in a column": lambda: figures.overlay_frames(
            on, values, title="Attention of Ann\nmean", speaker=None, columns=2, width=COLUMN
        ),
        "answer": lambda: figures.speaker_shares(answer_shares(one["answer"])),
    }


HEADS = {"mean of all layers and heads": (OVER, OVER), "layer 1, head 2, highest speaker consistency": (1, 2)}


def makers(t):
    table, lift = layer_means(t["modality"]), "speaker_consistency_lift"
    people = over_clips(rows_of(t["speakers"], lift))
    live = {"frames": "live"}
    grid = figures.grid(rows_of(people, lift, frames="all"))
    title = "Attention of all the words that somebody says on whoever says them"
    yield "links", lambda: figures.links_by_layer(table)
    yield "shares", lambda: figures.shares_by_layer(table)
    yield "gap", lambda: figures.gap_by_layer(table)
    yield "decay", lambda: figures.decay_fits(table, fit_means(t["decay"]))
    yield "flow", lambda: figures.flow_by_layer(table)
    yield "scores", lambda: figures.scores_by_layer(attention_scores(t["modality"]))
    yield (
        "heads",
        lambda: figures.heads_map(grid, title="Lift", unit="lift over chance", center=1, marks=grid.values > 1),
    )
    yield "layers", lambda: figures.layer_curves(people, lift, "frames", title=title)
    yield "swarm", lambda: figures.heads_by_layer(people, lift, where=live)
    yield "grounding", lambda: figures.grounding_maps(over_clips(rows_of(t["grounding"], "grounding_auc")))
    yield "matrix", lambda: figures.speaker_matrix(t["speakers"])
    yield "matrices", lambda: figures.speaker_matrices(t["speakers"])


CURVES = ["links", "shares", "gap", "decay", "flow", "scores", "layers", "swarm"]
KINDS = [*CURVES, "heads", "grounding", "matrix", "matrices"]
NAMES = [f"{name}, two" for name in KINDS] + [f"{name}, one" for name in ("shares", "scores", "flow")]


@pytest.mark.parametrize("name", [*NAMES, "own share", "overlay", "overlay in a column", "answer"])
def test_nothing_is_cut_off_or_covered(name, drawn):
    with styled("paper"):
        figure = figure_of(drawn[name]())
        assert figure.get_figwidth() in (COLUMN, PAGE) or name == "overlay"
        lay_out(figure)
        problems = list(_problems(figure))
    assert not problems


def _problems(figure):
    """Words outside the figure, words on words, legends on axes."""
    figure.draw_without_rendering()  # ticks and legends find their places when they are drawn
    renderer = FigureCanvasAgg(figure).get_renderer()
    whole = figure.bbox
    unseen = set(_unseen(figure))
    seen = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in unseen]
    words = {t: t.get_window_extent(renderer) for t in seen}
    for text, box in words.items():
        if box.x0 < whole.x0 - 1 or box.x1 > whole.x1 + 1 or box.y0 < whole.y0 - 1 or box.y1 > whole.y1 + 1:
            yield f"cut off: {text.get_text()!r}"
    for (one, a), (two, b) in combinations(words.items(), 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if wide > 2 and high > 2:
            yield f"{one.get_text()!r} on {two.get_text()!r}"
    for legend in figure.findobj(Legend):
        box = legend.get_window_extent(renderer)
        for ax in figure.axes:
            inside = ax.get_window_extent(renderer)
            if ax.get_visible() and box.overlaps(inside):
                yield f"legend on axes {ax.get_title()!r}"


def _unseen(figure):
    """Words that are never drawn: of hidden axes, and labels that axes keep for ticks outside of their limits."""
    for ax in figure.axes:
        if not ax.get_visible():
            yield from ax.findobj(Text)
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(limits) <= tick.get_loc() <= max(limits):
                    yield from (tick.label1, tick.label2)


def test_what_is_cut_off_is_found():
    with styled("paper"):
        figure = figure_of(figures.layer_curves(pd.DataFrame(ROWS), "row_entropy"))
        lay_out(figure)
        assert not list(_problems(figure))
        figure.axes[0].set_title("x" * 80)
        figure.axes[0].text(0.5, 0.5, "words", transform=figure.axes[0].transAxes)
        figure.axes[0].text(0.5, 0.5, "on words", transform=figure.axes[0].transAxes)
        assert {p.split(":")[0] for p in _problems(figure)} == {"cut off", "'words' on 'on words'"}


ROWS = [{"metric": "row_entropy", "layer": n, "head": OVER, "query": "", "value": 0.5, "n": 1} for n in range(3)]


@pytest.mark.parametrize("style", ["paper", "slides"])
@pytest.mark.parametrize("names", ["AB", "ABCDEF", ("SPEAKER_00", "SPEAKER_01")])
def test_matrices_have_no_empty_band_under_their_heading(names, style):
    rows = [
        {"metric": "speaker_density", "layer": layer, "head": OVER, "frames": frames, "value": 1.0 + (s == t)}
        | {"speaker": s, "target": t}
        for layer in (0, 1, 2, OVER)
        for frames in ("live", "all")
        for s in names
        for t in names
    ]
    with styled(style):
        for make in (figures.speaker_matrix, figures.speaker_matrices):
            axes = make(pd.DataFrame(rows))
            figure = figure_of(axes)
            lay_out(figure)
            over = next(t for t in figure.texts if t.get_text().startswith("Who attends")).get_window_extent()
            gap = (over.y0 - max(ax.get_tightbbox().y1 for ax in axes)) / figure.dpi
            assert 0 < gap < scaled(0.15)  # inches
            assert not list(_problems(figure))
            ticks = [label.get_text() for label in axes[0].get_xticklabels()]
            assert len(set(ticks)) == len(names)


def test_labels_are_cut_where_they_stay_apart():
    assert short_labels(["Ada", "SPEAKER_00", "SPEAKER_01", "$$$"], 9) == ["Ada", "SPEA…R_00", "SPEA…R_01", r"\$\$\$"]
    assert short_labels(["the man on the left", "the man oX the left"], 9) == [
        "the man on the left",
        "the man oX the left",
    ]


# ---- styles


def test_slides_are_the_same_figures_larger():
    sizes = {}
    for name in ("paper", "slides"):
        with styled(name):
            ax = figures.layer_curves(pd.DataFrame(ROWS), "row_entropy")
            figure = figure_of(ax)
            lines = ax.get_lines()[-1].get_linewidth()
            sizes[name] = [*figure.get_size_inches(), ax.title.get_fontsize(), ax.xaxis.label.get_fontsize(), lines]
    assert sizes["slides"] == pytest.approx([1.9 * size for size in sizes["paper"]])
    assert PAGE * 1.9 <= 13.34  # inches: a slide is no wider


def test_a_notebook_need_not_choose_a_style():
    before = dict(mpl.rcParams)
    ax = figures.layer_curves(pd.DataFrame(ROWS), "row_entropy")
    assert ax.title.get_fontsize() == 8.5 and figure_of(ax).get_figwidth() == COLUMN
    assert dict(mpl.rcParams) == before
    with styled("slides"):
        with styled():
            assert scaled(1) == 1.9
        with styled("paper"):
            assert scaled(1) == 1
    with pytest.raises(RequestError, match=r"^unknown style 'poster'; known: paper, slides$"), styled("poster"):
        pass
