"""Load a checkpoint through transformers' Auto classes, with errors that a user can act on."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope._version import __version__
from attnscope.errors import ModelError
from attnscope.model.folder import check_folder, check_hub, local_folder
from attnscope.model.layouts import LAYOUTS

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass
class LoadedModel:
    """A model and its processor, as Hugging Face classes.

    Attributes:
        model: The model itself, in eval mode.
        processor: Its processor.
        id: Absolute path of the folder, or the name on the model hub.
        revision: Commit on the model hub, None for a folder.
        family: Name of the layout that places its visual tokens, or "unknown".
        config_sha256: Hash of the configuration as loaded, without the path and the library version.
        attention: Attention implementation that the model was loaded with.
        load_args: How it was loaded: the keyword arguments of `load`, JSON-able.
    """

    model: Any
    processor: Any
    id: str
    revision: str | None
    family: str
    config_sha256: str
    attention: str
    load_args: dict[str, Any]

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def text_config(self) -> Any:
        """Configuration of the decoder."""
        return self.model.config.get_text_config(decoder=True)

    def describe(self) -> dict[str, Any]:
        """Return what a capture records about the model: the `/model` node of the file format."""
        import torch
        import transformers

        text = self.text_config
        return {
            "id": self.id,
            "revision": self.revision,
            "class": type(self.model).__name__,
            "family": self.family,
            "config_sha256": self.config_sha256,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.model.device),
            "attention": self.attention,
            "layers": text.num_hidden_layers,
            "heads": text.num_attention_heads,
            "kv_heads": getattr(text, "num_key_value_heads", None) or text.num_attention_heads,
            "versions": {
                "attnscope": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "python": platform.python_version(),
            },
        }


def load(
    model: str | Path,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    revision: str | None = None,
    attn: str | None = None,
    trust_remote_code: bool = False,
    use_safetensors: bool = True,
) -> LoadedModel:
    """Load a model for image-text-to-text and its processor.

    Args:
        model: A folder made by `save_pretrained`, or a name on the model hub.
        dtype: "auto" (the checkpoint's own), "float32", "float16", "bfloat16", or a torch dtype.
        device: "cpu", "cuda", "cuda:1", "mps"; default cuda where there is one, else cpu.
        device_map: Split the model over devices by accelerate (for example "auto"); not together with
            `device`.
        revision: Branch, tag or commit on the model hub.
        attn: Attention implementation ("sdpa", "flash_attention_2", "eager", ...); default the model's own.
        trust_remote_code: Run Python code that comes with the checkpoint.
        use_safetensors: Refuse weights that are pickles.

    Returns:
        The model in eval mode with its processor.

    Raises:
        ModelError: one line that names the model and what is missing or wrong.
    """
    name = str(model)
    dtype_name = str(dtype).removeprefix("torch.")
    if dtype_name not in DTYPES:
        raise ModelError(f"{name}: dtype must be one of {', '.join(DTYPES)}, not {dtype_name!r}")
    device = _checked_device(name, device, device_map)
    folder = local_folder(name)
    if folder is None:
        check_hub(name)
    else:
        check_folder(folder, use_safetensors=use_safetensors)
        name = str(folder)
    common = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = _load_config(name, common)
    digest = _config_sha256(config)
    processor = _load_processor(name, common)
    placing = {"device_map": device_map} if device_map is not None else {}
    choice = {"attn_implementation": attn} if attn is not None else {}
    safe = {"use_safetensors": True} if use_safetensors else {}
    loaded = _load_weights(name, config, {"dtype": dtype, **placing, **choice, **safe, **common})
    if device_map is None:
        loaded = loaded.to(device)
    return LoadedModel(
        model=loaded.eval(),
        processor=processor,
        id=name,
        revision=(getattr(config, "_commit_hash", None) or revision) if folder is None else None,
        family=config.model_type if config.model_type in LAYOUTS else "unknown",
        config_sha256=digest,
        attention=str(loaded.config.get_text_config(decoder=True)._attn_implementation),
        load_args={
            "model": name,
            "dtype": dtype_name,
            "device": device,
            "device_map": device_map,
            "revision": revision,
            "attn": attn,
            "trust_remote_code": trust_remote_code,
            "use_safetensors": use_safetensors,
        },
    )


def _checked_device(name: str, device: str | None, device_map: object) -> str | None:
    """Return the device to load to, None where accelerate places the model."""
    import torch

    if device_map is not None:
        if device is not None:
            raise ModelError(f"{name}: give device or device_map, not both (device={device!r})")
        return None
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
    except RuntimeError:
        raise ModelError(f"{name}: unknown device {device!r}; try cpu, cuda, cuda:0 or mps") from None
    if kind.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"{name}: device {device!r} asked for, but torch sees no CUDA device")
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"{name}: device {device!r} asked for, but torch sees {torch.cuda.device_count()} CUDA devices"
        )
    if kind.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError(f"{name}: device {device!r} asked for, but torch sees no MPS device")
    return device


def _load_config(name: str, common: dict[str, Any]) -> Any:
    """Load the configuration and refuse a model that does not read images and text."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN

    try:
        config = AutoConfig.from_pretrained(name, **common)
    except ValueError as error:
        if "does not recognize this architecture" in str(error):
            import transformers

            found = str(error).split("model type `", 1)[-1].split("`", 1)[0]
            raise ModelError(
                f"{name}: model type {found!r} is not known to transformers {transformers.__version__}"
            ) from None
        raise ModelError(f"{name}: cannot read the configuration ({_one_line(error)})") from None
    except Exception as error:
        raise ModelError(f"{name}: cannot read the configuration ({_one_line(error)})") from None
    has_code = common["trust_remote_code"] and hasattr(config, "auto_map")
    if config.model_type not in KNOWN and not has_code:
        raise ModelError(f"{name}: model type {config.model_type!r} does not take images or video with text")
    return config


def _load_processor(name: str, common: dict[str, Any]) -> Any:
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


def _load_weights(name: str, config: Any, kwargs: dict[str, Any]) -> Any:
    """Load the model, and refuse one that has weights no file gave (they would be random)."""
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    bar = logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(
            name, config=config, output_loading_info=True, **kwargs
        )
    except Exception as error:
        raise ModelError(f"{name}: cannot load the model ({_one_line(error)})") from None
    finally:
        if bar:
            logging.enable_progress_bar()
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"{name}: {len(missing)} weights are missing from the checkpoint, first {missing[0]!r}"
        )
    return model


def _config_sha256(config: Any) -> str:
    """Hash a configuration, leaving out what does not change the model."""
    content = {
        k: v for k, v in config.to_dict().items() if k not in {"_name_or_path", "transformers_version"}
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _one_line(error: Exception) -> str:
    """First sentence of an error from another library, at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
