"""The model: load a checkpoint, build the prompt of a scene, know where every token comes from."""

from __future__ import annotations

from typing import Any

from attnscope.model.layouts import LAYOUTS, Blank, Layout, View, layout
from attnscope.model.load import LoadedModel, around, load, load_skeleton
from attnscope.model.preview import FrameCells, ModelPreview, preview_model
from attnscope.model.prompt import Prompt, build_prompt, option_ids
from attnscope.placing import Placing

SUPPORTED_FAMILIES: tuple[str, ...]


def __getattr__(name: str) -> Any:
    if name == "SUPPORTED_FAMILIES":  # asked for late, for plugins add to it
        return tuple(LAYOUTS)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


__all__ = [
    "SUPPORTED_FAMILIES",
    "Blank",
    "FrameCells",
    "Layout",
    "LoadedModel",
    "ModelPreview",
    "Placing",
    "Prompt",
    "View",
    "around",
    "build_prompt",
    "layout",
    "load",
    "load_skeleton",
    "option_ids",
    "preview_model",
]
