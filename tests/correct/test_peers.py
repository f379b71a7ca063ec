"""PAI, VAF, AdaptVis, VAR and the temperature on running models against eager attention with an explicit matrix."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import attnscope
from attnscope.attention import tapped
from attnscope.correct import corrected
from attnscope.correct.peers.adaptvis import AdaptVis
from attnscope.correct.peers.pai import Pai
from attnscope.correct.peers.temperature import Temperature
from attnscope.correct.peers.vaf import Vaf
from attnscope.correct.peers.var import Var
from tests.capture.eager import make_prompt
from tests.correct import peers_by_hand as hand
from tests.correct.by_hand import longer
from tests.families import CORRECTED

LAYERS, ALL = [1, 2, 3], [0, 1, 2, 3]
HEADS = {0: [1], 2: [0, 3]}
LOOSE = {"sink_mass": 0.004, "sink_ratio": 1.3}  # a random model has hardly any sinks
SETTINGS = {
    "pai": Pai(alpha=0.5, layers="1-3"),
    "vaf": Vaf(enhance=1.4, suppress=0.6, layers="1-3"),
    "adaptvis, not sure": AdaptVis(confidence=1.0, w_low=0.4),
    "adaptvis, sure": AdaptVis(confidence=0.0, w_high=1.8),
    "var": Var(keep=0.3, layers="1-3", **LOOSE),
    "var, text": Var(keep=0.3, rows="text", layers="1-3", **LOOSE),
    "temperature": Temperature(temperature=0.4, heads="0.1,2.0,2.3"),
    "temperature, text": Temperature(temperature=0.4, rows="text", heads="0.1,2.0,2.3"),
    "temperature, all": Temperature(temperature=0.4, rows="all", heads="0.1,2.0,2.3"),
}


def reference(name, settings, prompt, total, looked):
    return {
        "pai": lambda: hand.pai(prompt, total, LAYERS, settings.alpha),
        "vaf": lambda: hand.vaf(prompt, total, LAYERS, settings.enhance, settings.suppress),
        "adaptvis, not sure": lambda: hand.adaptvis(prompt, total, ALL, settings.w_low),
        "adaptvis, sure": lambda: hand.adaptvis(prompt, total, ALL, settings.w_high),
        "var": lambda: hand.var(prompt, total, LAYERS, settings, looked),
        "var, text": lambda: hand.var(prompt, total, LAYERS, settings, looked),
    }.get(name, lambda: hand.temperature(prompt, total, HEADS, settings.temperature, settings.rows))()


def looking(settings, prompt, maps):
    """VAR with a threshold that half of the heads reach, whatever the clip."""
    if settings.method != "var":
        return settings
    visual, _, text, answer = hand.positions(prompt, len(prompt.tokens) + 2)
    rows = text if settings.rows == "text" else answer
    mass = torch.stack([maps[layer][:, rows][..., visual].sum(-1) for layer in LAYERS])
    return replace(settings, image_mass=float(mass.flatten().quantile(0.5)))


class Maps:
    """A reader that takes the whole map from the running kernel, one value column a key."""

    def __init__(self):
        self.maps = {}

    def channels(self, call):
        return torch.eye(call.key.shape[2])[None, None]

    def read(self, call, readings):
        self.maps[call.layer] = readings[0].transpose(0, 1)


@pytest.fixture(scope="module", params=CORRECTED)
def family(request, checkpoint, stage):
    """The model, its eager copy, and a prompt."""
    folder = checkpoint(request.param)
    loaded = attnscope.load(str(folder), dtype="float32")
    return loaded, hand.Eager(folder), make_prompt(loaded, stage)


@pytest.mark.parametrize("name", SETTINGS)
def test_equals_an_explicit_edit_of_the_map_with_an_option_appended(family, name):
    loaded, eager, prompt = family
    inputs, total, looked = longer(prompt, [300, 301]), len(prompt.tokens) + 2, set()
    plain, before = eager.run(inputs, hand.plain)
    settings = looking(SETTINGS[name], prompt, before)
    expected, maps = eager.run(inputs, reference(name, settings, prompt, total, looked))
    reader = Maps()
    within = corrected(loaded, prompt, [settings])
    with torch.no_grad(), within as running, tapped(loaded.model, readers=[reader]):
        out = loaded.model(**inputs).logits[0]
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)
    for layer, expected_map in maps.items():
        torch.testing.assert_close(reader.maps[layer], expected_map, atol=1e-4, rtol=0)
    assert (out[-3:] - plain[-3:]).abs().amax(1).min() > 1e-3  # answer position and both appended tokens
    record = running[0].record()
    if name.startswith("var"):
        rows = len(prompt.tokens)
        text = int(hand.positions(prompt, total)[2].sum())
        assert 0 < len(looked) < len(LAYERS) * 4 * (text if name == "var, text" else 3)
        expected_heads = sorted({(layer, head) for layer, head, row in looked if row < rows})
        assert [(layer, head) for layer, heads in record["active"] for head in heads] == expected_heads
    else:
        layers = {"pai": LAYERS, "vaf": LAYERS}.get(name, ALL)
        every = {layer: [0, 1, 2, 3] for layer in layers} if name[0] != "t" else HEADS
        assert record["active"] == [[layer, heads] for layer, heads in sorted(every.items())]


@pytest.mark.parametrize(
    "settings",
    [
        Pai(alpha=0),
        Vaf(enhance=1, suppress=1, layers="0.0-1.0"),
        AdaptVis(w_low=1, w_high=1),
        AdaptVis(confidence=0.0, w_high=1),
        Var(keep=1, **LOOSE),
        Var(sink_mass=0.99),
        Temperature(temperature=1, rows="all"),
    ],
)
def test_zero_strength_is_the_plain_run(family, settings):
    loaded, _, prompt = family
    with torch.no_grad():
        plain = loaded.model(**prompt.inputs).logits
        with corrected(loaded, prompt, [settings]) as running:
            assert torch.equal(loaded.model(**prompt.inputs).logits, plain)
    assert running[0].record()["active"] == []
