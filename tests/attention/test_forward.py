"""The cache tells a prefill from decoding, whatever the shapes of a layer's queries and keys."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from transformers import (
    DynamicCache,
    Gemma3nTextConfig,
    Gemma4TextConfig,
    MistralConfig,
    Qwen2Config,
    Qwen2Model,
    StaticCache,
)

from attnscope.attention import dense_rows, tapped
from attnscope.errors import ModelError
from tests.attention.test_seam import Bias, Spy, make_model

IDS = torch.arange(1, 31)[None]
GREEDY = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": 4}
SHARED = {
    "layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "sliding_window": 8,
    "num_kv_shared_layers": 2,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 100,
}


class Look(Spy):
    """Reads channels in a prefill, and keeps what each call says of its forward pass."""

    def told(self, layer):
        return [(call.past, call.query.shape[2], call.is_decode) for call, _ in self.calls if call.layer == layer]


def decode(model, ids=IDS, **how):
    return model.generate(ids, **GREEDY | how, return_dict_in_generate=True, output_logits=True)


def shared_model(name, attn="sdpa", **fields):
    more = {"gemma4": {"global_head_dim": 16, "num_global_key_value_heads": 2}, "gemma3n": {"laurel_rank": 8}}[name]
    if name == "gemma3n":
        more |= {"activation_sparsity_pattern": [0.0] * 4, "altup_num_inputs": 2}
    config = {"gemma4": Gemma4TextConfig, "gemma3n": Gemma3nTextConfig}[name]
    return make_model(config, attn, **SHARED | more | fields)


@pytest.mark.parametrize("name", ["gemma4", "gemma3n"])
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
def test_layers_with_keys_of_others_are_read_in_full(name, attn):
    """Gemma 4 computes the last row only of such layers in generate's prefill: one query over many keys."""
    model, look = shared_model(name, attn), Look()
    plain = decode(model)
    with tapped(model, readers=[look]):
        seen = decode(model)
    assert torch.equal(plain.sequences, seen.sequences)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-4, rtol=0)
    n = IDS.shape[1]
    for layer in range(4):
        assert look.told(layer) == [(0, n, False), (n, 1, True), (n + 1, 1, True), (n + 2, 1, True)]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = model(IDS, output_attentions=True, use_cache=False).attentions
    for call, _ in look.calls[:4]:
        dense = torch.cat([a for _, _, a, _ in dense_rows(call, 0, torch.arange(n))], 1)
        torch.testing.assert_close(dense, maps[call.layer][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["gemma4", "gemma3n"])
def test_an_edit_of_layers_with_keys_of_others_is_cached_as_it_is_uncached(name):
    model, bias = shared_model(name, sliding_window=64), Bias(3.0, layers=(0, 1, 2, 3))
    with tapped(model, edits=[bias]):
        out = decode(model)
        with torch.no_grad():
            whole = model(out.sequences[:, :-1], use_cache=False).logits[0, IDS.shape[1] - 1 :]
    torch.testing.assert_close(torch.cat(out.logits), whole, atol=1e-4, rtol=0)
    with torch.no_grad():
        assert not torch.allclose(model(out.sequences[:, :-1], use_cache=False).logits[0, -1], whole[-1], atol=1e-2)


@pytest.mark.parametrize("length", [1, 2, 30])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("window", [None, 8])
def test_generate_with_any_cache_and_prompt(length, cache, window):
    """A static cache has all its places from the start; a prompt may be of a single token."""
    model = make_model(MistralConfig, sliding_window=window) if window else make_model(Qwen2Config)
    look, ids = Look(), IDS[:, :length]
    plain = decode(model, ids, cache_implementation=cache, disable_compile=True)
    with tapped(model, readers=[look], edits=[Bias(0.0)]):
        seen = decode(model, ids, cache_implementation=cache, disable_compile=True)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-4, rtol=0)
    expected = [(0, length, False), *((length + step, 1, True) for step in range(3))]
    assert all(look.told(layer) == expected for layer in range(3))


def test_a_prompt_in_chunks_and_several_tokens_at_once_follow_a_cache():
    model, look = make_model(Qwen2Config), Look()
    with tapped(model, readers=[look]), torch.no_grad():
        cache = DynamicCache(config=model.config)
        for part in (IDS[:, :20], IDS[:, 20:29], IDS[:, 29:]):
            model.model(input_ids=part, **{cache_name(): cache})
    assert look.told(2) == [(0, 20, False), (20, 9, True), (29, 1, True)]


def test_a_static_cache_that_is_reset_begins_again():
    model, look = make_model(Qwen2Config), Look()
    cache = StaticCache(config=model.config, max_cache_len=64)
    with tapped(model, readers=[look]), torch.no_grad():
        for _ in range(2):
            model(IDS, **{cache_name(): cache})
            cache.reset()
    assert look.told(0) == [(0, 30, False)] * 2


def test_a_layer_by_itself_is_a_prefill_if_no_key_is_older_than_its_queries():
    model, look = make_model(Qwen2Config), Look()
    block, states = model.model.layers[1], torch.randn(1, 5, 64)
    turned = model.model.rotary_emb(states, torch.arange(5)[None])
    with tapped(model, readers=[look]), torch.no_grad():
        block(states, position_embeddings=turned)
        assert look.told(1) == [(0, 5, False)]
        cache = DynamicCache(config=model.config)
        cache.update(torch.randn(1, 2, 7, 16), torch.randn(1, 2, 7, 16), 1)
        with pytest.raises(ModelError, match="layer 1: 5 queries meet 12 keys outside of a forward pass"):
            block(states, position_embeddings=turned, **{cache_name(): cache})


def test_a_cache_that_does_not_count_its_tokens_is_refused():
    class Silent:
        def update(self, key, value, *_args, **_kwargs):
            return key, value

        def get_mask_sizes(self, length, *_args):
            return length, 0

    model = make_model(Qwen2Config)
    decoder = model.model
    with (
        tapped(model, readers=[Look()]),
        pytest.raises(ModelError, match=r"its cache \(Silent\) does not say how many"),
    ):
        decoder(input_ids=IDS, **{cache_name(): Silent()})
    with tapped(model), torch.no_grad():  # a block that reads nothing asks for nothing
        assert decoder(input_ids=IDS).last_hidden_state.shape[1] == 30


def test_rows_that_a_model_leaves_out_are_refused():
    class Half(nn.Module):
        """A layer that hands on half of its rows, as later versions may."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, states, *args, position_embeddings, **kwargs):
            turned = tuple(part[:, 15:] for part in position_embeddings)
            return self.inner(states[:, 15:], *args, position_embeddings=turned, **kwargs)

    model = make_model(Qwen2Config)
    model.model.layers[2] = Half(model.model.layers[2])
    message = "layer 2: the model computes 15 of the 30 rows in this layer"
    with tapped(model, readers=[Look()]), pytest.raises(ModelError, match=message):
        model(IDS)


def cache_name():
    """What the installed transformers calls the cache."""
    names = inspect.signature(Qwen2Model.forward).parameters
    return next(name for name in ("cache", "past_key_values") if name in names)
