"""The reading `hidden`: by hand, against numpy's own decomposition, and against transformers' hidden states."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from accelerate import dispatch_model
from hypothesis import given, settings
from hypothesis import strategies as st

import attnscope
from attnscope.attention import decoder_blocks, streamed
from attnscope.capture.check.validate import validate
from attnscope.capture.plan import Shape
from attnscope.capture.record import hidden
from attnscope.capture.run import capture_prompts
from attnscope.errors import ModelError, RequestError, RunError
from tests.capture.eager import make_prompt

PLAN = attnscope.Plan.parse("masses,hidden")
NAMES = ("massive", "residual", "singular_values")


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")))


def everything(rows):
    return torch.arange(len(rows))


def truth(states, groups):
    """The three numbers of states [L, N, D] after their definitions, in float64."""
    with np.errstate(invalid="ignore"):  # the embedding of a padding token may be 0
        massive = np.array([[max(abs(c) for c in x) / np.sqrt(np.mean(x**2)) for x in state] for state in states])
    residual = np.full((len(states), len(groups)), np.nan)
    values = np.full((len(states), len(groups), min(states.shape[1:])), np.nan)
    for s, state in enumerate(states):
        for g, group in enumerate(groups):
            x = state[group]
            residual[s, g] = np.linalg.norm(x - np.ones((len(x), 1)) * x.mean(0)) / np.linalg.norm(x)
            values[s, g, : min(x.shape)] = np.linalg.svd(x, compute_uv=False)
    return massive, residual, values


def groups_of(prompt):
    modality = prompt.tokens["modality"].to_numpy()
    return [np.ones(len(modality), bool), modality == "text", modality == "visual"]


def hidden_states(folder, prompt):
    """What transformers itself returns; without the last norm, so that its last state is what leaves the last layer."""
    model = attnscope.load(str(folder)).model
    model.get_decoder().norm = torch.nn.Identity()
    with torch.no_grad():
        out = model(**prompt.inputs, output_hidden_states=True, use_cache=False)
    return np.stack([state[0].double().numpy() for state in out.hidden_states])


def assert_is(cap, states, prompt, atol=1e-4):
    for name, expected in zip(NAMES, truth(states, groups_of(prompt)), strict=True):
        found = cap.hidden(name).values
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=atol, atol=atol * np.nanmax(expected), err_msg=name)


def test_by_hand():
    rows = torch.tensor([[3.0, 4.0, 0.0, 0.0], [1.0, -1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    ratios = hidden.massive_ratio(rows).tolist()
    assert ratios[:2] == pytest.approx([4 / 2.5, 1.0])  # sqrt((9 + 16) / 4) = 2.5
    assert np.isnan(ratios[2])
    x = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    # the mean is (1.5, 2); four numbers are 1.5 and 2 away from it, each twice: 2 * (2.25 + 4) of 9 + 16
    assert hidden.residual_of(x, everything(x)) == (pytest.approx(np.sqrt(12.5 / 25)), 25.0)
    assert hidden.singular_values(x, everything(x)).tolist() == pytest.approx([4, 3])


def test_equal_rows_are_of_rank_one():
    rows = torch.tensor([[1.0, 2.0, -4.0]]).repeat(7, 1)
    for some in (rows, rows[:2]):  # more rows than channels, and fewer
        assert hidden.residual_of(some, everything(some))[0] == pytest.approx(0, abs=1e-12)
        values = hidden.singular_values(some, everything(some))
        assert values[0] == pytest.approx(np.sqrt(21 * len(some)))
        assert values[1:].tolist() == [0] * (min(some.shape) - 1)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 12), width=st.integers(1, 9), seed=st.integers(0, 999), step=st.integers(1, 5))
def test_numbers_are_numpys_whatever_the_chunks(n, width, seed, step):
    """Permuting the tokens and chunking them change nothing; a factor scales the singular values alone."""
    rng = np.random.default_rng(seed)
    states = rng.normal(0.5, 1, (1, n, width))
    massive, residual, values = truth(states, [np.ones(n, bool)])
    order = rng.permutation(n)
    rows, index = torch.from_numpy(states[0]) * 8, torch.from_numpy(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hidden, "_step", lambda _rows: step)
        np.testing.assert_allclose(hidden.massive_ratio(rows), massive[0], rtol=1e-5)
        assert hidden.residual_of(rows, index)[0] == pytest.approx(residual[0, 0], abs=1e-7)
        np.testing.assert_allclose(hidden.singular_values(rows, index) / 8, values[0, 0], atol=1e-6 * values.max())


def test_nothing_is_defined_of_no_tokens_zeros_and_infinity():
    none, some = torch.zeros(0, dtype=torch.long), torch.arange(2)
    zeros, endless = torch.zeros(2, 3), torch.tensor([[1.0, 2.0], [torch.inf, 1.0]])
    assert np.isnan(hidden.residual_of(zeros, none)[0]) and len(hidden.singular_values(zeros, none)) == 0
    assert np.isnan(hidden.residual_of(zeros, some)[0]) and hidden.singular_values(zeros, some).tolist() == [0, 0]
    assert np.isnan(hidden.residual_of(endless, some)[0])
    assert hidden.singular_values(endless, some).isnan().all()
    huge = torch.tensor([[3e38, 0.0, 0.0, 0.0]])  # its square is no float32
    assert hidden.massive_ratio(huge).tolist() == pytest.approx([2.0])


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava_onevision", "gemma3"])
def test_a_capture_is_transformers_own_hidden_states(name, checkpoint, stage, tmp_path):
    folder = checkpoint(name)
    loaded = attnscope.load(str(folder))
    prompt = make_prompt(loaded, stage)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=PLAN, max_new_tokens=3)
    with cap:
        assert cap.readings == ["masses", "hidden"] and len(cap.tokens) == cap.prompt_length + 2
        assert_is(cap, hidden_states(folder, prompt), prompt)
        checks = {check["name"]: check for check in cap.check["checks"]}
        assert cap.check["passed"]
        assert checks["logits unchanged by recording"]["value"] <= 1e-5
        assert checks["singular values keep the norm of the hidden states"]["value"] < 1e-9
        assert validate(cap.path) == []
        assert cap.hidden_width == loaded.text_config.hidden_size


def test_what_is_added_between_two_layers_is_seen(checkpoint, stage, tmp_path):
    """Qwen3-VL adds deep visual features to what leaves its first layer: the second receives the sum."""
    loaded = attnscope.load(str(checkpoint("qwen3_vl")))
    prompt = make_prompt(loaded, stage)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=PLAN, max_new_tokens=1)
    decoder = loaded.model.get_decoder()
    received = []
    norms = [block.input_layernorm for block in decoder.layers] + [decoder.norm]
    undo = [norm.register_forward_pre_hook(lambda _m, args: received.append(args[0])) for norm in norms]
    with torch.no_grad():
        loaded.model(**prompt.inputs, use_cache=False)
    for handle in undo:
        handle.remove()
    with cap:
        assert_is(cap, np.stack([state[0].double().numpy() for state in received]), prompt)


def test_a_padded_batch_of_some_layers_equals_single_captures(loaded, checkpoint, stage, tmp_path):
    scene = attnscope.Scene.read(stage)
    short = scene.model_copy(update={"transcript": scene.transcript[:1], "question": "Who?"})
    prompts = [make_prompt(loaded, s) for s in (scene, short)]
    plan = attnscope.Plan(masses=False, maps=False, stats=False, hidden=True, layers="1-2")
    outs = [tmp_path / "long.h5", tmp_path / "short.h5"]
    for cap, prompt in zip(capture_prompts(loaded, prompts, outs, plan=plan), prompts, strict=True):
        with cap:
            assert_is(cap, hidden_states(checkpoint("qwen2_5_vl"), prompt)[[1, 2, 4]], prompt)
            assert cap.hidden("residual")["layer"].values.tolist() == [1, 2, 4]
            assert validate(cap.path) == []


def test_a_model_split_by_accelerate(loaded, checkpoint, stage, tmp_path):
    prompt = make_prompt(loaded, stage)
    split = attnscope.load(str(checkpoint("qwen2_5_vl")))
    places = {f"model.language_model.layers.{i}": "disk" if i % 2 else "cpu" for i in range(4)}
    places |= dict.fromkeys(["model.visual", "lm_head"], "cpu")
    places |= {f"model.language_model.{part}": "cpu" for part in ("embed_tokens", "norm", "rotary_emb")}
    split.model = dispatch_model(split.model, places, main_device="cpu", offload_dir=tmp_path / "offload")
    (cap,) = capture_prompts(split, [prompt], [tmp_path / "run.h5"], plan=PLAN, max_new_tokens=2)
    with cap:
        assert cap.check["passed"]
        assert_is(cap, hidden_states(checkpoint("qwen2_5_vl"), prompt), prompt)


def test_half_precision_is_summed_up_exactly(checkpoint, stage, tmp_path):
    """Against the bfloat16 states themselves, which a block of our own looks at."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="bfloat16")
    prompt = make_prompt(loaded, stage)
    seen = {}
    with streamed(loaded.model, seen.__setitem__), torch.no_grad():
        loaded.model(**prompt.inputs, use_cache=False)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=PLAN, max_new_tokens=1)
    with cap:
        assert cap.check["passed"]
        assert_is(cap, np.stack([seen[layer][0].double().numpy() for layer in range(5)]), prompt, 1e-2)


