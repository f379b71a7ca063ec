"""What other code does to a loaded model, each as a function of a fresh one."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from peft import LoraConfig, get_peft_model
from torch import nn


def lora(model: Any, *, zero: bool) -> Any:
    """A PEFT model with a LoRA adapter: of zeros, as before training, or of random numbers."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules=["q_proj", "k_proj"], init_lora_weights=zero)
    return get_peft_model(model, config).eval()


def compiled_decoder(model: Any) -> Any:
    model.model.language_model = torch.compile(model.model.language_model, backend="eager")
    return model


def compiled_layers(model: Any) -> Any:
    layers = model.model.language_model.layers
    for number, layer in enumerate(layers):
        layers[number] = torch.compile(layer, backend="eager")
    return model


def compiled_in_place(model: Any) -> Any:
    model.compile(backend="eager")
    return model


def patched_openly(model: Any) -> Any:
    own = model.forward

    @functools.wraps(own)
    def forward(*args, **kwargs):
        return own(*args, **kwargs)

    model.forward = forward
    return model


def patched_blindly(model: Any) -> Any:
    own = model.forward
    model.forward = lambda *args, **kwargs: own(*args, **kwargs)
    return model


def patched_as_method(model: Any) -> Any:
    own = type(model).forward

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, **kwargs):
        return own(self, input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, **kwargs)

    model.forward = types.MethodType(forward, model)
    return model


def hooked_by_accelerate(model: Any) -> Any:
    return add_hook_to_module(model, ModelHook())


def subclassed(model: Any) -> Any:
    """The class's own forward replaced, as Liger does it, for this model alone."""
    own = type(model)

    def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
        return own.forward(self, input_ids=input_ids, attention_mask=attention_mask, labels=labels, **kwargs)

    model.__class__ = type(own.__name__, (own,), {"forward": forward, "__module__": own.__module__})
    return model


def quantized(model: Any) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())
    return model


WRAPPERS = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "compiled in place": compiled_in_place,
    "compiled decoder": compiled_decoder,
    "compiled layers": compiled_layers,
    "adapter": lambda model: lora(model, zero=False),
    "adapter of zeros": lambda model: lora(model, zero=True),
    "merged adapter": lambda model: lora(model, zero=False).merge_and_unload(),
    "adapter, compiled": lambda model: torch.compile(lora(model, zero=False), backend="eager"),
    "DataParallel": nn.DataParallel,
    "patched with functools.wraps": patched_openly,
    "patched without a signature": patched_blindly,
    "patched as a method": patched_as_method,
    "hooks of accelerate": hooked_by_accelerate,
    "patched class": subclassed,
    "int8": quantized,
}


def narrow(model: Any) -> Any:
    """A forward that takes none of the newer inputs."""
    own = type(model).forward

    def forward(self, input_ids=None, attention_mask=None, pixel_values_videos=None, video_grid_thw=None):
        return own(
            self,
            input_ids=input_ids,
            attention_mask=attention_mask,
            pixel_values_videos=pixel_values_videos,
            video_grid_thw=video_grid_thw,
        )

    model.forward = types.MethodType(forward, model)
    return model


def swallowing(model: Any) -> Any:
    """A forward that takes everything, and drops what it does not know."""
    own = type(model).forward

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        known = {"pixel_values_videos", "video_grid_thw", "cache", "use_cache", "mm_encoder_outputs", "logits_to_keep"}
        return own(self, input_ids, attention_mask, **{k: v for k, v in kwargs.items() if k in known})

    model.forward = types.MethodType(forward, model)
    return model


def swallowing_core(model: Any) -> Any:
    """The same in the core of the model."""
    own = model.model.forward

    def forward(**kwargs):
        return own(**{k: v for k, v in kwargs.items() if k not in ("mm_token_type_ids", "position_ids")})

    model.model.forward = forward
    return model


class Tempered(nn.Module):
    """A wrapper that changes what comes out."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, **kwargs):
        out = self.module(**kwargs)
        out.logits = out.logits * 0.5
        return out
