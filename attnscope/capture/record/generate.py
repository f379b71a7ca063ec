"""Running the model: batches of prompts, greedy answers, and the log-probability of given options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, pad

from attnscope.errors import AttnscopeError, ModelError, RequestError, RunError
from attnscope.model.innermost import open_to, stated_inputs, takes
from attnscope.model.positions import placed, require_own_positions
from attnscope.transformers_names import counted_over, fault_of_a_version, last_logits

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

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


_LONGEST = 200  # characters of another library's message


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

    Raises:
        RequestError: If the prompts do not have the same inputs, or the family's positions in a batch are not those
            of each prompt alone.
    """
    lengths = [int(p.inputs["input_ids"].shape[1]) for p in prompts]
    longest = max(lengths)
    batch = _joined(prompts, model, "inputs")
    if len(prompts) > 1:
        require_own_positions(model.model, batch, [to_model(p.inputs, model) for p in prompts])
    return batch, [torch.arange(longest - n, longest) for n in lengths]


def _joined(prompts: Sequence[Prompt], model: LoadedModel, which: str) -> dict[str, Tensor]:
    """The `inputs` or the `rest` of prompts as one batch."""
    longest = max(int(p.inputs["input_ids"].shape[1]) for p in prompts)
    batch: dict[str, Tensor] = {}
    for name in getattr(prompts[0], which):
        if len({_form(p, name, getattr(p, which)) for p in prompts}) > 1:
            raise RequestError(f"{name}: not all prompts of a batch have this input alike; run them one at a time")
        parts = [getattr(p, which)[name] for p in prompts]
        if counted := counted_over(name):
            parts = _renumbered(parts, [getattr(p, which)[counted] for p in prompts])
        axis = 0  # of media, which follow one another
        if name in prompts[0].token_inputs:
            fill = _padding_id(model) if name == "input_ids" else 0
            parts = [pad(x, (longest - x.shape[-1], 0), value=fill) for x in parts]
            axis = parts[0].dim() - 2
        # Pixels of a single prompt are the largest input by far, and are not copied
        batch[name] = parts[0] if len(parts) == 1 and parts[0].is_floating_point() else torch.cat(parts, axis)
    return to_model(batch, model)


def _renumbered(parts: Sequence[Tensor], pixels: Sequence[Tensor]) -> list[Tensor]:
    """Numbers of patches [T, K] of each prompt's own media [F, P, C], as numbers of patches of the whole batch."""
    before = [0, *accumulate(one.shape[0] * one.shape[1] for one in pixels)]
    return [torch.where(part >= 0, part + start, part) for part, start in zip(parts, before, strict=False)]


def _form(prompt: Prompt, name: str, inputs: dict[str, Tensor]) -> tuple[int, ...] | None:
    """What an input has to have in common with that of other prompts of a batch; None where there is none.

    That of one value a token is padded; media follow one another, so that all but their first axis is alike.
    """
    if name not in inputs:
        return None
    return (-1,) if name in prompt.token_inputs else tuple(inputs[name].shape[1:])


def to_model(inputs: dict[str, Tensor], model: LoadedModel) -> dict[str, Tensor]:
    """Inputs on the model's first device; dtypes are the prompt's, as the model's own users would have them."""
    return {name: value.to(model.model.device) for name, value in inputs.items()}


@contextmanager
def running(model: LoadedModel) -> Iterator[None]:
    """Say in one line what goes wrong inside the model's own code.

    Raises:
        RunError: If it raises an error of its own; running out of memory and attnscope's errors are let through.
    """
    try:
        yield
    except (AttnscopeError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())
        why = f"{type(error).__name__}: {why if len(why) <= _LONGEST else why[: _LONGEST - 4] + ' ...'}"
        fault = fault_of_a_version(model.model, error)
        raise RunError(
            f"{model.id}: {type(model.model).__name__} failed while it ran ({why})" + (f"; {fault}" if fault else "")
        ) from error


def generate(model: LoadedModel, inputs: dict[str, Tensor], max_new_tokens: int) -> list[Answer]:
    """Greedy answers.

    Args:
        model: The loaded model.
        inputs: A batch from `collate`.
        max_new_tokens: Most tokens of an answer, at least 1.

    Returns:
        One answer a sample.
    """
    with running(model), placed(model.model, inputs), open_to(model.model, frozenset(inputs)), torch.inference_mode():
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


def bare(model: LoadedModel, prompts: Sequence[Prompt], inputs: dict[str, Tensor]) -> list[Answer]:
    """The first answer token of each prompt, from one call of the transformers model itself.

    `generate` and attnscope choose what they hand the model; here it gets everything that the processor made. So logits
    that `generate` gave are those of the model on its full inputs if they are equal to these (docs/decisions/0016). A
    batch whose prompts are padded goes through `generate`, which counts positions without the padding.

    Args:
        model: The loaded model.
        prompts: The prompts of the batch.
        inputs: The batch, from `collate`.

    Returns:
        One answer of one token a prompt.
    """
    full = _full(model, prompts, inputs)
    if len({prompt.inputs["input_ids"].shape[1] for prompt in prompts}) > 1:
        return generate(model, full, 1)
    logits = _last_logits(model, model.model, full)
    best = logits.argmax(-1).tolist()
    logprobs = log_softmax(logits, -1)
    return [Answer([token], [float(logprobs[row, token])], logits[row].cpu()) for row, token in enumerate(best)]


