"""The fingerprint of weights: what it tells apart, what it does not, and who checks it."""

from __future__ import annotations

import copy
import json
import shutil

import h5py
import pytest
import torch
from safetensors.torch import load_file, save_file

import attnscope
from attnscope.capture.file import encode
from attnscope.correct import Temperature, rerun
from attnscope.errors import RequestError
from attnscope.metrics.choosing.ranking import choose
from attnscope.model import around
from attnscope.model.fingerprint import checksum
from attnscope.model.folder import embedded_folder
from attnscope.report.compare import compare
from attnscope.report.inputs import open_all
from attnscope.weights import Match, match, where
from tests.model.wrappers import WRAPPERS, lora

NOTHING = Temperature(temperature=1.0)


@pytest.fixture(scope="module")
def loaded():
    return attnscope.load("roundtable", device="cpu")


def changed(loaded, name, change):
    """Around a copy whose parameter of that name is changed."""
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        change(model.get_parameter(name))
    return around(model, loaded.processor)


def bump(parameter):
    parameter.view(-1)[7] *= 1.5


def switched(model):
    tuned = lora(model, zero=False)
    tuned.base_model.disable_adapter_layers()
    return tuned


def scaled(model):
    tuned = lora(model, zero=False)
    for layer in tuned.modules():
        if hasattr(layer, "adapter_layer_names"):
            layer.scaling["default"] *= 2
    return tuned


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("lm_head.weight", " in lm_head"),
        ("model.language_model.norm.weight", " in model.language_model.norm"),
        ("model.language_model.layers.3.self_attn.q_proj.weight", " in model.language_model.layers.3"),
        ("model.visual.blocks.1.norm1.weight", " in model.visual.blocks.1"),
    ],
)
def test_one_number_makes_other_weights(name, place, loaded):
    one, two = loaded.describe(), changed(loaded, name, bump).describe()
    assert match(one, two) is Match.OTHER
    assert where(one, two) == place
    assert match(loaded.describe(), one) is Match.SAME


def test_order_counts(loaded):
    swapped = changed(loaded, "lm_head.weight", lambda weight: weight.copy_(weight.flip(0).clone()))
    assert match(loaded.describe(), swapped.describe()) is Match.OTHER
    tensor = torch.arange(3 * 2**18, dtype=torch.float32)  # three chunks
    chunks = tensor.view(3, -1)
    assert len({checksum(chunks[list(order)]) for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 1, 0))}) == 4
    assert checksum(tensor) == checksum(chunks.t().contiguous().t().reshape(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.bool, torch.int64])
@pytest.mark.parametrize("count", [0, 1, 5, 1001, 2**19 + 3])
def test_every_type_length_and_place_in_memory(dtype, count):
    values = (torch.arange(count + 1) % 100).to(dtype)
    assert checksum(values[1:]) == checksum(values[1:].clone())
    assert checksum(values[1:], rounded=True) == checksum(values[1:].clone(), rounded=True)
    if count:
        assert checksum(values[1:]) != checksum(values[1:] == 55)


def test_precisions_of_one_checkpoint_are_one_model(loaded):
    coarse = attnscope.load("roundtable", device="cpu", dtype="bfloat16")
    fine = changed(loaded, "lm_head.weight", lambda weight: weight.mul_(1.2345678))
    half = around(copy.deepcopy(fine.model).half(), loaded.processor)
    other = around(changed(loaded, "lm_head.weight", bump).model.to(torch.bfloat16), loaded.processor)
    assert match(loaded.describe(), coarse.describe()) is Match.ROUNDED
    assert match(loaded.describe(), other.describe()) is Match.OTHER
    assert match(fine.describe(), half.describe()) is Match.UNKNOWN  # float16 has rounded by itself
    assert loaded.weights_sha256 == coarse.weights_sha256


