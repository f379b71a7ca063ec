"""Running the model: batches of prompts, greedy answers, and the log-probability of given options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, pad

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

# One value a token: padded on the left with these. Everything else is media and is concatenated.
_TOKEN_INPUTS = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


# Said in full, because a checkpoint's generation_config may say otherwise: one prefill, then one token a step.
PLAIN_GREEDY: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "use_cache": True,
    "cache_implementation": "dynamic",
    "prefill_chunk_size": None,
    "prompt_lookup_num_tokens": None,
    "guidance_scale": None,
}


@dataclass(frozen=True)
class Answer:
    """What the model generated for one prompt.

    Attributes:
        ids: Token ids, the end-of-sequence token included if it came.
        logprobs: Log-probability of each id.
        first_logits: [vocabulary] logits of the first answer token, float32, CPU.
    """

    ids: list[int]
    logprobs: list[float]
    first_logits: Tensor


def collate(prompts: Sequence[Prompt], model: LoadedModel) -> tuple[dict[str, Tensor], list[Tensor]]:
    """One left-padded batch.

    Args:
        prompts: Prompts of one model.
        model: For its device, dtype and padding token.

    Returns:
        The model's inputs, and for each sample the places [N] of its tokens on the padded axis.
    """
    lengths = [int(p.inputs["input_ids"].shape[1]) for p in prompts]
    longest = max(lengths)
    batch: dict[str, Tensor] = {}
    for name in prompts[0].inputs:
        parts = [p.inputs[name] for p in prompts]
        if name in _TOKEN_INPUTS:
            fill = _padding_id(model) if name == "input_ids" else 0
            parts = [pad(x, (longest - x.shape[1], 0), value=fill) for x in parts]
        batch[name] = torch.cat(parts)
    return to_model(batch, model), [torch.arange(longest - n, longest) for n in lengths]


def to_model(inputs: dict[str, Tensor], model: LoadedModel) -> dict[str, Tensor]:
    """Inputs on the model's first device; dtypes are the prompt's, as the model's own users would have them."""
    return {name: value.to(model.model.device) for name, value in inputs.items()}


def generate(model: LoadedModel, inputs: dict[str, Tensor], max_new_tokens: int) -> list[Answer]:
    """Greedy answers.

    Args:
        model: The loaded model.
        inputs: A batch from `collate`.
        max_new_tokens: Most tokens of an answer, at least 1.

    Returns:
        One answer a sample.
    """
    with torch.inference_mode():
        out: Any = model.model.generate(
            **inputs,
            **PLAIN_GREEDY,
            max_new_tokens=max_new_tokens,
            pad_token_id=_padding_id(model),
            return_dict_in_generate=True,
            output_logits=True,
        )
    new = out.sequences[:, -len(out.logits) :]
    stops = _stop_ids(model)
    answers = []
    for row, ids in enumerate(new.tolist()):
        end = next((i + 1 for i, token in enumerate(ids) if token in stops), len(ids))
        logprobs = [float(log_softmax(out.logits[i][row].float(), -1)[ids[i]]) for i in range(end)]
        answers.append(Answer(ids[:end], logprobs, out.logits[0][row].float().cpu()))
    return answers


def option_logprob(model: LoadedModel, prompt: Prompt, ids: Sequence[int], first_logits: Tensor) -> float:
    """Log-probability that an option continues one prompt; as `option_logprobs`."""
    return option_logprobs(model, [prompt], [ids], [first_logits])[0]


def option_logprobs(
    model: LoadedModel, prompts: Sequence[Prompt], options: Sequence[Sequence[int]], first_logits: Sequence[Tensor]
) -> list[float]:
    """Log-probability that an option continues a prompt, summed over the option's tokens.

    Args:
        model: The loaded model.
        prompts: Prompts that can be collated.
        options: Tokens of one option of each prompt.
        first_logits: [vocabulary] logits after each prompt, which a one-token option needs alone.

    Returns:
        Natural logarithms, one a prompt.
    """
    found = [float(log_softmax(logits, -1)[ids[0]]) for logits, ids in zip(first_logits, options, strict=True)]
    more = max(len(ids) for ids in options) - 1
    if more == 0:
        return found
    inputs, _ = collate(prompts, model)
    tail = torch.tensor([[*ids[:-1], *[_padding_id(model)] * (more + 1 - len(ids))] for ids in options])
    said = torch.tensor([[1] * (len(ids) - 1) + [0] * (more + 1 - len(ids)) for ids in options])
    tails = {"input_ids": tail, "attention_mask": said}
    for name in _TOKEN_INPUTS:
        if name in inputs:
            added = tails.get(name, torch.zeros_like(tail))
            inputs[name] = torch.cat([inputs[name], added.to(inputs[name])], 1)
    with torch.inference_mode():
        out: Any = model.model(**inputs, use_cache=False, logits_to_keep=more)
    for row, ids in enumerate(options):
        after = log_softmax(out.logits[row, -more:].float(), -1)
        found[row] += sum(float(after[i, token]) for i, token in enumerate(ids[1:]))
    return found


def _padding_id(model: LoadedModel) -> int:
    candidates = [model.tokenizer.pad_token_id, *sorted(_stop_ids(model)), 0]
    return int(next(c for c in candidates if c is not None))


def _stop_ids(model: LoadedModel) -> set[int]:
    config = getattr(model.model, "generation_config", None)
    ids = getattr(config, "eos_token_id", None)
    if ids is None:
        ids = model.tokenizer.eos_token_id
    return set(ids) if isinstance(ids, (list, tuple)) else {ids} - {None}
