"""Adapters and quantised weights: loaded by name, the same as made by hand, and found again by a repetition."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

import attnscope
from attnscope.correct import Temperature, rerun
from attnscope.errors import ModelError
from attnscope.model import around, load
from attnscope.weights import Match, match
from tests.model.wrappers import lora


@pytest.fixture(scope="module")
def loaded():
    return load("roundtable", device="cpu")


@pytest.fixture(scope="module")
def tuned(loaded):
    return lora(copy.deepcopy(loaded.model), zero=False)


@pytest.fixture(scope="module")
def folder(tuned, tmp_path_factory):
    path = tmp_path_factory.mktemp("adapter") / "lora"
    tuned.save_pretrained(path)
    return path


def test_an_adapter_by_itself_or_beside_its_model(loaded, tuned, folder):
    expected = around(tuned, loaded.processor).describe()
    for found in (load(folder, device="cpu"), load("roundtable", device="cpu", adapter=folder)):
        about = found.describe()
        assert match(about, expected) is Match.SAME
        assert about["adapter"] == str(folder)
        assert about["weights"]["base_sha256"] == loaded.describe()["weights"]["sha256"]
        assert about["weights"]["adapters"] == expected["weights"]["adapters"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"adapter": True}, {"quantize": "int8"}])
def test_a_repetition_loads_alike(how, folder, drawn, tmp_path):
    how = {"adapter": folder} if "adapter" in how else how
    attnscope.capture(load("roundtable", device="cpu", **how), drawn, tmp_path / "run.h5", max_new_tokens=2).close()
    with rerun(tmp_path / "run.h5", [Temperature(temperature=1.0)], tmp_path / "after.h5") as after:
        assert after.model["adapter"] == (str(folder) if "adapter" in how else None)
        assert after.model["quantize"] == how.get("quantize")


def test_quantised_weights_are_other_weights(loaded):
    one, two = (load("roundtable", device="cpu", quantize="int8").describe() for _ in range(2))
    assert match(one, two) is Match.SAME
    assert match(one, loaded.describe()) is Match.OTHER
    assert one["weights"]["bytes"] < loaded.describe()["weights"]["bytes"] / 2
    assert one["quantize"] == "int8"


def broken(folder, path, change):
    """A copy of an adapter whose weights or configuration are changed."""
    shutil.copytree(folder, path)
    change(path)
    return path


def lose(path):
    tensors = load_file(path / "adapter_model.safetensors")
    del tensors[sorted(tensors)[0]]
    save_file(tensors, path / "adapter_model.safetensors")


def forget(path):
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))


def both(path):
    save_file({}, path / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose, r"the adapter does not fit Qwen2_5_VL\w+: '.*lora_A.*' is only in one of the two"),
        (forget, r"is an adapter that does not name its model \(base_model_name_or_path\); give both"),
        (both, r"holds a model and an adapter \(adapter_config\.json\)"),
    ],
)
def test_what_is_wrong_with_an_adapter(change, message, folder, tmp_path):
    with pytest.raises(ModelError, match=message):
        load(broken(folder, tmp_path / "lora", change), device="cpu")


def test_wrong_requests(folder, tmp_path):
    with pytest.raises(ModelError, match=r"is no folder of an adapter \(adapter_config\.json is missing\)"):
        load("roundtable", adapter=tmp_path)
    with pytest.raises(ModelError, match="is an adapter itself"):
        load(folder, adapter=folder)
    with pytest.raises(ModelError, match="quantize must be one of int8, not 'int3'"):
        load("roundtable", quantize="int3")
