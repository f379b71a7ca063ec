"""The seam on running decoders of real classes: nothing changes unless asked, and everything is restored."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    Gemma2Config,
    GptOssConfig,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
)

from attnscope.attention import add_bias, decoder_layers, dense_rows, tapped
from attnscope.errors import ModelError

SMALL = {
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def make_model(config_class, attn="sdpa", layers=3, **fields):
    torch.manual_seed(0)
    config = config_class(num_hidden_layers=layers, **SMALL, **fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attn).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, std=0.2)
    return model


MODELS = {
    "gqa": lambda: make_model(Qwen2Config),
    "eager": lambda: make_model(Qwen2Config, "eager"),
    "sliding": lambda: make_model(MistralConfig, sliding_window=8),
    "softcap": lambda: make_model(Gemma2Config, "eager", attn_logit_softcapping=2.0, sliding_window=8),
    "sink logits": lambda: make_model(GptOssConfig, "eager", num_local_experts=4, sliding_window=8),
}


class Spy:
    """A reader that keeps what it was given."""

    def __init__(self, groups=5):
        self.groups, self.calls = groups, []

    def channels(self, call):
        if call.is_decode:
            return None
        generator = torch.Generator().manual_seed(0)
        return torch.rand(1, 1, call.key.shape[2], self.groups, generator=generator)

    def read(self, call, readings):
        self.calls.append((call, readings))


class Bias:
    """An edit that draws every query to the first keys."""

    def __init__(self, strength, layers=(0, 1, 2)):
        self.strength, self.layers = strength, layers

    def __call__(self, call):
        if call.layer not in self.layers:
            return call
        batch, heads, n, _ = call.query.shape
        member = torch.zeros(batch, call.key.shape[2], 1)
        member[:, :3] = 1
        return add_bias(call, torch.full((batch, heads, n, 1), self.strength), member)


def inputs(batch=2, n=30, padding=7):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 100, (batch, n), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :padding] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("padding", [0, 7])
def test_reading_equals_dense_rows_and_does_not_touch(name, padding):
    model, batch, spy = MODELS[name](), inputs(padding=padding), Spy()
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        plain = model(**batch).logits
        with tapped(model, readers=[spy]):
            seen = model(**batch).logits
        again = model(**batch).logits
    assert torch.equal(plain, again)
    torch.testing.assert_close(seen[real], plain[real], atol=1e-4, rtol=0)
    assert [call.layer for call, _ in spy.calls] == [0, 1, 2]
    members = spy.channels(spy.calls[0][0])[0, 0]
    for call, readings in spy.calls:
        for sample in range(2):
            rows = real[sample].nonzero()[:, 0]
            dense = torch.cat([a for _, _, a, _ in dense_rows(call, sample, rows)], 1)
            torch.testing.assert_close(readings[sample, rows].transpose(0, 1), dense @ members, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_flex_attention_is_read_where_it_runs():
    model, spy = make_model(Qwen2Config, "flex_attention", layers=1), Spy(16)
    batch = inputs(batch=1, n=32, padding=0)
    with torch.no_grad():
        plain = model(**batch).logits
        with tapped(model, readers=[spy]):
            seen = model(**batch).logits
    torch.testing.assert_close(seen, plain, atol=1e-4, rtol=0)
    ((call, readings),) = spy.calls
    dense = torch.cat([a for _, _, a, _ in dense_rows(call, 0, torch.arange(32))], 1)
    torch.testing.assert_close(readings[0].transpose(0, 1), dense @ spy.channels(call)[0, 0], atol=1e-5, rtol=0)


def test_cached_decoding_gives_one_row_a_token():
    model, spy = MODELS["gqa"](), Spy()
    batch = {k: v[1:] for k, v in inputs().items()}
    plain = model.generate(**batch, max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=-1)
    with tapped(model, readers=[spy]):
        seen = model.generate(**batch, max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=-1)
    assert torch.equal(plain, seen)
    assert [c.key.shape[2] for c, _ in spy.calls if c.layer == 1] == [30, 31, 32, 33, 34]
    assert [c.is_decode for c, _ in spy.calls if c.layer == 1] == [False, True, True, True, True]


def test_only_chosen_layers_of_the_tapped_model_are_seen():
    one, other, spy = MODELS["gqa"](), MODELS["gqa"](), Spy()
    with torch.no_grad(), tapped(one, readers=[spy], layers=[1]):
        other(**inputs())
        assert spy.calls == []
        one(**inputs())
    assert [call.layer for call, _ in spy.calls] == [1]


def test_blocks_nest_and_the_reader_sees_every_edit():
    model, spy = MODELS["gqa"](), Spy()
    outer, inner = tapped(model, edits=[Bias(1.0)]), tapped(model, edits=[Bias(0.5)])
    with torch.no_grad(), outer, tapped(model, readers=[spy]), inner:
        nested = model(**inputs()).logits
    with torch.no_grad(), tapped(model, edits=[Bias(1.5)]):
        together = model(**inputs()).logits
    torch.testing.assert_close(nested, together, atol=1e-4, rtol=0)
    assert spy.calls[0][0].query.shape[-1] == 16 + 2


@pytest.mark.parametrize("attn", ["sdpa", "eager"])
def test_everything_is_restored_also_after_an_exception(attn):
    model = make_model(Qwen2Config, attn)
    registry = sys.modules[type(model.model.layers[0].self_attn).__module__].ALL_ATTENTION_FUNCTIONS
    local, config = dict(registry._local_mapping), model.config.to_dict()
    with torch.no_grad():
        plain = model(**inputs()).logits
        with pytest.raises(ZeroDivisionError), tapped(model, edits=[Bias(3.0)]), tapped(model, readers=[Spy()]):
            assert not torch.allclose(model(**inputs()).logits, plain)
            raise ZeroDivisionError
        assert torch.equal(model(**inputs()).logits, plain)
    assert registry._local_mapping == local
    assert model.config.to_dict() == config


def test_a_block_does_not_keep_the_model_alive():
    model = MODELS["gqa"]()
    with tapped(model, readers=[Spy()]):
        pass
    ref = weakref.ref(model)
    del model
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("strength", [0.7, -2.0, 6.0])
def test_bias_identity_through_a_running_model(strength):
    """One layer: the logits of the biased keys' mass move by exactly the bias."""
    model, before, after = make_model(Qwen2Config, layers=1), Spy(), Spy()
    batch = {k: v[1:] for k, v in inputs().items()}
    with torch.no_grad():
        with tapped(model, readers=[before]):
            model(**batch)
        with tapped(model, edits=[Bias(strength)]), tapped(model, readers=[after]):
            model(**batch)
    rows = torch.arange(4, 30)
    odds = []
    for spy in (before, after):
        attention = torch.cat([a for _, _, a, _ in dense_rows(spy.calls[0][0], 0, rows)], 1).double()
        odds.append(torch.log(attention[..., :3].sum(-1) / attention[..., 3:].sum(-1)))
    torch.testing.assert_close(odds[1], odds[0] + strength, atol=1e-4, rtol=0)


