"""What figures draw: the numbers of the tables, with intervals where there are several clips."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.metrics import OVER
from attnscope.metrics.clips import attention_scores, by_layer, fit_means, over_clips, pool
from attnscope.metrics.people.matrix import row_shares
from attnscope.report import figures
from attnscope.report.figures.layers import chance_level
from attnscope.report.figures.style import COLUMN, figure_of, new_figure


@pytest.fixture(scope="module")
def tables(before):
    """Of one capture, as `metrics.compute` gives them: without a column `capture`."""
    with open_capture(before) as cap:
        return metrics.compute(cap)


@pytest.fixture(scope="module")
def several(tables):
    """Of three captures of two clips: values times 1, 2 and 6."""
    parts = [t.assign(capture=n, value=t["value"] * k) for t in [tables["modality"]] for n, k in CLIPS.items()]
    about = pd.DataFrame({"capture": list(CLIPS), "clip": ["one", "one", "two"]})
    return pd.concat(parts, ignore_index=True), about


CLIPS = {"a": 1.0, "b": 2.0, "c": 6.0}


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): np.asarray(line.get_ydata()) for line in ax.get_lines()}


def heights(ax) -> np.ndarray:
    """Tops of the bars of an axis by layer, added up."""
    total: dict[float, float] = {}
    for bar in ax.patches:
        total[bar.get_x()] = total.get(bar.get_x(), 0) + bar.get_height()
    return np.array([total[x] for x in sorted(total)])


# ---- over captures


def test_rows_of_one_capture_have_no_interval(tables):
    rows = over_clips(by_layer(tables["modality"], "mass_share"))
    assert (rows["clips"] == 0).all() and rows["low"].isna().all()
    assert len(rows) == len(by_layer(tables["modality"], "mass_share"))


def test_the_captures_of_a_clip_are_one_clip(several):
    table, about = several
    rows = by_layer(table, "pair_mean", query="text", key="text", sinks="with")
    one = rows.loc[rows["capture"] == "a", "value"].to_numpy()
    by_clip = over_clips(rows, about)
    assert by_clip["value"].to_numpy() == pytest.approx(one * (1.5 + 6) / 2)  # (1 + 2) / 2 and 6
    assert by_clip[["low", "high"]].isna().all(axis=None)  # two clips: too few
    assert (by_clip["clips"] == 2).all()
    assert over_clips(rows)["value"].to_numpy() == pytest.approx(one * 3)  # each its own clip: 9 / 3
    together = over_clips(rows, about.assign(clip="same"))
    assert together["value"].to_numpy() == pytest.approx(one * 3) and together["low"].isna().all()
    again = over_clips(pool.pooled(rows, about))  # pooled already
    assert again["value"].to_numpy() == pytest.approx(by_clip["value"].to_numpy()) and (again["clips"] == 2).all()


# ---- curves


def test_links_are_the_means_of_the_table(tables):
    table = tables["modality"]
    axes = figures.links_by_layer(table)
    for ax, sinks in zip(axes, ("with", "without"), strict=True):
        drawn = lines(ax)
        for label, query, key in (("text → visual", "text", "visual"), ("visual → text", "visual", "text")):
            rows = by_layer(table, "pair_mean", query=query, key=key, sinks=sinks)
            assert drawn[label] == pytest.approx(rows["value"].to_numpy(), nan_ok=True)
    assert not axes[0].collections  # no band for one capture


def test_bands_are_the_intervals(tables):
    one, names = tables["modality"], [f"clip{k}" for k in range(1, 8)]
    table = pd.concat([one.assign(capture=name, value=one["value"] * k) for k, name in enumerate(names, 1)])
    about = pd.DataFrame({"capture": names, "clip": names})
    pooled = over_clips(by_layer(table, "pair_mean"), about)
    (band, *_) = figures.links_by_layer(pooled)[0].collections
    rows = over_clips(by_layer(table, "pair_mean", query="visual", key="visual", sinks="with"), about)
    ends = band.get_paths()[0].vertices[:, 1]
    assert (ends.min(), ends.max()) == pytest.approx((rows["low"].min(), rows["high"].max()))


def test_the_gap_of_even_attention_is_drawn_beside_it(tables):
    ax = figures.gap_by_layer(tables["modality"], "sum")
    rows = by_layer(tables["modality"], "gap_uniform", query="text", denominator="sum", sinks="with")
    assert any(line == pytest.approx(rows["value"].to_numpy()) for line in lines(ax).values() if len(line))
    assert ax.get_ylabel() == "gap |s − c| / (s + c)"


def test_the_fitted_line_is_that_of_the_table(tables):
    ax = figures.decay_fits(tables["modality"], fit_means(tables["decay"]))[0]
    fit = tables["decay"].query("link == 'c_text' and sinks == 'with'").set_index("metric")["value"]
    layers = np.array([0.0, 1.0, 4.0])
    label = next(label for label in lines(ax) if label.startswith("text → visual"))
    expected = np.exp(fit["decay_intercept"]) * fit["decay_gamma"] ** layers
    assert lines(ax)[label] == pytest.approx(expected)
    assert f"γ = {fit['decay_gamma']:.3g}" in label


def test_modas_figure(tables):
    """Scores are means per pair, dotted that of even attention, below the ratio."""
    table = tables["modality"]
    top, below = figures.scores_by_layer(attention_scores(table))
    score = {k: by_layer(table, "pair_mean", query="text", key=k, sinks="with")["value"] for k in ("text", "visual")}
    lift = by_layer(table, "lift", query="text", key="visual", sinks="with")["value"].to_numpy()
    drawn = lines(top)
    assert drawn[f"on text (mean {score['text'].mean():.2g})"] == pytest.approx(score["text"].to_numpy())
    assert drawn["on visual, if even"] == pytest.approx(score["visual"].to_numpy() / lift)
    ratio = score["text"].to_numpy() / score["visual"].to_numpy()
    assert any(line == pytest.approx(ratio) for line in lines(below).values())


def test_any_metric_has_curves_with_its_chance_level(tables):
    ax = figures.layer_curves(
        tables["grounding"],
        "grounding_auc",
        "frames",
        where={"speaker": "", "turn": OVER},
        labels={"all": "all frames"},
    )
    rows = by_layer(tables["grounding"], "grounding_auc", frames="all", speaker="", turn=OVER)
    assert lines(ax)["all frames"] == pytest.approx(rows["value"].to_numpy())
    assert set(lines(ax)) == {"chance (0.5)", "all frames"} and set(lines(ax)["chance (0.5)"]) == {0.5}


def test_several_numbers_in_a_layer_are_refused(tables):
    message = "metric 'grounding_auc' has several numbers in a layer; choose one of speaker, turn in `where`"
    with pytest.raises(RequestError, match=message):
        figures.layer_curves(tables["grounding"], "grounding_auc", "frames")
    with pytest.raises(RequestError, match="unknown metric 'nothing'"):
        figures.layer_curves(tables["grounding"], "nothing")


@pytest.mark.parametrize(
    ("said", "level"),
    [("1", 1.0), ("0.5", 0.5), ("1 (uniform attention)", 1.0), ("1/S, S = speakers that enter", None), ("", None)],
)
def test_chance_levels(said, level):
    assert chance_level(said) == level


# ---- flow, sinks


def test_bars_of_the_flow_add_up_to_all_attention(tables):
    axes = figures.flow_by_layer(tables["modality"])
    assert [ax.get_title().split(" (")[0] for ax in axes] == [
        "Visual tokens", "Words said", "Question", "Answer position"
    ]  # fmt: skip
    for ax in axes:
        assert heights(ax) == pytest.approx([1.0] * 3)
    rows = by_layer(tables["modality"], "mass_share", query="role:question", key="special")
    on = rows[rows["sinks"] == "with"]["value"].to_numpy()  # the first token is the only special one, and the sink
    assert on.min() > 0.01 and rows[rows["sinks"] == "without"]["value"].isna().all()
    hatched = [bar.get_height() for bar in axes[2].patches if bar.get_hatch() and bar.get_height() > 0]
    assert hatched == pytest.approx(on)


def test_flow_without_such_queries_says_so(tables):
    table = tables["modality"]
    (ax,) = figures.flow_by_layer(table[table["query"] == "special"])
    assert "not defined" in ax.texts[0].get_text()


def test_sinks_and_entropy():
    places = [{"layer": layer, "head": OVER, "n": 5} for layer in (0, 1)]
    rows = [
        {"metric": "sink_keys", "query": "", "key": key, "value": value + p["layer"], **p}
        for p in places
        for key, value in (("special", 1.0), ("text", 2.0), ("all", 3.0))
    ]
    for metric, value in (("sink_share", 0.2), ("row_entropy", 0.7)):
        rows += [
            {"metric": metric, "query": q, "key": "", "value": value, **p} for p in places for q in ("text", "visual")
        ]
    top, share, entropy = figures.sinks_by_layer(pd.DataFrame(rows))
    assert sorted(bar.get_height() for bar in top.patches) == [1, 2, 2, 3]
    assert lines(share)["text queries"] == pytest.approx([0.2, 0.2])
    assert lines(entropy)["visual queries"] == pytest.approx([0.7, 0.7]) and "even attention" in lines(entropy)


# ---- heads


def test_a_point_for_every_head_and_a_line_for_their_mean(tables):
    table = tables["speakers"]
    ax = figures.heads_by_layer(table, "speaker_consistency_lift", where={"frames": "all"})
    drawn = np.concatenate([c.get_offsets() for c in ax.collections])
    rows = figures.rows_of(table, "speaker_consistency_lift", frames="all")
    single = rows[(rows["head"] != OVER) & (rows["layer"] != OVER)]
    assert sorted(drawn[:, 1]) == pytest.approx(sorted(single["value"]))
    assert len(set(drawn[:, 0])) == len(drawn) and np.abs(drawn[:, 0] - drawn[:, 0].round()).max() < 0.5
    assert lines(ax)["mean over heads"] == pytest.approx(by_layer(rows, "speaker_consistency_lift")["value"].to_numpy())
    ax = figures.heads_by_layer(
        rows.assign(q=np.where(rows["head"] == 1, 0.01, 0.5)), "speaker_consistency_lift", where={"frames": "all"}
    )
    assert [len(c.get_offsets()) for c in ax.collections] == [6, 3]
    assert ax.collections[1].get_label() == "q ≤ 0.05"


def test_both_grounding_maps_have_one_scale_centred_at_chance(tables):
    live, every = figures.grounding_maps(tables["grounding"])
    assert live.collections[0].get_clim() == every.collections[0].get_clim() and sum(
        live.collections[0].get_clim()
    ) == pytest.approx(1)
    rows = figures.rows_of(tables["grounding"], "grounding_auc", frames="all", speaker="", turn=OVER)
    assert np.ma.filled(every.collections[0].get_array(), np.nan) == pytest.approx(
        figures.grid(rows).values, nan_ok=True
    )
    (nothing,) = figures.grounding_maps(tables["grounding"].assign(value=np.nan))
    assert np.ma.getmaskarray(nothing.collections[0].get_array()).all()


# ---- speakers


def test_matrices_by_depth_average_the_layers_of_a_group(tables):
    """Of layers 0, 1 and 4 in two groups the first holds two: the mean of its densities, then the shares of a row."""
    table = tables["speakers"]
    rows = figures.rows_of(table, "speaker_density", head=OVER, frames="all")

    def density(layer: int) -> np.ndarray:
        part = rows[rows["layer"] == layer]
        return part.pivot(index="speaker", columns="target", values="value").to_numpy()

    first, second = figures.speaker_matrices(table, 2, frames="all")
    mean = (density(0) + density(1)) / 2
    drawn = [np.ma.filled(ax.collections[0].get_array(), np.nan) for ax in (first, second)]
    assert drawn[0] == pytest.approx(mean / mean.sum(1, keepdims=True))
    assert drawn[1] == pytest.approx(density(4) / density(4).sum(1, keepdims=True))
    assert [ax.get_title() for ax in (first, second)] == ["layers 0-1", "layer 4"]
    assert first.collections[0].get_clim() == second.collections[0].get_clim()
    (chosen,) = figures.speaker_matrices(table, [(1, 4)], frames="all")
    assert chosen.get_title() == "layers 1-4"


def test_only_who_says_something_has_a_row():
    """Ben says nothing, Cleo is never seen: rows of Ann and Cleo, and Cleo's column is not defined."""
    density = {("Ann", "Ann"): 3.0, ("Ann", "Ben"): 1.0, ("Cleo", "Ann"): 1.0, ("Cleo", "Ben"): 1.0}
    names = ("Ann", "Ben", "Cleo")
    keys = {"metric": "speaker_density", "layer": OVER, "head": OVER, "frames": "all", "n": 1}
    rows = [{**keys, "speaker": s, "target": t, "value": density.get((s, t), np.nan)} for s in names for t in names]
    axes = figures.speaker_matrix(pd.DataFrame(rows))
    drawn = np.ma.filled(axes[1].collections[0].get_array(), np.nan)
    assert drawn == pytest.approx(np.array([[0.75, 0.25, np.nan], [0.5, 0.5, np.nan]]), nan_ok=True)
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["Ann", "Cleo"]
    outlined = [(patch.get_x(), patch.get_y()) for patch in axes[1].patches]
    assert outlined == [(0, 0), (2, 1)]  # each one's own cell
    assert np.isnan(row_shares(pd.DataFrame(rows).query("speaker == 'Ben'"))).all()


