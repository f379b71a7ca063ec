"""Load a checkpoint through transformers' Auto classes, with errors that a user can act on."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope._version import __version__
from attnscope.errors import ModelError
from attnscope.model.adapter import base_of, is_adapter, with_adapter
from attnscope.model.folder import check_folder, check_hub, embedded_folder, local_folder
from attnscope.model.innermost import innermost
from attnscope.model.layouts import LAYOUTS
from attnscope.model.pretrained import (
    config_sha256,
    quantization,
    read_config,
    read_processor,
    read_skeleton,
    read_weights,
)
from attnscope.transformers_names import implementation_of, implementations, text_config
from attnscope.versions import check as check_versions

if TYPE_CHECKING:
    import torch

QUANTIZED = ("int8",)
DTYPES = ("auto", "float32", "float16", "bfloat16")
_PACKAGES = ("torch", "torchvision", "transformers", "accelerate")


@dataclass
class LoadedModel:
    """A model and its processor, as Hugging Face classes.

    Attributes:
        model: The transformers model, in eval mode: the innermost one of what `around` was given.
        processor: Its processor.
        id: Absolute path of the folder, or the name on the model hub or of the embedded model.
        revision: Commit on the model hub, None for a folder.
        family: Name of the layout that places its visual tokens, or "unknown".
        config_sha256: Hash of the configuration as loaded, without the path and the library version.
        attention: Attention implementation that the model was loaded with.
        load_args: How it was loaded: the keyword arguments of `load`, JSON-able.
        origin: "checkpoint", "memory" of a model that other code has loaded, or "skeleton" of one without weights.
        wrapper: What other code has put the model into (PEFT, `torch.compile`, `DataParallel`), None for none.

    Example:
        >>> about = model.describe()
        >>> about["class"], about["layers"], about["heads"], about["kv_heads"]
        ('Qwen2_5_VLForConditionalGeneration', 6, 8, 4)
    """

    model: Any
    processor: Any
    id: str
    revision: str | None
    family: str
    config_sha256: str
    attention: str
    load_args: dict[str, Any]
    wrapper: Any = None
    origin: str = "checkpoint"
    _fingerprint: tuple[Any, dict[str, Any]] | None = field(default=None, repr=False)

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def text_config(self) -> Any:
        """Configuration of the decoder."""
        return text_config(self.model)

    def fingerprint(self) -> dict[str, Any]:
        """The fingerprint of the weights as they are now."""
        from attnscope.model.fingerprint import fingerprint, stamp

        self._fingerprint = stamp(self.model), fingerprint(self.model)
        return self._fingerprint[1]

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the weights, rounded to bfloat16; kept until weights are replaced or written over in place."""
        from attnscope.model.fingerprint import stamp

        kept = self._fingerprint
        fingerprint = kept[1] if kept is not None and kept[0] == stamp(self.model) else self.fingerprint()
        return None if fingerprint["unread"] else str(fingerprint["rounded_sha256"])

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
            "weights": self.fingerprint(),
            "origin": self.origin,
            "adapter": self.load_args.get("adapter"),
            "quantize": self.load_args.get("quantize"),
            "wrapper": None if self.wrapper is None else type(self.wrapper).__name__,
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
    adapter: str | Path | None = None,
    quantize: str | None = None,
) -> LoadedModel:
    """Load a model for image-text-to-text and its processor.

    Args:
        model: A folder made by `save_pretrained`, a name on the model hub, the name of an embedded model, or the folder
            of an adapter of PEFT, which names its model.
        dtype: "auto" (the checkpoint's own), "float32", "float16", "bfloat16", or a torch dtype.
        device: "cpu", "cuda", "cuda:1", "mps"; default cuda where there is one, else cpu.
        device_map: Split the model over devices by accelerate (for example "auto"); not together with
            `device`.
        revision: Branch, tag or commit on the model hub.
        attn: Attention implementation ("sdpa", "flash_attention_2", "eager", ...); default the model's own.
        trust_remote_code: Run Python code that comes with the checkpoint.
        use_safetensors: Refuse weights that are pickles.
        adapter: Folder of an adapter of PEFT (LoRA) to put into the model's layers.
        quantize: "int8" keeps the weights of linear layers in 8 bits (torchao).

    Returns:
        The model in eval mode with its processor.

    Raises:
        ModelError: One line that names the model and what is missing or wrong.
        InstallError: If torch or transformers is missing or older than attnscope can use.

    Example:
        >>> model = attnscope.load("roundtable")
        >>> model.family, model.attention, model.text_config.num_hidden_layers
        ('qwen2_5_vl', 'sdpa', 6)
    """
    check_versions(*_PACKAGES)
    name = str(model)
    dtype_name = str(dtype).removeprefix("torch.")
    if dtype_name not in DTYPES:
        raise ModelError(f"{name}: dtype must be one of {', '.join(DTYPES)}, not {dtype_name!r}")
    if quantize not in (None, *QUANTIZED):
        raise ModelError(f"{name}: quantize must be one of {', '.join(QUANTIZED)}, not {quantize!r}")
    _check_attention(name, attn)
    name, tuned = _base_and_adapter(name, adapter)
    device = _checked_device(name, device, device_map)
    found = _find(name, weights=True, use_safetensors=use_safetensors)
    common = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = read_config(found.source, common)
    digest = config_sha256(config)
    processor = read_processor(found.source, common)
    placing = {"device_map": device_map} if device_map is not None else {}
    choice = {"attn_implementation": attn} if attn is not None else {}
    safe = {"use_safetensors": True} if use_safetensors else {}
    packed = {"quantization_config": quantization(name, quantize)} if quantize is not None else {}
    loaded = read_weights(found.source, config, {"dtype": dtype, **placing, **choice, **safe, **packed, **common})
    if device_map is None:
        loaded = loaded.to(device)
    if tuned is not None:
        loaded = with_adapter(loaded, tuned)
    return LoadedModel(
        model=loaded.eval(),
        processor=processor,
        id=found.id,
        revision=found.commit(config, revision),
        family=_family(config),
        config_sha256=digest,
        attention=str(implementation_of(text_config(loaded))),
        load_args={
            "model": found.id,
            "dtype": dtype_name,
            "device": device,
            "device_map": device_map,
            "revision": revision,
            "attn": attn,
            "trust_remote_code": trust_remote_code,
            "use_safetensors": use_safetensors,
            "adapter": None if tuned is None else str(tuned),
            "quantize": quantize,
        },
    )


