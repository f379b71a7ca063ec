"""Corrections on families of other kinds, each against an explicit N x N matrix.

Experts, latent attention, layers without softmax, windows, images that see themselves in both directions, gates on head
outputs, clips shown as a row of images, and images in tiles.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

import attnscope
from attnscope.attention import decoder_layers, tapped
from attnscope.capture.record.generate import collate
from attnscope.correct import Knockout, SocialBias, bind, corrected
from attnscope.correct.moda import ModaAlign, ModaCalibrate, ModaMask, ModaPseudo
from attnscope.correct.peers.adaptvis import AdaptVis
from attnscope.correct.peers.pai import Pai
from attnscope.correct.peers.temperature import Temperature
from attnscope.correct.peers.vaf import Vaf
from attnscope.correct.peers.var import Var
from attnscope.errors import ModelError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct import peers_by_hand as hand
from tests.correct.batches import generate, whole_text
from tests.correct.by_hand import EVERYWHERE, longer, reference, run, whole_map
from tests.correct.moda_dense import reference as moda_reference
from tests.correct.test_knockout import Dense, every_head, named_pairs
from tests.correct.test_peers import Maps

pytestmark = pytest.mark.slow

KINDS = {
    "qwen3_vl_moe": "experts",
    "qwen3_5_moe": "linear attention in every other layer, gates, experts",
    "kimi_k25": "latent attention",
    "gemma3": "windows, and images that see themselves in both directions",
    "cohere2_vision": "windows, images in tiles",
    "llava": "a row of images",
    "llava_next": "a row of images in tiles",
    "idefics3": "a row of images, each with text around it",
}
FAR = 10  # times the room between two exact ways: an effect that is at least this large is no noise of a kernel
FRAMES = {"llava_next": 2, "idefics3": 2, "cohere2_vision": 2}
MODA = {
    "align": ModaAlign(),
    "align, paper": ModaAlign(gram="paper", norm="spectral", direction="both", strength=-0.8),
    "mask": ModaMask(gate=0.3),
    "pseudo": ModaPseudo(p_base=0.5, beta=0.05),
    "calibrate": ModaCalibrate(target=0.2),
}


class Case:
    """A model, a copy of it that runs eagerly, and a prompt."""

    def __init__(self, name, folder, scene):
        self.name, self.loaded = name, attnscope.load(str(folder), dtype="float32")
        self.eager = hand.Eager(folder)
        self.prompt = make_prompt(self.loaded, scene, frames=FRAMES.get(name, 4))
        assert self.prompt.placing.how == "layout"
        self.inputs = longer(self.prompt, [300, 301])
        self.total = len(self.prompt.tokens) + 2
        self.layers = list(decoder_layers(self.loaded.model))
        self.plain = run(self.loaded, self.inputs, [])[0][0]
        written_out, _ = self.eager.run(self.inputs, hand.plain)
        noise = float((written_out - self.plain).abs().max())  # of the kernel, as deep layers enlarge it
        self.room = max(1e-4, 4 * noise)  # how much two exact ways may differ: what a correction does is far larger

    def equal(self, found, expected):
        """Equal to the reference [P, vocabulary] everywhere, and not to the plain run where the answer begins."""
        torch.testing.assert_close(found, expected, atol=self.room, rtol=0)
        assert (found - self.plain)[-3:].abs().max() > FAR * self.room


@pytest.fixture(scope="module", params=KINDS)
def case(request, checkpoint, drawn):
    return Case(request.param, checkpoint(request.param), drawn)


def test_the_social_bias(case):
    settings = SocialBias(alpha=0.7, coverage=0.1, rows="utterances", **EVERYWHERE)
    _, before = run(case.loaded, case.prompt.inputs, [])
    _, calls = run(case.loaded, case.prompt.inputs, bind(case.loaded, case.prompt, [settings]))
    changed = 0
    for layer, call in calls.items():
        expected, active = reference(call, case.prompt, settings, width=before[layer].query.shape[-1])
        assert active.any()
        torch.testing.assert_close(whole_map(call), expected, atol=1e-4, rtol=0)
        changed += not torch.allclose(whole_map(call), whole_map(before[layer]), atol=1e-3)
    assert list(calls) == case.layers and changed  # a window hides the cells from the words in some layers


@pytest.mark.parametrize("edges", ["answer:visual", "utterances:own,question:speakers"])
def test_cut_edges(case, edges):
    knockout = Knockout(edges=edges, coverage=0.1)
    pairs = named_pairs(case.prompt, knockout)
    assert pairs.any()
    inputs = case.prompt.inputs
    expected = Dense(case.loaded.model, pairs, every_head(case.loaded)).logits(case.loaded, inputs)
    found, _ = run(case.loaded, inputs, bind(case.loaded, case.prompt, [knockout]))
    torch.testing.assert_close(found, expected, atol=case.room, rtol=0)
    assert (found[0] - case.plain[: len(pairs)]).abs().max() > FAR * case.room


def test_a_cut_head(case):
    """A head's output is 0 before it is mixed with the others, whatever gate stands between."""
    layer = case.layers[-1]

    def zero(_module, args):
        parts = args[0].clone().unflatten(-1, (case.loaded.text_config.num_attention_heads, -1))
        parts[:, :, 1] = 0
        return (parts.flatten(2),)

    hook = decoder_layers(case.loaded.model)[layer].o_proj.register_forward_pre_hook(zero)
    with torch.no_grad():
        expected = case.loaded.model(**case.inputs).logits
    hook.remove()
    found, _ = run(case.loaded, case.inputs, bind(case.loaded, case.prompt, [Knockout(heads=f"{layer}.1")]))
    case.equal(found[0], expected[0])