def test_zero_bias_changes_nothing_but_kernel_noise():
    model = MODELS["gqa"]()
    with torch.no_grad():
        plain = model(**inputs()).logits
        with tapped(model, edits=[Bias(0.0)]):
            biased = model(**inputs()).logits
    real = inputs()["attention_mask"].bool()
    torch.testing.assert_close(biased[real], plain[real], atol=1e-5, rtol=0)


def test_a_bias_under_a_softcap_is_refused():
    model = MODELS["softcap"]()
    refused = pytest.raises(ModelError, match=r"layer 0: this model caps its attention logits \(softcap 2.0\)")
    with refused, torch.no_grad(), tapped(model, edits=[Bias(1.0)]):
        model(**inputs())


def test_models_that_cannot_be_reached_are_refused_by_name():
    bart = BartForConditionalGeneration(
        BartConfig(vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                   decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16)
    )  # fmt: skip
    with pytest.raises(ModelError, match="BartForConditionalGeneration is an encoder-decoder model"), tapped(bart):
        pass
    mamba = AutoModelForCausalLM.from_config(
        MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4)
    )
    with pytest.raises(ModelError, match="MambaForCausalLM: attention cannot be reached"), tapped(mamba):
        pass
    with pytest.raises(ModelError, match="Linear is not a transformers model"), tapped(nn.Linear(2, 2)):
        pass


def test_decoder_layers_are_numbered_as_in_the_model():
    assert list(decoder_layers(MODELS["sliding"]())) == [0, 1, 2]
