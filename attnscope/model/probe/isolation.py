"""A model's tower in which every token keeps to itself, and what the decoder would then be given.

Inside a vision tower every patch attends to every other, so that a change of one pixel reaches all visual tokens. Here
each self-attention outside of the text decoder returns every token's own value, as if it attended to nothing but
itself. A visual token then answers to its own pixels alone. Nothing of the model is edited: modules of transformers are
reached through the attention registry, as everywhere in attnscope, and other code (timm) through torch's function mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attnscope.attention.decoder import decoder_layers
from attnscope.attention.forward import named
from attnscope.attention.uncompiled import uncompiled
from attnscope.errors import AttnscopeError, ModelError
from attnscope.transformers_names import (
    eager_function,
    implementation_of,
    local_entry,
    registry_of,
    text_decoder,
)

Attention = Callable[..., tuple[Tensor, Tensor | None]]


@contextmanager
def isolated(model: nn.Module) -> Iterator[None]:
    """Let every token outside of the text decoder attend to itself alone; leaving the block restores everything.

    Cross-attention (queries of another number than keys) stays as it is: what a resampler or a Q-Former mixes is mixed.

    Args:
        model: A transformers model with a text decoder.
    """
    inside = set(_stack(model).modules())
    outside = {module for module in model.modules() if module not in inside and registry_of(module) is not None}
    entries = {
        (id(registry), name): (registry, name)
        for registry, name in ((registry_of(module), implementation_of(module)) for module in outside)
        if name is not None
    }
    with ExitStack() as undo:
        undo.enter_context(uncompiled())
        for registry, name in entries.values():
            before = local_entry(registry, name)
            undo.callback(_restore, registry, name, before)
            registry[name] = partial(_own_value, registry.get(name), outside)
        undo.enter_context(_OwnValues())
        yield


def _stack(model: nn.Module) -> nn.Module:
    """The layers of the text decoder, without the tower that some decoders hold beside them (Phi-4-multimodal)."""
    decoder, read = text_decoder(model), set(decoder_layers(model).values())
    lists = [part for part in decoder.modules() if isinstance(part, nn.ModuleList) and read <= set(part.modules())]
    return lists[-1] if lists else decoder


def _restore(registry: Any, name: str, before: Any) -> None:
    del registry[name]
    if before is not None:
        registry[name] = before


def _own_value(
    original: Attention | None,
    outside: set[nn.Module],
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *args: Any,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Stand-in for a registry entry: [B, N, H, d] values of each token itself, for the modules outside the decoder."""
    if module in outside and query.shape[-2] == key.shape[-2]:
        return _heads_of(query, value).transpose(1, 2).contiguous(), None
    return (original or eager_function(module))(module, query, key, value, *args, **kwargs)


def _heads_of(query: Tensor, value: Tensor) -> Tensor:
    """Values [..., H, N, d] with one head for each of the queries', where several of them share one."""
    return value.repeat_interleave(query.shape[-3] // value.shape[-3], dim=-3) if value.dim() > 3 else value


class _OwnValues(TorchFunctionMode):
    """The same for code that calls torch's attention, or a softmax over square matrices, by itself."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return values for attention, the identity matrix for a softmax over as many keys as queries."""
        given = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention:
            query, key, value = (*args, *(given[name] for name in ("query", "key", "value")[len(args) :]))[:3]
            if query.shape[-2] == key.shape[-2]:
                return _heads_of(query, value).contiguous()
        if func in _SOFTMAX and args and isinstance(args[0], Tensor) and args[0].dim() > 2:
            logits = args[0]
            axis = given.get("dim", args[1] if len(args) > 1 else None)
            if axis in (-1, logits.dim() - 1) and logits.shape[-1] == logits.shape[-2] > 1:
                kind = given.get("dtype") or logits.dtype
                return torch.eye(logits.shape[-1], dtype=kind, device=logits.device).expand(logits.shape)
        return func(*args, **given)


_SOFTMAX = (torch.softmax, Tensor.softmax, nn.functional.softmax)


class _Reached(Exception):  # noqa: N818 (no error: how the decoder's input leaves the model)
    """The decoder was called with these embeddings."""

    def __init__(self, embeddings: Tensor) -> None:
        self.embeddings = embeddings


def decoder_input(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """What the text decoder is given for some inputs; its layers do not run.

    A decoder that puts the visual features among its embeddings by itself is stopped at its first layer.

    Args:
        model: A transformers model.
        inputs: Inputs of one prompt, by name.

    Returns:
        float32 [N, D] on the CPU.

    Raises:
        ModelError: If the model fails, or its decoder is not given one vector for each token.
    """
    decoder, stack, name = text_decoder(model), _stack(model), type(model).__name__

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        whole = module is decoder
        given = named(module, args, kwargs).get("inputs_embeds" if whole else "hidden_states")
        if whole and given is None and stack is not decoder:
            return  # it embeds the tokens itself
        if not isinstance(given, Tensor) or given.shape[:2] != inputs["input_ids"].shape:
            raise ModelError(f"{name}: its decoder is not given one vector for each token of the prompt")
        raise _Reached(given[0].float().cpu())

    first = [decoder] if stack is decoder else [decoder, next(stack.children())]
    handles = [module.register_forward_pre_hook(leave, with_kwargs=True) for module in first]
    try:
        with torch.inference_mode():
            model(**inputs, use_cache=False)
    except _Reached as reached:
        return reached.embeddings
    except AttnscopeError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{name} fails on made-up frames ({why})") from error
    finally:
        for handle in handles:
            handle.remove()
    raise ModelError(f"{name}: its decoder did not run")
