"""The only place where attnscope touches a running model: its attention functions, swapped for the time of a block.

transformers dispatches attention through a registry, by the name of the model's attention implementation. Inside
`tapped`, the entry of the model's own backend is wrapped; the wrapper passes every module through unchanged except
those of the tapped model. The configuration is not edited, so masks, caches and every other switch on the backend's
name stay as deployed (docs/decisions/0001).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from attnscope.attention.call import AttentionCall
from attnscope.attention.channels import read_with_output
from attnscope.attention.decoder import decoder_layers
from attnscope.attention.dense import replace_rows
from attnscope.attention.forward import Forward, past_of
from attnscope.attention.fused import log_sum_exp
from attnscope.attention.uncompiled import as_deployed, uncompiled
from attnscope.errors import ModelError
from attnscope.transformers_names import (
    all_rows,
    eager_function,
    implementation_of,
    local_entry,
    registry_of,
    text_decoder,
)


class Edit(Protocol):
    """Changes attention.

    It returns the call with query-key channels appended, other keys, its output scaled or rows edited, or the call
    itself.
    """

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Edit one attention call."""
        ...


class Reader(Protocol):
    """Reads attention through value channels."""

    def channels(self, call: AttentionCall) -> Tensor | None:
        """Extra value columns [B, 1 or Hkv, Nk, C] for this call, or None to read without them."""
        ...

    def read(self, call: AttentionCall, readings: Tensor | None) -> None:
        """Take the readings [B, Nq, H, C] of the columns, edits included; the call now has its output."""
        ...


@dataclass(eq=False)
class _Tap:
    """What one `tapped` block asks for, by attention module, and the forward pass of the decoder that is running."""

    decoder: nn.Module
    layers: dict[nn.Module, int]
    edits: Sequence[Edit]
    readers: Sequence[Reader]
    outputs: Sequence[Callable[[int, Tensor], None]] = ()
    forward: Forward | None = None

    @property
    def wants(self) -> bool:
        """Whether the block reads or edits anything."""
        return bool(self.layers) and bool(self.edits or self.readers or self.outputs)


@dataclass(eq=False)
class _Patch:
    """One wrapped registry entry, shared by nested blocks."""

    registry: Any
    name: str
    users: int = 0
    had_local: Any = field(default=None)


class _Here(threading.local):
    """The open blocks of this thread: another thread's calls of the same model are its own."""

    def __init__(self) -> None:
        self.taps: list[_Tap] = []


_lock = threading.RLock()
_here = _Here()
_patches: dict[tuple[int, str], _Patch] = {}


@contextmanager
def tapped(
    model: nn.Module,
    *,
    edits: Sequence[Edit] = (),
    readers: Sequence[Reader] = (),
    outputs: Sequence[Callable[[int, Tensor], None]] = (),
    layers: Sequence[int] | None = None,
) -> Iterator[None]:
    """Run the model with its attention edited and read; leaving the block restores everything, also after an exception.

    Compiled code runs uncompiled in the block (`attnscope.attention.uncompiled`), and layers that would compute their
    last rows only compute all of them. Blocks nest: edits apply from the outermost to the innermost, and every reader
    sees the fully edited attention.

    Args:
        model: A transformers model whose decoder dispatches through the attention registry.
        edits: Applied in order to every attention call of the chosen layers.
        readers: Asked for channels before, and handed the readings after, every call of the chosen layers.
        outputs: Handed the number of the layer and what every call of the chosen layers returns, [B, Nq, H, Dv], edits
            included; they must change nothing.
        layers: Layer numbers; None for all.

    Raises:
        ModelError: If the model's attention cannot be reached; the message names the class and what was missing.
    """
    decoders = decoder_layers(model)
    chosen = {module: number for number, module in decoders.items() if layers is None or number in layers}
    tap = _Tap(text_decoder(model), chosen, edits, readers, outputs)
    with ExitStack() as undo:
        undo.enter_context(uncompiled())
        undo.callback(tap.decoder.register_forward_pre_hook(_begin, with_kwargs=True).remove)
        undo.callback(tap.decoder.register_forward_hook(_end, always_call=True).remove)
        used = {module: _acquire(module, undo) for module in chosen}
        _here.taps.append(tap)
        undo.callback(_here.taps.remove, tap)
        yield
        for module, patch in used.items():
            if implementation_of(module) != patch.name:
                raise ModelError(
                    f"{type(model).__name__}: the attention implementation was changed from {patch.name} to"
                    f" {implementation_of(module)} inside the block; what ran since was not seen"
                )


