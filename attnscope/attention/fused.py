"""The log-sum-exp of every row, which PyTorch's fused kernels return beside their output and PyTorch drops.

`torch.nn.functional.scaled_dot_product_attention` calls a kernel and keeps the output only. The kernel has computed the
log of each row's softmax denominator as well. Here a dispatch mode sees the kernel's call and keeps that number: the
same call of the same kernel, and no further work (docs/decisions/0039).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def _operations(*names: str) -> tuple[Any, ...]:
    """PyTorch's operations of these names; one that a version does not have is left out."""
    return tuple(getattr(torch.ops.aten, name).default for name in names if hasattr(torch.ops.aten, name))


_SDPA = torch.ops.aten.scaled_dot_product_attention.default
# Kernels of `scaled_dot_product_attention` whose second result is the log-sum-exp [B, H, Nq or more].
_ALWAYS = _operations("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention")
# Those that compute it when their fifth argument says so.
_ON_REQUEST = _operations("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention")
_COMPUTES = 4
BACKENDS = ("sdpa",)  # implementations that call them


class LogSumExp(TorchDispatchMode):
    """Keeps what the last fused kernel inside the block says of its rows; None if no such kernel ran."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.last: Tensor | None = None

    def of(self, call_shape: Sequence[int]) -> Tensor | None:
        """[B, H, Nq] float32 log-sum-exp of a call whose queries have this shape; None if it is not known."""
        batch, heads, rows = call_shape[:3]
        value = self.last
        if value is None or not value.numel():
            return None
        value = value.squeeze(-1) if value.dim() == 4 else value
        if value.dim() != 3 or value.shape[:2] != (batch, heads) or value.shape[2] < rows:
            return None
        return value[..., :rows].detach().float()  # memory-efficient kernels round the number of rows up

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation as it is, and keep the second result of a fused kernel."""
        kwargs = kwargs or {}
        if func is _SDPA:  # in inference mode it comes here whole
            with self:
                return func.decompose(*args, **kwargs)
        if func in _ON_REQUEST and len(args) > _COMPUTES:
            args = (*args[:_COMPUTES], True, *args[_COMPUTES + 1 :])
        result = func(*args, **kwargs)
        if func in _ALWAYS or func in _ON_REQUEST:
            self.last = result[1]
        return result


@contextmanager
def log_sum_exp(backend: str, wanted: bool = True) -> Iterator[LogSumExp]:
    """Keep the log-sum-exp of the fused kernels that run inside the block.

    Args:
        backend: Name of the attention implementation; others than those of `BACKENDS` are left alone.
        wanted: Whether to do so.
    """
    mode = LogSumExp()
    if not wanted or backend not in BACKENDS:
        yield mode
        return
    with mode:
        yield mode