def load_skeleton(model: str | Path, *, revision: str | None = None, trust_remote_code: bool = False) -> LoadedModel:
    """A model without its weights: enough to write prompts and to place their tokens, not to run it.

    The weights are neither read nor downloaded, so a model of any size takes seconds and little memory.

    Args:
        model: As `load`; of an adapter, the model that it names.
        revision: Branch, tag or commit on the model hub.
        trust_remote_code: Run Python code that comes with the checkpoint.

    Raises:
        ModelError: One line that names the model and what is missing or wrong.
        InstallError: If torch or transformers is missing or older than attnscope can use.

    Example:
        >>> skeleton = attnscope.model.load_skeleton("roundtable")
        >>> skeleton.family, skeleton.model.device.type
        ('qwen2_5_vl', 'meta')
    """
    check_versions(*_PACKAGES)
    name, _ = _base_and_adapter(str(model), None)
    found = _find(name, weights=False, use_safetensors=True)
    common = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = read_config(found.source, common)
    digest = config_sha256(config)
    processor = read_processor(found.source, common)
    skeleton = read_skeleton(found.source, config, trust_remote_code)
    return LoadedModel(
        model=skeleton.eval(),
        processor=processor,
        id=found.id,
        revision=found.commit(config, revision),
        family=_family(config),
        config_sha256=digest,
        attention=str(implementation_of(text_config(skeleton))),
        load_args={"model": found.id, "revision": revision, "trust_remote_code": trust_remote_code},
        origin="skeleton",
    )


