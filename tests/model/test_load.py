"""Loading: what a loaded model says of itself, and the exact one-line error of all that can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from attnscope.errors import ModelError
from attnscope.model import SUPPORTED_FAMILIES, around, load
from tests.families import EAGER, FAMILIES, SUPPORTED


@pytest.mark.parametrize("name", FAMILIES)
def test_families(checkpoint: Callable[[str], Path], name: str) -> None:
    folder = checkpoint(name)
    loaded = load(folder, device="cpu", attn="eager" if name in EAGER else None)
    over = {"sliding": "llava_next_video", "softcap": "llava", "sink_logits": "llava"}  # another decoder
    family = "ernie4_5_vl_moe" if name == "ernie4_5_vl" else over.get(name, name)
    assert loaded.family == (family if family in SUPPORTED_FAMILIES else "unknown")
    assert not loaded.model.training
    assert loaded.attention == ("eager" if name in EAGER else "sdpa")
    told = loaded.describe()
    assert told["id"] == str(folder.resolve())
    assert told["revision"] is None
    assert told["class"] == type(loaded.model).__name__
    assert (told["layers"], told["heads"], told["kv_heads"]) == (4, 4, 2)
    assert (told["dtype"], told["device"]) == ("float32", "cpu")
    assert set(told["versions"]) == {"attnscope", "torch", "transformers", "python"}
    json.dumps([told, loaded.load_args])


def test_dtype_and_hash(checkpoint: Callable[[str], Path]) -> None:
    full = load(checkpoint("qwen2_vl"), device="cpu")
    half = load(checkpoint("qwen2_vl"), dtype=torch.bfloat16, device="cpu")
    assert half.model.dtype == torch.bfloat16
    assert half.load_args["dtype"] == "bfloat16"
    assert half.config_sha256 == full.config_sha256
    assert full.config_sha256 != load(checkpoint("qwen2_5_vl"), device="cpu").config_sha256


def test_device_map(checkpoint: Callable[[str], Path]) -> None:
    assert load(checkpoint("qwen2_vl"), device_map={"": "cpu"}).model.device.type == "cpu"


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def config(**fields: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return edit


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def one_layer_short(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if ".layers.3." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


BAD_FOLDERS = [
    (without("config.json"), {}, "{folder}: no config.json, so this is not a model folder"),
    (
        written("config.json", b"{"),
        {},
        "{folder}/config.json: not readable as JSON (Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1))",
    ),
    (written("config.json", b"[]"), {}, "{folder}/config.json: field model_type is missing"),
    (written("config.json", b"{}"), {}, "{folder}/config.json: field model_type is missing"),
    (
        config(model_type="nope"),
        {},
        "{folder}: model type 'nope' is not known to transformers {transformers}",
    ),
    (config(model_type="llama"), {}, "{folder}: model type 'llama' does not take images or video with text"),
    (
        without("processor_config.json"),
        {},
        "{folder}: no processor (neither processor_config.json nor preprocessor_config.json is there)",
    ),
    (without("tokenizer.json"), {}, "{folder}: no tokenizer (tokenizer.json is missing)"),
    (without("chat_template.jinja"), {}, "{folder}: no chat template (chat_template.jinja is missing)"),
    (without("model.safetensors"), {}, "{folder}: no weights (model.safetensors is missing)"),
    (
        pickled,
        {},
        "{folder}: weights only as a pickle (pytorch_model.bin), which can run code; "
        "convert them to safetensors, or load with use_safetensors=False if you trust them",
    ),
    (
        written("model.safetensors", b"short"),
        {},
        "{folder}: cannot load the model (Error while deserializing header: header too small)",
    ),
    (
        one_layer_short,
        {},
        "{folder}: 12 weights are missing from the checkpoint, "
        "first 'model.language_model.layers.3.input_layernorm.weight'",
    ),
    (
        None,
        {"dtype": "float17"},
        "{folder}: dtype must be one of auto, float32, float16, bfloat16, not 'float17'",
    ),
    (None, {"device": "gpu"}, "{folder}: unknown device 'gpu'; try cpu, cuda, cuda:0 or mps"),
    (
        None,
        {"device": "cpu", "device_map": "auto"},
        "{folder}: give device or device_map, not both (device='cpu')",
    ),
]


@pytest.mark.parametrize(("spoil", "kwargs", "message"), BAD_FOLDERS)
def test_bad_folders(
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    spoil: Callable[[Path], None] | None,
    kwargs: dict[str, Any],
    message: str,
) -> None:
    import transformers

    folder = tmp_path / "model"
    shutil.copytree(checkpoint("qwen2_vl"), folder)
    if spoil is not None:
        spoil(folder)
    with pytest.raises(ModelError) as error:
        load(folder, **({"device": "cpu"} | kwargs if "device_map" not in kwargs else kwargs))
    assert str(error.value) == message.format(folder=folder, transformers=transformers.__version__)
    assert error.value.exit_code == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_cuda_where_there_is_none(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("qwen2_vl")
    with pytest.raises(ModelError) as error:
        load(folder, device="cuda")
    assert str(error.value) == f"{folder}: device 'cuda' asked for, but torch sees no CUDA device"


def test_attention_that_does_not_exist(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("qwen2_vl")
    with pytest.raises(ModelError, match=": attn 'bogus' is not known; choose from eager, ") as error:
        load(folder, device="cpu", attn="bogus")
    assert str(error.value).startswith(f"{folder}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "nowhere"])
def test_no_such_folder(name: str) -> None:
    with pytest.raises(ModelError) as error:
        load(name, device="cpu")
    assert str(error.value) == f"{name}: no such model folder"


def test_a_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelError) as error:
        load(path, device="cpu")
    assert str(error.value) == (f"{path}: is a file; a model is a folder with config.json, or a name on the model hub")


def test_hub_name_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from huggingface_hub import constants

    def unreachable(*_: Any) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr("attnscope.model.folder.getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    with pytest.raises(ModelError) as error:
        load("someone/some-model", device="cpu")
    assert str(error.value) == (
        "someone/some-model: no such folder, not in the local cache of the model hub, "
        "and the model hub (huggingface.co) cannot be reached"
    )


def test_hub_name_in_offline_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as error:
        load("someone/some-model", device="cpu")
    assert str(error.value) == (
        "someone/some-model: no such folder, not in the local cache of the model hub, and offline mode is on"
    )


def test_all_supported_families_are_built() -> None:
    assert set(SUPPORTED) <= set(FAMILIES)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "internvl"])
def test_a_model_that_other_code_has_loaded(checkpoint: Callable[[str], Path], name: str) -> None:
    folder = str(checkpoint(name).resolve())
    theirs = AutoModelForImageTextToText.from_pretrained(folder)
    taken, own = around(theirs, AutoProcessor.from_pretrained(folder)), load(folder, device="cpu")
    assert taken.model is theirs
    assert taken.describe() == own.describe() | {"origin": "memory"}
    assert load(**taken.load_args).describe() == own.describe()
    with pytest.raises(ModelError, match=r"ImageProcessor\w* has no tokenizer; give the model's processor"):
        around(theirs, own.processor.image_processor)
