"""Names of transformers around attention: the registry, the decoder, and what its modules attend to."""

from __future__ import annotations

import inspect
from typing import Any


def registry_of(module: Any) -> Any:
    """The attention registry that a module's forward looks its function up in, or None.

    It is taken from the globals of the function itself: a subclass in another file still runs its parent's forward.

    Known: the global `ALL_ATTENTION_FUNCTIONS` of modelling files, transformers 5.10 to 5.24.

    Args:
        module: An attention module.
    """
    return _globals(module).get("ALL_ATTENTION_FUNCTIONS")


def local_entry(registry: Any, name: str) -> Any:
    """What an instance of the registry has put over the entry that all instances share, None for nothing.

    Known: `AttentionInterface._local_mapping`, a dict; setting an item writes to it and deleting one removes it from
    it alone, transformers 5.10 to 5.24.

    Args:
        registry: As `registry_of` gives it.
        name: Name of an attention implementation.
    """
    return registry._local_mapping.get(name)


def eager_function(module: Any) -> Any:
    """The eager attention function of a module's own modelling file; the registry has no entry for it.

    Known: the global `eager_attention_forward` of modelling files, transformers 5.10 to 5.24.

    Args:
        module: An attention module.
    """
    return _globals(module)["eager_attention_forward"]


def implementation_of(part: Any) -> str | None:
    """Name of the attention implementation that a module or a configuration uses, None if it has none.

    Known: `config._attn_implementation`, transformers 5.10 to 5.24.

    Args:
        part: A module with a configuration, or a configuration.
    """
    name = getattr(getattr(part, "config", part), "_attn_implementation", None)
    return None if name is None else str(name)


def implementations() -> list[str]:
    """Names of all attention implementations, eager included, without those of paged attention.

    Known: the keys of `ALL_ATTENTION_FUNCTIONS`, transformers 5.10 to 5.24; "eager" has no entry.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    return sorted({"eager", *(name for name in ALL_ATTENTION_FUNCTIONS if "|" not in name)})


def _globals(module: Any) -> dict[str, Any]:
    forward: Any = inspect.unwrap(type(module).forward)
    names: dict[str, Any] = getattr(forward, "__globals__", {})
    return names


def text_config(model: Any) -> Any:
    """Configuration of the text decoder.

    Known: `config.get_text_config(decoder=True)`, transformers 5.10 to 5.24.

    Args:
        model: A transformers model, or its configuration.
    """
    return getattr(model, "config", model).get_text_config(decoder=True)


def head_width(config: Any) -> int:
    """Channels of a head's queries and keys.

    Known: `qk_head_dim` of latent attention (DeepSeek, Kimi K2.5; there `head_dim` is the part with positions), else
    `head_dim`, else the hidden size over the heads; transformers 5.10 to 5.24.

    Args:
        config: Configuration of a text decoder.
    """
    stated = getattr(config, "qk_head_dim", None) or getattr(config, "head_dim", None)
    return int(stated or config.hidden_size // config.num_attention_heads)


def has_linear_attention(model: Any, layer: int) -> bool:
    """Whether a layer of the text decoder is stated to have linear attention: no softmax over keys.

    Known: "linear_attention" among `layer_types` of the text configuration, transformers 5.10 to 5.24.

    Args:
        model: A transformers model.
        layer: Number of the layer.
    """
    types = getattr(text_config(model), "layer_types", None) or ()
    return layer < len(types) and types[layer] == "linear_attention"


def has_text_config(model: Any) -> bool:
    """Whether a module is a model of transformers, whose configuration can be asked for its text decoder.

    Known: as `text_config`.
    """
    return hasattr(getattr(model, "config", None), "get_text_config")


def is_encoder_decoder(model: Any) -> bool:
    """Whether a model's text goes through an encoder and a decoder.

    Known: `is_encoder_decoder` of the configuration or its text part, transformers 5.10 to 5.24.
    """
    configs = (model.config, model.config.get_text_config())
    return any(getattr(config, "is_encoder_decoder", False) for config in configs)


def text_decoder(model: Any) -> Any:
    """The module whose forward pass runs the layers of the text decoder; the model itself if it names none.

    Known: `get_decoder`, transformers 5.10 to 5.24. The thinkers of the Omni models of 5.10 name themselves, and have
    the configuration of their text in `model`.
    """
    decoder = getattr(model, "get_decoder", lambda: model)()
    text = getattr(model, "model", None)
    if decoder is model and text is not None and getattr(text, "config", None) is text_config(model):
        return text
    return decoder


_OTHERS = ("cross_attention_states", "encoder_hidden_states", "key_value_states")


def attends_to_others(module: Any) -> bool:
    """Whether an attention module takes its keys from something else than its own stream.

    Known: the class says "Cross", or forward cannot do without the other states, transformers 5.10 to 5.24. What
    `is_causal` says is no sign: it is False as well where a prefix sees itself in both directions (PaliGemma).

    Args:
        module: An attention module.
    """
    if "Cross" in type(module).__name__:
        return True
    parameters = inspect.signature(type(module).forward).parameters
    return any(name in parameters and parameters[name].default is inspect.Parameter.empty for name in _OTHERS)
