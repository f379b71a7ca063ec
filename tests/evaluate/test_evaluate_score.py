"""Scores against the model's own logits; batches, corrections and generated answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import attnscope
from attnscope import SocialBias
from attnscope.capture.record.generate import option_logprobs
from attnscope.errors import RequestError, RunError
from attnscope.evaluate import Score, score
from attnscope.evaluate.score import batches
from attnscope.model import LoadedModel, Prompt, option_ids
from tests.evaluate.conftest import make

# Every question of these names one person, which the correction needs.
NAMED = (0, 2, 3, 4, 5, 6)
ANSWER = SocialBias(alpha=2.0, rows="answer", layers="0-3")


@pytest.fixture(scope="module", params=["qwen2_5_vl", pytest.param("internvl", marks=pytest.mark.slow)])
def loaded(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> LoadedModel:
    return attnscope.load(checkpoint(request.param), dtype="float32", device="cpu")


def logprobs(scores: Sequence[Score]) -> np.ndarray:
    return np.concatenate([one.logprobs for one in scores])


def per_token(scores: Sequence[Score]) -> np.ndarray:
    """Each token brings its own rounding, so sums over many tokens are compared as means."""
    return np.concatenate([one.per_token for one in scores])


def by_hand(model: LoadedModel, prompt: Prompt, option: str) -> float:
    """One full forward of the text with the option behind it; every log-softmax in sight."""
    ids = torch.tensor([option_ids(model, prompt, option)])
    inputs = dict(prompt.inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], ids], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(ids)], 1)
    with torch.no_grad():
        logits = model.model(**inputs, use_cache=False).logits[0]
    length = len(prompt.tokens)
    return sum(float(torch.log_softmax(logits[length - 1 + i], -1)[token]) for i, token in enumerate(ids[0]))


def test_scores_are_those_of_a_plain_forward(loaded: LoadedModel, questions: Path) -> None:
    prompts = make(loaded, questions)
    lengths = {len(prompt.tokens) for prompt in prompts}
    assert len(lengths) > 4  # the batch is padded
    found = score(loaded, prompts, batch=8)
    counts = {count for one in found for count in one.tokens}
    assert 1 in counts and max(counts) > 3
    for one, prompt in zip(found, prompts, strict=True):
        options = prompt.scene.options
        expected = [by_hand(loaded, prompt, option) for option in options]
        assert one.per_token == pytest.approx(np.array(expected) / one.tokens, abs=1e-5)
        assert one.prediction == options[int(np.argmax(expected))]
        assert one.tokens == [len(option_ids(loaded, prompt, option)) for option in options]


@pytest.mark.parametrize("corrections", [(), (ANSWER,)], ids=["plain", "corrected"])
def test_a_batch_of_eight_scores_as_eight_batches(
    corrections: Sequence[SocialBias], loaded: LoadedModel, questions: Path
) -> None:
    prompts = make(loaded, questions, NAMED if corrections else range(8))
    alone, together = (score(loaded, prompts, corrections, batch=batch) for batch in (1, 8))
    np.testing.assert_allclose(per_token(together), per_token(alone), rtol=0, atol=1e-5)
    assert [one.prediction for one in together] == [one.prediction for one in alone]


def test_corrected_scores_are_those_of_each_prompt_under_the_correction(loaded: LoadedModel, questions: Path) -> None:
    prompts = make(loaded, questions, NAMED)
    found = score(loaded, prompts, [ANSWER], batch=4)
    plain = score(loaded, prompts, batch=4)
    assert np.abs(logprobs(found) - logprobs(plain)).max() > 1e-3
    for one, prompt in zip(found, prompts, strict=True):
        with attnscope.corrected(loaded, prompt, [ANSWER]):
            expected = [by_hand(loaded, prompt, option) for option in prompt.scene.options]
        assert one.per_token == pytest.approx(np.array(expected) / one.tokens, abs=1e-5)
    nothing = score(loaded, prompts, [SocialBias(alpha=0.0, rows="answer")], batch=4)
    assert logprobs(nothing).tolist() == logprobs(plain).tolist()


def test_longer_options_of_all_prompts_share_batches(
    model: LoadedModel, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one forward for each option: prompts and options together fill a batch."""
    prompts = make(model, questions, NAMED)
    longer = sum(len(option_ids(model, one, option)) > 1 for one in prompts for option in one.scene.options)
    sizes: list[int] = []

    def counted(model: LoadedModel, asked: Sequence[Prompt], options: Sequence[Sequence[int]], first: Any) -> Any:
        if max(map(len, options)) > 1:
            sizes.append(len(asked))
        return option_logprobs(model, asked, options, first)

    monkeypatch.setattr(sys.modules[score.__module__], "option_logprobs", counted)
    together = score(model, prompts, [ANSWER], batch=6)
    assert longer > 6  # more than one batch
    assert (sum(sizes), max(sizes)) == (longer, 6)
    assert len(sizes) == -(-longer // 6)
    alone = score(model, prompts, [ANSWER], batch=1)
    np.testing.assert_allclose(per_token(together), per_token(alone), atol=1e-5)


def test_the_largest_sum_wins_and_the_value_per_token_stands_beside_it() -> None:
    one = Score("a", logprobs=[-2.0, -3.0], tokens=[1, 3])
    assert one.per_token == [-2.0, -1.0]  # the rule per token would have chosen the second
    assert one.probabilities == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    assert sum(Score("a", logprobs=[-2000.0, -2001.0], tokens=[1, 1]).probabilities) == pytest.approx(1)


def test_only_alike_media_are_batched_in_the_order_they_come(
    checkpoint: Callable[[str], Path], questions: Path
) -> None:
    model = attnscope.load(checkpoint("llava_onevision"), dtype="float32", device="cpu")  # one tensor [B, F, ...]
    short, long = make(model, questions, range(4)), make(model, questions, range(4), frames=3)
    mixed = [short[0], short[1], long[2], short[3]]
    assert list(batches(mixed, 16)) == [mixed[:2], mixed[2:3], mixed[3:]]
    assert [len(run) for run in batches(short, 3)] == [3, 1]
    np.testing.assert_allclose(per_token(score(model, mixed)), per_token(score(model, mixed, batch=1)), atol=1e-5)


def test_a_generated_answer_is_right_only_if_it_is_the_option(model: LoadedModel, questions: Path) -> None:
    prompts = make(model, questions)
    said = [one.text for one in score(model, prompts, rule="generate", max_new_tokens=2)]
    assert len(set(said)) > 1  # left-padded neighbours do not answer alike
    for prompt, text in zip(prompts, said, strict=True):
        out = model.model.generate(**prompt.inputs, max_new_tokens=2, do_sample=False)
        assert text == model.tokenizer.decode(out[0, len(prompt.tokens) :], skip_special_tokens=True)

    def asked(options: list[str]) -> Score:
        # the answer does not depend on what counts as an option once the prompt is built
        prompt = prompts[0]
        prompt.scene = prompt.scene.model_copy(update={"options": options})
        return score(model, [prompt], rule="generate", max_new_tokens=2)[0]

    assert said[0] is not None
    answer = said[0].strip()
    assert asked([answer + "x", "b"]).prediction is None
    assert asked(["b", f"  {answer.swapcase()}".strip()]).prediction == answer.swapcase()
    assert asked([answer.swapcase(), answer]).prediction == answer
    assert asked(["a", "b"]) == Score(None, text=said[0])


def test_what_cannot_be_scored(model: LoadedModel, questions: Path) -> None:
    prompts = make(model, questions, (0, 1))
    with pytest.raises(RequestError, match=r"^batch=0: must be at least 1$"):
        score(model, prompts, batch=0)
    with pytest.raises(RequestError, match=r'^rule="best": choose from logprob, generate$'):
        score(model, prompts, rule="best")
    with pytest.raises(RequestError, match=r'clip0.mp4: the question "Who speaks\?" names no speaker'):
        score(model, prompts, [ANSWER])
    prompts[1].scene = prompts[1].scene.model_copy(update={"options": []})
    with pytest.raises(RequestError, match=r"clip0.mp4: the scene has no options to score$"):
        score(model, prompts)


def test_logits_that_are_not_finite_are_no_answer(model: LoadedModel, questions: Path) -> None:
    prompts = make(model, questions, (0, 1))
    hook = model.model.lm_head.register_forward_hook(lambda _module, _args, out: out * float("nan"))
    try:
        for rule in ("logprob", "generate"):
            with pytest.raises(RunError, match=r'clip0\.mp4: the logits after "What does Ann ask.*" are not finite$'):
                score(model, prompts, rule=rule)
    finally:
        hook.remove()


def test_a_batch_that_does_not_fit_says_what_to_do(model: LoadedModel, questions: Path) -> None:
    def full(*_args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    prompts = make(model, questions, (0, 3))
    longest = max(len(prompt.tokens) for prompt in prompts)
    hook = model.model.lm_head.register_forward_pre_hook(full)
    try:
        with pytest.raises(RunError) as error:
            score(model, prompts)
    finally:
        hook.remove()
    assert str(error.value) == f"out of memory with 2 prompts of up to {longest} tokens; try a smaller batch"
