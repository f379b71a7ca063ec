"""The list of what attnscope assumes about transformers, each with a check that runs a real model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attnscope.transformers_names.attention import (
    eager_function,
    implementation_of,
    implementations,
    local_entry,
    registry_of,
    text_config,
    text_decoder,
)
from attnscope.transformers_names.gates import gate_projection, output_projection
from attnscope.transformers_names.inputs import modalities_in
from attnscope.transformers_names.loading import loader_of, without_bar
from attnscope.transformers_names.passes import CACHE_NAMES, cache_in, cache_of, cached_tokens, last_logits


@dataclass(frozen=True)
class Assumption:
    """Something that attnscope relies on.

    Attributes:
        name: A few words.
        claim: One sentence.
        versions: Versions of transformers for which it was seen to hold.
        check: Given a transformers model and the inputs of one prompt as its processor gives them, returns a few words
            on what was seen. It may run the model, and raises an exception whose message says what does not hold.
    """

    name: str
    claim: str
    versions: str
    check: Callable[[Any, Mapping[str, Any]], str]


def _check_registry(model: Any, inputs: Mapping[str, Any]) -> str:
    """Put a function over the entry of the model's own backend, and count its calls."""
    import torch

    decoder, calls = text_decoder(model), set[int]()
    modules = {id(part): part for part in decoder.modules() if hasattr(part, "layer_idx") and registry_of(part)}
    if not modules:
        raise LookupError("no module of the decoder looks its attention function up in a registry")
    part = next(iter(modules.values()))
    registry, name = registry_of(part), implementation_of(part)
    if name is None:
        raise LookupError("its configuration does not name an attention implementation")
    before, original = local_entry(registry, name), registry.get(name) or eager_function(part)

    def counting(module: Any, *args: Any, **kwargs: Any) -> Any:
        calls.add(id(module))
        return original(module, *args, **kwargs)

    registry[name] = counting
    try:
        with torch.no_grad():
            model(**inputs, **last_logits(1))
    finally:
        del registry[name]
        if before is not None:
            registry[name] = before
    if local_entry(registry, name) is not before:
        raise LookupError(f"the entry {name!r} was not put back")
    reached = len(calls & set(modules))
    if not reached:
        raise LookupError(f"no attention module of the decoder called the entry {name!r}")
    return f"{name}, {reached} layers"


def _check_eager(model: Any, _inputs: Mapping[str, Any]) -> str:
    part = next(part for part in text_decoder(model).modules() if hasattr(part, "layer_idx") and registry_of(part))
    return f"{eager_function(part).__module__.rpartition('.')[2]}"


def _check_output_projection(model: Any, inputs: Mapping[str, Any]) -> str:
    """Where the outputs of heads and their gate are read from, the model passes through."""
    import torch

    calls: set[int] = set()
    parts = [part for part in text_decoder(model).modules() if hasattr(part, "layer_idx") and registry_of(part)]
    outputs = [module for part in parts if (module := output_projection(part)) is not None]
    gates = [module for part in parts if (module := gate_projection(part)) is not None]
    known = [*outputs, *gates]
    hooks = [module.register_forward_pre_hook(lambda module, _args: calls.add(id(module))) for module in known]
    try:
        with torch.no_grad():
            model(**inputs, **last_logits(1))
    finally:
        for hook in hooks:
            hook.remove()
    if missed := [type(module).__name__ for module in known if id(module) not in calls]:
        raise LookupError(f"{len(missed)} of {len(known)} projections were not called ({missed[0]})")
    return f"in {len(outputs)} of {len(parts)} layers, {len(gates)} with a gate"


def _check_implementations(_model: Any, _inputs: Mapping[str, Any]) -> str:
    known = implementations()
    if "sdpa" not in known:
        raise LookupError("sdpa is not among the attention implementations")
    return f"{len(known)} implementations"


def _check_configuration(model: Any, _inputs: Mapping[str, Any]) -> str:
    config = text_config(model)
    return f"{int(config.num_hidden_layers)} layers of {int(config.num_attention_heads)} heads"


