"""Compiled code runs uncompiled while a block of the seam is open.

`torch.compile` keeps what it has compiled. It does not ask again for hooks that were added since
(`skip_nnmodule_hook_guards`), so a block that is opened around a compiled model would read nothing and change nothing.
Inside a block everything therefore runs as Python, whether the whole model, its decoder, a layer or a function of other
code was compiled; leaving the last block gives the compiled code back. The model's own attention kernel is the
exception: flex attention needs its compiled form, which no N x N map passes through.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from attnscope.errors import ModelError

_lock = threading.Lock()
_open: list[Any] = []  # the stance that the first of the open blocks has taken, once for each open block


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled code as Python, in all threads, until the last open block is left.

    Raises:
        ModelError: If the block is opened by code that is compiled itself.
    """
    with _lock:
        try:
            _open.append(_open[0] if _open else torch.compiler.set_stance("force_eager"))
        except RuntimeError as error:
            raise ModelError(f"attention is edited and read outside of compiled code only ({error})") from None
    try:
        yield
    finally:
        with _lock:
            stance = _open.pop()
            if not _open:
                stance.__exit__(None, None, None)


@contextmanager
def as_deployed() -> Iterator[None]:
    """Inside a block, let a kernel that is compiled run compiled."""
    with torch.compiler.set_stance("default"):
        yield
