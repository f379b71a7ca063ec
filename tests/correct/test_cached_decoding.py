"""Whatever edits keys or queries decodes with a cache as without: several tokens, families and kinds of cache."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

import attnscope
from attnscope.capture.record.generate import PLAIN_GREEDY
from attnscope.correct import Knockout, SocialBias, corrected
from attnscope.correct.moda import ModaAdapter, ModaAlign, ModaCalibrate, ModaMask
from attnscope.errors import RequestError
from attnscope.scene import Scene
from attnscope.transformers_names import cache_of
from tests.attention.test_forward import cache_name
from tests.capture.eager import make_prompt
from tests.correct.by_hand import EVERYWHERE, longer
from tests.correct.test_moda_adapter import randomise

NEW = 5
SETTINGS = {
    "bias": [SocialBias(rows="answer", toward="Ada", **EVERYWHERE)],
    "knockout": [Knockout(heads="1.2,3.0")],
    "align": [ModaAlign(strength=2.0, direction="both", gram="paper", norm="fro")],
    "mask": [ModaMask(gate=0.3)],
    "calibrate": [ModaCalibrate(target=0.2, change="both")],
    "adapter": None,
}
FAMILIES = ["qwen2_5_vl", "internvl", "gemma3", "gemma4"]


@pytest.fixture(scope="module", params=FAMILIES)
def case(request, checkpoint, drawn):
    """A model and a prompt of it: multimodal positions, image tokens, images that see themselves, keys of others."""
    loaded = attnscope.load(str(checkpoint(request.param)), dtype="float32")
    scene = Scene.read(drawn).model_copy(update={"question": "Where is Ada?"})
    return loaded, make_prompt(loaded, scene, frames=2)


def under(loaded, prompt, name):
    if SETTINGS[name] is None:
        return randomise(ModaAdapter(loaded, direction="both"))
    return corrected(loaded, prompt, SETTINGS[name])


def decoded(loaded, prompt, **how):
    how = PLAIN_GREEDY | {"max_new_tokens": NEW, "min_new_tokens": NEW, "pad_token_id": 0} | how
    out = loaded.model.generate(**prompt.inputs, **how, return_dict_in_generate=True, output_logits=True)
    return out.sequences[0, -NEW:].tolist(), torch.log_softmax(torch.cat(out.logits), -1)


@pytest.mark.parametrize("name", SETTINGS)
def test_any_cache_decodes_as_none(case, name):
    loaded, prompt = case
    places = prompt.tokens.filter(like="covered:")
    if name == "bias" and places.isna().all(axis=None):
        pytest.skip("the family has no layout, so that no token is a person's")
    plain_ids, plain = decoded(loaded, prompt)
    with under(loaded, prompt, name):
        ids, cached = decoded(loaded, prompt)
        assert plain_ids != ids or not torch.allclose(plain, cached, atol=1e-3)
        if name == "adapter":  # a static cache comes with a mask of pairs, and without a cache the answer is prompt
            with pytest.raises(RequestError, match="the attention mask must be one value a token"):
                decoded(loaded, prompt, cache_implementation="static", disable_compile=True)
            return
        static_ids, static = decoded(loaded, prompt, cache_implementation="static", disable_compile=True)
        without_ids, without = decoded(loaded, prompt, use_cache=False, cache_implementation=None)
    torch.testing.assert_close(static, cached, atol=2e-4, rtol=0)
    torch.testing.assert_close(without, cached, atol=2e-4, rtol=0)
    assert static_ids == without_ids == ids


def test_the_adapter_decodes_as_one_pass_in_which_the_answer_has_labels(case):
    """Labels say where the prompt ends, so that the Gram matrix is the same as with a cache."""
    loaded, prompt = case
    with under(loaded, prompt, "adapter"):
        ids, cached = decoded(loaded, prompt)
        whole = longer(prompt, ids[:-1])
        labels = whole["input_ids"].masked_fill(torch.arange(whole["input_ids"].shape[1]) < len(prompt.tokens), -100)
        with torch.no_grad():
            logits = loaded.model(**whole, labels=labels, use_cache=False).logits[0, -NEW:]
    torch.testing.assert_close(torch.log_softmax(logits, -1), cached, atol=2e-4, rtol=0)


def test_the_adapter_refuses_a_cache_of_other_prompts(case):
    loaded, prompt = case
    step = {"input_ids": torch.tensor([[300]])}
    with torch.no_grad():
        plain = cache_after(loaded, prompt, nullcontext())
        with under(loaded, prompt, "adapter"):
            with pytest.raises(RequestError, match="is not that of the last prompts that it has seen"):
                loaded.model(**step, **{cache_name(): plain})
            first = loaded.model(**prompt.inputs, use_cache=True)
            loaded.model(**prompt.inputs, use_cache=True)
            with pytest.raises(RequestError, match="is not that of the last prompts that it has seen"):
                loaded.model(**step, **{cache_name(): cache_of(first)})


def cache_after(loaded, prompt, block):
    with block:
        return cache_of(loaded.model(**prompt.inputs, use_cache=True))
