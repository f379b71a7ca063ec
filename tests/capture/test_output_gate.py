"""Output gates of heads: Qwen3.5's against its own weights, and what is refused as no gate."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel

import attnscope
from attnscope.attention import decoder_layers, gated
from attnscope.attention.gates import read_gate
from attnscope.capture.check.validate import validate
from attnscope.capture.run import capture_prompts
from attnscope.correct import Knockout, bind
from attnscope.errors import RequestError
from attnscope.metrics import heads
from attnscope.metrics.choosing.ranking import choose
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer

TOKENS = 4
FULL = [1, 3]  # the layers with softmax attention


@pytest.fixture(scope="module")
def qwen(checkpoint, stage):
    loaded = attnscope.load(str(checkpoint("qwen3_5_moe")), dtype="float32")
    return loaded, make_prompt(loaded, stage)


@pytest.fixture(scope="module")
def cap(qwen, tmp_path_factory):
    loaded, prompt = qwen
    out = tmp_path_factory.mktemp("gated") / "run.h5"
    (cap,) = capture_prompts(loaded, [prompt], [out], plan=attnscope.Plan(), max_new_tokens=TOKENS)
    return cap


@contextmanager
def received(modules):
    """What some modules are called with, by number, while a model runs."""
    inputs = {}

    def keep(number):
        return lambda _module, args, kwargs: inputs.update({number: (args or tuple(kwargs.values()))[0]})

    hooks = [module.register_forward_pre_hook(keep(n), with_kwargs=True) for n, module in modules.items()]
    yield inputs
    for hook in hooks:
        hook.remove()


def by_hand(loaded, inputs):
    """Gates [H, P] of each layer from what its attention receives, with the weights of its query projection."""
    modules = {n: loaded.model.model.language_model.layers[n].self_attn for n in FULL}
    with torch.no_grad(), received(modules) as hidden:
        loaded.model(**inputs, use_cache=False)
    gates = {}
    for number, module in modules.items():
        weight = module.q_proj.weight.detach().double().numpy()  # [H * 2 * D, C]: each head's query, then its gate
        own = weight.reshape(4, 2, module.head_dim, -1)[:, 1]
        logits = np.einsum("nc,hdc->hnd", hidden[number][0].double().numpy(), own)
        gates[number] = (1 / (1 + np.exp(-logits))).mean(-1)
    return gates


def test_the_gate_of_every_head_and_query_is_that_of_the_weights(qwen, cap):
    loaded, prompt = qwen
    expected = by_hand(loaded, longer(prompt, [token["id"] for token in cap.answer["tokens"][:-1]]))
    gate = cap.stat("output_gate")
    assert cap.gated and gate.dims == ("layer", "head", "query") and cap.layers.tolist() == FULL
    for row, layer in enumerate(FULL):
        np.testing.assert_allclose(gate.values[row], expected[layer], atol=1e-5)
    assert np.ptp(gate.values) > 0.2
    assert cap.check["passed"] and not [w for w in cap.prompt["warnings"] if "output projection" in w]
    assert [str(problem) for problem in validate(cap.path)] == []


@pytest.mark.slow
def test_a_padded_batch_and_a_correction_leave_the_gate_as_it_is(qwen, cap, stage, tmp_path):
    """The gate follows from what the layer receives; in the first layer with attention nothing upstream is changed."""
    loaded, prompt = qwen
    scene = attnscope.Scene.read(stage)
    short = make_prompt(loaded, scene.model_copy(update={"transcript": scene.transcript[:1], "question": "Who?"}))
    cut = bind(loaded, [prompt, short], [Knockout(heads="1.0,1.2,3.1")])
    outs = [tmp_path / "long.h5", tmp_path / "short.h5"]
    captures = capture_prompts(loaded, [prompt, short], outs, max_new_tokens=2, corrections=cut)
    n = len(prompt.tokens)
    alone = cap.stat("output_gate").values[0, :, :n]
    np.testing.assert_allclose(captures[0].stat("output_gate").values[0, :, :n], alone, atol=1e-5)
    expected = by_hand(loaded, short.inputs)[FULL[0]]
    np.testing.assert_allclose(captures[1].stat("output_gate").values[0, :, : expected.shape[1]], expected, atol=1e-5)
    assert not any("output projection" in warning for one in captures for warning in one.prompt["warnings"])


@pytest.mark.slow
def test_half_precision_has_the_gate_too(checkpoint, stage, cap, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen3_5_moe")), dtype="bfloat16")
    (half,) = capture_prompts(loaded, [make_prompt(loaded, stage)], [tmp_path / "half.h5"], max_new_tokens=1)
    first = cap.stat("output_gate").values[0, :, : cap.prompt_length]  # what follows is not alike token by token
    np.testing.assert_allclose(half.stat("output_gate").values[0], first, atol=0.05)
    assert np.isfinite(half.stat("output_gate").values).all()


def test_what_is_changed_in_another_way_is_told_and_holds_no_gate(qwen, tmp_path):
    loaded, prompt = qwen
    outer = loaded.model.model.language_model.layers[3].self_attn.o_proj
    hook = outer.register_forward_pre_hook(lambda _module, args: (1.001 * args[0],), prepend=True)
    (other,) = capture_prompts(loaded, [prompt], [tmp_path / "other.h5"], max_new_tokens=1)
    hook.remove()
    gate = other.stat("output_gate").values
    assert np.isfinite(gate[0]).all() and np.isnan(gate[1]).all()
    (warning,) = [text for text in other.prompt["warnings"] if "output projection" in text]
    assert warning.startswith("layer 3: the model changes the heads' outputs before its output projection")
    assert [str(problem) for problem in validate(other.path)] == []


def test_a_model_without_gates_has_none(checkpoint, stage, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))
    (plain,) = capture_prompts(loaded, [make_prompt(loaded, stage)], [tmp_path / "plain.h5"], max_new_tokens=2)
    assert not plain.gated and not any("output projection" in text for text in plain.prompt["warnings"])
    with pytest.raises(
        RequestError, match="has no 'output_gate'; no gate on the outputs of this model's heads was read"
    ):
        plain.stat("output_gate")
    assert heads.output_gate(plain)["value"].isna().all()


@pytest.mark.parametrize("per_head", [True, False])
def test_a_gate_of_a_head_or_of_each_of_its_channels(per_head):
    """Step 3.7 has one logit a head, Hunyuan 4 one a channel, each in a projection of its own."""
    output, logits = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 1 if per_head else 4)
    received = (output * torch.sigmoid(logits)).flatten(2)
    gate, explained = read_gate(output, logits.flatten(2), received)
    assert explained.all()
    torch.testing.assert_close(gate, torch.sigmoid(logits).mean(-1))
    _, explained = read_gate(output, logits.flip(2).flatten(2), received)
    assert not explained.any()


def test_what_is_no_gate():
    output = torch.randn(1, 5, 3, 4)
    assert read_gate(output, None, output.flatten(2))[0] is None
    assert read_gate(output, None, output.flatten(2))[1].all()
    normed = nn.functional.rms_norm(output, (4,)).flatten(2)
    assert not read_gate(output, None, normed)[1].any()
    assert not read_gate(output, torch.randn(1, 5, 12), normed)[1].any()
    assert read_gate(output, torch.randn(1, 5, 7), output.flatten(2))[0] is None  # of another size: no gate
    assert not read_gate(output, None, output.flatten(2)[..., :6])[1].any()


def test_leaving_the_block_takes_the_hooks_away(qwen):
    loaded, prompt = qwen
    attention = loaded.model.model.language_model.layers[3].self_attn
    seen = []
    with torch.no_grad(), gated(loaded.model, lambda *read: seen.append(read), FULL):
        loaded.model(**prompt.inputs)
    assert [layer for layer, _, _ in seen] == FULL
    assert not attention.q_proj._forward_hooks and not attention.o_proj._forward_pre_hooks


def test_the_ranking_shows_the_gate_beside_the_value(cap):
    table = heads.output_gate(cap)
    gate = cap.stat("output_gate").values[..., cap.prompt_length - 1]
    np.testing.assert_allclose(table.loc[table["head"] >= 0, "value"], gate.ravel(), atol=1e-6)
    ranking = choose([cap], ["run"], "cross-mass", top=5)
    for head in ranking.heads:
        assert head.output_gate == pytest.approx(gate[FULL.index(head.layer), head.head], abs=1e-6)
    shut = sum(head.output_gate < 0.5 for head in ranking.heads)
    assert f"{shut} of these 5 heads let less than half of their output through" in " ".join(ranking.notes)


def test_a_gate_beyond_its_range_is_a_damaged_file(cap, tmp_path):
    path = tmp_path / "damaged.h5"
    shutil.copy(cap.path, path)
    with h5py.File(path, "r+") as file:
        file["stats/output_gate"][1, 2, 5] = 1.5
    assert any("layer 3 head 2 at [5]: 1.5 is not from 0 to 1" in str(problem) for problem in validate(path))


TEXT = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "head_dim": 16}
TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 2, "eos_token_id": 1, "bos_token_id": None}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_routed_experts": 4}
LATENT = {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12}
LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16}
LINEAR |= {"layer_types": ["linear_attention", "full_attention"] * 2, "linear_value_head_dim": 16}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sizes", "known"),
    [
        ("qwen3_next", EXPERTS | LINEAR | {"shared_expert_intermediate_size": 32}, True),
        ("afmoe", EXPERTS, True),
        ("hy_v4", EXPERTS | LATENT, True),
        ("muse_glimmer_text", {}, True),
        ("muse_spark_text", EXPERTS, False),  # a norm between the heads and the gate
    ],
)
def test_gates_of_other_decoders(kind, sizes, known):
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **TEXT | sizes)).float().eval()
    seen = []
    with torch.no_grad(), gated(model, lambda *read: seen.append(read), list(decoder_layers(model))):
        model(torch.randint(3, 90, (1, 20)))
    assert len(seen) == len(decoder_layers(model))
    for _, gate, explained in seen:
        assert gate.shape == (1, 20, 4) and bool(explained.all()) == known == bool(explained.any())
