"""The residual stream: what every layer of the text decoder receives, looked at while the model runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from attnscope.attention.decoder import decoder_layers
from attnscope.errors import ModelError
from attnscope.transformers_names import text_config

Look = Callable[[int, Tensor], None]


@contextmanager
def streamed(model: nn.Module, look: Look, layers: Sequence[int] | None = None) -> Iterator[None]:
    """Look at what layers of the text decoder receive; leaving the block takes the hooks away, also after an exception.

    The block of a layer is hooked, not its norm or its attention: what it is called with is the sum of all that came
    before it, also where a model adds something between two layers (the deep visual features of Qwen3-VL).

    Args:
        model: A transformers model whose attention can be reached.
        look: Called with the number of a layer and what it receives, [B, N, D] before its norm; after the last layer of
            the model with the number of layers and what leaves it, before the model's last norm. It must change
            nothing. Other threads' calls of the same model are their own.
        layers: Numbers of layers with attention; None for all of them. The end is looked at in any case.

    Raises:
        ModelError: If the decoder is not one list of layers, or a layer does not receive one vector for each token.
    """
    blocks, here, name = decoder_blocks(model), threading.get_ident(), type(model).__name__

    def show(layer: int, stream: Any) -> None:
        if threading.get_ident() != here:
            return
        if not isinstance(stream, Tensor) or stream.dim() != 3:
            raise ModelError(f"{name}: at layer {layer} there is not one vector for each token, but {_shape(stream)}")
        look(layer, stream)

    def before(layer: int) -> Callable[..., None]:
        return lambda _block, args, kwargs: show(layer, args[0] if args else kwargs.get("hidden_states"))

    def after(_block: nn.Module, _args: Any, out: Any) -> None:
        show(len(blocks), out[0] if isinstance(out, (tuple, list)) else out)

    with ExitStack() as undo:
        for number in decoder_layers(model) if layers is None else layers:
            undo.callback(blocks[number].register_forward_pre_hook(before(number), with_kwargs=True).remove)
        undo.callback(blocks[-1].register_forward_hook(after).remove)
        yield


def decoder_blocks(model: nn.Module) -> list[nn.Module]:
    """All layers of the text decoder in order, those without softmax attention included.

    Raises:
        ModelError: If they are not in one list, each at its number.
    """
    attention = decoder_layers(model)
    total = int(text_config(model).num_hidden_layers)
    for stack in model.modules():
        if isinstance(stack, nn.ModuleList) and max(total, max(attention) + 1) <= len(stack):
            blocks = list(stack)[:total]
            if all(number < total and _inside(module, blocks[number]) for number, module in attention.items()):
                return blocks
    raise ModelError(
        f"{type(model).__name__}: what its layers receive cannot be reached, because they are not one list of {total}"
    )


def _inside(module: nn.Module, block: nn.Module) -> bool:
    return any(inner is module for inner in block.modules())


def _shape(stream: Any) -> str:
    return f"a tensor of shape {tuple(stream.shape)}" if isinstance(stream, Tensor) else type(stream).__name__
