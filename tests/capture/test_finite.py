"""Logits that are not finite: what is said depends on where they come from."""

from __future__ import annotations

import copy

import pytest
import torch

import attnscope
from attnscope.errors import RunError
from attnscope.model import around


@pytest.fixture(scope="module")
def loaded():
    return attnscope.load("roundtable", device="cpu")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model.language_model.layers.2.mlp.up_proj.weight", float("nan"), "holds NaN, so the checkpoint is damaged"),
        ("model.visual.blocks.0.norm1.weight", float("inf"), "holds infinity, so the checkpoint is damaged"),
    ],
)
def test_a_weight_that_is_no_number_is_named(name, value, words, loaded, drawn, tmp_path):
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[3] = value
    with pytest.raises(RunError, match=rf"the model's logits are not finite: the weight {name} {words}"):
        attnscope.capture(around(model, loaded.processor), drawn, tmp_path / "run.h5", max_new_tokens=1)
    assert not list(tmp_path.iterdir())


def test_the_first_part_that_overflows_is_named(loaded, drawn, tmp_path):
    model = copy.deepcopy(loaded.model).half()
    with torch.no_grad():
        model.model.language_model.layers[1].mlp.down_proj.weight.mul_(30000)
    said = r"layers\.1\.mlp\.down_proj is the first part whose output leaves the range of float16; take another dtype"
    with pytest.raises(RunError, match=said):
        attnscope.capture(around(model, loaded.processor), drawn, tmp_path / "run.h5", max_new_tokens=1)
