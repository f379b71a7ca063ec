"""Gates on head outputs: how much of what each head has gathered the model lets through to its output projection.

Some decoders multiply every head's output by the sigmoid of a gate that follows from the query's token alone. A head
can then attend and still contribute nothing. The gate is read with hooks on the model's own projections; it counts only
if it explains what the output projection receives, so a name that means something else in a new model is found out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.attention.decoder import decoder_layers
from attnscope.attention.seam import tapped
from attnscope.transformers_names import gate_logits, gate_projection, output_projection

ROUNDING = 4  # units in the last place by which two orders of the same product may differ

Look = Callable[[int, Tensor | None, Tensor], None]


def has_gates(model: nn.Module, layers: Sequence[int]) -> bool:
    """Whether any of some layers has a projection that may be a gate."""
    return any(gate_projection(decoder_layers(model)[number]) is not None for number in layers)


@contextmanager
def gated(model: nn.Module, look: Look, layers: Sequence[int]) -> Iterator[None]:
    """Read the gates of attention layers while the model runs; leaving the block takes the hooks away.

    Args:
        model: A transformers model whose attention can be reached.
        look: Called for every pass of every layer with the number of the layer, its gate [B, N, H] (mean over the
            channels of a head, float32; None if it has none), and whether head output times gate is what its output
            projection receives, boolean [B, N]. Other threads' passes are their own.
        layers: Numbers of layers with attention. One without an output projection of a known name is passed over.
    """
    here, modules = threading.get_ident(), decoder_layers(model)
    outputs: dict[int, Tensor] = {}
    given: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, out: Tensor) -> None:
            if threading.get_ident() == here:
                given[layer] = out

        return hook

    def compare(layer: int) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if threading.get_ident() == here and layer in outputs:
                look(layer, *read_gate(outputs.pop(layer), given.pop(layer, None), args[0]))

        return hook

    with ExitStack() as undo:
        known = [layer for layer in layers if output_projection(modules[layer]) is not None]
        for layer in known:
            undo.callback(output_projection(modules[layer]).register_forward_pre_hook(compare(layer)).remove)
            if (projection := gate_projection(modules[layer])) is not None:
                undo.callback(projection.register_forward_hook(keep(layer)).remove)
        undo.enter_context(tapped(model, outputs=[outputs.__setitem__], layers=known))
        yield


def read_gate(output: Tensor, given: Tensor | None, received: Tensor) -> tuple[Tensor | None, Tensor]:
    """The gate of one pass of one layer, and where it explains what the output projection receives.

    Args:
        output: [B, N, H, Dv] what the attention gives.
        given: [B, N, C] what the gate's projection gives, None if there is none.
        received: [B, N, H * Dv] what the output projection takes.

    Returns:
        [B, N, H] float32, the mean over a head's channels, or None without a gate; boolean [B, N].
    """
    batch, tokens, heads, width = output.shape
    logits = None if given is None else gate_logits(given, heads, width)
    gate = None if logits is None else torch.sigmoid(logits.float())
    if received.numel() != output.numel():
        return gate, torch.zeros(batch, tokens, dtype=torch.bool, device=output.device)
    if gate is None and received.data_ptr() == output.data_ptr():
        return None, torch.ones(batch, tokens, dtype=torch.bool, device=output.device)
    expected = output.float() if gate is None else output.float() * gate
    off = (received.reshape(output.shape).float() - expected).abs().amax((-2, -1))
    room = ROUNDING * torch.finfo(output.dtype).eps * expected.abs().amax((-2, -1))
    return None if gate is None else gate.mean(-1), off <= room
