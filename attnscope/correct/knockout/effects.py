"""What the answer loses when a head is cut: the heads of a list one at a time, several to a batch (ours).

found = knock_out(model, prompt, [(12, 3), (4, 0)])
found.change   # [-0.31, 0.02] nats: without head 12.3 the right answer is less likely
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from attnscope.attention import tapped
from attnscope.capture.record.generate import collate, generate, option_logprobs
from attnscope.capture.run import Progress
from attnscope.correct.apply.refusals import refuse_early
from attnscope.correct.apply.rerun import bind
from attnscope.correct.apply.source import Recorded
from attnscope.correct.knockout.edges import EVERY
from attnscope.correct.knockout.knockout import Knockout, cut_in
from attnscope.correct.knockout.running import RunningKnockout
from attnscope.errors import Argument, RequestError, RunError
from attnscope.scene.problems import show

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

Floats = NDArray[np.float64]
Place = tuple[int, int]
EFFECT, ODDS = "knockout_effect", "knockout_log_odds"


@dataclass(frozen=True)
class Effects:
    """What cuts did to the answer of one prompt.

    Attributes:
        answer: Whose log-probability it is: the scene's right answer, or without one the model's own.
        right: Whether it is the scene's.
        likeliest: Whether it is the likeliest of the options, as the model sees them with nothing cut.
        options: Number of the options that it is one of, which then share the probability; 0 without a choice.
        before: The log-probability with nothing cut, nats.
        change: [X] by how much each cut moves it, nats; negative: the answer needs what was cut.
        odds: [X] by how much each cut moves the answer's log-odds against the other options (without options, against
            all other texts), nats. The same order of heads, but not flattened where an answer is nearly certain.
        alone: Tokens that edges would have left without any key, which were not cut there.
    """

    answer: str
    right: bool
    likeliest: bool
    options: int
    before: float
    change: Floats
    odds: Floats
    alone: int


def knock_out(
    model: LoadedModel,
    prompt: Prompt,
    heads: Sequence[Place],
    *,
    edges: str = "",
    coverage: float = 0.5,
    batch: int = 8,
    max_new_tokens: int = 16,
    progress: Progress | None = None,
    name: str = "heads cut",
) -> Effects:
    """Cut each head by itself and see what it does to the log-probability of the answer.

    All batches are equally large, and the plain prompt is a row of the first: a batch of another shape would be rounded
    otherwise.

    Args:
        model: A loaded model.
        prompt: The prompt.
        heads: Layer and head, each once.
        edges: What is cut of a head, as in `Knockout`; empty: its whole output.
        coverage: Fraction of a cell that a box must cover, for the edges.
        batch: Most copies of the prompt that run together.
        max_new_tokens: Most tokens of the model's own answer, where it is needed and the scene has no options.
        progress: Called with (what, done, total).
        name: What `progress` is told.

    Raises:
        RequestError: The model has no such head, the prompt lacks what an edge names, or `batch` is below 1.
        RunError: The model's logits are not finite, or the batch does not fit into memory.
    """
    settings = _settings(heads, edges, coverage, batch)
    bind(model, prompt, [settings])  # refuses what the model or the prompt does not have
    cut = cut_in(prompt, edges, EVERY, coverage)
    tokens = _answers(model, prompt, max_new_tokens)
    cuts: list[dict[int, list[int]]] = [{}, *({layer: [head]} for layer, head in heads)]
    size = math.ceil(len(cuts) / math.ceil(len(cuts) / batch))
    found, alone = np.empty((0, len(tokens))), 0
    for start in range(0, len(cuts), size):
        if progress is not None:
            progress(name, start, len(cuts))
        rows = cuts[start : start + size]
        running = RunningKnockout(settings, [cut] * size, rows + [{}] * (size - len(rows)))
        found = np.concatenate([found, _logprobs(model, [prompt] * size, list(tokens.values()), running)])
        alone = max([alone, *(rows for one in running.alone for rows in one.values())])
    if progress is not None:
        progress(name, len(cuts), len(cuts))
    found = found[: len(cuts)]
    if not np.isfinite(found).all():
        raise RunError(f"{prompt.scene.video}: the logits after {show(prompt.scene.question)} are not finite")
    answer = prompt.scene.answer or list(tokens)[int(found[0].argmax())]
    which = list(tokens).index(answer)
    value, odds = _against_others(found, which)
    likeliest = bool(found[0].argmax() == which)
    right, options = prompt.scene.answer is not None, len(tokens) if len(tokens) > 1 else 0
    return Effects(answer, right, likeliest, options, float(value[0]), value[1:] - value[0], odds[1:] - odds[0], alone)


def _settings(heads: Sequence[Place], edges: str, coverage: float, batch: int) -> Knockout:
    if batch < 1:
        raise RequestError.of("batch", batch, "must be at least 1")
    return Knockout(heads=",".join(f"{layer}.{head}" for layer, head in heads), edges=edges, coverage=coverage)


def _against_others(found: Floats, which: int) -> tuple[Floats, Floats]:
    """Log-probability of one answer among all, and its log-odds, both [X]; `found` [X, answers]."""
    own, others = found[:, which], np.delete(found, which, axis=1)
    if not others.shape[1]:
        with np.errstate(divide="ignore"):  # certain: no finite odds
            return own, own - np.log(-np.expm1(own))
    odds = own - logsumexp(others, axis=1)
    return -np.logaddexp(0, -odds), odds


def _answers(model: LoadedModel, prompt: Prompt, max_new_tokens: int) -> dict[str, list[int]]:
    """Token ids of the answers to score: the options, or the right answer alone, or else the model's own."""
    from attnscope.model import option_ids

    scene = prompt.scene
    if scene.options or scene.answer:
        return {text: option_ids(model, prompt, text) for text in scene.options or [str(scene.answer)]}
    (own,) = generate(model, collate([prompt], model)[0], max_new_tokens)
    return {str(model.tokenizer.decode(own.ids, skip_special_tokens=True)): own.ids}