def test_own_share_over_time(before, tables):
    """Three frames at 0, 1 and 2 s: Ann, then Ben, then Cleo and Ann together."""
    with open_capture(before) as cap:
        top, lanes = figures.own_share_over_time(tables["speakers"], cap.scene)
    rows = figures.rows_of(tables["speakers"], "own_share_time", frames="live", layer=OVER, head=OVER)
    drawn = next(line for line in top.get_lines() if line.get_label() == "mean of all layers and heads")
    assert drawn.get_ydata() == pytest.approx(rows["value"].to_numpy()) and drawn.get_xdata() == pytest.approx(
        [0, 1, 2]
    )
    assert lines(top)["chance"] == pytest.approx([1 / 3] * 3)
    bars = [(patch.get_x(), round(patch.get_width(), 2), patch.get_y() + 0.35) for patch in lanes.patches]
    assert bars == [(0.0, 0.4, 0), (0.6, 0.8, 1), (1.6, 0.8, 2), (1.8, 0.4, 0)]
    turn = figures.rows_of(tables["speakers"], "own_share_turn", frames="live", layer=OVER, head=OVER)
    thick = [line for line in top.get_lines() if len(line.get_xdata()) == 2 and line.get_alpha()]
    assert [line.get_ydata()[0] for line in thick] == pytest.approx(turn["value"].to_numpy())
    assert thick[0].get_color() == thick[3].get_color() != thick[1].get_color()
    silent = tables["speakers"].assign(value=np.nan)
    with open_capture(before) as cap:
        assert figures.own_share_over_time(silent, cap.scene) is None


