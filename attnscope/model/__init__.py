"""The model: load a checkpoint, build the prompt of a scene, know where every token comes from."""

from attnscope.model.layouts import LAYOUTS
from attnscope.model.load import LoadedModel, load
from attnscope.model.prompt import Prompt, build_prompt, option_ids

SUPPORTED_FAMILIES = tuple(LAYOUTS)

__all__ = ["SUPPORTED_FAMILIES", "LoadedModel", "Prompt", "build_prompt", "load", "option_ids"]
