"""Finding the attention modules of a model's text decoder, or saying in one sentence why they cannot be reached."""

from __future__ import annotations

from torch import nn

from attnscope.errors import ModelError
from attnscope.transformers_names import (
    attends_to_others,
    has_linear_attention,
    has_text_config,
    implementation_of,
    is_encoder_decoder,
    registry_of,
    text_decoder,
)


def decoder_layers(model: nn.Module) -> dict[int, nn.Module]:
    """Attention modules of the text decoder that dispatch through the attention registry.

    Args:
        model: A transformers model.

    Returns:
        Layer number -> attention module, in increasing order. Layers without softmax attention (linear attention,
        state-space layers) are absent.

    Raises:
        ModelError: If the model is an encoder-decoder, or no attention module can be reached.
    """
    name = type(model).__name__
    if not has_text_config(model):
        raise ModelError(f"{name} is not a transformers model: it has no configuration")
    if is_encoder_decoder(model):
        raise ModelError(
            f"{name} is an encoder-decoder model: its cross-attention does not pass through one decoder stream"
        )
    layers: dict[int, nn.Module] = {}
    unreachable: set[str] = set()
    for module in text_decoder(model).modules():
        number = getattr(module, "layer_idx", None)
        if not isinstance(number, int) or not _is_attention(module):
            continue
        if not _dispatches(module):
            if not has_linear_attention(model, number):
                unreachable.add(type(module).__name__)
        elif attends_to_others(module):
            raise ModelError(
                f"{name}: layer {number} is cross-attention ({type(module).__name__}), which is not supported"
            )
        elif number in layers:
            raise ModelError(
                f"{name} has two attention modules in layer {number}: cross-attention decoders are not supported"
            )
        else:
            layers[number] = module
    if unreachable or not layers:
        missing = ", ".join(sorted(unreachable)) or "any decoder module with a layer_idx and an attention projection"
        raise ModelError(
            f"{name}: attention cannot be reached, because the transformers attention registry is not used by {missing}"
        )
    return dict(sorted(layers.items()))


def _is_attention(module: nn.Module) -> bool:
    """A module that projects to queries: decoder layers and convolutions also carry layer_idx, but no projections."""
    names = {child for child, _ in module.named_children()}
    return bool(names & {"q_proj", "qkv_proj", "query_key_value", "Wqkv", "c_attn", "q_a_proj", "q_b_proj"})


def _dispatches(module: nn.Module) -> bool:
    return registry_of(module) is not None and implementation_of(module) is not None
