"""What attnscope assumes about names inside transformers, checked against the transformers that is installed."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

import attnscope
from attnscope.correct.apply.pixels import Shown
from attnscope.transformers_names import (
    ASSUMPTIONS,
    all_rows,
    cache_in,
    cache_of,
    cached_tokens,
    implementation_of,
    implementations,
    is_pixels,
    last_logits,
    local_entry,
    registry_of,
    split_logits,
)
from tests.capture.eager import make_prompt

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


@pytest.fixture(scope="module")
def embedded(drawn):
    """The embedded model, and the inputs of a prompt as its processor gives them."""
    loaded = attnscope.load("roundtable", dtype="float32")
    return loaded.model, make_prompt(loaded, drawn).inputs


@pytest.mark.parametrize("assumption", ASSUMPTIONS, ids=lambda one: one.name)
def test_an_assumption_holds_in_the_embedded_model(assumption, embedded):
    model, inputs = embedded
    before = {name: value.clone() for name, value in inputs.items()}
    said = assumption.check(model, inputs)
    assert said and "\n" not in said and len(said) < 80
    assert all(torch.equal(value, before[name]) for name, value in inputs.items())
    assert assumption.claim.endswith(".") and assumption.versions.startswith("5.10 to 5.")


def test_an_assumption_that_does_not_hold_says_so(model):
    """A model without a registry, logits that are all there, a cache that is not handed back."""
    checks = {one.name: one.check for one in ASSUMPTIONS}
    with pytest.raises(LookupError, match="no module of the decoder looks its attention function up"):
        checks["attention registry"](torch.nn.Linear(2, 2), {"input_ids": IDS})
    assert checks["modalities"](model, {"input_ids": IDS}) == "not stated by this family"
    unused = model.model.layers[1].self_attn.g_proj = torch.nn.Linear(2, 2)
    with pytest.raises(LookupError, match=r"1 of 3 projections were not called \(Linear\)"):
        checks["output projection"](model, {"input_ids": IDS})
    assert not unused._forward_pre_hooks
    del model.model.layers[1].self_attn.g_proj
    with pytest.raises(LookupError, match="not one for every token"):
        checks["modalities"](model, {"input_ids": IDS, "mm_token_type_ids": IDS[:, 1:]})
    forward = model.forward
    try:
        model.forward = lambda *args, **kwargs: forward(
            *args, **{k: v for k, v in kwargs.items() if k != "logits_to_keep"}
        )
        with pytest.raises(LookupError, match="asked for the last 2 of 5 logits, the model gave 5"):
            checks["last logits"](model, {"input_ids": IDS})
        model.forward = lambda *args, **kwargs: forward(*args, **kwargs | {"use_cache": False})
        with pytest.raises(LookupError, match="a prompt of 5 tokens leaves counts None"):
            checks["cache"](model, {"input_ids": IDS})
    finally:
        del model.forward


def test_rows_of_a_decoder_and_logits_of_a_model():
    assert all_rows({"logits_to_keep": 1, "use_cache": True}) == {"use_cache": True}
    positions = torch.tensor([-1])
    assert all_rows({"logits_to_keep": positions})["logits_to_keep"] is positions
    assert split_logits({"input_ids": IDS, **last_logits(3)}) == ({"input_ids": IDS}, 3)
    assert split_logits({}) == ({}, None)


def test_the_entry_of_an_instance_of_the_registry(model):
    registry = registry_of(model.model.layers[0].self_attn)
    assert implementation_of(model) == implementation_of(model.config) == "sdpa"
    assert local_entry(registry, "sdpa") is None
    registry["sdpa"] = len
    try:
        assert local_entry(registry, "sdpa") is len
    finally:
        del registry["sdpa"]
    assert local_entry(registry, "sdpa") is None and registry["sdpa"] is not len
    assert {"eager", "sdpa", "flash_attention_2"} <= set(implementations())
    assert registry_of(torch.nn.Linear(2, 2)) is None and implementation_of(torch.nn.Linear(2, 2)) is None


def test_importing_the_names_imports_neither_torch_nor_transformers():
    code = "import sys, attnscope.transformers_names; print({'torch', 'transformers'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_pixels_by_the_names_of_all_families():
    names = ["pixel_values", "pixel_values_videos", "pixel_values_images", "image_pixel_values"]
    assert all(map(is_pixels, names)) and not any(map(is_pixels, ["pixel_attention_mask", "image_sizes", "input_ids"]))
    given = {"image_pixel_values": torch.zeros(1, 2), "pixel_attention_mask": torch.ones(1, 2), "pixel_values": [0]}
    assert list(Shown.of(given).pixels) == ["image_pixel_values"]
