"""The one module that knows names inside transformers.

transformers renames things within a major version (5.24 made `cache` of `past_key_values`). Whatever attnscope assumes
about its names stands here, each assumption in a small function that says which versions it knows; the rest of
attnscope asks these functions. It lies at the top of the package so that `attention`, `model`, `capture` and `correct`
may all import it without an import that runs upward (docs/decisions/0015).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of the argument and of the output: 5.24 and later; 5.10 to 5.23 (deprecated until 5.40).
_CACHE_NAMES = ("cache", "past_key_values")


def cache_in(inputs: Mapping[str, Any]) -> Any:
    """The cache among the named inputs of a forward pass, None if there is none.

    Known: transformers 5.10 to 5.23 name it `past_key_values`, 5.24 and later `cache`; these still take the old name.

    Args:
        inputs: What a model's `forward` is called with, by name.
    """
    return next((inputs[name] for name in _CACHE_NAMES if inputs.get(name) is not None), None)


def cache_of(output: Any) -> Any:
    """The cache that a model hands back, None if it hands back none.

    Known: as `cache_in`, as a field of a named output. In a plain tuple it is the element that counts its tokens.

    Args:
        output: What `forward` returns.
    """
    if isinstance(output, tuple):
        return next((one for one in output if hasattr(one, "get_seq_length")), None)
    fields = dict(output) if isinstance(output, Mapping) else {}  # a copy: 5.24 warns when asked for the old name
    return cache_in(fields)


def cached_tokens(cache: Any) -> int | None:
    """How many tokens a cache has taken in, None if it does not say.

    Known: `Cache.get_seq_length`, transformers 5.10 to 5.24.
    """
    return int(cache.get_seq_length()) if hasattr(cache, "get_seq_length") else None
