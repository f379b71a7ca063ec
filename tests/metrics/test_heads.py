"""Choosing heads: the numbers by hand and from the dense map, the orders, how sure they are, and the heads file."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from attnscope import metrics
from attnscope.capture.reader import open as open_capture
from attnscope.errors import RequestError, RunError
from attnscope.metrics import headlist, ranking
from attnscope.metrics.choose import choose, measure
from attnscope.metrics.heads import region_entropy
from attnscope.metrics.ranking import Criterion, Scores, agreement, elbow, ranked, stability, top_share
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax


def noise(sketch: Sketch, seed: int, layers: int = 2, heads: int = 3) -> np.ndarray:
    n = len(sketch.tokens)
    return softmax(np.random.default_rng(seed).normal(0, 2, (layers, heads, n, n)), causal(n))


def value(cap, metric: str, layer: int, head: int, **where) -> float:
    table = metrics.one(metric, cap)
    keep = (table["layer"] == layer) & (table["head"] == head)
    for column, wanted in where.items():
        keep &= table[column] == wanted
    return float(table.loc[keep, "value"].item())


def grid(rows: int, columns: int, frames: int = 1) -> np.ndarray:
    """View, row and column of each cell, [V, 3]."""
    return np.stack(np.meshgrid(range(frames), range(rows), range(columns), indexing="ij"), -1).reshape(-1, 3)


def entropy(*maps: object) -> list[float]:
    """Of pictures, each [rows, columns] or [frames, rows, columns]."""
    arrays = [np.atleast_3d(np.asarray(m, float)) if np.ndim(m) == 3 else np.asarray(m, float)[None] for m in maps]
    flat = np.stack([a.ravel() for a in arrays])
    frames, rows, columns = arrays[0].shape
    return region_entropy(flat, grid(rows, columns, frames), np.ones(flat.shape[1], bool)).tolist()


# ---- attention from utterances to speakers


def test_cross_attention_by_hand(drawn):
    """Ann says two words, Ben one; each has one cell: 2 cells x 3 words .3 .1, .1 .1, .2 .4 have the mean 1.2/6."""
    sketch = room(turns=(("Ann", 0.0, 1.0), ("Ben", 0.0, 1.0)), times=[0.0], words=1, question=0)
    sketch.tokens.insert(6, Token("text", "transcript", turn=0, speaker="Ann"))
    cells = np.flatnonzero(sketch.cells_of("Ann") | sketch.cells_of("Ben"))
    words = np.flatnonzero(sketch.where(role="transcript"))
    assert (cells.tolist(), words.tolist()) == ([2, 3], [5, 6, 7])
    a = softmax(np.zeros((1, 1, 9, 9)), causal(9))
    a[0, 0, words] = 0
    for word, (one, two) in zip(words, [(0.3, 0.1), (0.1, 0.1), (0.2, 0.4)], strict=True):
        a[0, 0, word, [0, 2, 3]] = [1 - one - two, one, two]
    table = metrics.one("cross_attention", drawn(sketch, a))
    assert table["value"].tolist() == pytest.approx([1.2 / 6] * 3)  # the head, its layer, everything
    assert set(table["n"]) == {6}


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(3)))
def test_numbers_follow_heads_and_equal_loops_over_the_dense_map(tmp_path_factory, seed, order):
    sketch = room(hidden=[("Ben", 0)], words=2, question=1)
    sketch.scene["transcript"][1]["speaker"] = None  # a voice of nobody is no utterance
    for token in sketch.tokens:
        token.speaker = "" if token.turn == 1 else token.speaker
    a, folder = noise(sketch, seed), tmp_path_factory.mktemp("dense")
    with (
        open_capture(draw(folder / "a.h5", sketch, a, sinks=[0, 3], numbers=[1, 4])) as cap,
        open_capture(draw(folder / "b.h5", sketch, a[:, list(order)], sinks=[0, 3], numbers=[1, 4])) as other,
    ):
        tokens, last = cap.tokens, cap.prompt_length - 1
        words = np.flatnonzero((tokens["turn"] >= 0) & (tokens["speaker"] != ""))
        cells = np.flatnonzero((tokens["covered:Ann"] >= 0.5) | (tokens["covered:Ben"] >= 0.5))
        visual = np.flatnonzero(tokens["modality"] == "visual")
        for layer, head in ((1, 0), (4, 2)):
            dense = cap.attention(layer, head).astype(float)
            g = sum(dense[u, v] for u in words for v in cells) / (len(words) * len(cells))
            assert value(cap, "cross_attention", layer, head) == pytest.approx(g, rel=1e-5)
            assert value(other, "cross_attention", layer, order.index(head)) == pytest.approx(g, rel=1e-5)
            for sinks, keep in (("with", visual), ("without", visual[visual != 3])):
                expected = slow_entropy(dense[last, keep], tokens.iloc[keep])
                found = value(cap, "spatial_entropy", layer, head, sinks=sinks)
                assert found == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)


def slow_entropy(row: np.ndarray, tokens: pd.DataFrame) -> float:
    """The definition, region after region, by flooding."""
    excess = {
        (int(f), int(y), int(x)): max(0.0, a - 2 * row.mean())
        for a, f, y, x in zip(row, tokens["frame_first"], tokens["grid_y"], tokens["grid_x"], strict=True)
    }
    left, regions = {cell for cell, e in excess.items() if e > 0}, []
    while left:
        region, edge = set(), {left.pop()}
        while edge:
            region |= edge
            edge = {c for c in left if any(c[0] == r[0] and max(abs(c[1] - r[1]), abs(c[2] - r[2])) <= 1 for r in edge)}
            left -= edge
        regions.append((min(region)[0], sum(excess[c] for c in region)))
    total = sum(mass for _, mass in regions)
    by_frame = {frame: sum(m for f, m in regions if f == frame) for frame, _ in regions}
    return -sum(m / total * np.log(m / by_frame[f]) for f, m in regions) if total else np.nan


# ---- spatial entropy


def test_spatial_entropy_by_hand():
    """Ten cells with mean 1, so the bar is 2: what exceeds it is 1 and 3, in two regions with shares 1/4 and 3/4."""
    row = [3, 0, 0, 0, 0, 0, 0, 5, 1, 1]
    assert entropy([row]) == pytest.approx([-(0.25 * np.log(0.25) + 0.75 * np.log(0.75))])


def test_regions_touch_at_corners_but_not_across_frames():
    corner = np.zeros((4, 4))
    corner[1, 1] = corner[2, 2] = 1
    apart = np.zeros((4, 4))
    apart[0, 0] = apart[3, 3] = 1
    assert entropy(corner, apart) == pytest.approx([0, np.log(2)])
    one_place, two_places = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    one_place[:, 1, 1] = 1  # a person who stays is one region a frame: nothing is spread
    two_places[0, 0, 0] = two_places[0, 3, 3] = 1  # two regions in the first frame, one in the second;
    two_places[1, 1, 1] = 2  # mean 4/32, so the bar is 1/4: 3/4 and 3/4 exceed it, and 7/4
    assert entropy(one_place, two_places) == pytest.approx([0, 1.5 / (1.5 + 1.75) * np.log(2)])


def test_even_attention_has_no_region(drawn):
    assert np.isnan(entropy(np.ones((3, 3)))).all()
    table = metrics.one("spatial_entropy", drawn(room()))
    assert table["value"].isna().all()
    assert set(table["n"]) == {6}


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_picture_may_be_turned_or_scaled(seed):
    picture = np.random.default_rng(seed).gamma(0.2, size=(5, 5))
    turned = entropy(picture, picture[::-1], picture[:, ::-1], picture.T, picture * 7)
    assert turned == pytest.approx(turned[:1] * 5)
    assert 0 <= turned[0] <= np.log(9)  # of 25 cells no more than 9 do not touch


def test_tiles_of_an_image_are_apart(drawn):
    """Two grids of one frame that both begin at their corner: the same cell of both is not one cell.

    Ten cells with the mean 1/10: two of 1/4 in the first grid exceed 1/5 by 1/20, one of 1/2 in the second by 3/10.
    """
    sketch = room((), (), times=[0.0], question=0)
    tokens = [Token("visual", "visual", frames=(0, 0), cell=c) for c in (0, 1, 2, 3, 4, 0, 1, 2, 3, 4)]
    sketch.tokens[2:3] = tokens
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    a[0, 0, -1] = 0
    a[0, 0, -1, [2, 5, 8]] = [0.25, 0.25, 0.5]  # cells 0 and 3 of the first grid, cell 1 of the second
    found = value(drawn(sketch, a), "spatial_entropy", 0, 0, sinks="with")
    assert found == pytest.approx(0.1 / 0.4 * np.log(2), rel=1e-5)


def test_a_sink_hides_what_else_is_looked_at(drawn):
    """Eight cells: a sink with 0.4 and two with 0.2, mean 0.1: only the sink exceeds 0.2. Without it the others do."""
    sketch = room([f"P{i}" for i in range(7)], (), times=[0.0], question=0)
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 1, n, n)), causal(n))
    a[0, 0, -1] = 0
    a[0, 0, -1, [0, 2, 5, 8]] = [0.2, 0.4, 0.2 - 1e-6, 0.2 - 1e-6]
    cap = drawn(sketch, a, sinks=[0, 2])
    assert value(cap, "spatial_entropy", 0, 0, sinks="with") == 0
    assert value(cap, "spatial_entropy", 0, 0, sinks="without") == pytest.approx(np.log(2), rel=1e-4)
    table = metrics.one("spatial_entropy", cap)
    assert table.groupby("sinks")["n"].unique().map(list).to_dict() == {"with": [8], "without": [7]}


def test_where_nothing_is_defined(drawn):
    silent = drawn(room(turns=()), name="a.h5")
    assert np.isnan(value(silent, "cross_attention", 0, 0))
    sketch = room()
    for token in sketch.tokens:
        token.cell, token.frames, token.covered = -1, (-1, -1), ()
    nowhere = drawn(sketch, name="b.h5")
    assert np.isnan(value(nowhere, "cross_attention", 0, 0))
    assert np.isnan(value(nowhere, "spatial_entropy", 0, 0, sinks="without"))
    only_maps = drawn(room(), readings=("maps",), name="c.h5")
    assert set(metrics.one("spatial_entropy", only_maps)["sinks"]) == {"with"}  # no sinks were looked for


# ---- orders


def scored(values: object, name: str = "x", **more) -> Scores:
    """Numbers of heads of one layer, [X, C]."""
    array = np.asarray(values, dtype=float)
    places = pd.DataFrame({"layer": 0, "head": range(len(array))})
    return Scores(Criterion(name, name, **more), "", places, array, np.full(len(array), np.nan), np.nan)


def test_ranking_by_hand():
    """Three heads in two clips: means 2, 4 and 3.25. Head 2 is best in clip 1, head 1 in clip 2."""
    found = ranked(scored([[1, 3], [2, 6], [3, 3.5]]), top=1)
    assert found[["rank", "head", "value", "n", "top_share"]].to_numpy().tolist() == [
        [1, 1, 4.0, 2, 0.5],
        [2, 2, 3.25, 2, 0.5],
        [3, 0, 2.0, 2, 0.0],
    ]
    assert found[["low", "high"]].to_numpy().tolist() == [[2, 6], [3, 3.5], [1, 3]]
    assert found["effect"].isna().all()
    lowest = ranked(scored([[1, 3], [2, 6], [np.nan, np.nan]], lowest=True), top=1)
    assert lowest[["head", "top_share"]].to_numpy().tolist() == [[0, 1.0], [1, 0.0]]


def test_concordance_by_hand():
    """Clips rank four heads 1 2 3 4, 1 2 3 4, 2 1 4 3: sums 4 5 10 11, mean 7.5, squared 12.25 6.25 6.25 12.25: 37.

    W = 12 * 37 / (3^2 * (4^3 - 4)) = 37/45. Spearman is 1 - 6 sum d^2 / 60: of the pairs 1, 0.6 and 0.6.
    """
    found = stability(scored(np.array([[1, 2, 3, 4], [1, 2, 3, 4], [2, 1, 4, 3]]).T))
    assert found == pytest.approx({"clips": 3, "heads": 4, "kendall_w": 37 / 45, "spearman": 2.2 / 3})


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), clips=st.integers(2, 5))
def test_stability_and_agreement_by_scipy_and_sets(seed, clips):
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, 12, clips))
    found = stability(scored(one))
    pairs = [spearmanr(one[:, i], one[:, j]).statistic for i, j in combinations(range(clips), 2)]
    assert found["spearman"] == pytest.approx(np.mean(pairs))
    assert found["kendall_w"] == pytest.approx((found["spearman"] * (clips - 1) + 1) / clips)  # holds without ties
    row = agreement([scored(one), scored(two, "y", lowest=True)], 4).iloc[0]
    assert row["spearman"] == pytest.approx(spearmanr(one.mean(1), -two.mean(1)).statistic)
    best = {i for i in range(12) if (one.mean(1) > one.mean(1)[i]).sum() < 4}
    lowest = {i for i in range(12) if (two.mean(1) < two.mean(1)[i]).sum() < 4}
    assert (row["overlap"], row["chance"], row["n"]) == (len(best & lowest) / 4, 4 / 12, 12)
    order = rng.permutation(12)
    assert top_share(scored(one[order]), 3).tolist() == top_share(scored(one), 3)[order].tolist()
    assert top_share(scored(one), 3).sum() == pytest.approx(3)  # three in every clip
    assert stability(scored(one[order])) == pytest.approx(found)


def test_equal_orders_agree_and_single_clips_say_nothing():
    values = np.arange(12.0).reshape(4, 3)
    assert stability(scored(values))["kendall_w"] == pytest.approx(1)
    same = agreement([scored(values), scored(values * 3, "y"), scored(-values, "z")], 2)
    assert same["spearman"].tolist() == pytest.approx([1, -1, -1])
    assert same["overlap"].tolist() == [1, 0, 0]
    assert np.isnan([stability(scored(values[:, :1]))[name] for name in ("kendall_w", "spearman")]).all()
    some = scored([[1, np.nan, 1], [2, np.nan, np.nan], [3, np.nan, 3], [4, np.nan, 4], [5, np.nan, 5]])
    assert stability(some) == pytest.approx({"clips": 2, "heads": 4, "kendall_w": 1, "spearman": 1})


def test_elbow_by_hand():
    """From 0 to 8 over five values the line is 0 2 4 6 8: 1 lies 3 below, 2 lies 4 below, and bends."""
    assert elbow(np.array([8.0, 0.0, 1.0, 2.0, np.nan, 1.0])) == 2.0
    assert elbow(np.array([1.0, 1.0, 1.0])) == 1.0
    assert np.isnan(elbow(np.array([np.nan])))


# ---- choosing


def asking(speakers=("Ann", "Ben"), **options) -> Sketch:
    sketch = room(speakers, [(name, None, None) for name in speakers], question=1, **options)
    sketch.scene["question"] = f"What does {speakers[-1]} hold?"
    return sketch


def planted(sketch: Sketch, seed: int) -> np.ndarray:
    """Noise, but 1.1 (layer.head) looks from words to their speaker, 1.0 at the one asked about, 0.2 at the video."""
    n = len(sketch.tokens)
    z = np.random.default_rng(seed).normal(0, 0.3, (2, 3, n, n))
    for name in sketch.scene["speakers"]:
        z[1, 1][np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] += 5
    z[0, 2][:, sketch.where(modality="visual")] += 3
    z[1, 0, -1, sketch.cells_of(list(sketch.scene["speakers"])[-1])] += 5
    return softmax(z, causal(n))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three captures of two clips, with the layers 2 and 7."""
    with ExitStack() as stack:
        caps = []
        for number, clip in enumerate("aab"):
            sketch = asking()
            sketch.scene["video"] = f"/nowhere/{clip}.mp4"
            path = draw(
                tmp_path_factory.mktemp("three") / f"{number}.h5", sketch, planted(sketch, number), numbers=[2, 7]
            )
            caps.append(stack.enter_context(open_capture(path)))
        yield caps


