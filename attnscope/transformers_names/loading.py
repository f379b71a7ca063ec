"""Names of transformers around loading: which class loads a model, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Of model types by task, and the class that loads them; the first that has a type is taken.
_MAPPINGS = (
    ("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", "AutoModelForImageTextToText"),
    ("MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", "AutoModelForMultimodalLM"),
)


def loader_of(config: Any) -> Any:
    """The Auto class that loads a model of images or video with text, None if no mapping has its type.

    Known: `AutoModelForImageTextToText`, transformers 5.10 to 5.24; `AutoModelForMultimodalLM`, transformers 5.24,
    which has Phi-4-multimodal and models of speech besides. A version without a mapping does without it.

    Args:
        config: The model's configuration.
    """
    import transformers
    from transformers.models.auto import modeling_auto

    for mapping, loader in _MAPPINGS:
        if config.model_type in getattr(modeling_auto, mapping, {}):
            return getattr(transformers, loader)
    return None


def reading_part(config: Any) -> Any:
    """The configuration of the part of a model that reads its prompt: all of it, if it has no other part.

    Known: Qwen2.5-Omni and Qwen3-Omni state it as `thinker_config`, and its class loads its own weights from the
    whole checkpoint, transformers 5.10 to 5.24.

    Args:
        config: The configuration of the whole model.
    """
    return getattr(config, "thinker_config", None) or config


def loader_of_code() -> Any:
    """The Auto class that loads a model whose code comes with its checkpoint.

    Known: as `loader_of`.
    """
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText


@contextmanager
def without_bar(hidden: bool = True) -> Iterator[None]:
    """Hide transformers' progress bars in the block.

    Known: `transformers.utils.logging`, transformers 5.10 to 5.24.

    Args:
        hidden: Whether to hide them at all.
    """
    from transformers.utils import logging

    was = logging.is_progress_bar_enabled()
    if hidden:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if was:
            logging.enable_progress_bar()


def only_errors() -> None:
    """Hide transformers' progress bars and advice from here on.

    Known: as `without_bar`.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
