"""A fingerprint of a model's weights as they are in memory: every number counts, and a GiB takes 0.2 s.

A checksum of a tensor is the sum of its 64-bit words, each times an odd number of its own, modulo 2^64, chunk by chunk.
Sums of integers do not depend on their order, so devices and thread numbers agree. There are two hashes of all
checksums: of the weights as they are, and of the weights rounded to bfloat16, which a float32 and a bfloat16 copy of
one checkpoint share. Adapters in the layers count where they are switched on (docs/decisions/0016).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

METHOD = "sum64-1"
_CHUNK = 2**20  # bytes that are summed at once
_MASK = 2**64 - 1
_STEP = 6364136223846793005  # odd: chunks do not commute
_WRAPPERS = {"_orig_mod", "_checkpoint_wrapped_module", "base_layer"}  # parts of a name that wrapping adds


@dataclass(frozen=True)
class _Named:
    """A tensor, None where its numbers cannot be read, and the adapter that it belongs to, "" for none."""

    name: str
    tensor: Tensor | None
    adapter: str = ""


def fingerprint(model: Any) -> dict[str, Any]:
    """The fingerprint of a model's weights, as `/model` of a capture keeps it.

    Args:
        model: A transformers model (`attnscope.model.innermost`).

    Returns:
        `method`; `sha256` of the weights that are in force, and `rounded_sha256` of them rounded to bfloat16; `parts`,
        a checksum of each part (a layer, or a module outside the layers), to say where two models differ;
        `base_sha256` without adapters; `adapters`, the hash of each adapter that is in force; `tensors`, `bytes`, and
        `unread`, the number of tensors whose numbers are not in memory.
    """
    total, rounding, base = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    parts: dict[str, Any] = {}
    adapters: dict[str, Any] = {}
    count = size = unread = 0
    for named in sorted(_tensors(model), key=lambda named: named.name):
        tensor = named.tensor
        if tensor is None:
            unread += 1
            continue
        shape = "x".join(map(str, tensor.shape))
        exact = f"{named.name} {tensor.dtype} {shape} {checksum(tensor):016x}\n".encode()
        total.update(exact)
        rounding.update(f"{named.name} {shape} {checksum(tensor, rounded=True):016x}\n".encode())
        of = adapters.setdefault(named.adapter, hashlib.sha256()) if named.adapter else base
        of.update(exact)
        parts.setdefault(_part(named), hashlib.sha256()).update(exact)
        count, size = count + 1, size + tensor.numel() * tensor.element_size()
    return {
        "method": METHOD,
        "sha256": total.hexdigest(),
        "rounded_sha256": rounding.hexdigest(),
        "base_sha256": base.hexdigest(),
        "adapters": {name: digest.hexdigest() for name, digest in adapters.items()},
        "parts": {name: digest.hexdigest()[:8] for name, digest in parts.items()},
        "tensors": count,
        "bytes": size,
        "unread": unread,
    }


def stamp(model: Any) -> tuple[Any, ...]:
    """What changes when weights are replaced or written over in place, or adapters are switched."""
    places = [(weight.data_ptr(), weight._version) for weight in model.parameters() if _has_place(weight)]
    return *places, *(tuple(_in_force(layer)) for layer in model.modules() if hasattr(layer, "adapter_layer_names"))


def checksum(tensor: Tensor, *, rounded: bool = False) -> int:
    """The checksum of a tensor's numbers in their order, of 64 bits.

    Args:
        tensor: Tensor of any type, on any device.
        rounded: Round floating-point numbers of 16 bits and more to bfloat16 first.
    """
    flat = tensor.detach().reshape(-1)
    if flat.device.type not in ("cpu", "cuda"):
        flat = flat.cpu()
    narrow = rounded and flat.is_floating_point() and flat.element_size() > 1
    length = _CHUNK // (2 if narrow else flat.element_size())
    factors = _factors(str(flat.device))
    sum_of_words = flat.numel()
    for chunk in flat.split(length):
        if narrow:
            chunk = chunk.to(torch.bfloat16)
        data = chunk.contiguous().view(torch.uint8)
        if missing := -len(data) % 8:
            data = torch.nn.functional.pad(data, (0, missing))
        if data.storage_offset() % 8:
            data = data.clone()
        words = data.view(torch.int64)
        sum_of_words = (sum_of_words * _STEP + int((words * factors[: len(words)]).sum())) & _MASK
    return sum_of_words


@cache
def _factors(device: str) -> Tensor:
    """One odd factor for each word of a chunk, the same on every machine."""
    seed, values = 0x9E3779B97F4A7C15, []
    for _ in range(_CHUNK // 8):
        seed = (seed * _STEP + 1442695040888963407) & _MASK
        values.append((seed | 1) - (2**64 if seed >> 63 else 0))
    return torch.tensor(values, dtype=torch.int64, device=device)


def _tensors(model: Any) -> Iterator[_Named]:
    """Parameters and persistent buffers of a model, those of adapters only where these are in force."""
    tuners = {path: layer for path, layer in model.named_modules() if hasattr(layer, "adapter_layer_names")}
    saved = {path: layer for path, layer in model.named_modules() if hasattr(layer, "modules_to_save")}
    for path, layer in tuners.items():
        for adapter in _in_force(layer):
            scaling = getattr(layer, "scaling", {}).get(adapter)
            if scaling is not None:
                yield _Named(_plain(f"{path}.scaling"), torch.tensor(float(scaling), dtype=torch.float64), adapter)
    for path, module in model.named_modules(remove_duplicate=False):
        own = {**module._parameters, **module._buffers}
        for name in own:
            tensor = own[name]
            if tensor is None or name in module._non_persistent_buffers_set:
                continue
            place = _place(f"{path}.{name}" if path else name, tuners, saved)
            if place is not None:
                yield from _flat(place[0], _held(module, name, tensor), place[1])


def _place(name: str, tuners: dict[str, Any], saved: dict[str, Any]) -> tuple[str, str] | None:
    """The lasting name of a tensor and the adapter that it belongs to; None if it plays no role now."""
    for path, layer in tuners.items():
        inner = name.removeprefix(f"{path}.").split(".")
        if name.startswith(f"{path}.") and inner[0] in layer.adapter_layer_names:
            adapter = inner[1] if len(inner) > 1 else ""
            return (_plain(name), adapter) if adapter in _in_force(layer) else None
    for path, layer in saved.items():
        if not name.startswith(f"{path}."):
            continue
        kind, *inner = name.removeprefix(f"{path}.").split(".")
        force = [adapter for adapter in _in_force(layer) if adapter in layer.modules_to_save]
        if kind == "original_module":
            return None if force else (_plain(".".join([path, *inner])), "")
        if kind == "modules_to_save":
            return (_plain(".".join([path, *inner[1:]])), inner[0]) if inner[0] in force else None
    return _plain(name), ""


def _in_force(layer: Any) -> list[str]:
    """Adapters of a layer that its forward uses: switched on, and not merged into its weights."""
    if getattr(layer, "disable_adapters", False) or getattr(layer, "merged", False):
        return []
    return list(getattr(layer, "active_adapters", []))


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _held(module: Any, name: str, tensor: Tensor) -> Tensor | None:
    """A tensor with its numbers: those that accelerate has moved to disk or to the CPU are taken from there."""
    if not tensor.is_meta:
        return tensor
    hook = getattr(module, "_hf_hook", None)
    for inner in getattr(hook, "hooks", [hook]):
        kept = getattr(inner, "weights_map", None)
        if kept is not None and name in kept:
            weight: Tensor = kept[name]
            return weight
    return None


def _has_place(tensor: Tensor) -> bool:
    return not tensor.is_meta and not hasattr(tensor, "__tensor_flatten__")


def _flat(name: str, tensor: Tensor | None, adapter: str) -> Iterator[_Named]:
    """A tensor, or the plain tensors that a quantised one consists of."""
    if tensor is not None and hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        for inner in names:
            yield from _flat(f"{name}.{inner}", getattr(tensor, inner), adapter)
        return
    yield _Named(name, tensor, adapter)
    state = getattr(tensor, "quant_state", None)  # of bitsandbytes, beside the packed numbers
    for inner, value in (("absmax", getattr(state, "absmax", None)), ("SCB", getattr(tensor, "SCB", None))):
        if isinstance(value, Tensor):
            yield _Named(f"{name}.{inner}", value, adapter)


def _part(named: _Named) -> str:
    """The part that a tensor belongs to: its layer, its module outside the layers, or its adapter."""
    if named.adapter:
        return f"adapter {named.adapter}"
    names = named.name.split(".")
    number = next((at for at, name in enumerate(names) if name.isdigit()), None)
    return ".".join(names[: number + 1] if number is not None else names[:-1]) or named.name
