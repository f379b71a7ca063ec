"""Captures: what to record, recording it while the model runs, the .h5 format, and reading it back.

The package is also the function that records one:

    attnscope.capture(model, scene, out, *, plan=None, sampling=None, max_new_tokens=16,
                      template="{speaker}: {text}", verify=True, progress=None) -> Capture

`help(attnscope.capture.run.capture)` explains the arguments. The function is imported on first use, so that reading a
capture never imports torch (docs/decisions/0002).
"""

from __future__ import annotations

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import Any

from attnscope.capture.plan import Plan
from attnscope.capture.read.capture import Capture, open

__all__ = ["Capture", "Plan", "open"]


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Capture:
        from attnscope.capture.run import capture

        return capture(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        """What `inspect.signature` and editors show: the function's."""
        from attnscope.capture.run import capture

        return signature(capture)


sys.modules[__name__].__class__ = _CallablePackage