@pytest.fixture(scope="module")
def measured(three):
    return measure(three, NAMES)


@pytest.fixture(scope="module")
def chosen(three, measured):
    """What three captures choose by default."""
    return choose(three, NAMES, top=3, tables=measured)


NAMES = ["0", "1", "2"]


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("speaker-lift", "7.1"),
        ("grounding-auc", "7.1"),
        ("cross-mass", "2.2"),
        ("active", "7.1"),
        ("answer-lift", "7.0"),
    ],
)
def test_each_criterion_finds_the_head_made_for_it(three, measured, by, first):
    found = choose(three, NAMES, by, top=2, tables=measured)
    assert found.text.split(",")[0] == first
    assert (found.clips, len(found.heads), found.criterion.top) == (2, 2, 2)
    assert found.heads[0].n == 2 and found.heads[0].low <= found.heads[0].value <= found.heads[0].high
    assert found.heads[0].top_share == 1
    assert {row["other"] for row in found.agreement} == set(ranking.criteria()) - {by}
    assert found.stability["clips"] == 2
    assert ranking.NOT_CAUSE in found.notes


def test_localization_heads_look_at_the_video_and_at_one_place(drawn):
    """Heads 0 and 1 look at the video, 0 at two places, 1 at one; head 2 at one place, but hardly; the rest nowhere."""
    sketch = asking(("Ann", "Ben", "Cleo"), times=[0.0, 1.0])
    n = len(sketch.tokens)
    ann, cleo = (np.flatnonzero(sketch.cells_of(name)) for name in ("Ann", "Cleo"))
    a = softmax(np.zeros((1, 5, n, n)), causal(n))
    a[:, :, -1] = 0
    a[:, :, -1, 0] = 1.0
    for head, cells, mass in ((0, [ann[0], cleo[0]], 0.9), (1, [ann[0]], 0.8), (2, [ann[0]], 0.1)):
        a[0, head, -1] = 0
        a[0, head, -1, cells] = mass / len(cells)
        a[0, head, -1, 0] = 1 - mass
    found = choose([drawn(sketch, a)], ["x"], "localization", top=5)
    assert found.text == "0.1,0.0"
    assert [head.value for head in found.heads] == pytest.approx([0, np.log(2)])
    assert [head.mass for head in found.heads] == pytest.approx([0.8, 0.9])
    assert "2 of 5 heads have a mass on the video above 0.1." in found.notes
    more = choose([drawn(sketch, a, name="b.h5")], ["x"], "localization", least=0.05)
    assert more.text == "0.1,0.2,0.0"  # in place of the elbow: 0 0 0.1 0.8 0.9 bends at 0.1