def test_parts_of_the_reading(loaded, stage, tmp_path):
    prompt = make_prompt(loaded, stage)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=PLAN, max_new_tokens=2)
    with cap:
        values = cap.hidden("singular_values", [4, 0])
        assert values.dims == ("layer", "group", "component")
        assert values["layer"].values.tolist() == [4, 0]
        assert values["group"].values.tolist() == ["all", "text", "visual"]
        np.testing.assert_array_equal(cap.hidden("massive", 2).values, cap.hidden("massive").values[2])
        assert cap.hidden("massive", 2).dims == ("key",) and len(cap.hidden("massive", 2)) == cap.prompt_length
        with pytest.raises(RequestError, match="layer 5 is not in the capture; it has layers 0-4"):
            cap.hidden("residual", 5)
        with pytest.raises(
            RequestError, match="'rank' is nothing of hidden; it has massive, residual, singular_values"
        ):
            cap.hidden("rank")


def test_the_told_size_is_what_is_stored(loaded, stage, tmp_path):
    prompt = make_prompt(loaded, stage)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=PLAN, max_new_tokens=2)
    with cap:
        shape = Shape(4, cap.heads, 2, 16, len(cap.tokens), 1, 1, 1, 4, cap.prompt_length, cap.hidden_width)
        assert PLAN.sizes(shape)["hidden"] == sum(cap._store.file[f"hidden/{name}"].nbytes for name in NAMES)
    # 28 layers of 8192 tokens and 3584 channels: 29 x (8192 + 3 x 3585) numbers of 4 bytes
    large = Shape(28, 28, 4, 128, 8192, 300, 30, 20, 2, 8192, 3584)
    assert PLAN.sizes(large)["hidden"] == 29 * (8192 + 3 * 3585) * 4


