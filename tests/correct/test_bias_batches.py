"""Left-padded batches, generated tokens and beams: as each prompt alone, as one pass over the whole text."""

from __future__ import annotations

import re

import pytest
import torch
import transformers
from packaging.version import Version

from attnscope.capture.record.generate import collate
from attnscope.correct import SocialBias, bind, corrected
from attnscope.errors import RequestError
from tests.correct.batches import NEW, asked, generate, last_logits, load, whole_text
from tests.correct.by_hand import EVERYWHERE
from tests.families import by_speed

ALL = {"rows": "utterances,question,answer"}
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?")
SETTINGS = {
    "answer": SocialBias(rows="answer", **EVERYWHERE),
    "all, by threshold": SocialBias(threshold=1e-3, layers="0.0-1.0", negative="gap", **ALL),
    "answer, the best heads": SocialBias(rows="answer", topk=5, layers="0.0-1.0"),
    "all, fixed": SocialBias(alpha=2.0, heads="0.1,2.3,2.0", strength="constant", **ALL),
}


@pytest.fixture(scope="module", params=by_speed(("qwen2_5_vl", "internvl", "sliding"), quick=("qwen2_5_vl", "sliding")))
def loaded(request, checkpoint, tmp_path_factory):
    return load(request.param, checkpoint, tmp_path_factory)


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    return asked(loaded, drawn)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_batch_equals_its_prompts_alone(loaded, prompts, settings):
    inputs, _ = collate(prompts, loaded)
    plain = last_logits(loaded, inputs)
    with corrected(loaded, prompts, [settings]) as running:
        together = last_logits(loaded, inputs)
    assert (together - plain).abs().amax(1).min() > 1e-3
    for row, prompt in enumerate(prompts):
        alone_plain = last_logits(loaded, prompt.inputs)
        with corrected(loaded, prompt, [settings]) as alone:
            expected = last_logits(loaded, prompt.inputs)
        padding = (plain[row] - alone_plain[0]).abs().max()  # what the model's own kernel makes of it
        torch.testing.assert_close(together[row], expected[0], atol=float(1e-5 + padding), rtol=0)
        batched, single = running[0].records()[row], alone[0].record()
        for told, expected in zip(batched.pop("notes"), single.pop("notes"), strict=True):
            assert NUMBER.sub("#", told) == NUMBER.sub("#", expected)
            numbers = [[float(n) for n in NUMBER.findall(note)] for note in (told, expected)]
            assert numbers[0] == pytest.approx(numbers[1], rel=0.01)  # printed with three digits
        assert batched == single


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_cached_decoding_equals_one_pass_over_the_whole_text(loaded, prompts, settings):
    inputs, _ = collate(prompts, loaded)
    with corrected(loaded, prompts, [settings]):
        out = generate(loaded, inputs)
    assert len(out.logits) == NEW
    for row, prompt in enumerate(prompts):
        new = out.sequences[row, -NEW:].tolist()
        cached = torch.log_softmax(torch.stack([step[row] for step in out.logits]), -1)
        torch.testing.assert_close(cached, whole_text(loaded, prompt, [settings], new), atol=1e-4, rtol=0)
        assert not torch.allclose(cached[-1], whole_text(loaded, prompt, [SocialBias(alpha=0.0)], new)[-1], atol=1e-2)


def test_beams_score_what_one_pass_scores(loaded, prompts):
    settings = SETTINGS["all, by threshold"]
    inputs, _ = collate(prompts, loaded)
    if loaded.family == "internvl" and Version(transformers.__version__) < Version("5.18"):
        # These versions repeat each frame for the beams, not each clip: a prompt gets frames of others, and is refused.
        with corrected(loaded, prompts, [settings]), pytest.raises(RequestError, match="other frames than its own"):
            generate(loaded, inputs, num_beams=3, num_return_sequences=2)
        return
    with corrected(loaded, prompts, [settings]):
        out = generate(loaded, inputs, num_beams=3, num_return_sequences=2)
    for beam, score in enumerate(out.sequences_scores.tolist()):
        new = out.sequences[beam, -NEW:].tolist()
        scored = whole_text(loaded, prompts[beam // 2], [settings], new)
        assert score == pytest.approx(float(scored[range(NEW), new].mean()), abs=1e-4)


def test_options_appended_to_a_batch(loaded, prompts):
    """Columns to the right of the prompts belong to the answer."""
    settings, option = SETTINGS["answer"], [300, 301]
    inputs, _ = collate(prompts, loaded)
    tail = torch.tensor([option] * len(prompts))
    for name in {"input_ids", "attention_mask", "mm_token_type_ids"} & set(inputs):
        extra = tail if name == "input_ids" else torch.full_like(tail, int(name == "attention_mask"))
        inputs[name] = torch.cat([inputs[name], extra.to(inputs[name].dtype)], 1)
    with torch.no_grad(), corrected(loaded, prompts, [settings]):
        together = torch.log_softmax(loaded.model(**inputs).logits[:, -len(option) - 1 : -1], -1)
    for row, prompt in enumerate(prompts):
        torch.testing.assert_close(together[row], whole_text(loaded, prompt, [settings], option), atol=1e-4, rtol=0)


def test_zero_strength_is_the_plain_batch(loaded, prompts):
    inputs, _ = collate(prompts, loaded)
    with corrected(loaded, prompts, [SocialBias(alpha=0.0, **EVERYWHERE | ALL)]):
        assert torch.equal(last_logits(loaded, inputs), out := last_logits(loaded, inputs))
    assert torch.equal(out, last_logits(loaded, inputs))


def test_prompts_may_come_in_another_order_or_alone(loaded, prompts):
    settings, backwards = [SETTINGS["answer, the best heads"]], collate(prompts[::-1], loaded)[0]
    inputs, _ = collate(prompts, loaded)
    with corrected(loaded, prompts, settings):
        together = last_logits(loaded, inputs)
        torch.testing.assert_close(last_logits(loaded, backwards), together.flip(0), atol=1e-5, rtol=0)
        for row, prompt in enumerate(prompts):
            padding = (last_logits(loaded, prompt.inputs)[0] - together[row]).abs().max()
            assert padding < 1e-2


def test_a_batch_has_records_and_no_single_one(loaded, prompts):
    settings = [SETTINGS["answer"]]
    running = bind(loaded, prompts, settings)
    with pytest.raises(RequestError, match="the correction was bound to 3 prompts; ask for records"):
        running[0].record()
    with pytest.raises(RequestError, match="corrections need at least one prompt"):
        bind(loaded, [], settings)


def test_a_generated_token_before_its_prompt_is_refused(loaded, prompts):
    with torch.no_grad():
        cache = loaded.model(**prompts[0].inputs, use_cache=True).past_key_values
    refused = pytest.raises(RequestError, match=r"social-bias was bound to one prompt of .* is given 1 x 1")
    with refused, torch.no_grad(), corrected(loaded, prompts[0], [SETTINGS["answer"]]):
        loaded.model(input_ids=torch.tensor([[300]]), past_key_values=cache)