@dataclass(frozen=True)
class _Place:
    """Where a checkpoint is.

    Attributes:
        id: What captures call it.
        source: What transformers reads it from.
        folder: Its folder, None for the model hub.
    """

    id: str
    source: str
    folder: Path | None

    def commit(self, config: Any, revision: str | None) -> str | None:
        """Commit on the model hub, None for a folder."""
        return (getattr(config, "_commit_hash", None) or revision) if self.folder is None else None


def _find(name: str, *, weights: bool, use_safetensors: bool) -> _Place:
    """Find a checkpoint, and refuse one that lacks what it needs."""
    embedded = embedded_folder(name)
    folder = embedded or local_folder(name)
    if folder is None:
        check_hub(name)
    else:
        check_folder(folder, use_safetensors=use_safetensors, weights=weights)
    source = name if folder is None else str(folder)
    return _Place(name if embedded is not None else source, source, folder)


def _family(config: Any) -> str:
    return config.model_type if config.model_type in LAYOUTS else "unknown"


def _base_and_adapter(name: str, adapter: str | Path | None) -> tuple[str, Path | None]:
    """The model to load, and the folder of the adapter to put into it."""
    folder = None if embedded_folder(name) is not None else local_folder(name)
    tuned = None if adapter is None else Path(adapter).expanduser().resolve()
    if folder is not None and is_adapter(folder):
        if tuned is not None:
            raise ModelError(f"{name}: is an adapter itself; give the model that {tuned} is to be put into")
        return base_of(folder), folder
    if tuned is not None and not (tuned.is_dir() and is_adapter(tuned)):
        raise ModelError(f"{adapter}: is no folder of an adapter (adapter_config.json is missing)")
    return name, tuned


def around(model: Any, processor: Any) -> LoadedModel:
    """A model that other code has loaded, with its processor; nothing is copied or changed.

    Args:
        model: A transformers model for image-text-to-text. It may be compiled, have adapters of PEFT in its layers, or
            be wrapped for several devices: the transformers model inside is read and run.
        processor: Its processor.

    Returns:
        The model as this library takes it. Captures of it are repeated from where its configuration says it came from.

    Raises:
        ModelError: If there is no transformers model, its attention cannot be reached, or the processor has no
            tokenizer.
        InstallError: If torch or transformers is older than attnscope can use.

    Example:
        >>> other = attnscope.model.around(model.model, model.processor)
        >>> other.origin, other.model is model.model
        ('memory', True)
    """
    from attnscope.attention import decoder_layers

    check_versions(*_PACKAGES)
    inner = innermost(model)
    config = inner.config
    name = str(config._name_or_path or type(inner).__name__)
    if not hasattr(processor, "tokenizer"):
        raise ModelError(f"{name}: {type(processor).__name__} has no tokenizer; give the model's processor")
    decoder_layers(inner)
    attention = str(implementation_of(text_config(config)))
    known = {"dtype": str(inner.dtype).removeprefix("torch."), "device": str(inner.device), "attn": attention}
    return LoadedModel(
        model=inner,
        processor=processor,
        id=name,
        revision=getattr(config, "_commit_hash", None),
        family=_family(config),
        config_sha256=config_sha256(config),
        attention=attention,
        load_args={"model": name} | known,
        wrapper=None if model is inner else model,
        origin="memory",
    )


def _check_attention(name: str, attn: str | None) -> None:
    """Refuse an unknown attention implementation before weights are read.

    Kernels from the hub have a / in their name.
    """
    known = implementations()
    if attn is not None and attn not in known and "/" not in attn:
        raise ModelError(f"{name}: attn {attn!r} is not known; choose from {', '.join(known)}")


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