def test_how_many_and_above_what_and_where(three, measured):
    caps = three[:1]
    tables = {family: table[table["capture"] == "0"] for family, table in measured.items()}
    everything = choose(caps, NAMES[:1], "active", top="100%", tables=tables)
    assert len(everything.heads) == 6
    level = everything.heads[2].value
    above = choose(caps, NAMES[:1], "active", least=level, tables=tables)
    assert above.text == ",".join(everything.text.split(",")[:2])
    scaled = level * caps[0].prompt_length  # lambda N
    assert f"2 of 6 heads have g above {level:g}; {level:g} x mean length = {scaled:.3g}." in above.notes
    late = choose(caps, NAMES[:1], "active", layers="0.5-1.0", top="34%", tables=tables)
    assert [head.layer for head in late.heads] == [7]
    with pytest.raises(RequestError, match=r"0.h5: --min 1: no head is above it"):
        choose(caps, NAMES[:1], "active", least=1, tables=tables)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "mass"}, "--by mass: is no criterion; choose from speaker-lift, "),
        ({"top": "0"}, "--top 0: is neither a number of heads, like 10, nor a share of them, like 9%"),
        ({"top": "1.5"}, "--top 1.5: is neither"),
        ({"top": "101%"}, "--top 101%: is neither"),
        ({"layers": "3"}, "--layers 3: layer 3 is not one of the layers with attention, 2-7"),
    ],
)
def test_requests_that_are_refused(three, options, message):
    with pytest.raises(RequestError, match=re.escape(message)):
        choose(three, NAMES, **options)


