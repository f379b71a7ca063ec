"""See, measure and correct how multimodal language models attend to the people in a video.

>>> import attnscope
>>> model = attnscope.load("path/to/Qwen2.5-VL-7B-Instruct")
>>> cap = attnscope.capture(model, attnscope.Scene.read("scene.json"), "run.h5")
>>> cap.masses(layer=12).sel(key_group="visual:Ann")
>>> with attnscope.corrected(model, "scene.json", [attnscope.SocialBias(alpha=1.0)]) as block:
...     block.answer()

All corrections are in `attnscope.correct`, metrics in `attnscope.metrics`, figures in `attnscope.report.figures`;
docs/api.md lists every public name. Names are imported on first use: reading a capture needs neither torch nor
transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attnscope._version import __version__

if TYPE_CHECKING:
    from attnscope.capture.check.validate import validate
    from attnscope.capture.plan import Plan
    from attnscope.capture.read.capture import Capture, open
    from attnscope.capture.run import capture
    from attnscope.correct import SocialBias, corrected
    from attnscope.errors import AttnscopeError
    from attnscope.model import load
    from attnscope.scene import Sampling, Scene

_PACKAGES = ("capture", "correct", "errors", "evaluate", "metrics", "model", "prepare", "report", "scene")
_WHERE = {
    "AttnscopeError": "attnscope.errors",
    "Capture": "attnscope.capture.read.capture",
    "Plan": "attnscope.capture.plan",
    "Sampling": "attnscope.scene",
    "Scene": "attnscope.scene",
    "SocialBias": "attnscope.correct",
    "corrected": "attnscope.correct",
    "load": "attnscope.model",
    "open": "attnscope.capture.read.capture",
    "validate": "attnscope.capture.check.validate",
}

__all__ = [
    "AttnscopeError",
    "Capture",
    "Plan",
    "Sampling",
    "Scene",
    "SocialBias",
    "__version__",
    "capture",
    "corrected",
    "load",
    "open",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name == "capture":  # the package is callable
        return import_module("attnscope.capture")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    try:
        return import_module(f"attnscope.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"attnscope.{name}":
            raise
        raise AttributeError(f"module 'attnscope' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*__all__, *_PACKAGES})