def test_the_hooks_are_taken_away_and_other_threads_are_not_seen(loaded, stage):
    inputs = make_prompt(loaded, stage).inputs
    seen = []

    def run():
        with torch.no_grad():
            loaded.model(**inputs, use_cache=False)

    with pytest.raises(ZeroDivisionError), streamed(loaded.model, lambda layer, _: seen.append(layer), [1]):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert seen == []
        run()
        raise ZeroDivisionError
    run()
    assert seen == [1, 4]
    assert all(not b._forward_pre_hooks and not b._forward_hooks for b in decoder_blocks(loaded.model))


def test_a_decoder_that_cannot_be_followed_is_refused(checkpoint, stage, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))
    prompt = make_prompt(loaded, stage)
    decoder = loaded.model.get_decoder()
    first, second, *rest = decoder.layers
    decoder.layers = torch.nn.ModuleList([second, first, *rest])
    with pytest.raises(ModelError, match="not one list of 4"):
        capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=PLAN)
    decoder.layers = torch.nn.ModuleList([first, second, *rest])
    with (
        pytest.raises(
            ModelError, match=r"at layer 4 there is not one vector for each token, but a tensor of shape \(2"
        ),
        streamed(loaded.model, lambda *_: None, []),
    ):
        rest[-1].forward = lambda *_, **__: torch.zeros(2, 1, 3, 64)
        loaded.model(**prompt.inputs, use_cache=False)
    assert list(tmp_path.iterdir()) == []


def test_states_that_were_not_seen_are_no_silent_gap(loaded, stage, tmp_path, monkeypatch):
    monkeypatch.setattr(hidden.HiddenRecorder, "__call__", lambda self, layer, _: self.seen.add(layer % 4))
    with pytest.raises(RunError, match="the hidden states at layer 4 were not seen"):
        attnscope.capture(loaded, stage, tmp_path / "run.h5", plan=PLAN)
    assert list(tmp_path.iterdir()) == []
