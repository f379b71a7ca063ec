"""What the seam refuses or restores when things go wrong around it."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

import pytest
import torch
from transformers import MllamaConfig, MllamaForConditionalGeneration, Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention

from attnscope.attention import add_bias, allowed_pairs, dense_rows, tapped
from attnscope.attention.seam import _patches
from attnscope.errors import ModelError
from tests.attention.test_channels import make_call
from tests.attention.test_seam import MODELS, SMALL, Bias, Spy, inputs, make_model


def registry(model):
    return sys.modules[type(model.model.layers[0].self_attn).__module__].ALL_ATTENTION_FUNCTIONS


def test_an_override_of_the_users_own_survives_a_block():
    model, calls = MODELS["gqa"](), []
    original = registry(model)["sdpa"]

    def counting(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    registry(model)["sdpa"] = counting
    try:
        with torch.no_grad(), tapped(model, readers=[Spy()]):
            model(**inputs())
        assert len(calls) == 3  # the block ran the user's function underneath
        assert registry(model)["sdpa"] is counting
    finally:
        del registry(model)["sdpa"]


def test_a_block_that_cannot_begin_leaves_nothing_behind():
    model = MODELS["gqa"]()
    del model.model.layers[2].self_attn.config
    with pytest.raises(ModelError, match="registry is not used by Qwen2Attention"), tapped(model, readers=[Spy()]):
        pass
    assert _patches == {} and registry(model)._local_mapping == {}


def test_changing_the_implementation_inside_a_block_is_no_silent_nothing():
    model = MODELS["gqa"]()
    refused = pytest.raises(ModelError, match="changed from sdpa to eager inside the block")
    with refused, tapped(model, edits=[Bias(3.0)]):
        model.set_attn_implementation("eager")
    assert _patches == {} and registry(model)._local_mapping == {}


def test_another_threads_calls_are_its_own():
    model, answers = MODELS["gqa"](), []

    def elsewhere():
        with torch.no_grad():
            answers.append(model(**inputs()).logits)

    with torch.no_grad():
        plain = model(**inputs()).logits
        with tapped(model, edits=[Bias(4.0)]):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            assert not torch.allclose(model(**inputs()).logits, plain, atol=1e-2)
    torch.testing.assert_close(answers[0], plain, atol=1e-6, rtol=0)


def test_cross_attention_decoders_are_refused_by_name():
    text = {k: v for k, v in SMALL.items() if k != "head_dim"}
    config = MllamaConfig(
        text_config=text | {"num_hidden_layers": 2, "cross_attention_layers": [1], "pad_token_id": 0},
        vision_config={"hidden_size": 32, "attention_heads": 2, "num_hidden_layers": 1, "num_global_layers": 1,
                       "intermediate_size": 32, "image_size": 28, "patch_size": 14, "intermediate_layers_indices": [0]},
    )  # fmt: skip
    model = MllamaForConditionalGeneration(config)
    with pytest.raises(ModelError, match=r"layer 1 is cross-attention \(MllamaTextCrossAttention\)"), tapped(model):
        pass


class UsersAttention(Qwen2Attention):
    """A subclass in another file that runs its parent's forward: the registry is that of the parent's file."""


def test_a_subclass_in_another_file_is_reached():
    model, spy = MODELS["gqa"](), Spy()
    model.model.layers[1].self_attn.__class__ = UsersAttention
    with torch.no_grad(), tapped(model, readers=[spy]):
        model(**inputs())
    assert [call.layer for call, _ in spy.calls] == [0, 1, 2]


def test_position_biases_are_refused():
    model = MODELS["gqa"]()
    bias = torch.zeros(2, 4, 30, 30)
    with pytest.raises(ModelError, match="adds a position bias"), torch.no_grad(), tapped(model, readers=[Spy()]):
        model(**inputs(), position_bias=bias)


def test_masks_that_cannot_be_reproduced_are_refused():
    rows = torch.arange(24)
    finite = torch.zeros(1, 1, 24, 24)
    finite[..., 3] = 0.5
    with pytest.raises(ModelError, match="adds finite biases"):
        allowed_pairs(make_call(mask=finite), 0, rows)
    with pytest.raises(ModelError, match="differs between heads"):
        allowed_pairs(make_call(mask=torch.ones(1, 4, 24, 24).bool()), 0, rows)
    with pytest.raises(ModelError, match="attention mask of type str is not supported"):
        allowed_pairs(make_call(mask="causal"), 0, rows)


def test_the_window_and_padding_of_flash_backends():
    """These backends state the window in a keyword and padding in a 2-D mask; nothing else says who sees whom."""
    call = replace(make_call(n=6, window=3, backend="flash_attention_2"), causal=True)
    expected = torch.tensor([[0 <= q - k < 3 for k in range(6)] for q in range(6)])
    assert torch.equal(allowed_pairs(call, 0, torch.arange(6)), expected)
    padding = torch.tensor([[0, 1, 1, 1, 1, 1]])
    padded = replace(call, mask=padding)
    assert torch.equal(allowed_pairs(padded, 0, torch.arange(6)), expected & padding.bool())
    step = replace(call, query=call.query[:, :, -1:], causal=False)  # one token over a cache of six keys
    assert allowed_pairs(step, 0, torch.zeros(1, dtype=torch.long)).tolist() == [[False] * 3 + [True] * 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_bias_is_exact_in_half_precision_too(dtype):
    """One channel would round a bias of 20 by up to 0.06; what rounding takes off has a channel of its own."""
    call = make_call(n=16)
    call = replace(call, query=call.query.to(dtype), key=call.key.to(dtype))
    table = 20 * torch.randn(1, 4, 16, 2, generator=torch.Generator().manual_seed(0))
    member = torch.zeros(1, 16, 2)
    member[0, :4, 0] = member[0, 4:8, 1] = 1
    plain = next(dense_rows(call, 0, torch.arange(16)))[1]
    biased = next(dense_rows(add_bias(call, table, member), 0, torch.arange(16)))[1]
    expected = plain + torch.einsum("hig,jg->hij", table[0], member[0])
    torch.testing.assert_close(biased, expected, atol=1e-3, rtol=0)


def test_a_model_of_another_kind_of_registry_entry_is_not_disturbed():
    """An eager and an sdpa model of one class, tapped together: each runs its own kernel."""
    one, two = make_model(Qwen2Config), make_model(Qwen2Config, "eager")
    with torch.no_grad():
        plain = [model(**inputs()).logits for model in (one, two)]
        with tapped(one, readers=[Spy()]), tapped(two, edits=[Bias(2.0)]):
            torch.testing.assert_close(one(**inputs()).logits, plain[0], atol=1e-4, rtol=0)
            assert not torch.allclose(two(**inputs()).logits, plain[1], atol=1e-2)
    assert _patches == {}
