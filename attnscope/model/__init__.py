"""The model: load a checkpoint, build the prompt of a scene, know where every token comes from."""

from attnscope.model.layouts import LAYOUTS
from attnscope.model.load import LoadedModel, around, load
from attnscope.model.prompt import Prompt, build_prompt, option_ids

SUPPORTED_FAMILIES = tuple(LAYOUTS)

__all__ = ["SUPPORTED_FAMILIES", "LoadedModel", "Prompt", "around", "build_prompt", "load", "option_ids"]
