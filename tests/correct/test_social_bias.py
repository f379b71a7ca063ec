"""Social-aware bias on running models against a dense reference that edits an explicit N x N matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnscope
from attnscope.attention import logits, tapped
from attnscope.capture.run import capture_prompts
from attnscope.correct import SocialBias, bind, corrected, make
from attnscope.errors import RequestError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import EVERYWHERE, longer, reference, run, whole_map
from tests.families import CORRECTED


@pytest.fixture(scope="module", params=CORRECTED)
def loaded(request, checkpoint):
    return attnscope.load(str(checkpoint(request.param)), dtype="float32")


@pytest.fixture(scope="module")
def prompt(loaded, stage):
    return make_prompt(loaded, stage)


def test_equals_an_explicit_edit_of_the_map_in_every_layer(loaded, prompt):
    settings = SocialBias(alpha=0.7, **EVERYWHERE)
    _, plain_calls = run(loaded, prompt.inputs, [])
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [settings]))
    changed = 0
    for layer, call in calls.items():
        expected, active = reference(call, prompt, settings)
        assert active.any()
        torch.testing.assert_close(whole_map(call), expected, atol=1e-4, rtol=0)
        changed += not torch.allclose(whole_map(call), whole_map(plain_calls[layer]), atol=1e-3)
    assert changed == len(calls)


def test_only_heads_over_the_threshold_are_touched(loaded, prompt):
    _, calls = run(loaded, prompt.inputs, [])
    first = calls[0]
    spoken = torch.tensor((prompt.tokens["turn"] >= 0).to_numpy())
    visual = torch.tensor(
        np.any([np.nan_to_num(prompt.tokens[f"covered:{s}"]) >= 0.5 for s in prompt.scene.speakers], axis=0)
    )
    means = whole_map(first)[:, spoken][..., visual].mean((1, 2))
    threshold = float(means.sort().values[1:3].mean())  # between the second and third of four heads
    running = bind(loaded, prompt, [SocialBias(threshold=threshold, layers="0")])
    _, after = run(loaded, prompt.inputs, running)
    expected = [h for h in range(len(means)) if means[h] > threshold]
    assert running[0].record()["active"] == [[0, expected]]
    assert 0 < len(expected) < len(means)
    quiet = [h for h in range(len(means)) if h not in expected]
    torch.testing.assert_close(whole_map(after[0])[quiet], whole_map(first)[quiet], atol=1e-6, rtol=0)


@pytest.mark.parametrize("settings", [SocialBias(alpha=0.0), SocialBias(threshold=0.999, layers="0.0-1.0")])
def test_zero_strength_or_no_active_head_is_the_plain_run(loaded, prompt, settings):
    plain, _ = run(loaded, prompt.inputs, [])
    corrected_logits, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [settings]))
    assert torch.equal(plain, corrected_logits)


def test_bias_identity_with_one_layer_of_the_running_model(loaded, prompt):
    """In the first biased layer the log odds of each turn's target cells move by exactly the bias."""
    running = bind(loaded, prompt, [SocialBias(alpha=1.0, threshold=0.0, layers="0")])
    _, before = run(loaded, prompt.inputs, [])
    _, after = run(loaded, prompt.inputs, running)
    drawn = running[0].targets[0]
    z = logits(before[0].query[0], before[0].key[0], scaling=before[0].scaling)
    old, new = whole_map(before[0]).double(), whole_map(after[0]).double()
    checked = 0
    for place, row in zip(drawn.rows.tolist(), drawn.group.tolist(), strict=True):
        if row < 0:
            torch.testing.assert_close(new[:, place], old[:, place], atol=1e-6, rtol=0)
            continue
        inside = drawn.cells[row]
        odds = [torch.log(a[:, place, inside].sum(-1) / a[:, place, ~inside].sum(-1)) for a in (old, new)]
        bias = z[:, place, drawn.visual].amax(-1).double()
        torch.testing.assert_close(odds[1], odds[0] + bias, atol=1e-4, rtol=0)
        checked += 1
    assert checked > 5


@pytest.mark.parametrize("negative", ["clamp", "gap"])
def test_variants_never_lower_a_speakers_own_cells(loaded, prompt, negative):
    running = bind(loaded, prompt, [SocialBias(threshold=0.0, layers="0", negative=negative)])
    drawn = running[0].targets[0]
    _, before = run(loaded, prompt.inputs, [])
    _, after = run(loaded, prompt.inputs, running)
    for place, row in zip(drawn.rows.tolist(), drawn.group.tolist(), strict=True):
        if row >= 0:
            inside = drawn.cells[row]
            gain = whole_map(after[0])[:, place, inside].sum(-1) - whole_map(before[0])[:, place, inside].sum(-1)
            assert gain.min() > -1e-6


