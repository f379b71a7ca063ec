"""Names of transformers around gates: factors on the heads' outputs, between the attention and its last projection."""

from __future__ import annotations

from typing import Any


def output_projection(module: Any) -> Any:
    """The linear map that takes the outputs of an attention module's heads, None if it has none of that name.

    Known: `o_proj`, or `out_proj` (LFM2), transformers 5.10 to 5.24.

    Args:
        module: An attention module.
    """
    return getattr(module, "o_proj", None) or getattr(module, "out_proj", None)


def gate_projection(module: Any) -> Any:
    """The linear map whose output decides how much of each head's output passes, None if a module has none.

    Known: `gate_proj` (Hunyuan 4, Muse) or `g_proj` (Step 3.7, Dots 3) beside the other projections, or a `q_proj` that
    gives twice as many channels as the output projection takes (Qwen3-Next, Qwen3.5, Qwen 4), transformers 5.10 to
    5.24. A name is only a guess: `attnscope.attention.gates` compares the gate with what the model computes.

    Args:
        module: An attention module.
    """
    for name in ("gate_proj", "g_proj"):
        if hasattr(module, name):
            return getattr(module, name)
    query, output = getattr(module, "q_proj", None), output_projection(module)
    given, taken = getattr(query, "out_features", None), getattr(output, "in_features", None)
    return query if taken is not None and given == 2 * taken else None


def gate_logits(given: Any, heads: int, width: int) -> Any:
    """The logits of a gate, [B, N, H, 1 or Dv], from what `gate_projection` gives; None if it gives something else.

    Known: one logit for a head, one for each of its channels, or its query and then one for each of its channels;
    transformers 5.10 to 5.24.

    Args:
        given: [B, N, C] output of the projection.
        heads: H, query heads of the layer.
        width: Dv, channels of a head's output.
    """
    channels = given.shape[-1]
    if channels == 2 * heads * width:
        return given.unflatten(-1, (heads, 2 * width))[..., width:]
    return given.unflatten(-1, (heads, -1)) if channels in (heads, heads * width) else None
