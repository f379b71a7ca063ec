"""The gap that a capture measures after moda-calibrate is its target, head by head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attnscope
from attnscope.capture.run import capture_prompts
from attnscope.correct import bind
from attnscope.correct.moda import ModaCalibrate, ModaMask
from attnscope.correct.moda.calibrate import Rows, solve
from attnscope.metrics.modality import gap
from tests.capture.eager import make_prompt


@pytest.fixture(scope="module")
def measured(checkpoint, drawn, tmp_path_factory):
    """`measured(correction)`: gaps by (query, layer, head) of a capture under it (None: plain), and its record."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    prompt, folder = make_prompt(loaded, drawn), tmp_path_factory.mktemp("gaps")
    prompt.scene.options.clear()  # not to be scored
    known = {}

    def gaps(one, denominator="max"):
        if one not in known:
            running, out = bind(loaded, prompt, [one] if one else []), folder / f"{len(known)}.h5"
            plan = attnscope.Plan(masses=True, stats=False, maps=False)
            (cap,) = capture_prompts(loaded, [prompt], [out], plan=plan, max_new_tokens=1, corrections=running)
            with cap:
                known[one] = gap(cap), cap.correction[0] if one else None
        table, record = known[one]
        kept = (table["sinks"] == "with") & (table["denominator"] == denominator) & (table["layer"] >= 0)
        return table[kept].set_index(["query", "layer", "head"])["value"], record

    return gaps


@pytest.mark.parametrize(
    ("layer", "target", "denominator"), [(0, 0.1, "max"), (2, 0.97, "max"), (2, 0.5, "sum"), (0, 2.0, "self")]
)
def test_one_layer_meets_its_target(measured, layer, target, denominator):
    found, _ = measured(
        ModaCalibrate(target=target, change="both", denominator=denominator, layers=str(layer)), denominator
    )
    plain, _ = measured(None, denominator)
    heads = range(4)
    got = np.array([found["text", layer, h] for h in heads])
    before = np.array([plain["text", layer, h] for h in heads])
    np.testing.assert_allclose(got, target, atol=1e-3)
    assert np.abs(before - target).max() > 0.05
    for earlier in range(layer):
        assert found["text", earlier, 0] == pytest.approx(plain["text", earlier, 0], abs=1e-6)


def test_all_layers_meet_it_on_their_own_inputs(measured):
    found, record = measured(ModaCalibrate(target=0.3, queries="both", change="both"))
    for query in ("text", "visual"):
        for layer in range(4):
            for head in range(4):
                assert found[query, layer, head] == pytest.approx(0.3, abs=1e-3)
    assert record["active"] == [[layer, [0, 1, 2, 3]] for layer in range(4)]
    said = record["notes"]
    assert any("text rows: gap (over max) of 16 heads in 4 layers brought from" in note for note in said)
    assert not any("cannot reach" in note for note in said)


def test_a_target_out_of_reach_gives_the_nearest_gap_and_says_so(measured):
    plain, _ = measured(None)
    found, record = measured(ModaCalibrate(target=0.0, limit=0.05, layers="1"))
    (note,) = (note for note in record["notes"] if "cannot reach" in note)
    far = [h for h in range(4) if found["text", 1, h] > 1e-3]
    assert note.startswith(f"{len(far)} heads cannot reach the target and have the nearest gap (farthest ")
    assert all(found["text", 1, h] < plain["text", 1, h] for h in far)
    worst = max(found["text", 1, h] for h in far)
    assert float(note.split("farthest ")[1].rstrip(")")) == pytest.approx(worst, abs=2e-3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), target=st.floats(0, 0.99), denominator=st.sampled_from(["max", "sum", "self"]))
def test_the_smallest_constant_of_two(seed, target, denominator):
    """Against a fine scan: the gap is the target, and no smaller constant gives it."""
    rng = np.random.default_rng(seed)
    mass = rng.dirichlet([0.5, 0.5, 0.5], size=(3, 20))
    rows = Rows(*(torch.from_numpy(mass[..., k]) for k in range(3)), 40, 70)
    found = solve(rows, target, denominator, 20.0)
    scan = torch.linspace(-20, 20, 1601, dtype=torch.float64)
    signed = torch.stack([rows.signed_gap(c.expand(3), denominator) for c in scan])
    assert (signed.diff(dim=0) <= 1e-12).all()
    for head in range(3):
        c = abs(float(found.c[head]))
        assert abs(abs(float(found.after[head])) - target) < 1e-5 or not found.reached[head]
        inside = (scan.abs() < c - 0.03).numpy()
        sides = np.sign(signed[inside, head].abs().numpy() - target)
        assert len(set(sides.tolist()) - {0.0}) <= 1  # the target is not crossed before


def test_a_head_that_has_the_target_keeps_its_logits():
    rows = Rows(*(torch.tensor([[x]], dtype=torch.float64) for x in (0.4, 0.2, 0.4)), 1, 1)
    found = solve(rows, 0.5, "max", 20.0)
    assert found.c.tolist() == [0.0] and found.reached.all()


def test_unasked_no_head_gets_a_larger_gap(measured):
    """The target lies among the gaps of four heads: those above come down to it, the others keep theirs."""
    plain, _ = measured(None)
    before = np.array([plain["text", 0, head] for head in range(4)])
    target = float(np.median(before))
    found, record = measured(ModaCalibrate(target=target, layers="0"))
    after = np.array([found["text", 0, head] for head in range(4)])
    np.testing.assert_allclose(after, np.minimum(before, target), atol=1e-3)
    assert (before < target - 1e-3).any() and (before > target + 1e-3).any()
    assert any("with a gap at or below the target kept it" in note for note in record["notes"])
    assert record["cautions"] == []


def test_a_caution_where_the_gap_is_raised(measured):
    _, record = measured(ModaCalibrate(target=0.97, change="both", layers="0"))
    (said,) = [note for note in record["cautions"] if "meant to be lowered" in note]
    assert said.startswith("text rows: gap (over max) of 4 heads in 1 layers brought from")


def test_the_mask_says_which_way_the_gap_went(measured):
    """A gate of 0.9 gives the side with fewer keys far more for each; the default gives equal means per pair."""
    _, fixed = measured(ModaMask(gate=0.9))
    raised = [note for note in fixed["cautions"] if "the mask is meant to lower it" in note]
    assert any(note.startswith("the gap of text rows between the two sides, per pair, goes from") for note in raised)
    _, even = measured(ModaMask())
    gap = next(note for note in even["notes"] if note.startswith("the gap of text rows"))
    assert float(gap.split(" to ")[1].split(":")[0]) < 0.3
