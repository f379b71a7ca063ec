"""Adapters of PEFT: a folder with a few trained weights beside the name of the model that they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attnscope.errors import ModelError
from attnscope.model.innermost import innermost

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter.

    Raises:
        ModelError: If it holds a model too: transformers would load the adapter's base in place of that model.
    """
    if not (folder / CONFIG).is_file():
        return False
    if any(folder.glob("model*.safetensors")) or any(folder.glob("pytorch_model*.bin")):
        raise ModelError(f"{folder}: holds a model and an adapter ({CONFIG}); keep them in two folders and give both")
    return True


def base_of(folder: Path) -> str:
    """The model that an adapter was trained for.

    Raises:
        ModelError: If it does not say.
    """
    try:
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder / CONFIG}: not readable as JSON ({str(error).splitlines()[0]})") from None
    base = document.get("base_model_name_or_path") if isinstance(document, dict) else None
    if not isinstance(base, str) or not base:
        raise ModelError(f"{folder}: is an adapter that does not name its model (base_model_name_or_path); give both")
    return base


def with_adapter(model: Any, folder: Path) -> Any:
    """Put an adapter into the layers of a model.

    Args:
        model: A transformers model; it is changed.
        folder: The adapter's.

    Returns:
        The transformers model, with the adapter in force.

    Raises:
        ModelError: If peft is missing, or the adapter cannot be loaded, or does not fit the model or its layers.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError:
        raise ModelError(f"{folder}: is an adapter, which needs peft: pip install 'attnscope[peft]'") from None
    from safetensors import safe_open

    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder}: no adapter weights ({WEIGHTS} is missing)")
    try:
        tuned = PeftModel.from_pretrained(model, str(folder), is_trainable=False)
        with safe_open(folder / WEIGHTS, "pt") as file:
            given = set(file.keys())
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{folder}: cannot load the adapter ({reason[:200]})") from None
    inner = innermost(tuned)
    wanted = set(get_peft_model_state_dict(tuned))
    if given != wanted:  # peft only warns, and leaves what is missing as it was made
        first = min(given ^ wanted)
        raise ModelError(
            f"{folder}: the adapter does not fit {type(inner).__name__}: {first!r} is only in one of the two"
        )
    return inner