def test_what_captures_do_not_define_is_refused(drawn):
    silent, blind = drawn(room(turns=()), name="a.h5"), drawn(room(), readings=("masses",), name="b.h5")
    with pytest.raises(RequestError, match=r"a.h5: --by speaker-lift: speaker_consistency_lift is not defined for any"):
        choose([silent], ["a"])
    with pytest.raises(
        RequestError, match=r"b.h5: --by active: cross_attention needs the reading 'maps', which is not"
    ):
        choose([blind], ["b"], "active")
    other = drawn(room(), noise(room(), 0, heads=4), name="c.h5")
    with pytest.raises(RequestError, match=r"c.h5: is of the model drawn/by-hand .*; rank them apart"):
        choose([silent, other], ["a", "c"])


def test_a_corrected_capture_is_told(drawn):
    sketch = asking()
    done = [{"method": "social-bias", "params": {}, "active": [], "notes": []}]
    failed = {"verified": True, "passed": False, "checks": []}
    found = choose([drawn(sketch, planted(sketch, 0), correction=done, check=failed)], ["x"])
    assert any(note.endswith("run.h5 was made under social-bias.") for note in found.notes)
    assert any(note.endswith("the self-check FAILED: do not trust its numbers.") for note in found.notes)


# ---- the heads file