@pytest.mark.parametrize("correction", MODA.values(), ids=MODA)
def test_moda(case, correction):
    if case.name == "kimi_k25" and correction == MODA["align"]:
        with pytest.raises(ModelError, match=r"layer 0 has keys of 24 and values of 12 channels.* take gram=paper"):
            run(case.loaded, case.inputs, bind(case.loaded, case.prompt, [correction]))
        return
    found, _ = run(case.loaded, case.inputs, bind(case.loaded, case.prompt, [correction]))
    case.equal(found[0], moda_reference(case.loaded, case.prompt, case.inputs, [correction])[0])


def peers(case):
    """Each peer's settings, and its explicit edit."""
    prompt, total, layers = case.prompt, case.total, case.layers
    depth = f"{layers[0]}-{layers[-1]}" if len(layers) == layers[-1] - layers[0] + 1 else ",".join(map(str, layers))
    heads = {layers[0]: [1], layers[-1]: [0, 3]}
    names = ",".join(f"{layer}.{head}" for layer, several in heads.items() for head in several)
    var = Var(keep=0.3, layers=depth, image_mass=0.0, sink_share=1.0, sink_mass=0.004, sink_ratio=1.3)
    return {
        "pai": (Pai(alpha=0.5, layers=depth), hand.pai(prompt, total, layers, 0.5)),
        "vaf": (Vaf(enhance=1.4, suppress=0.6, layers=depth), hand.vaf(prompt, total, layers, 1.4, 0.6)),
        "adaptvis": (AdaptVis(confidence=0.0, w_high=0.4), hand.adaptvis(prompt, total, layers, 0.4)),
        "var": (var, hand.var(prompt, total, layers, var, set())),
        "temperature": (
            Temperature(temperature=0.4, rows="text", heads=names),
            hand.temperature(prompt, total, heads, 0.4, "text"),
        ),
    }


@pytest.mark.parametrize("name", ["pai", "vaf", "adaptvis", "var", "temperature"])
def test_a_peer(case, name):
    settings, edit = peers(case)[name]
    expected, maps = case.eager.run(case.inputs, edit)
    reader = Maps()
    within = corrected(case.loaded, case.prompt, [settings])
    with torch.no_grad(), within, tapped(case.loaded.model, readers=[reader]):
        found = case.loaded.model(**case.inputs).logits[0]
    case.equal(found, expected)
    assert list(maps) == case.layers
    for layer, expected_map in maps.items():
        torch.testing.assert_close(reader.maps[layer], expected_map, atol=1e-4, rtol=0)


DECODED = {
    "social-bias": SocialBias(rows="answer", toward="Ada", coverage=0.1, alpha=0.7, **EVERYWHERE),
    "knockout": Knockout(edges="answer:visual"),
    "moda-mask": ModaMask(gate=0.3),
    "moda-calibrate": ModaCalibrate(target=0.2, change="both"),
    "moda-align": ModaAlign(gram="paper", norm="fro", direction="both", strength=2.0),
    "pai": Pai(alpha=0.5, layers="0.0-1.0"),
    "var": Var(keep=0.3, rows="text", image_mass=0.0, sink_share=1.0, sink_mass=0.004, sink_ratio=1.3),
}


def decoded(case, corrections):
    """Generated tokens, their log-probabilities with a cache, and in one pass over prompt and tokens."""
    with corrected(case.loaded, case.prompt, corrections) if corrections else nullcontext():
        out = generate(case.loaded, case.prompt.inputs)
    cached = torch.log_softmax(torch.cat(out.logits), -1)
    new = out.sequences[0, -len(cached) :].tolist()
    return new, cached, whole_text(case.loaded, case.prompt, corrections, new)


@pytest.mark.parametrize("name", DECODED)
def test_a_cache_decodes_as_one_pass(case, name):
    correction = DECODED[name]
    _, plain, whole = decoded(case, [])
    room = max(2e-4, 4 * float((plain - whole).abs().max()))
    _, cached, whole = decoded(case, [correction])
    torch.testing.assert_close(cached, whole, atol=room, rtol=0)
    assert (cached[0] - plain[0]).abs().max() > room  # else a correction that is lost could not be told


def test_a_padded_batch_is_each_prompt_alone(case, drawn):
    correction = [SocialBias(alpha=0.7, coverage=0.1, rows="utterances", **EVERYWHERE), ModaMask(gate=0.3)]
    scene = Scene.read(drawn).model_copy(update={"question": "Where is Ben, when Ada says what she says in the end?"})
    prompts = [case.prompt, make_prompt(case.loaded, scene, frames=FRAMES.get(case.name, 4))]
    inputs, _ = collate(prompts, case.loaded)
    with torch.no_grad(), corrected(case.loaded, prompts, correction):
        together = case.loaded.model(**inputs).logits[:, -1]
    for row, prompt in zip(together, prompts, strict=True):
        with torch.no_grad(), corrected(case.loaded, prompt, correction):
            alone = case.loaded.model(**prompt.inputs).logits[0, -1]
        torch.testing.assert_close(row, alone, atol=2 * case.room, rtol=0)
