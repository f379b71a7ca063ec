"""Names of transformers around a forward pass: its cache, the rows it computes, its positions, and `generate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# Of the argument and of the output: 5.24 and later; 5.10 to 5.23 (deprecated until 5.40).
CACHE_NAMES = ("cache", "past_key_values")


def cache_in(inputs: Mapping[str, Any]) -> Any:
    """The cache among the named inputs of a forward pass, None if there is none.

    Known: transformers 5.10 to 5.23 name it `past_key_values`, 5.24 and later `cache`; these still take the old name.

    Args:
        inputs: What a model's `forward` is called with, by name.
    """
    return next((inputs[name] for name in CACHE_NAMES if inputs.get(name) is not None), None)


def cache_of(output: Any) -> Any:
    """The cache that a model hands back, None if it hands back none.

    Known: as `cache_in`, as a field of a named output. In a plain tuple it is the element that counts its tokens.

    Args:
        output: What `forward` returns.
    """
    if isinstance(output, tuple):
        return next((value for value in output if hasattr(value, "get_seq_length")), None)
    fields = dict(output) if isinstance(output, Mapping) else {}  # a copy: 5.24 warns when asked for the old name
    return cache_in(fields)


def cached_tokens(cache: Any) -> int | None:
    """How many tokens a cache has taken in, None if it does not say.

    A sliding layer counts the tokens that it has dropped, and a static one does not count its empty places.

    Known: `Cache.get_seq_length`, transformers 5.10 to 5.24.
    """
    return int(cache.get_seq_length()) if hasattr(cache, "get_seq_length") else None


_KEEP = "logits_to_keep"


def last_logits(count: int) -> dict[str, Any]:
    """The argument of `forward` that asks for the logits of the last tokens only.

    Known: `logits_to_keep`, transformers 5.10 to 5.24.

    Args:
        count: How many tokens.
    """
    return {_KEEP: count}


def all_rows(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a decoder is called with, changed so that each of its layers computes the rows of all tokens.

    Known: with shared keys (Gemma 4 of transformers 5.24) the decoder receives a number `logits_to_keep`, and its last
    layers compute that many rows. Told none, it computes all of them, and the model takes the last ones itself.

    Args:
        kwargs: Named arguments of the decoder's forward pass.
    """
    return {name: value for name, value in kwargs.items() if name != _KEEP or not isinstance(value, int)}


def split_logits(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The inputs of a model without the argument of `last_logits`, and that argument, None if it is not given.

    Known: as `last_logits`; a number, or a tensor of positions.
    """
    rest = {name: value for name, value in inputs.items() if name != _KEEP}
    return rest, inputs.get(_KEEP)


def context_window(config: Any) -> int | None:
    """How many positions a decoder was made for, stretched positions included; None if its configuration says nothing.

    Known: `max_position_embeddings` and, in `rope_parameters` (one for all layers, or one for each type of layer), a
    `factor` over `original_max_position_embeddings`, or over the former; transformers 5.10 to 5.24.
    """
    stated = getattr(config, "max_position_embeddings", None)
    if not isinstance(stated, int) or isinstance(stated, bool) or stated <= 0:
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    several = [part for part in (rope, *rope.values()) if isinstance(part, Mapping)]
    windows = [stated]
    for part in several:
        if part.get("rope_type", "default") in ("linear", "dynamic", "yarn"):
            original = part.get("original_max_position_embeddings") or stated
            windows.append(int(original * (part.get("factor") or 1)))
    return max(windows)


def position_rule(model: Any) -> Callable[..., Any] | None:
    """The function of a family that gives visual tokens their positions in time, height and width; None without one.

    Known: `get_rope_index` of the model's core, transformers 5.10 to 5.24; it returns positions [3, B, N] first.

    Args:
        model: A transformers model.
    """
    core = getattr(model, "base_model", model)
    rule: Callable[..., Any] | None = next(
        (function for owner in (core, model) if callable(function := getattr(owner, "get_rope_index", None))), None
    )
    return rule


def fault_of_a_version(model: Any, error: Exception) -> str:
    """The fault of transformers that an error inside a model comes from, "" if none is known.

    Known: Llama 4 of transformers 5.24, whose forward asks the output of its text model for `image_outputs`, which is
    no field of it, so that every pass fails, of text alone too; 5.10 to 5.23 run.

    Args:
        model: The transformers model that raised it.
        error: What it raised.
    """
    if model.config.model_type == "llama4" and isinstance(error, AttributeError) and "image_outputs" in str(error):
        return "transformers 5.24 runs no Llama 4, whatever it is given: take transformers 5.23"
    return ""


@contextmanager
def unvalidated_generate(model: Any) -> Iterator[None]:
    """Let `generate` hand on inputs that the signature of `forward` does not name.

    Known: `_validate_model_kwargs`, transformers 5.10 to 5.24.

    Args:
        model: A transformers model.
    """
    own = model.__dict__.get("_validate_model_kwargs")
    model.__dict__["_validate_model_kwargs"] = lambda _given: None
    try:
        yield
    finally:
        del model.__dict__["_validate_model_kwargs"]
        if own is not None:
            model.__dict__["_validate_model_kwargs"] = own
