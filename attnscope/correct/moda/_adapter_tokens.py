"""Which tokens of a batch are visual and which are text, from what a transformers model is called with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attnscope import transformers_names as names
from attnscope.correct.moda.gram import Step, steps
from attnscope.errors import ModelError, RequestError
from attnscope.transformers_names import cache_in, cached_tokens, modalities_in

_IGNORED = -100  # label of a token that the loss is not about


@dataclass(frozen=True)
class Batch:
    """The tokens of one forward pass, and of the cached steps that follow it.

    Attributes:
        length: Tokens that the model has met, padding included.
        orders: One a row: for each side, the steps by which its keys are mapped (see `gram.steps`).
    """

    length: int
    orders: list[dict[str, list[Step]]]

    @property
    def any(self) -> bool:
        """Whether a key of any row is mapped."""
        return any(order for orders in self.orders for order in orders.values())

    @classmethod
    def of(
        cls,
        model: Any,
        inputs: dict[str, Any],
        ids: tuple[int, ...],
        settings: dict[str, str],
        last: Batch | None,
    ) -> Batch:
        """Read what the model is called with, by name.

        Args:
            model: The model.
            inputs: What it is called with.
            ids: Of visual tokens.
            settings: Of the adapter.
            last: The batch whose cache is among the inputs; None if it is another cache, or there is none.

        Raises:
            RequestError: If the tokens cannot be told apart, or the Gram matrix would take in what is to be predicted,
                or a cache is not that of a batch that the adapter has seen, or is not continued token by token.
        """
        given = inputs.get("input_ids")
        if given is None:
            raise RequestError("MODA adapter: the model was given no input_ids, which say which tokens are visual")
        met = cached_tokens(cache_in(inputs)) or 0
        if met:
            if last is None:
                raise RequestError(
                    f"MODA adapter: the cache of {met} tokens is not that of the last prompts that it has seen, so that"
                    " their keys are not known"
                )
            if given.shape[1] != 1:
                raise RequestError(f"MODA adapter: {given.shape[1]} tokens after a cache of {met}; it takes one a step")
            if met != last.length:
                raise RequestError(f"MODA adapter: the cache held {last.length} tokens, and now holds {met}")
            return replace(last, length=met + 1)
        visual = torch.isin(given, torch.tensor(ids, device=given.device)).cpu()
        if not visual.any() and (kinds := modalities_in(inputs)) is not None:
            visual = torch.isin(kinds.cpu(), torch.tensor([1, 2]))
        seen, prompt = _seen(inputs, given), _prompt(model, inputs, given, settings["scope"], bool(visual.any()))
        visual, text = visual & seen, ~visual & seen & prompt
        return cls(
            given.shape[1], [_orders(row, v, t, settings) for row, (v, t) in enumerate(zip(visual, text, strict=True))]
        )


def visual_ids(model: Any) -> tuple[int, ...]:
    """Ids of the tokens whose embeddings a model replaces by visual features.

    Raises:
        ModelError: If its configuration names none.
    """
    found = names.visual_ids(model.config)
    if not found:
        raise ModelError(f"{type(model).__name__}: its configuration names no token id of images or video")
    return tuple(sorted(found))


def _seen(inputs: dict[str, Any], given: Tensor) -> Tensor:
    """[B, N] tokens that are not padding."""
    mask = inputs.get("attention_mask")
    if mask is None:
        return torch.ones(given.shape, dtype=torch.bool)
    if not isinstance(mask, Tensor) or mask.shape != given.shape:
        raise RequestError("MODA adapter: the attention mask must be one value a token, to tell padding")
    return mask.bool().cpu()


def _prompt(model: Any, inputs: dict[str, Any], given: Tensor, scope: str, visual: bool) -> Tensor:
    """[B, N] tokens before the first one with a label."""
    labels = inputs.get("labels")
    if labels is not None:
        before: Tensor = (labels != _IGNORED).long().cumsum(1) == 0
        return before.cpu()
    if scope == "prompt" and visual and model.training and torch.is_grad_enabled():
        raise RequestError(
            "MODA adapter: in training, scope 'prompt' needs labels, or the Gram matrix would take in the answer;"
            " pass labels to the model, or take scope 'prefix'"
        )
    return torch.ones(given.shape, dtype=torch.bool)


def _orders(row: int, visual: Tensor, text: Tensor, settings: dict[str, str]) -> dict[str, list[Step]]:
    if settings["scope"] == "prompt" and visual.any() and not text.any():
        raise RequestError(
            f"MODA adapter: sample {row} has no text before its first label; set the labels of its prompt to -100, or"
            " take scope 'prefix'"
        )
    sides = {"visual": (visual, text), "text": (text, visual)}
    wanted = sides if settings["direction"] == "both" else {settings["direction"]: sides[settings["direction"]]}
    return {side: steps(*pair, settings["scope"]) for side, pair in wanted.items()}
