"""What attnscope assumes about names inside transformers, checked against the transformers that is installed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

from attnscope.transformers_names import cache_in, cache_of, cached_tokens

IDS = torch.arange(1, 6)[None]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    return Qwen2ForCausalLM(config).eval()


def test_the_cache_of_an_output(model):
    with torch.no_grad():
        named, plain = model(IDS, use_cache=True), model(IDS, use_cache=True, return_dict=False)
        without = model(IDS, use_cache=False)
    for out in (named, plain):
        assert cached_tokens(cache_of(out)) == IDS.shape[1]
    assert cache_of(without) is None and cache_of(torch.zeros(2)) is None and cached_tokens(None) is None


def test_the_cache_that_generate_hands_to_forward(model):
    """Empty before the prompt, then one token longer at each step."""
    held, hook = [], lambda _module, _args, kwargs: held.append(cached_tokens(cache_in(kwargs)))
    handle = model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        model.generate(IDS, max_new_tokens=4, do_sample=False)
    finally:
        handle.remove()
    assert held == [0, 5, 6, 7]


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_the_cache_by_its_name_in_any_version(name):
    cache = DynamicCache()
    assert cache_in({"input_ids": IDS, name: cache}) is cache
    assert cache_of({"logits": IDS, name: cache}) is cache
    assert cache_in({"cache": None, "past_key_values": cache}) is cache
    assert cache_in({"use_cache": True, name: None}) is None
    assert cached_tokens(SimpleNamespace()) is None
