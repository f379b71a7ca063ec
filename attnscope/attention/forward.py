"""What a forward pass of the decoder is about: how many tokens its cache held before, and how many it adds.

Shapes do not tell a prefill from decoding. One query over many keys is a decoding step, a prompt in a static cache, or
a layer of a prefill whose keys are another layer's (Gemma 4) and which therefore needs no more than the last row. The
cache tells, before the first layer has written into it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attnscope.errors import ModelError
from attnscope.transformers_names import cache_in, cached_tokens


@dataclass(frozen=True)
class Forward:
    """One forward pass of the decoder.

    Attributes:
        past: Tokens that the cache held before, padding included; 0 without a cache.
        new: Tokens that the pass adds.
    """

    past: int
    new: int

    @classmethod
    def of(cls, decoder: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Forward:
        """The pass that a decoder is called for.

        Args:
            decoder: The decoder.
            args: What it is called with, by position.
            kwargs: What it is called with, by name.

        Raises:
            ModelError: If it is given no tokens, or a cache that does not count its tokens.
        """
        inputs = named(decoder, args, kwargs)
        given = next((value for value in map(inputs.get, ("inputs_embeds", "input_ids")) if value is not None), None)
        name = type(decoder).__name__
        if not isinstance(given, Tensor) or given.dim() < 2:
            raise ModelError(f"{name}: its decoder was given neither token ids nor embeddings")
        cache = cache_in(inputs)
        past = cached_tokens(cache)
        if cache is not None and past is None:
            raise ModelError(
                f"{name}: its cache ({type(cache).__name__}) does not say how many tokens it holds, so that a prefill"
                " cannot be told from decoding"
            )
        return cls(past or 0, int(given.shape[1]))


def named(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a module is called with, by name."""
    if not args:
        return dict(kwargs)
    inner: Any = getattr(module, "_orig_mod", module)  # of a compiled module
    return dict(zip(inspect.signature(inner.forward).parameters, args, strict=False)) | dict(kwargs)


def past_of(forward: Forward | None, layer: int, queries: int, keys: int) -> int:
    """Tokens that the cache held before the pass that a layer's call belongs to.

    Args:
        forward: The pass, None where a layer runs by itself (one that is computed again for its gradient, say).
        layer: Number of the layer, for messages.
        queries: Queries of the call.
        keys: Keys of the call.

    Raises:
        ModelError: If the layer was given other rows than the pass adds, or runs by itself over keys of other tokens.
    """
    if forward is None:
        if queries == keys:  # every key is a token of this call, so that there is no cache
            return 0
        raise ModelError(
            f"layer {layer}: {queries} queries meet {keys} keys outside of a forward pass of the decoder, so that a"
            " prefill cannot be told from decoding"
        )
    if queries != forward.new:
        raise ModelError(
            f"layer {layer}: the model computes {queries} of the {forward.new} rows in this layer; the others cannot be"
            " read or edited"
        )
    return forward.past
