"""MODA's corrections through running models against a dense reference that edits an explicit N x N matrix."""

from __future__ import annotations

import pytest
import torch

from attnscope.correct import bind
from attnscope.correct.moda import ModaAlign, ModaCalibrate, ModaMask, ModaPseudo
from tests.correct.by_hand import longer, run
from tests.correct.moda_dense import Dense, reference
from tests.families import CORRECTED

EVERYWHERE = {
    "align, as released": [ModaAlign()],
    "align, paper": [ModaAlign(gram="paper", norm="spectral", direction="both", scope="prefix", strength=-0.8)],
    "mask": [ModaMask(gate=0.3)],
    "pseudo": [ModaPseudo(p_base=0.5, beta=0.05)],
    "calibrate": [ModaCalibrate(target=0.2)],
    "align, then mask": [ModaAlign(strength=2.0), ModaMask(gate=0.6)],
}
VARIANTS = {
    "align, fro, text": [ModaAlign(gram="paper", norm="fro", direction="text", strength=3.0)],
    "align, trace": [ModaAlign(gram="paper", norm="trace", strength=5.0)],
    "align, code, spectral": [ModaAlign(norm="spectral", direction="both", strength=4.0)],
    "align, code, prefix": [ModaAlign(direction="text", scope="prefix")],
    "mask, equal means per pair": [ModaMask()],
    "mask, text": [ModaMask(gate=0.8, queries="text")],
    "mask, visual": [ModaMask(gate=0.1, queries="visual")],
    "mask, no cross": [ModaMask(gate=0.0)],
    "mask, only cross": [ModaMask(gate=1.0)],
    "pseudo, equal scores": [ModaPseudo(p_base=-1.0, beta=0.0)],
    "pseudo, of the row": [ModaPseudo(p_base=-2.0, beta=0.01, level="row")],
    "pseudo, huge": [ModaPseudo(p_base=200.0, beta=3.0)],
    "calibrate, both": [ModaCalibrate(target=0.6, queries="both", denominator="sum", change="both")],
    "calibrate, down": [ModaCalibrate(target=0.6, queries="both")],
    "calibrate, self": [ModaCalibrate(target=1.5, denominator="self", change="both")],
    "calibrate, no gap": [ModaCalibrate(target=0.0, queries="visual")],
}


def equal_to_the_reference(loaded, prompt, corrections):
    """Also on two tokens after the prompt."""
    inputs = longer(prompt, [300, 301])
    found, _ = run(loaded, inputs, bind(loaded, prompt, corrections))
    torch.testing.assert_close(found, reference(loaded, prompt, inputs, corrections), atol=1e-4, rtol=0)
    plain, _ = run(loaded, inputs, [])
    assert (found - plain)[0, -3:].abs().max() > 1e-3


@pytest.mark.parametrize("family", CORRECTED)
@pytest.mark.parametrize("corrections", EVERYWHERE.values(), ids=EVERYWHERE)
def test_equals_an_explicit_matrix(prepared, family, corrections):
    equal_to_the_reference(*prepared(family), corrections)


@pytest.mark.parametrize("corrections", VARIANTS.values(), ids=VARIANTS)
def test_variants_equal_an_explicit_matrix(prepared, corrections):
    equal_to_the_reference(*prepared("qwen2_5_vl"), corrections)


def test_the_reference_without_a_rule_is_the_model(prepared):
    """Guards the other tests."""
    loaded, prompt = prepared("qwen2_5_vl")
    found = Dense(loaded.model, []).logits(loaded, prompt.inputs)
    torch.testing.assert_close(found, run(loaded, prompt.inputs, [])[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("one", "within"),
    [
        (ModaAlign(strength=0.0), 0.0),
        (ModaPseudo(p_base=-1000.0), 0.0),  # its mass is read in the same run, the factors are 1
        (ModaMask(combine="natural"), 1e-5),  # channels of bias 0: the kernel's own noise
    ],
    ids=lambda one: str(getattr(one, "method", "")),
)
def test_zero_strength_is_the_plain_run(prepared, one, within):
    loaded, prompt = prepared("qwen3_vl")
    plain, _ = run(loaded, prompt.inputs, [])
    found, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [one]))
    assert (found - plain).abs().max() <= within


def test_layers_that_are_not_chosen_are_left_alone(prepared):
    loaded, prompt = prepared("internvl")
    for one in (ModaAlign(layers="1"), ModaMask(layers="1"), ModaPseudo(layers="1"), ModaCalibrate(layers="1")):
        running = bind(loaded, prompt, [one])
        run(loaded, prompt.inputs, running)
        assert running[0].record()["active"] == [[1, [0, 1, 2, 3]]]
