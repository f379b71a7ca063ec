"""Why logits are not finite: a weight that is no number, or a layer that leaves the range of its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.attention import tapped
from attnscope.capture.record.generate import bare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnscope.model import LoadedModel, Prompt


def broken_weight(model: Any) -> str | None:
    """The first parameter or buffer with a number that is not finite, and which number that is; None if there is none.

    Args:
        model: The transformers model. What is not in memory, and what is quantised, is not looked at.
    """
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_meta or hasattr(tensor, "__tensor_flatten__") or not tensor.is_floating_point():
            continue
        if not bool(torch.isfinite(tensor).all()):
            return f"{name} holds {'NaN' if bool(torch.isnan(tensor).any()) else 'infinity'}"
    return None


def first_overflow(model: LoadedModel, prompts: Sequence[Prompt], inputs: dict[str, Tensor]) -> str | None:
    """Name of the first module of the plain model whose output is not finite, None if all are. Costs one prefill."""
    names: list[str] = []

    def look(name: str, out: Any) -> None:
        parts = out if isinstance(out, tuple) else (out,)
        numbers = [part for part in parts if isinstance(part, Tensor) and part.is_floating_point()]
        if not names and not all(bool(torch.isfinite(part).all()) for part in numbers):
            names.append(name)

    handles = [
        module.register_forward_hook(lambda _module, _args, out, name=name: look(name, out))
        for name, module in model.model.named_modules()
        if name
    ]
    try:
        with tapped(model.model):
            bare(model, prompts, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return names[0] if names else None


def why_not_finite(model: LoadedModel, prompts: Sequence[Prompt], inputs: dict[str, Tensor], *, corrected: bool) -> str:
    """The end of a sentence that says that logits are not finite: why, and what to do.

    Args:
        model: The model.
        prompts: The prompts of the batch.
        inputs: The batch.
        corrected: Whether corrections were in force.
    """
    weight = broken_weight(model.model)
    if weight is not None:
        return f": the weight {weight}, so the checkpoint is damaged or training diverged; get it anew"
    place = first_overflow(model, prompts, inputs)
    if place is None:
        return " under the corrections: take weaker ones" if corrected else " while it is recorded; please report this"
    dtype = str(model.model.dtype).removeprefix("torch.")
    remedy = (
        "take another dtype, such as bfloat16 or float32" if dtype == "float16" else "its weights do not fit its code"
    )
    return f": {place} is the first part whose output leaves the range of {dtype}; {remedy}"
