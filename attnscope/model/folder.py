"""Where a checkpoint is, and whether it is whole: asked before transformers does, so that an error names the file."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from attnscope.errors import ModelError
from attnscope.families import EMBEDDED
from attnscope.files import check_regular, exists, is_folder, read_bytes, reason
from attnscope.scene.problems import show

_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")
_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
_INDEX = (".safetensors.index.json", ".bin.index.json")
_LIMIT = 256 * 2**20  # bytes of a configuration or an index
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_MODELS = Path(__file__).parent.parent / "demo" / "models"  # those that come with the package


def local_folder(name: str) -> Path | None:
    """Return the folder that `name` means, or None where it is a name on the model hub.

    Raises:
        ModelError: `name` is a file, or can only be a path and no such folder exists.
    """
    path = Path(name).expanduser()
    if is_folder(path, ModelError):
        return Path(os.path.realpath(path))
    if exists(path, ModelError):
        raise ModelError(f"{name}: is a file; a model is a folder with config.json, or a name on the model hub")
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") != 1 or "\\" in name
    if looks_like_path:
        raise ModelError(f"{name}: no such model folder")
    return None


def check_folder(folder: Path, *, use_safetensors: bool, weights: bool = True) -> None:
    """Refuse a folder that lacks what a checkpoint needs.

    Raises:
        ModelError: Config.json is missing, is no JSON object or states no model type; the processor's, the
            tokenizer's or (with `weights`) the weights' files are missing; weights are pickles and `use_safetensors`
            is set.
    """
    check_files(folder)
    _check_config(folder / "config.json", folder)
    if not _has(folder, _PROCESSOR_FILES):
        raise ModelError(f"{folder}: no processor (neither {' nor '.join(_PROCESSOR_FILES)} is there)")
    if not _has(folder, _TOKENIZER_FILES):
        raise ModelError(f"{folder}: no tokenizer (tokenizer.json is missing)")
    if not weights or _has(folder, _SAFETENSORS):
        return
    if not _has(folder, _PICKLES):
        raise ModelError(f"{folder}: no weights (model.safetensors is missing)")
    if use_safetensors:
        raise ModelError(
            f"{folder}: weights only as a pickle ({_PICKLES[0]}), which can run code; "
            "convert them to safetensors, or load with use_safetensors=False if you trust them"
        )


def check_hub(name: str) -> None:
    """Refuse a name that is not in the local cache while the model hub cannot be reached.

    Without this transformers retries for half a minute and then complains about a missing file.

    Raises:
        ModelError: The hub's host name does not resolve (and no proxy is set), or offline mode is on.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    problem = f"{name}: no such folder, not in the local cache of the model hub, and"
    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE", "0").upper() in {
        "1",
        "ON",
        "YES",
        "TRUE",
    }:
        raise ModelError(f"{problem} offline mode is on")
    host = urlsplit(constants.ENDPOINT).hostname or ""
    if getproxies().get("https"):
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        raise ModelError(f"{problem} the model hub ({host}) cannot be reached") from None


def _check_config(path: Path, folder: Path) -> None:
    if not exists(path, ModelError):
        raise ModelError(f"{folder}: no config.json, so this is not a model folder")
    config = _json(path)
    if not isinstance(config, dict) or not config.get("model_type"):
        raise ModelError(f"{path}: field model_type is missing")


def check_files(folder: Path) -> None:
    """Refuse a folder in which reading would block, never end, or lead out of it.

    Raises:
        ModelError: A file at its top is a FIFO, device or socket, or an index names weights outside the folder.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read ({reason(error)})") from None
    for path in paths:
        if not is_folder(path, ModelError) and (exists(path, ModelError) or not path.is_symlink()):
            check_regular(path, ModelError)
        if path.name.endswith(_INDEX):
            _check_index(path)


def _check_index(path: Path) -> None:
    """Refuse an index of shards whose names are not those of files beside it."""
    index = _json(path)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict):
        raise ModelError(f"{path}: field weight_map is missing or no object")
    for tensor, name in shards.items():
        if not isinstance(name, str) or not name or name in (".", "..") or "/" in name or "\\" in name:
            raise ModelError(
                f"{path}: weight_map[{show(tensor)}]: {show(name)} is not the name of a file in the folder"
            )


def _json(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path, _LIMIT, ModelError))
    except RecursionError:
        raise ModelError(f"{path}: not readable as JSON (nested too deeply)") from None
    except ValueError as error:
        raise ModelError(f"{path}: not readable as JSON ({str(error).splitlines()[0]})") from None


def _has(folder: Path, names: tuple[str, ...]) -> bool:
    return any((folder / name).is_file() for name in names)


def embedded_folder(name: str) -> Path | None:
    """The checkpoint folder of an embedded model, None for any other name; "./roundtable" is a folder of one's own."""
    return _MODELS / name if name in EMBEDDED else None