SAME = ["compiled", "compiled in place", "compiled decoder", "compiled layers", "DataParallel", "hooks of accelerate"]
KINDS = {name: (WRAPPERS[name], Match.SAME) for name in SAME}
KINDS |= {name: (WRAPPERS[name], Match.OTHER) for name in ("adapter", "adapter of zeros", "merged adapter", "int8")}
KINDS |= {"adapter switched off": (switched, Match.SAME)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_done_to_a_model(kind, loaded):
    act, expected = KINDS[kind]
    now = around(act(copy.deepcopy(loaded.model)), loaded.processor).describe()
    assert match(loaded.describe(), now) is expected
    if kind.startswith("adapter") and expected is Match.OTHER:
        assert now["weights"]["base_sha256"] == loaded.describe()["weights"]["sha256"]
        assert list(now["weights"]["adapters"]) == ["default"]
        assert where(loaded.describe(), now).endswith("in adapter default")


def test_the_scale_of_an_adapter_counts(loaded):
    one, two = (around(act(copy.deepcopy(loaded.model)), loaded.processor) for act in (WRAPPERS["adapter"], scaled))
    assert match(one.describe(), two.describe()) is Match.OTHER


def test_weights_kept_on_disk_are_read_from_there(loaded, tmp_path):
    from accelerate import disk_offload

    model = disk_offload(copy.deepcopy(loaded.model), tmp_path, execution_device=torch.device("cpu"))
    assert all(parameter.is_meta for parameter in model.parameters())
    found = around(model, loaded.processor).describe()
    assert found["weights"]["unread"] == 0
    assert match(loaded.describe(), found) is Match.SAME


def test_a_kept_hash_is_forgotten_when_weights_change(loaded):
    mine = changed(loaded, "lm_head.weight", torch.Tensor.clone)
    before = mine.weights_sha256
    with torch.no_grad():
        bump(mine.model.lm_head.weight)
    assert mine.weights_sha256 != before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the embedded model that may be written over."""
    return shutil.copytree(embedded_folder("roundtable"), tmp_path_factory.mktemp("model") / "roundtable")


@pytest.fixture(scope="module")
def before(folder, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("before") / "run.h5"
    attnscope.capture(attnscope.load(folder, device="cpu"), drawn, path, max_new_tokens=2).close()
    return path


@pytest.mark.slow
def test_weights_written_over_are_refused(folder, before, drawn, tmp_path):
    """By everything that repeats the capture, or sets another beside it."""
    file = folder / "model.safetensors"
    own, tensors = file.read_bytes(), load_file(file)
    try:
        bump(tensors["lm_head.weight"])
        save_file(tensors, file, {"format": "pt"})
        with pytest.raises(RequestError, match=r"run\.h5: was captured with other weights of .* in lm_head; give the"):
            rerun(before, [NOTHING], tmp_path / "after.h5")
        assert not list(tmp_path.iterdir())
        tuned = attnscope.load(folder, device="cpu")
        attnscope.capture(tuned, drawn, tmp_path / "other.h5", max_new_tokens=2).close()
    finally:
        file.write_bytes(own)
    rerun(tmp_path / "other.h5", [NOTHING], tmp_path / "after.h5", model=tuned).close()
    with pytest.raises(RequestError, match=r"after\.h5: its weights are not those of .*run\.h5 in lm_head"):
        compare(before, tmp_path / "after.h5", tmp_path / "page")
    assert not (tmp_path / "page").exists()
    from contextlib import ExitStack

    with ExitStack() as stack:
        with pytest.raises(RequestError, match=r"other\.h5: weights differ from those of .* in lm_head; report them"):
            open_all([before, tmp_path / "other.h5"], stack)
        caps = open_all([before, tmp_path / "other.h5"], stack, one_model=False)
        with pytest.raises(RequestError, match=r"is of the model .*weights [0-9a-f]{12}.*rank them apart"):
            choose(caps, ["one", "two"], by="cross-mass")
        heads = choose(caps[:1], ["one"], by="cross-mass", top=2)
    heads.check_model(str(folder), heads.model.config_sha256, heads.model.weights_sha256)
    with pytest.raises(RequestError, match="the heads are of"):
        heads.check_model(str(folder), heads.model.config_sha256, tuned.weights_sha256)


@pytest.mark.slow
def test_a_model_of_other_code_is_not_repeated_from_its_path(loaded, drawn, tmp_path):
    torch.manual_seed(1)
    tuned = around(WRAPPERS["merged adapter"](copy.deepcopy(loaded.model)), loaded.processor)
    attnscope.capture(tuned, drawn, tmp_path / "run.h5", max_new_tokens=2).close()
    with pytest.raises(RequestError, match="of a model in memory: repeat it from Python and give that model"):
        rerun(tmp_path / "run.h5", [NOTHING], tmp_path / "after.h5")
    with rerun(tmp_path / "run.h5", [NOTHING], tmp_path / "after.h5", model=tuned) as after:
        assert after.model["origin"] == "memory"


def rewritten(path, **fields):
    """Change fields of a capture's JSON documents; None takes a field away."""
    with h5py.File(path, "r+") as file:
        for name, change in fields.items():
            document = json.loads(file[name][()])
            for key, value in change.items():
                document.pop(key) if value is None else document.update({key: value})
            del file[name]
            encode.write_json(file, name, document)


def test_an_older_capture_compares_its_logits(before, loaded, tmp_path, caplog):
    old = shutil.copy(before, tmp_path / "old.h5")
    rewritten(old, model={"weights": None}, answer={"first": None})
    rerun(old, [NOTHING], tmp_path / "after.h5", model=loaded).close()
    assert "whether the model has the weights of the capture could not be compared" in caplog.text
    tuned = around(WRAPPERS["merged adapter"](copy.deepcopy(loaded.model)), loaded.processor)
    with pytest.raises(RequestError, match=r"no longer answers as it was captured: .*its weights may be others"):
        rerun(old, [NOTHING], tmp_path / "again.h5", model=tuned)


def test_what_is_no_weight_shows_in_the_logits(before, loaded, tmp_path):
    """A buffer that no checkpoint holds, such as the frequencies of the positions."""
    model = copy.deepcopy(loaded.model)
    model.model.language_model.rotary_emb.inv_freq.mul_(0.5)
    bent = around(model, loaded.processor)
    assert match(loaded.describe(), bent.describe()) is Match.SAME
    with pytest.raises(
        RequestError, match=r"the plain model no longer answers as it was captured: the log-probability"
    ):
        rerun(before, [NOTHING], tmp_path / "after.h5", model=bent)
