"""Scoring questions with options: the log-probability of each option, or the greedy answer.

The prediction is the option whose tokens have the largest summed log-probability as the continuation of the prompt; of
equal ones the first. The sum is not divided by the number of tokens; the value per token is handed back beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attnscope.capture.record.finite import broken_weight
from attnscope.capture.record.generate import Answer, collate, generate, option_logprobs
from attnscope.capture.run import check_new_tokens
from attnscope.correct import Correction, corrected
from attnscope.errors import Argument, RequestError, RunError
from attnscope.model import option_ids
from attnscope.scene.names import equal_but_for_case, find_name
from attnscope.scene.problems import show

if TYPE_CHECKING:
    from torch import Tensor

    from attnscope.model import LoadedModel, Prompt

RULES = ("logprob", "generate")


@dataclass(frozen=True)
class Score:
    """What a model says to one question.

    Attributes:
        prediction: One of the options; None where a generated answer is none of them.
        logprobs: Natural logarithm of each option's probability, summed over its tokens; empty if generated.
        tokens: Number of tokens of each option; empty if generated.
        text: The greedy answer; None if the options were scored.

    Example:
        >>> score = attnscope.evaluate.Score("Ada", logprobs=[-0.5, -2.0], tokens=[1, 2])
        >>> score.per_token, [round(p, 2) for p in score.probabilities]
        ([-0.5, -1.0], [0.82, 0.18])
    """

    prediction: str | None
    logprobs: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    text: str | None = None

    @property
    def probabilities(self) -> list[float]:
        """Probability of each option, as if there were no other answers: they sum to 1."""
        top = max(self.logprobs, default=0.0)
        weights = [math.exp(value - top) for value in self.logprobs]
        return [weight / sum(weights) for weight in weights]

    @property
    def per_token(self) -> list[float]:
        """Mean log-probability of each option's tokens."""
        return [value / count for value, count in zip(self.logprobs, self.tokens, strict=True)]


def score(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    corrections: Sequence[Correction] = (),
    *,
    rule: str = "logprob",
    batch: int = 16,
    max_new_tokens: int = 16,
) -> list[Score]:
    """Score prompts whose scenes have options.

    Args:
        model: A loaded model.
        prompts: In any order; neighbours that fit into one batch are run together.
        corrections: In force while the model runs, applied in order; none for the plain model.
        rule: "logprob" scores every option, "generate" looks for the greedy answer among them (equal but for
            surrounding white space and case).
        batch: Most prompts of one batch; a prompt counts once for each option of several tokens that it is run with.
        max_new_tokens: Most tokens of a generated answer.

    Returns:
        One score a prompt.

    Raises:
        RequestError: A scene has no options, a correction does not apply to one of the prompts, or `rule`,
            `batch` or `max_new_tokens` is wrong.
        RunError: The model's logits are not finite, or the batch does not fit into memory.

    Example:
        >>> [score] = attnscope.evaluate.score(model, [prompt])
        >>> score.prediction, [round(p, 2) for p in score.probabilities]
        ('Ben', [0.0, 0.0, 0.0, 1.0, 0.0])
    """
    import torch

    check(rule, batch, max_new_tokens)
    for prompt in prompts:
        if not prompt.scene.options:
            raise RequestError(f"{prompt.scene.video}: the scene has no options to score")
    scores: list[Score] = []
    for alike in batches(prompts, batch):
        try:
            scores += _score_batch(model, alike, corrections, rule, max_new_tokens, batch)
        except torch.OutOfMemoryError:
            longest = max(len(p.tokens) for p in alike)
            raise RunError(
                f"out of memory with {len(alike)} prompts of up to {longest} tokens; try a smaller ", Argument("batch")
            ) from None
    return scores


def check(rule: str, batch: int, max_new_tokens: int) -> None:
    """Refuse what cannot be run.

    Raises:
        RequestError: `rule` is not known, or `batch` or `max_new_tokens` is below 1.
    """
    check_new_tokens(max_new_tokens)
    if rule not in RULES:
        raise RequestError.of("rule", rule, f"choose from {', '.join(RULES)}")
    if batch < 1:
        raise RequestError.of("batch", batch, "must be at least 1")


def batches(prompts: Sequence[Prompt], most: int) -> Iterator[list[Prompt]]:
    """Neighbours that can be collated: their media have equal shapes but for the first axis, which is concatenated."""
    run: list[Prompt] = []
    for prompt in prompts:
        if run and (len(run) == most or _size_class(prompt) != _size_class(run[0])):
            yield run
            run = []
        run.append(prompt)
    if run:
        yield run


def _size_class(prompt: Prompt) -> dict[str, tuple[int, ...]]:
    shapes = {name: tuple(value.shape) for name, value in prompt.inputs.items()}
    return {name: () if name in prompt.token_inputs else shape[1:] for name, shape in shapes.items()}


def _score_batch(
    model: LoadedModel,
    prompts: list[Prompt],
    corrections: Sequence[Correction],
    rule: str,
    max_new_tokens: int,
    batch: int,
) -> list[Score]:
    with _under(model, prompts, corrections):
        answers = generate(model, collate(prompts, model)[0], max_new_tokens if rule == "generate" else 1)
    if rule == "generate":
        scores = [_match(model, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    else:
        scores = _options(model, prompts, corrections, [answer.first_logits for answer in answers], batch)
    for prompt, answer, scored in zip(prompts, answers, scores, strict=True):
        if not all(map(math.isfinite, [answer.logprobs[0], *scored.logprobs])):
            raise RunError(
                f"{prompt.scene.video}: the logits after {show(prompt.scene.question)} are not finite{_why(model)}"
            )
    return scores


def _why(model: LoadedModel) -> str:
    weight = broken_weight(model.model)
    return "" if weight is None else f": the weight {weight}, so the checkpoint is damaged or training diverged"


def _under(
    model: LoadedModel, prompts: Sequence[Prompt], corrections: Sequence[Correction]
) -> AbstractContextManager[Any]:
    return corrected(model, prompts, corrections) if corrections else nullcontext()


def _options(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    corrections: Sequence[Correction],
    first: Sequence[Tensor],
    batch: int,
) -> list[Score]:
    """Options of one token from the logits after the prompts; then the longer ones of all prompts, `batch` at once."""
    ids = [[option_ids(model, prompt, option) for option in prompt.scene.options] for prompt in prompts]
    scores = [
        [option_logprobs(model, [prompt], [tokens[:1]], [logits])[0] for tokens in options]
        for prompt, options, logits in zip(prompts, ids, first, strict=True)
    ]
    longer = [(row, i) for row, options in enumerate(ids) for i, tokens in enumerate(options) if len(tokens) > 1]
    for start in range(0, len(longer), batch):
        some = longer[start : start + batch]
        asked = [prompts[row] for row, _ in some]
        with _under(model, asked, corrections):
            values = option_logprobs(model, asked, [ids[row][i] for row, i in some], [first[row] for row, _ in some])
        for (row, i), value in zip(some, values, strict=True):
            scores[row][i] = value
    return [
        Score(prompt.scene.options[max(range(len(values)), key=values.__getitem__)], values, list(map(len, options)))
        for prompt, values, options in zip(prompts, scores, ids, strict=True)
    ]


def _match(model: LoadedModel, prompt: Prompt, answer: Answer) -> Score:
    text = str(model.tokenizer.decode(answer.ids, skip_special_tokens=True))
    exact = find_name(text, prompt.scene.options)  # options may differ in case alone
    same = next((option for option in prompt.scene.options if equal_but_for_case(option, text)), None)
    return Score(same if exact is None else exact, text=text)
