"""Which cells count as whose: windows, cells of several people, other cells to compare with, and worse boxes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attnscope
from attnscope.correct import SocialBias, bind, make
from attnscope.correct.cells import elsewhere
from attnscope.correct.controls.boxes import worse_boxes
from attnscope.errors import NotApplicableError, RequestError
from attnscope.scene import Scene, scene_boxes
from tests.capture.eager import make_prompt
from tests.correct.by_hand import EVERYWHERE, own_cells, reference, run, targets, whole_map
from tests.families import CORRECTED

ADA = "What does Ada hold?"
ALL = {"rows": "utterances,question,answer"}


@pytest.fixture(scope="module", params=CORRECTED)
def loaded(request, checkpoint):
    return attnscope.load(str(checkpoint(request.param)), dtype="float32")


@pytest.fixture(scope="module")
def crowded(drawn):
    """The shared clip, where Ben's box reaches over half of Ada's."""
    data = Scene.read(drawn).to_dict()
    for segment in data["speakers"]["Ben"]["segments"]:
        for keyframe in segment["keyframes"]:
            keyframe["xyxy"] = [90.0, *keyframe["xyxy"][1:]]
    return Scene.from_dict(data).model_copy(update={"question": ADA})


@pytest.fixture(scope="module")
def prompt(loaded, crowded):
    return make_prompt(loaded, crowded)


@pytest.fixture(scope="module")
def one(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def apart(one, drawn):
    """The shared clip as it is: two people beside each other."""
    return make_prompt(one, Scene.read(drawn).model_copy(update={"question": ADA}))


def random_cells(prompt, bias):
    cells, _ = own_cells(prompt, SocialBias(overlap=bias.overlap))
    n = len(prompt.tokens)
    inside = {name: np.isin(np.arange(n), own) for name, own in cells.items()}
    return {name: np.flatnonzero(elsewhere(prompt, bias.seed, name, own)).tolist() for name, own in inside.items()}


CASES = {
    "window": ({"window": 1.4}, ["Ada"]),
    "nobody's": ({"overlap": "none"}, ["Ada"]),
    "other": ({"whose": "other", "overlap": "none"}, ["Ada"]),
    "everyone": ({"whose": "everyone", "window": 0.9}, ["Ada"]),
    "visual": ({"whose": "visual"}, ["Ada"]),
    "random": ({"whose": "random", "seed": 3}, ["Ada"]),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_an_explicit_edit_of_the_map(loaded, prompt, case):
    fields, names = CASES[case]
    bias = SocialBias(alpha=0.7, negative="gap", **EVERYWHERE | ALL | fields)
    instead = random_cells(prompt, bias) if case == "random" else None
    plain, _ = targets(prompt, SocialBias(**ALL), names)
    assert targets(prompt, bias, names, instead)[0] != plain
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [bias]))
    for call in calls.values():
        expected, active = reference(call, prompt, bias, names, instead)
        assert active.any()
        torch.testing.assert_close(whole_map(call), expected, atol=1e-4, rtol=0)


def test_neutral_values_are_the_correction_without_them(one, apart):
    """Bit for bit: a window of 0, shared cells for all, own cells, true boxes, and any seed."""
    fields = {"window": 0.0, "overlap": "all", "whose": "own", "seed": 7, "lowest": False, "by": "active"}
    for base in ({}, {"negative": "clamp", **EVERYWHERE}, {"strength": "constant", "heads": "1.0,2.3", **ALL}):
        was, _ = run(one, apart.inputs, bind(one, apart, [SocialBias(**base)]))
        now, _ = run(one, apart.inputs, bind(one, apart, [SocialBias(**base | fields)]))
        assert torch.equal(was, now)


def test_a_random_place_is_as_many_cells_of_the_same_shape_in_each_frame(loaded, drawn):
    prompt = make_prompt(loaded, Scene.read(drawn).model_copy(update={"question": ADA}))
    spot = prompt.tokens[["frame_first", "grid_y", "grid_x"]].to_numpy()
    cells, _ = own_cells(prompt, SocialBias())
    places = set()
    for seed in range(12):
        running = bind(loaded, prompt, [SocialBias(rows="answer", toward="random", seed=seed)])
        drawn_to = running[0].targets[0].cells[running[0].targets[0].answer].nonzero()[:, 0].tolist()
        (step,) = {tuple(to - at) for at, to in zip(spot[cells["Ada"]], spot[drawn_to], strict=True)}
        assert step[0] == 0 and step[1:] != (0, 0)
        assert not set(drawn_to) & set(cells["Ada"])
        again = bind(loaded, prompt, [SocialBias(rows="answer", toward="random", seed=seed)])
        assert torch.equal(again[0].targets[0].cells, running[0].targets[0].cells)
        places.add(step)
    assert len(places) > 2


def test_a_random_place_of_a_box_too_large_to_leave_says_how_much_is_the_same(one, drawn):
    data = Scene.read(drawn).to_dict()
    for keyframe in data["speakers"]["Ada"]["segments"][0]["keyframes"]:
        keyframe["xyxy"] = [0.0, 0.0, 290.0, 180.0]
    prompt = make_prompt(one, Scene.from_dict(data).model_copy(update={"question": ADA}))
    running = bind(one, prompt, [SocialBias(rows="answer", toward="random")])
    own = set(own_cells(prompt, SocialBias())[0]["Ada"])
    found = set(running[0].targets[0].cells[0].nonzero()[:, 0].tolist())
    assert len(found) == len(own) and found & own and found != own
    told = f"as many cells as Ada's at a random place (seed 0; {len(found & own)} of {len(own)} cells are the speaker's"
    assert told in running[0].record()["notes"][1]


def test_shares_are_measured(one, crowded):
    scene = crowded.model_copy(update={"transcript": [*crowded.transcript[:3], crowded.transcript[3]]})
    turns = [turn if n else turn.model_copy(update={"speaker": "Eve"}) for n, turn in enumerate(scene.transcript)]
    prompt = make_prompt(one, scene.model_copy(update={"transcript": turns}))
    pairs, _ = targets(prompt, SocialBias())
    unseen, wanted = [i for i, inside in pairs.items() if not inside], {j for inside in pairs.values() for j in inside}
    _, boxed = own_cells(prompt, SocialBias())
    both = wanted & set(boxed["Ada"]) & set(boxed["Ben"])
    assert 0 < len(unseen) < len(pairs) and 0 < len(both) < len(wanted)
    for overlap, done in (("all", "drawn to for each of them"), ("none", "left out")):
        running = bind(one, prompt, [SocialBias(overlap=overlap)])
        assert running[0].record()["notes"][2:] == [
            f"{len(unseen) / len(pairs):.1%} of {len(pairs)} utterance tokens have no cell of their speaker to be drawn"
            " to while they are said",
            f"{len(both) / len(wanted):.1%} of {len(wanted)} target cells are in the boxes of several speakers"
            f" ({done})",
        ]
        got = running[0].targets[0].cells.any(0).nonzero()[:, 0].tolist()
        assert set(got) == (wanted - both if overlap == "none" else wanted)


def test_rows_that_a_window_keeps_from_their_cells_are_counted(drawn, tmp_path):
    from tests.families.llava import build_sliding

    model = attnscope.load(str(build_sliding(tmp_path / "model", window=100)), dtype="float32")
    prompt = make_prompt(model, drawn)
    running = bind(model, prompt, [SocialBias(**EVERYWHERE)])
    _, calls = run(model, prompt.inputs, running)
    pairs = {i: inside for i, inside in targets(prompt, SocialBias())[0].items() if inside}
    most = 0
    for call in calls.values():
        window = call.window or len(prompt.tokens)
        hidden = sum(all(j <= i - window for j in inside) for i, inside in pairs.items())
        assert running[0].blind[0][call.layer] == hidden
        most = max(most, hidden)
    assert 0 < most < len(pairs)
    (told,) = [note for note in running[0].record()["notes"] if "see none of the cells" in note]
    assert told.startswith(f"{most / len(pairs):.1%} of {len(pairs)} rows see none of the cells they are drawn to")


def test_worse_boxes_are_the_corrections_alone(one, apart):
    """The token table, from which metrics are made, keeps the true boxes."""
    before, exact = apart.tokens.copy(), bind(one, apart, [SocialBias(**ALL)])[0].targets[0]
    for fields in ({"box_jitter": 0.3}, {"box_shift": 0.6}, {"box_drop": 0.5, "seed": 1}):
        running = bind(one, apart, [SocialBias(**ALL | fields)])
        again = bind(one, apart, [SocialBias(**ALL | fields)])[0].targets[0]
        assert not torch.equal(running[0].targets[0].visual, exact.visual)
        assert torch.equal(running[0].targets[0].visual, again.visual)
        assert any(note.startswith("boxes worse than they are") for note in running[0].record()["notes"])
    assert apart.tokens.equals(before)


def test_moved_boxes_keep_their_size_and_path(apart):
    true = scene_boxes(apart.scene, apart.frames).xyxy
    side = (true[..., 2:] - true[..., :2]).mean(1)  # [S, 2]
    steps = []
    for seed in range(5):
        moved = worse_boxes(apart, 0.0, 0.1, 0.0, seed)
        step = (moved - true).reshape(len(true), -1, 2)
        inside = (moved[..., :2] > 0).all((1, 2)) & (moved[..., 2:] < [apart.frames.width, apart.frames.height]).all(
            (1, 2)
        )
        for row in np.flatnonzero(inside):
            np.testing.assert_allclose(step[row], np.broadcast_to(step[row, 0], step[row].shape), atol=1e-3)
            assert np.hypot(*(step[row, 0] / side[row])) == pytest.approx(0.1, abs=1e-4)
            steps.append(tuple(step[row, 0].round(3)))
    assert len(steps) > 3 and len(set(steps)) == len(steps)


def test_missing_boxes_leave_the_others_as_they_are(apart):
    true = scene_boxes(apart.scene, apart.frames).xyxy
    lost = 0
    for seed in range(20):
        left = worse_boxes(apart, 0.0, 0.0, 0.25, seed)
        there = np.isfinite(left[..., 0])
        np.testing.assert_array_equal(left[there], true[there])
        lost += int((~there).sum())
    assert 0.15 < lost / (20 * true[..., 0].size) < 0.35


def test_no_box_left_is_not_applicable(one, apart):
    for rows, message in (("utterances", "needs a speaker with words and a box"), ("answer", "no box covers one")):
        with pytest.raises(NotApplicableError, match=message):
            bind(one, apart, [SocialBias(rows=rows, box_drop=1.0)])


def test_nobody_else_is_not_applicable(one, drawn):
    scene = Scene.read(drawn)
    alone = make_prompt(one, scene.model_copy(update={"speakers": {"Ada": scene.speakers["Ada"]}}))
    with pytest.raises(NotApplicableError, match='whose="other": needs a speaker with a visible box beside Ada, and'):
        bind(one, alone, [SocialBias(whose="other")])


def test_nothing_of_ones_own_is_not_applicable(one, drawn):
    scene = Scene.read(drawn)
    same = make_prompt(
        one,
        scene.model_copy(update={"speakers": dict.fromkeys(("Ada", "Ben"), scene.speakers["Ada"]), "question": ADA}),
    )
    with pytest.raises(NotApplicableError, match="drawn to Ada, whose cells are all in others' boxes too"):
        bind(one, same, [SocialBias(rows="answer", overlap="none")])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": -1.0}, "social-bias.window=-1.0: must be a number of at least 0"),
        ({"window": 1.0, "rows": "answer"}, 'social-bias.window=1.0: is about utterances, and rows is "answer"'),
        ({"overlap": "some"}, 'social-bias.overlap="some": choose from all, none'),
        ({"whose": "mine"}, 'social-bias.whose="mine": choose from own, other, everyone, visual, random'),
        ({"box_jitter": float("inf")}, "social-bias.box_jitter=inf: must be a number between -1e+30 and 1e+30"),
        ({"box_shift": -0.1}, "social-bias.box_shift=-0.1: must be a number of at least 0"),
        ({"box_drop": 1.1}, "social-bias.box_drop=1.1: must be in [0, 1]"),
        ({"seed": -1}, "social-bias.seed=-1: must be a number of at least 0"),
        (
            {"rows": "answer", "toward": "everyone", "whose": "other"},
            'social-bias.whose="other": toward="everyone" says otherwise for the answer; give one',
        ),
    ],
)
def test_parameters_out_of_range(fields, message):
    with pytest.raises(RequestError) as caught:
        make("social-bias", **fields)
    assert str(caught.value) == message


@given(
    box=st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 6), st.integers(1, 7)),
    frames=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_a_random_place_keeps_as_far_away_as_the_grid_allows(apart, box, frames, seed):
    """On a grid of 6 x 7 cells a frame, by trying every step."""
    view, y, x = (axis.ravel() for axis in np.mgrid[:frames, :6, :7])
    table = {"modality": "visual", "x0": 0.0, "grid_y": y, "grid_x": x}
    prompt = replace(apart, tokens=pd.DataFrame(table))
    top, left, height, width = box
    cells = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    found = elsewhere(prompt, seed, "Ada", cells)
    near = []
    for dy, dx in product(range(-6, 7), range(-7, 8)):
        to = {(v, a + dy, b + dx) for v, a, b in zip(view[cells], y[cells], x[cells], strict=True)}
        if all(0 <= a < 6 and 0 <= b < 7 for _, a, b in to):
            near.append(len(to & set(zip(view[cells], y[cells], x[cells], strict=True))))
    assert found.sum() == cells.sum()
    assert (found & cells).sum() == min(near)
    for frame in range(frames):
        assert (found & (view == frame)).sum() == (cells & (view == frame)).sum()
