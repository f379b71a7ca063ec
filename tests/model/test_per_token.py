"""Inputs with one value for each token, in whatever name they come."""

from __future__ import annotations

import pytest
import torch

import attnscope
from attnscope.capture.record.generate import collate, generate, option_logprobs
from attnscope.capture.run import capture_prompts
from attnscope.correct import Knockout, corrected
from attnscope.errors import RequestError, RunError
from attnscope.model import Prompt, option_ids
from attnscope.model.per_token import token_inputs
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.batches import last_logits

N = 7
IDS = torch.arange(N)[None]


def ones(*shape):
    return torch.ones(*shape, dtype=torch.long)


def test_the_shape_of_the_prompt_says_it():
    inputs = {
        "input_ids": IDS,
        "attention_mask": ones(1, N),
        "own_token_type_ids": ones(1, N),
        "position_ids": ones(3, 1, N),
        "pixel_values": torch.ones(N, 3, N, N),
        "image_grid_thw": ones(1, 3),
        "pairs": ones(1, 1, N, N),
        "seconds": torch.ones(N),
        "rows": ones(N, 1),
    }
    names = ("input_ids", "attention_mask", "own_token_type_ids", "position_ids")
    assert token_inputs(inputs) == names


def test_an_input_that_has_the_shape_by_accident_is_found_out():
    """The mask of a clip's sound has as many steps as the prompt has tokens; a longer text does not change it."""
    inputs = {"input_ids": IDS, "feature_attention_mask": ones(1, N), "grid": ones(2, 1, N), "weights": ones(1, N)}
    more = {"input_ids": ones(1, N + 2), "feature_attention_mask": ones(1, N), "grid": ones(2, 1, N)}
    asked = []

    def longer():
        asked.append(1)
        return more | {"weights": ones(1, N + 2)}

    assert token_inputs(inputs, longer) == ("input_ids", "weights")
    assert token_inputs({"input_ids": IDS, "attention_mask": ones(1, N), "mm_token_type_ids": ones(1, N)}, longer)
    assert asked == [1]  # nothing was in doubt the second time


@pytest.fixture(scope="module", params=["ernie4_5_vl", "gemma4", "qwen2_5_vl"])
def loaded(request, checkpoint):
    return attnscope.load(str(checkpoint(request.param)), dtype="float32")


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    scene = Scene.read(drawn)
    questions = ("Where is Ben?", "What does Ada hold, and why does she hold it?")
    return [make_prompt(loaded, scene.model_copy(update={"question": one}), frames=2) for one in questions]


def by_steps(loaded, prompt, ids):
    """Log-probability of tokens after a prompt, each from a text of its own that ends before it."""
    total = 0.0
    for count, token in enumerate(ids):
        inputs = dict(prompt.inputs)
        for name in prompt.token_inputs:
            tail = torch.zeros(1, count, dtype=torch.long)
            tail = {"input_ids": torch.tensor([ids[:count]], dtype=torch.long), "attention_mask": tail + 1}.get(
                name, tail
            )
            inputs[name] = torch.cat([inputs[name], tail.to(inputs[name])], -1)
        with torch.no_grad():
            total += float(torch.log_softmax(loaded.model(**inputs, use_cache=False).logits[0, -1], -1)[token])
    return total


def test_options_are_scored_as_text_that_grows(loaded, prompts):
    """ERNIE's experts are chosen by an input of its own name, which ended in an IndexError."""
    options = [
        option_ids(loaded, prompt, option) for prompt, option in zip(prompts, ("Ada", "Not one of them"), strict=True)
    ]
    assert len({len(ids) for ids in options}) == 2 and all(len(ids) > 1 for ids in options)
    first = [answer.first_logits for answer in generate(loaded, collate(prompts, loaded)[0], 1)]
    together = option_logprobs(loaded, prompts, options, first)
    for prompt, ids, value in zip(prompts, options, together, strict=True):
        assert value == pytest.approx(by_steps(loaded, prompt, ids), abs=2e-3)


def test_an_option_that_ends_the_answer_is_not_scored_in_silence(loaded, prompts):
    stop = int(loaded.tokenizer.eos_token_id)
    first = [answer.first_logits for answer in generate(loaded, collate(prompts, loaded)[0], 1)]
    with pytest.raises(RunError, match=rf"cannot be led through the tokens {stop}, 300, 301"):
        option_logprobs(loaded, prompts, [[stop, 300, 301], [300, 301, 302]], first)


def test_a_padded_batch_is_each_prompt(loaded, prompts):
    batch, places = collate(prompts, loaded)
    together = last_logits(loaded, batch)
    assert len({len(prompt.tokens) for prompt in prompts}) == 2
    for row, prompt in enumerate(prompts):
        assert len(places[row]) == len(prompt.tokens)
        assert all(batch[name].shape[-1] == batch["input_ids"].shape[1] for name in prompt.token_inputs)
        torch.testing.assert_close(together[row], last_logits(loaded, prompt.inputs)[0], atol=1e-2, rtol=0)


def test_a_batch_padded_on_the_right_is_moved_with_all_its_inputs(loaded, prompts):
    """Corrections bring the prompts' ends into one column; what is per token goes with them."""
    settings, width = [Knockout(heads="1.2")], max(len(prompt.tokens) for prompt in prompts)
    batch = {}
    for name in prompts[0].inputs:
        parts = [prompt.inputs[name] for prompt in prompts]
        if name in prompts[0].token_inputs:
            parts = [torch.nn.functional.pad(part, (0, width - part.shape[-1])) for part in parts]
        batch[name] = torch.cat(parts)
    with torch.no_grad(), corrected(loaded, prompts, settings):
        together = loaded.model(**batch).logits
    for row, prompt in enumerate(prompts):
        with torch.no_grad(), corrected(loaded, prompt, settings):
            alone = loaded.model(**prompt.inputs).logits[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-2, rtol=0)
    pairs = batch["attention_mask"][:, None, None].bool().expand(-1, -1, width, -1)
    for name, value, shape in (
        ("attention_mask", pairs, rf"2 x 1 x {width} x {width}"),
        ("inputs_embeds", torch.zeros(2, width, 64), rf"2 x {width} x 64"),
    ):
        refused = pytest.raises(RequestError, match=rf"{name} of {shape} needs prompts that are padded on the left")
        with corrected(loaded, prompts, settings), refused:
            loaded.model(**batch | {name: value})


def test_prompts_with_other_inputs_are_not_collated(loaded, prompts):
    other = Prompt(**vars(prompts[1]) | {"inputs": prompts[1].inputs | {"extra": ones(1, 3)}})
    assert collate([prompts[0], other], loaded)[0].keys() == prompts[0].inputs.keys()
    with pytest.raises(RequestError, match="extra: not all prompts of a batch have this input alike"):
        collate([other, prompts[0]], loaded)


def test_the_whole_capture_of_an_ernie(checkpoint, drawn, tmp_path):
    loaded = attnscope.load(str(checkpoint("ernie4_5_vl")), dtype="float32")
    prompt = make_prompt(loaded, drawn, frames=2)
    assert "moe_mm_token_type_ids" in prompt.token_inputs
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], max_new_tokens=3)
    with cap:
        assert cap.check["passed"] and len(cap.answer["options"]) == len(prompt.scene.options)
