"""Read configuration, processor and weights through transformers' Auto classes, each error one line."""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import import_module
from typing import Any

from attnscope.errors import ModelError
from attnscope.transformers_names import loader_of, loader_of_code, reading_part, without_bar

# Of a configuration: what says how a model is run, not what it is.
_PASSING = {"architectures", "dtype", "torch_dtype", "transformers_version", "use_cache", "return_dict"}
_PASSING |= {"output_attentions", "output_hidden_states", "pad_token_id", "bos_token_id", "eos_token_id"}


def read_config(name: str, common: dict[str, Any]) -> Any:
    """Load the configuration and refuse a model that does not read images and text.

    Of a model that also speaks (Qwen2.5-Omni), it is that of the part that reads the prompt.

    Args:
        name: Folder or name on the model hub.
        common: Keyword arguments that all `from_pretrained` get: `revision`, `trust_remote_code`.

    Raises:
        ModelError: It cannot be read, or is of another kind of model.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, **common)
    except ValueError as error:
        if "does not recognize this architecture" in str(error):
            import transformers

            model_type = str(error).split("model type `", 1)[-1].split("`", 1)[0]
            raise ModelError(
                f"{name}: model type {model_type!r} is not known to transformers {transformers.__version__}"
            ) from None
        raise ModelError(f"{name}: cannot read the configuration ({_one_line(error)})") from None
    except Exception as error:
        raise ModelError(f"{name}: cannot read the configuration ({_one_line(error)})") from None
    config = reading_part(config)
    has_code = common["trust_remote_code"] and hasattr(config, "auto_map")
    if loader_of(config) is None and not has_code:
        raise ModelError(f"{name}: model type {config.model_type!r} does not take images or video with text")
    return config


def read_processor(name: str, common: dict[str, Any]) -> Any:
    """Load the processor and refuse one without images, character offsets or a chat template.

    Raises:
        ModelError: It cannot be loaded, or lacks one of these.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(name, **common)
    except Exception as error:
        raise ModelError(f"{name}: cannot load the processor ({_one_line(error)})") from None
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or getattr(processor, "image_processor", None) is None:
        raise ModelError(f"{name}: {type(processor).__name__} is not a processor of images and text")
    if not tokenizer.is_fast:
        raise ModelError(
            f"{name}: tokenizer {type(tokenizer).__name__} gives no character offsets (not a fast tokenizer)"
        )
    if not (getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)):
        raise ModelError(f"{name}: no chat template (chat_template.jinja is missing)")
    return processor


def read_weights(name: str, config: Any, kwargs: dict[str, Any]) -> Any:
    """Load the model, and refuse one that has weights no file gave (they would be random).

    Raises:
        ModelError: It cannot be loaded, or weights are missing.
    """
    loader = loader_of(config) or loader_of_code()
    try:
        with without_bar(hidden=not sys.stderr.isatty()):
            model, info = loader.from_pretrained(name, config=config, output_loading_info=True, **kwargs)
    except Exception as error:
        raise ModelError(f"{name}: cannot load the model ({_one_line(error)})") from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(f"{name}: {len(missing)} weights are missing from the checkpoint, first {missing[0]!r}")
    return model


def read_skeleton(name: str, config: Any, trust_remote_code: bool) -> Any:
    """The model of a configuration with parameters that have shapes and no values.

    Raises:
        ModelError: It cannot be made.
    """
    import torch

    loader = loader_of(config) or loader_of_code()
    options = {"trust_remote_code": True} if trust_remote_code else {}
    try:
        with torch.device("meta"):
            return loader.from_config(config, **options)
    except Exception as error:
        raise ModelError(f"{name}: cannot make the model without its weights ({_one_line(error)})") from None


def quantization(name: str, how: str) -> Any:
    """What `from_pretrained` takes to keep the weights of linear layers in fewer bits.

    Args:
        name: Name of the model, for a message.
        how: "int8": 8 bits a weight, with one scale a row (torchao); activations stay as they are.

    Raises:
        ModelError: If torchao is missing or too old.
    """
    from transformers import TorchAoConfig

    try:
        return TorchAoConfig(import_module("torchao.quantization").Int8WeightOnlyConfig())
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"{name}: quantize={how!r} needs torchao 0.15 or newer: pip install 'attnscope[quantize]'"
            f" ({_one_line(error)})"
        ) from None


def config_sha256(config: Any) -> str:
    """Hash a configuration, leaving out how a model is run (its dtype, say) and where it came from."""
    content = json.dumps(_lasting(config.to_dict()), sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _lasting(v) for k, v in value.items() if not str(k).startswith("_") and k not in _PASSING}
    return value


def _one_line(error: Exception) -> str:
    """First sentence of an error from another library, at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