def test_the_share_of_negative_rows_is_told(loaded, prompt):
    running = bind(loaded, prompt, [SocialBias(threshold=0.0, layers="0")])
    _, calls = run(loaded, prompt.inputs, running)
    z = logits(calls[0].query[0, ..., :16], calls[0].key[0, ..., :16], scaling=calls[0].scaling)
    drawn = running[0].targets[0]
    paired = drawn.rows[drawn.group >= 0]
    peaks = z[:, paired][..., drawn.visual].amax(-1)
    negative, rows = running[0].negative[0][0]
    assert (negative, rows) == (int((peaks < 0).sum()), peaks.numel())
    told = any("the largest logit is negative" in note for note in running[0].record()["notes"])
    assert told == (negative > 0)


def test_leaving_the_block_restores_the_model(loaded, prompt):
    with torch.no_grad():
        plain = loaded.model(**prompt.inputs).logits
        with corrected(loaded, prompt, [SocialBias(**EVERYWHERE)]):
            assert not torch.allclose(loaded.model(**prompt.inputs).logits, plain, atol=1e-3)
        assert torch.equal(loaded.model(**prompt.inputs).logits, plain)


def test_a_capture_under_a_correction_is_exact_and_says_what_was_done(loaded, prompt, tmp_path):
    running = bind(loaded, prompt, [SocialBias(**EVERYWHERE)])
    plan = attnscope.Plan(qk=True)
    (cap,) = capture_prompts(
        loaded, [prompt], [tmp_path / "after.h5"], plan=plan, max_new_tokens=4, corrections=running
    )
    _, calls = run(loaded, prompt.inputs, running)
    with cap:
        n = cap.prompt_length
        for layer in cap.layers:
            got = cap.attention(int(layer), queries=slice(0, n), keys=slice(0, n))
            np.testing.assert_allclose(got, whole_map(calls[int(layer)]), atol=1e-4)
        assert cap.check["passed"]
        (record,) = cap.correction
        assert record["method"] == "social-bias" and record["params"]["alpha"] == 1.0
        assert record["active"] == running[0].record()["active"]
        options = {o["text"]: o["logprob"] for o in cap.answer["options"]}
        assert set(options) == set(prompt.scene.options)


def test_option_log_probabilities_under_a_correction(loaded, prompt, tmp_path):
    """A two-token option is scored with the correction in force on the longer text too."""
    from attnscope.model import option_ids

    running = bind(loaded, prompt, [SocialBias(**EVERYWHERE)])
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "after.h5"], max_new_tokens=1, corrections=running)
    for option in cap.answer["options"]:
        ids = option_ids(loaded, prompt, option["text"])
        with torch.no_grad(), tapped(loaded.model, edits=bind(loaded, prompt, [SocialBias(**EVERYWHERE)])):
            out = torch.log_softmax(loaded.model(**longer(prompt, ids)).logits[0, -len(ids) - 1 : -1].float(), -1)
        expected = sum(float(out[i, token]) for i, token in enumerate(ids))
        assert option["logprob"] == pytest.approx(expected, abs=1e-3)
    cap.close()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"alpha": -1}, "social-bias.alpha=-1.0: must be a number of at least 0"),
        ({"alpha": float("nan")}, "social-bias.alpha=nan: must be a number between -1e+30 and 1e+30"),
        ({"threshold": 1.0}, "social-bias.threshold=1.0: must be in [0, 1)"),
        ({"coverage": 0}, "social-bias.coverage=0.0: must be in (0, 1]"),
        ({"negative": "drop"}, 'social-bias.negative="drop": choose from paper, clamp, gap'),
    ],
)
def test_parameters_out_of_range(fields, message):
    with pytest.raises(RequestError) as caught:
        make("social-bias", **fields)
    assert str(caught.value) == message


def test_scenes_without_boxes_or_words_are_refused(loaded, stage):
    scene = Scene.read(stage)
    bare = scene.model_copy(update={"speakers": {}})
    with pytest.raises(RequestError, match="social-bias needs speakers with boxes, and the scene has none"):
        bind(loaded, make_prompt(loaded, bare), [SocialBias()])
    silent = scene.model_copy(update={"transcript": []})
    with pytest.raises(RequestError, match="social-bias needs a speaker with words and a box"):
        bind(loaded, make_prompt(loaded, silent), [SocialBias()])


def test_another_prompt_than_the_bound_one_is_refused(loaded, prompt, stage):
    other = make_prompt(loaded, Scene.read(stage).model_copy(update={"transcript": [], "question": "Who?"}))
    refused = pytest.raises(RequestError, match="were bound to one prompt of")
    with refused, torch.no_grad(), corrected(loaded, prompt, [SocialBias(**EVERYWHERE)]):
        loaded.model(**other.inputs)