def _begin(decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Hook before the decoder runs: learn from its cache what this pass is about, and have all rows computed."""
    taps = [tap for tap in _here.taps if tap.decoder is decoder]
    if not any(tap.wants for tap in taps):
        return None
    forward = Forward.of(decoder, args, kwargs)
    for tap in taps:
        tap.forward = forward
    return args, all_rows(kwargs)


def _end(decoder: nn.Module, _args: Any, _out: Any) -> None:
    for tap in _here.taps:
        if tap.decoder is decoder:
            tap.forward = None


def _acquire(module: nn.Module, undo: ExitStack) -> _Patch:
    registry = registry_of(module)
    name = str(implementation_of(module))
    with _lock:
        patch = _patches.get((id(registry), name))
        if patch is None:
            patch = _Patch(registry, name, had_local=local_entry(registry, name))
            registry[name] = partial(_dispatch, registry.get(name), name)
            _patches[(id(registry), name)] = patch
        patch.users += 1
    undo.callback(_release, patch)
    return patch


def _release(patch: _Patch) -> None:
    with _lock:
        patch.users -= 1
        if patch.users:
            return
        del patch.registry[patch.name]
        if patch.had_local is not None:
            patch.registry[patch.name] = patch.had_local
        del _patches[(id(patch.registry), patch.name)]


def _dispatch(
    original: Callable[..., Any] | None,
    backend: str,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Stand-in for a registry entry: same signature, same result for modules that no block has tapped."""
    if original is None:  # eager has no entry: every modelling file brings its own function
        original = eager_function(module)
    taps = [tap for tap in _here.taps if module in tap.layers and tap.wants]
    if not taps:
        result: tuple[Tensor, Tensor | None] = original(module, query, key, value, attention_mask, **kwargs)
        return result

    layer = taps[0].layers[module]
    past = past_of(taps[0].forward, layer, query.shape[2], key.shape[2])
    call = replace(_describe(module, layer, query, key, value, attention_mask, kwargs, backend), past=past)
    kwargs["scaling"] = call.scaling  # stated, because a kernel's default would come from the padded width

    def kernel(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
        with as_deployed():
            out, weights = original(module, q, k, v, attention_mask, **kwargs)
        return out, weights

    edits, readers = [edit for tap in taps for edit in tap.edits], [reader for tap in taps for reader in tap.readers]
    out, weights = _run(replace(call, kernel=kernel, read=bool(readers)), kernel, edits, readers)
    for look in [look for tap in taps for look in tap.outputs]:
        look(layer, out)
    return out, weights


def _run(
    call: AttentionCall, kernel: Any, edits: Sequence[Edit], readers: Sequence[Reader]
) -> tuple[Tensor, Tensor | None]:
    for edit in edits:
        edited = edit(call)
        if edited.query is not call.query and call.softcap is not None:
            raise ModelError(
                f"layer {call.layer}: this model caps its attention logits (softcap {call.softcap});"
                " a bias through channels would be bent"
            )
        call = edited
    if call.shortcut is not None and not (readers or call.rescales):  # an edit ran the kernel, and nothing is read
        return _scaled(call.shortcut(), call.known), None
    if call.row_edits:
        kernel = replace_rows(call, kernel)
    batch, kv_heads, n_keys, _ = call.value.shape
    asked = [*(rescale.channels for rescale in call.rescales), *(reader.channels(call) for reader in readers)]
    blocks = [c.to(call.value).expand(batch, kv_heads, n_keys, -1) for c in asked if c is not None]
    channels = torch.cat(blocks, -1) if blocks else call.value[..., :0]
    with log_sum_exp(call.backend, wanted=not call.is_decode and bool(readers or call.rescales)) as ran:
        out, weights, readings = read_with_output(call, kernel, channels)
    call = replace(call, lse=ran.of(call.query.shape), output=out)
    parts = iter(readings.split([block.shape[-1] for block in blocks], -1) if blocks else ())
    read = [None if wanted is None else next(parts) for wanted in asked]
    own = len(call.rescales)
    factor = call.factor_from([part for part in read[:own] if part is not None])
    for reader, part in zip(readers, read[own:], strict=True):
        reader.read(call, part)
    return _scaled(out, factor), weights


def _scaled(out: Tensor, factor: Tensor | None) -> Tensor:
    """An output [B, Nq, H, Dv] multiplied by factors [B, H, Nq], or as it is."""
    return out if factor is None else out * factor.transpose(1, 2)[..., None].to(out)


def _describe(
    module: nn.Module,
    layer: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Any,
    kwargs: dict[str, Any],
    backend: str,
) -> AttentionCall:
    if kwargs.get("position_bias") is not None:
        raise ModelError(f"{type(module).__name__} adds a position bias to its logits, which attnscope cannot read yet")
    is_causal = kwargs.get("is_causal")
    causal = bool(is_causal if is_causal is not None else getattr(module, "is_causal", True))
    return AttentionCall(
        layer=layer,
        query=q,
        key=k,
        value=v,
        mask=mask,
        scaling=float(kwargs.get("scaling") or q.shape[-1] ** -0.5),
        softcap=kwargs.get("softcap"),
        window=kwargs.get("sliding_window"),
        sink_logits=kwargs.get("s_aux"),
        # A single query reading a cache sees all of it; eager is causal only through its mask.
        causal=causal and q.shape[2] > 1 and backend != "eager",
        backend=backend,
        own_width=q.shape[-1],
    )
