"""Positions of a prompt's tokens: whether visual ones get theirs, and whether all lie within the context window.

A model of a family that places visual tokens in time, height and width counts them as if they were text where it lacks
an input, and answers all the same. So what reaches the decoder is held against what the family's own rule makes of the
processor's inputs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attnscope.errors import ModelError, RequestError
from attnscope.transformers_names import TYPE_IDS, context_window, position_rule, text_decoder

if TYPE_CHECKING:
    from torch import Tensor

    from attnscope.model.load import LoadedModel

logger = logging.getLogger("attnscope")

CONTEXT = "the prompt takes"  # how the sentence about a prompt beyond the context window begins


def require_type_ids(model: Any, given: Mapping[str, Any]) -> None:
    """Refuse visual tokens without what their family needs to place them.

    Args:
        model: The transformers model.
        given: Inputs of a prompt, by name.

    Raises:
        ModelError: If the inputs show a grid of visual tokens and do not say which tokens these are.
    """
    rule = position_rule(model)
    if rule is None or not _grids(given) or TYPE_IDS in given or TYPE_IDS not in inspect.signature(rule).parameters:
        return
    raise ModelError(
        f"{type(model).__name__}: {TYPE_IDS} is missing from the inputs; without it the model places its visual tokens"
        f" as if they were text (ask the processor for it with return_{TYPE_IDS}=True)"
    )


def require_own_positions(model: Any, batch: Mapping[str, Any], alone: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a batch in which the family's rule gives a prompt other positions than it has alone.

    Args:
        model: The transformers model.
        batch: Inputs of several prompts, padded on the left.
        alone: Inputs of each of them.

    Raises:
        RequestError: Naming the class (HunYuan-VL numbers the images of all prompts of a batch one after another).
    """
    rule = position_rule(model)
    together = _expected(rule, batch)
    for row, inputs in enumerate(alone if together is not None else ()):
        own = _expected(rule, inputs)
        if own is None or together is None:
            continue
        if not bool((together[:, row, -own.shape[-1] :] == own[:, 0]).all()):
            raise RequestError(
                f"{type(model).__name__}: positions of visual tokens in a batch depend on its other prompts; run the"
                " prompts one at a time"
            )


@contextmanager
def placed(model: Any, given: Mapping[str, Any]) -> Iterator[None]:
    """Refuse a run in which the decoder gets other positions than the family's rule gives the inputs.

    Args:
        model: The transformers model (`attnscope.model.innermost`).
        given: What it is run on: a batch with its prompts whole.

    Raises:
        ModelError: If an input is missing, or was lost on the way to the decoder.
    """
    require_type_ids(model, given)
    expected = _expected(position_rule(model), given)
    if expected is None:
        yield
        return
    mask = given.get("attention_mask")
    real = (given["input_ids"] == given["input_ids"]) if mask is None else mask.bool()

    def check(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        embedded = kwargs.get("inputs_embeds")
        if embedded is not None and embedded.shape[1] == real.shape[1] and not _same(kwargs, expected, real):
            raise ModelError(
                f"{type(model).__name__}: its visual tokens lost their positions in time, height and width; code that"
                f" replaced a forward keeps {TYPE_IDS} from the model"
            )

    decoder = text_decoder(model)
    decoder = getattr(decoder, "_modules", {}).get("_orig_mod", decoder)  # compiled by itself
    handle = decoder.register_forward_pre_hook(check, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def last_position(model: Any, given: Mapping[str, Any]) -> int:
    """The largest position of a prompt's tokens, from 0; where no rule of the family is known, tokens are counted.

    Args:
        model: The transformers model.
        given: Inputs of one prompt, by name.
    """
    positions = _expected(position_rule(model), given)
    return int(given["input_ids"].shape[1]) - 1 if positions is None else int(positions.max())


def _grids(given: Mapping[str, Any]) -> bool:
    return any(name.endswith("_grid_thw") and value is not None for name, value in given.items())


def _expected(rule: Callable[..., Any] | None, given: Mapping[str, Any]) -> Tensor | None:
    """Positions [3, B, N] that a rule gives to inputs, None where there is no rule or nothing to place."""
    if rule is None or not _grids(given) or TYPE_IDS not in given:
        return None
    names = inspect.signature(rule).parameters
    try:
        output = rule(**{name: value for name, value in given.items() if name in names})
    except Exception as error:  # a rule that wants more than the processor's inputs: the self-check still compares
        logger.debug("positions could not be computed beforehand: %s", error)
        return None
    positions: Tensor = output[0] if isinstance(output, tuple) else output
    return positions if positions.dim() == 3 else None


def _same(kwargs: Mapping[str, Any], expected: Tensor, real: Tensor) -> bool:
    """Whether the positions that reach the decoder are those expected, on the tokens that are no padding."""
    positions = kwargs.get("position_ids")
    if positions is None or positions.dim() != expected.dim():
        return False
    axes = positions[-len(expected) :]  # the first of four rows are positions of the text
    if axes.shape != expected.shape:
        return True  # another arrangement than any that is known: the self-check compares the logits
    return bool((axes.to(expected.device) == expected)[:, real].all())


def context_note(loaded: LoadedModel, inputs: Mapping[str, Any]) -> str | None:
    """What to say of a prompt that reaches beyond the model's context window; None if it does not.

    What counts is the last position, not the number of tokens: families that place visual tokens in time, height and
    width give many tokens few positions. A model with rotary positions computes something beyond its window too, so
    the prompt is not refused.

    Args:
        loaded: The model.
        inputs: Inputs of one prompt, by name.

    Returns:
        One sentence with both numbers.
    """
    window = context_window(loaded.text_config)
    length = last_position(loaded.model, inputs) + 1
    if window is None or length <= window:
        return None
    return (
        f"{CONTEXT} {length:,} positions, and the model's context window has {window:,}; what the model does"
        " beyond it was never trained"
    )