def test_a_heads_file_comes_back_as_it_was(three, chosen, tmp_path):
    found = chosen
    found.write(tmp_path / "heads.json")
    again = headlist.read(tmp_path / "heads.json")
    assert again.model_dump() == found.model_dump()
    assert again.text == found.text and len(found.text.split(",")) == 3
    document = json.loads((tmp_path / "heads.json").read_text())
    assert (document["format"], document["version"], document["model"]["id"]) == ("attnscope heads", 1, "drawn/by-hand")
    assert (document["model"]["layers"], document["model"]["heads"]) == (8, 3)
    assert document["heads"][0]["effect"] is None
    assert document["captures"] == [str(cap.path) for cap in three]
    assert not list(tmp_path.glob("*.part"))


def test_a_heads_file_that_cannot_be_written(chosen, tmp_path):
    with pytest.raises(RequestError, match=re.escape("heads.txt: the name of a heads file ends in .json")):
        chosen.write(tmp_path / "heads.txt")
    with pytest.raises(RunError, match=r"gone/heads.json: cannot be written: No such file or directory"):
        chosen.write(tmp_path / "gone" / "heads.json")


BAD = {
    "model.config_sha256: is missing": lambda d: d["model"].pop("config_sha256"),
    "version: 2 is not one of 1": lambda d: d.update(version=2),
    'format: "tunes" is not one of': lambda d: d.update(format="tunes"),
    "heads: is empty": lambda d: d.update(heads=[]),
    'heads[1].layer: "7" is not a whole number': lambda d: d["heads"][1].update(layer="7"),
    "heads[0].layer: 8 is more than 7, the model's last": lambda d: d["heads"][0].update(layer=8),
    "heads[0].head: 3 is more than 2, the model's last": lambda d: d["heads"][0].update(head=3),
    "headz: is not a field of this format": lambda d: d.update(headz=[]),
}


@pytest.mark.parametrize("message", BAD)
def test_a_heads_file_that_is_wrong_is_one_line(chosen, tmp_path, message):
    document = chosen.model_dump()
    BAD[message](document)
    (tmp_path / "h.json").write_text(json.dumps(document))
    with pytest.raises(RequestError) as caught:
        headlist.read(tmp_path / "h.json")
    assert str(caught.value).startswith(f"{tmp_path / 'h.json'}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("id", "config", "same"),
    [
        ("drawn/by-hand", "0" * 64, True),
        ("drawn/by-hand", "1" * 64, False),
        ("drawn/otherwise", "0" * 64, False),
        ("/a/folder", "0" * 64, True),  # which may be a copy of it
        ("/a/folder", "1" * 64, False),
    ],
)
def test_heads_are_of_one_model(chosen, tmp_path, id, config, same):
    chosen.write(tmp_path / "h.json")
    found = headlist.read(tmp_path / "h.json")
    if same:
        found.check_model(id, config)
        return
    here = (
        f"--heads {tmp_path / 'h.json'}: model: the heads are of drawn/by-hand (config 000000000000), and the model is"
    )
    with pytest.raises(RequestError, match=re.escape(f"{here} {id} (config {config[:12]})")):
        found.check_model(id, config)