def _logprobs(
    model: LoadedModel, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]], running: RunningKnockout
) -> Floats:
    """Log-probabilities of answers as continuations, [prompts, answers]."""
    try:
        with tapped(model.model, edits=[running]):
            first = [one.first_logits for one in generate(model, collate(prompts, model)[0], 1)]
            found = [option_logprobs(model, prompts, [ids] * len(prompts), first) for ids in answers]
    except torch.OutOfMemoryError:
        raise RunError(
            f"out of memory with {len(prompts)} copies of a prompt of {len(prompts[0].tokens)} tokens; try a smaller ",
            Argument("batch"),
        ) from None
    return np.array(found, dtype=np.float64).T


def knock_out_captures(
    captures: Sequence[str | Path],
    names: Sequence[str],
    heads: Sequence[Place],
    *,
    model: LoadedModel | str | Path | None = None,
    edges: str = "",
    coverage: float = 0.5,
    batch: int = 8,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run the model of captures on their prompts again, with heads cut.

    Args:
        captures: Plain captures of one model.
        names: A short name for each.
        heads: Layer and head, each once.
        model: The model, or where it is, if it is not to be loaded again from where the captures had it.
        edges: As in `knock_out`.
        coverage: As in `knock_out`.
        batch: As in `knock_out`.
        progress: As in `knock_out`.

    Returns:
        The effects, a tidy table with `capture`: `metric` (knockout_effect: `Effects.change`, knockout_log_odds:
        `Effects.odds`), `layer`, `head`, `value` and `n`. And one of captures: `capture`, `clip`, and as in `Effects`:
        `answer`, `right`, `likeliest`, `options`, `before`, `alone`.

    Raises:
        RequestError: As `knock_out`, and if a capture was made under a correction, or its model, video or prompt is not
            what it was.
    """
    settings = _settings(heads, edges, coverage, batch)  # what is wrong is said before a model is loaded
    recorded = [Recorded.read(path, to="knock heads out on") for path in captures]
    for one in recorded:
        refuse_early(one.path, [[settings]])
    rows, about = list[dict[str, object]](), list[dict[str, object]]()
    for name, one in zip(names, recorded, strict=True):
        model = one.load(model)
        found = knock_out(
            model,
            one.prompt(model),
            heads,
            edges=edges,
            coverage=coverage,
            batch=batch,
            max_new_tokens=one.run["max_new_tokens"],
            progress=progress,
            name=name,
        )
        rows += [
            {"metric": metric, "layer": layer, "head": head, "value": value, "n": 1, "capture": name}
            for metric, values in ((EFFECT, found.change), (ODDS, found.odds))
            for (layer, head), value in zip(heads, values.tolist(), strict=True)
        ]
        said = {"answer": found.answer, "right": found.right, "likeliest": found.likeliest, "options": found.options}
        said |= {"before": found.before, "alone": found.alone}
        about.append({"capture": name, "clip": str(one.scene.video), **said})
    return pd.DataFrame(rows), pd.DataFrame(about)