def _check_cache(model: Any, inputs: Mapping[str, Any]) -> str:
    """The cache is handed back, counts its tokens, and comes with the inputs of the next pass."""
    import torch

    seen: list[tuple[str, int | None]] = []

    def look(_model: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        name = next((name for name in CACHE_NAMES if kwargs.get(name) is not None), "none")
        seen.append((name, cached_tokens(cache_in(kwargs))))

    prompt = int(inputs["input_ids"].shape[1])
    with torch.no_grad():
        held = cached_tokens(cache_of(model(**inputs, use_cache=True, **last_logits(1))))
    if held != prompt:
        raise LookupError(f"the cache that a prompt of {prompt} tokens leaves counts {held}")
    handle = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        with torch.no_grad():
            model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    finally:
        handle.remove()
    if [count for _, count in seen] != [0, prompt]:
        raise LookupError(f"generate's two passes held {[count for _, count in seen]} tokens, not {[0, prompt]}")
    return seen[-1][0]


def _check_last_logits(model: Any, inputs: Mapping[str, Any]) -> str:
    import torch

    with torch.no_grad():
        every, two = model(**inputs).logits, model(**inputs, **last_logits(2)).logits
    if two.shape[1] != 2 or not torch.allclose(every[:, -2:], two, atol=1e-2, rtol=1e-2):
        raise LookupError(f"asked for the last 2 of {every.shape[1]} logits, the model gave {two.shape[1]}")
    return "last 2 logits"


def _check_modalities(_model: Any, inputs: Mapping[str, Any]) -> str:
    kinds = modalities_in(inputs)
    if kinds is None:
        return "not stated by this family"
    if kinds.shape != inputs["input_ids"].shape:
        raise LookupError(f"the processor gives {tuple(kinds.shape)} modalities, not one for every token")
    return ", ".join(f"{int((kinds == kind).sum())} of kind {kind}" for kind in sorted(set(kinds.flatten().tolist())))


def _check_loader(model: Any, _inputs: Mapping[str, Any]) -> str:
    loader = loader_of(model.config)
    if loader is None:
        raise LookupError(f"no mapping has the model type {model.config.model_type!r}")
    return str(loader.__name__)


def _check_messages(_model: Any, _inputs: Mapping[str, Any]) -> str:
    from transformers.utils import logging

    was = logging.is_progress_bar_enabled()
    with without_bar():
        if logging.is_progress_bar_enabled():
            raise LookupError("the progress bar cannot be hidden")
    if logging.is_progress_bar_enabled() != was:
        raise LookupError("the progress bar is not as it was")
    return "can be hidden"


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "attention registry",
        "Attention modules look their function up in a registry whose entries an instance can override.",
        "5.10 to 5.24",
        _check_registry,
    ),
    Assumption(
        "eager attention",
        "A modelling file brings its own eager attention function.",
        "5.10 to 5.24",
        _check_eager,
    ),
    Assumption(
        "output projection",
        "Attention hands its heads' outputs to a projection of its own, and computes their gate by another one.",
        "5.10 to 5.24",
        _check_output_projection,
    ),
    Assumption(
        "attention implementations",
        "The registry lists the attention implementations that can be asked for.",
        "5.10 to 5.24",
        _check_implementations,
    ),
    Assumption(
        "text configuration",
        "The configuration of the text decoder can be asked for, and names its layers and heads.",
        "5.10 to 5.24",
        _check_configuration,
    ),
    Assumption(
        "cache",
        "The cache is an argument and an output of forward and counts its tokens.",
        "5.10 to 5.23 as past_key_values, 5.24 as cache",
        _check_cache,
    ),
    Assumption(
        "last logits",
        "A model can be asked for the logits of the last tokens only.",
        "5.10 to 5.24",
        _check_last_logits,
    ),
    Assumption(
        "modalities",
        "The processor gives the modality of every token.",
        "5.10 to 5.24",
        _check_modalities,
    ),
    Assumption(
        "model classes",
        "A mapping of model types says which class loads a model of images or video with text.",
        "5.10 to 5.24",
        _check_loader,
    ),
    Assumption(
        "progress bars",
        "The progress bars of transformers can be hidden for a while.",
        "5.10 to 5.24",
        _check_messages,
    ),
)
