"""What corrections need of a prompt, a model and its attention, from a capture alone: no model is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attnscope.attention import AttentionCall, Edit, Kernel, RowEdit
from attnscope.attention.dense import replace_rows
from attnscope.correct.base import Decoder
from attnscope.correct.look import STORED, Until
from attnscope.correct.notes import counted
from attnscope.errors import Argument, RequestError
from attnscope.vocabulary import READINGS
from attnscope.weights import rounded

if TYPE_CHECKING:
    from attnscope.capture.read.capture import Capture
    from attnscope.model import Prompt
    from attnscope.scene import Frames


def require_qk(cap: Capture) -> None:
    """Refuse a capture that holds no queries and keys, or those of a run that was corrected already.

    Raises:
        RequestError: Naming the plan that records them.
    """
    if cap.correction:
        raise RequestError(
            f"{cap.path}: was itself made under {cap.correction[0]['method']}; ask about a plain capture"
        )
    if not cap.has("qk"):
        plan = ",".join(name for name in READINGS if name == "qk" or cap.has(name))
        raise RequestError(
            f"{cap.path}: has no queries and keys, which a what-if is answered from; capture again with ",
            Argument("plan", plan),
        )


def stored_prompt(cap: Capture) -> Prompt:
    """The captured prompt as corrections know it: text, tokens, frames and scene; of the inputs only the token ids."""
    from attnscope.model.prompt import Prompt

    tokens = cap.tokens.iloc[: cap.prompt_length]
    ids = torch.from_numpy(tokens["token_id"].to_numpy(np.int64))[None]
    return Prompt(
        cap.prompt_text, {"input_ids": ids}, tokens, cast("Frames", cap.frames), cap.scene, placing=cap.placing
    )


def stored_decoder(cap: Capture) -> Decoder:
    """The captured model as corrections know it; edits that look at the plain run look at the capture's layers.

    It does not say which of the model's layers have softmax attention: where it holds only some layers, all count.
    """
    depth = int(cap.model["layers"])
    return Decoder(
        layers=tuple(range(depth)),
        depth=depth,
        heads=cap.heads,
        id=str(cap.model["id"]),
        config_sha256=str(cap.model["config_sha256"]),
        scout=partial(_scout, cap),
        source=STORED,
        weights=partial(rounded, cap.model),
    )


def _scout(cap: Capture, edits: Sequence[Edit]) -> Tensor:
    """Show the plain run's layers to edits that only look; there are no logits, which are NaN.

    Raises:
        RequestError: If logits are all that is wanted, or the capture lacks a layer that is looked at.
    """
    if not edits:
        raise RequestError(f"{cap.path}: a correction needs what the model answers, which a what-if cannot say")
    depth = int(cap.model["layers"])
    wanted = {layer for edit in edits if isinstance(edit, Until) for layer in edit.layers} or set(range(depth))
    if not wanted.issubset(held := [int(layer) for layer in cap.layers]):
        raise RequestError(
            f"{cap.path}: a correction chooses among {counted(len(wanted), 'layer')} of the model, and the capture"
            f" holds {len(wanted.intersection(held))} of them; capture them, or name heads"
        )
    for layer in sorted(wanted):
        call = stored_call(cap, layer)
        for edit in edits:
            edit(call)
    return torch.full((1, 1), torch.nan)


def stored_call(cap: Capture, layer: int) -> AttentionCall:
    """The prefill of one layer as the model's kernel was given it, but for the values, which a capture does not hold.

    They are NaN: what a correction makes of them cannot pass for a number.

    Args:
        cap: An open capture with the `qk` reading.
        layer: Number of the layer.

    Returns:
        A call of one sample with a kernel of its own, in linear memory.

    Raises:
        RequestError: If the layer is not in the capture.
    """
    mask, found = cap.mask(layer), cap.qk(layer)
    query, key = (_tensor(part[:, : cap.prompt_length], found.dtype) for part in (found.q, found.k))
    heads, length, width = query.shape
    sinks = None if found.sink_logits is None else torch.from_numpy(np.array(found.sink_logits[:heads]))
    call = AttentionCall(
        layer=layer,
        query=query[None],
        key=key[None],
        value=query.new_full((1, 1, 1, 1), torch.nan).expand(1, len(key), length, width),
        mask=None if mask.kind == "causal" else _StoredMask(cap, layer),
        scaling=found.scale,
        softcap=found.softcap,
        window=mask.window if mask.kind == "sliding" else None,
        sink_logits=None if sinks is None or bool(sinks.isneginf().all()) else sinks,
        causal=mask.kind == "causal",
        backend="sdpa",
        stored=True,
    )
    return replace(call, kernel=_kernel(call))


class _StoredMask:
    """The rule of a layer that is not simply causal, in the shape of a flex BlockMask: asked row by row."""

    def __init__(self, cap: Capture, layer: int) -> None:
        self.cap, self.layer = cap, layer

    def mask_mod(self, _sample: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Allowed pairs [R, K] of queries [R, 1] and keys [1, K]."""
        seen = self.cap.allowed(self.layer, query[:, 0].cpu().numpy())[:, key[0].cpu().numpy()]
        return torch.from_numpy(seen).to(query.device)


def _tensor(stored: Any, dtype: str) -> Tensor:
    """Queries or keys [heads, N, d] in the model's own type."""
    values = torch.from_numpy(np.ascontiguousarray(stored))
    return values.view(torch.bfloat16) if dtype == "bfloat16" else values


def _kernel(call: AttentionCall) -> Kernel:
    """Attention of a stored call: torch's fused kernel where that is exact, else densely, a few rows at a time."""
    fused = call.mask is None and call.softcap is None and call.sink_logits is None
    every = RowEdit([torch.arange(call.query.shape[2])], lambda _sample, _rows, z, _allowed: z)

    def run(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:
        if fused:
            share = query.shape[1] // key.shape[1]  # torch's own grouping leaves the fused kernel on a CPU
            key, value = (x.repeat_interleave(share, 1) for x in (key, value))
            out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=call.scaling)
            return out.transpose(1, 2), None
        own = replace(call, query=query, key=key).with_rows(every)
        return replace_rows(own, _nothing)(query, key, value)

    return run


def _nothing(query: Tensor, _key: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:
    return query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1]), None