# ---- composing


def test_figures_can_be_put_into_others(tables):
    figure = new_figure(COLUMN, 4)
    left, right = figure.subplots(1, 2)
    assert figures.gap_by_layer(tables["modality"], ax=left) is left
    assert (
        figures.heads_by_layer(tables["speakers"], "speaker_consistency_lift", where={"frames": "all"}, ax=right)
        is right
    )
    part, other = new_figure(COLUMN, 6).subfigures(2, 1)
    axes = figures.scores_by_layer(attention_scores(tables["modality"]), fig=part) + figures.flow_by_layer(
        tables["modality"], fig=other
    )
    whole = figure_of(axes)
    assert {id(figure_of(ax)) for ax in axes} == {id(whole)} and len(whole.subfigs) == 2


def test_several_captures_are_pooled_before_they_are_drawn(several):
    table, about = several
    message = "the table holds several captures: pool them first, metrics.clips.over_clips(table, about)"
    with pytest.raises(RequestError, match=re.escape(message)):
        figures.links_by_layer(table)
    ax = figures.links_by_layer(over_clips(by_layer(table, "pair_mean"), about))[0]
    assert "mean of 2 clips" in ax.get_xlabel()


def test_a_modality_that_nobody_foresaw_is_drawn(tables):
    table = tables["modality"]
    audio = table[table["key"] == "special"].assign(key="audio")
    table = pd.concat([table, audio], ignore_index=True)
    figure = figure_of(figures.flow_by_layer(table))
    assert figure.legends[0].get_texts()[0].get_text() == "on audio"
    left = figures.shares_by_layer(table)[0]
    assert lines(left)["on audio"] == pytest.approx(lines(left)["on special"], nan_ok=True)