def check_wrapper(model: LoadedModel, prompts: Sequence[Prompt], inputs: dict[str, Tensor]) -> None:
    """Refuse a wrapper that computes something else than the model inside it, which is what is read.

    Costs up to two forward passes, and none for a model that is not wrapped.

    Raises:
        ModelError: If their logits differ.
    """
    if model.wrapper is None:
        return
    full = _full(model, prompts, inputs)
    inside, outside = (_last_logits(model, called, full) for called in (model.model, model.wrapper))
    apart = float((inside - outside.to(inside)).abs().max())
    if not apart <= logit_tolerance(model.model.dtype, inside):
        raise ModelError(
            f"{type(model.wrapper).__name__}: its logits are not those of the {type(model.model).__name__} inside it"
            f" (largest difference {apart:.3g}); attnscope reads the model inside, so it cannot read this wrapper"
        )


def logit_tolerance(dtype: torch.dtype, logits: Tensor) -> float:
    """How far logits of one model on one input may be apart between two ways to run it (ours)."""
    return (1e-4 if dtype == torch.float32 else 3e-2) * max(1.0, float(logits.abs().max()))


def _full(model: LoadedModel, prompts: Sequence[Prompt], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch with everything that the processor made and the model's forward takes."""
    rest = _joined(prompts, model, "rest")
    return inputs | {name: value for name, value in rest.items() if takes(model.model, name)}


def _last_logits(model: LoadedModel, called: Any, full: dict[str, Tensor]) -> Tensor:
    """[B, vocabulary] logits after each prompt, in float32, of the model or its wrapper."""
    keep = {name: count for name, count in last_logits(1).items() if name in stated_inputs(model.model)}
    with running(model), placed(model.model, full), torch.inference_mode():
        return called(**full, **keep).logits[:, -1].float()  # type: ignore[no-any-return]


def option_logprob(model: LoadedModel, prompt: Prompt, ids: Sequence[int], first_logits: Tensor) -> float:
    """Log-probability that an option continues one prompt; as `option_logprobs`."""
    return option_logprobs(model, [prompt], [ids], [first_logits])[0]


def option_logprobs(
    model: LoadedModel, prompts: Sequence[Prompt], options: Sequence[Sequence[int]], first_logits: Sequence[Tensor]
) -> list[float]:
    """Log-probability that an option continues a prompt, summed over the option's tokens.

    The option is decoded token by token, as an answer would be: in one pass over prompt and option, a model whose
    prompt sees itself in both directions (PaliGemma) would know the option before it is asked for it.

    Args:
        model: The loaded model.
        prompts: Prompts that can be collated.
        options: Tokens of one option of each prompt.
        first_logits: [vocabulary] logits after each prompt, which a one-token option needs alone.

    Returns:
        Natural logarithms, one a prompt.
    """
    logprobs = [float(log_softmax(logits, -1)[ids[0]]) for logits, ids in zip(first_logits, options, strict=True)]
    if max(map(len, options)) == 1:
        return logprobs
    inputs, _ = collate(prompts, model)
    for step, logits in enumerate(_forced(model, inputs, options)):
        for row, ids in enumerate(options):
            if 0 < step < len(ids):
                logprobs[row] += float(log_softmax(logits[row].float(), -1)[ids[step]])
    return logprobs


def _forced(model: LoadedModel, inputs: dict[str, Tensor], answers: Sequence[Sequence[int]]) -> Sequence[Tensor]:
    """Logits [B, vocabulary] before each token of given answers, one a sample, decoded with a cache.

    Raises:
        RunError: If generation ends before an answer does.
    """
    length, padding = inputs["input_ids"].shape[1], _padding_id(model)

    def wanted(row: int, step: int) -> int:
        return answers[row][step] if step < len(answers[row]) else padding

    def lead(ids: Tensor, scores: Tensor) -> Tensor:
        tokens = [wanted(row, ids.shape[1] - length) for row in range(len(answers))]
        index = torch.tensor(tokens, device=scores.device)[:, None]
        return torch.full_like(scores, float("-inf")).scatter(1, index, 0.0)

    with running(model), placed(model.model, inputs), open_to(model.model, frozenset(inputs)), torch.inference_mode():
        out: Any = model.model.generate(
            **inputs,
            **PLAIN_GREEDY,
            max_new_tokens=max(map(len, answers)),
            logits_processor=[lead],  # the last word, over whatever the checkpoint's settings suppress
            prefix_allowed_tokens_fn=lambda row, ids: [wanted(row, len(ids) - length)],  # Janus drops the one above
            pad_token_id=padding,
            return_dict_in_generate=True,
            output_logits=True,
        )
    for ids, answer in zip(out.sequences[:, length:].tolist(), answers, strict=True):
        if ids[: len(answer)] != list(answer):  # it ends the answer before its last token, say
            raise RunError(f"the model cannot be led through the tokens {', '.join(map(str, answer))}")
    logits: Sequence[Tensor] = out.logits
    return logits


def _padding_id(model: LoadedModel) -> int:
    candidates = [model.tokenizer.pad_token_id, *sorted(_stop_ids(model)), 0]
    return int(next(c for c in candidates if c is not None))


def _stop_ids(model: LoadedModel) -> set[int]:
    config = getattr(model.model, "generation_config", None)
    ids = getattr(config, "eos_token_id", None)
    if ids is None:
        ids = model.tokenizer.eos_token_id
    return set(ids) if isinstance(ids, (list, tuple)) else {ids} - {None}
