"""The file of an adapter: safetensors, with what it belongs to in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from attnscope._version import __version__
from attnscope.errors import RequestError
from attnscope.files import check_regular, unfinished

FORMAT = "attnscope moda adapter"
VERSION = 1


def describe(model: Any) -> dict[str, Any]:
    """What a model is: its class and a hash of its configuration, however it was loaded."""
    from attnscope.model.pretrained import config_sha256

    return {"model": type(model).__name__, "config_sha256": config_sha256(model.config)}


def write(path: str | Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write parameters; the file is complete or absent.

    Raises:
        RunError: If it cannot be written.
    """
    from safetensors.torch import save_file

    header = {"format": FORMAT, "version": VERSION, "attnscope": __version__} | about
    with unfinished(path) as part:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            part,
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in header.items()},
        )


def read(path: str | Path, model: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parameters, and what they belong to.

    Args:
        path: Of the file.
        model: As from `describe`.

    Raises:
        RequestError: If there is no such file, it is no adapter, or it belongs to another model.
    """
    from safetensors import SafetensorError, safe_open

    check_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise RequestError(f"{path}: not a safetensors file ({str(error).splitlines()[0]})") from None
    if header.get("format") != FORMAT or header.get("version") != str(VERSION):
        raise RequestError(f"{path}: is not a MODA adapter of version {VERSION}")
    if header.get("config_sha256") != model["config_sha256"]:
        raise RequestError(
            f"{path}: was trained for another configuration ({header.get('model')}) than this {model['model']}"
        )
    try:
        return tensors, {"layers": json.loads(header["layers"]), "settings": json.loads(header["settings"])}
    except (KeyError, ValueError):
        raise RequestError(f"{path}: its metadata lack the layers or the settings") from None
