"""Peers in left-padded batches, on generated tokens and in beams: as each prompt alone, as one pass over the text."""

from __future__ import annotations

import pytest
import torch

from attnscope.attention import tapped
from attnscope.capture.record.generate import collate
from attnscope.correct import bind, corrected
from attnscope.correct.peers.adaptvis import AdaptVis
from attnscope.correct.peers.pai import Pai
from attnscope.correct.peers.temperature import Temperature
from attnscope.correct.peers.vaf import Vaf
from attnscope.correct.peers.var import Var
from tests.correct.batches import NEW, asked, generate, last_logits, load, whole_text

LOOSE = {"sink_mass": 0.004, "sink_ratio": 1.3}
SETTINGS = {
    "pai": Pai(alpha=0.5),
    "vaf": Vaf(enhance=1.4, suppress=0.6, layers="1-3"),
    "adaptvis": AdaptVis(w_low=0.4),
    "var": Var(keep=0.3, **LOOSE),
    "var, text": Var(keep=0.3, rows="text", **LOOSE),
    "temperature": Temperature(temperature=0.4, rows="text", heads="0.1,2.0,2.3"),
}


@pytest.fixture(scope="module", params=["qwen2_5_vl", "sliding"])
def loaded(request, checkpoint, tmp_path_factory):
    return load(request.param, checkpoint, tmp_path_factory)


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    return asked(loaded, drawn)[:2]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_batch_equals_its_prompts_alone(loaded, prompts, settings):
    inputs, _ = collate(prompts, loaded)
    plain = last_logits(loaded, inputs)
    with corrected(loaded, prompts, [settings]) as running:
        together = last_logits(loaded, inputs)
    assert (together - plain).abs().max() > 1e-3  # one prompt may have nothing to correct: no sink, say
    for row, prompt in enumerate(prompts):
        alone_plain = last_logits(loaded, prompt.inputs)
        with corrected(loaded, prompt, [settings]) as alone:
            expected = last_logits(loaded, prompt.inputs)
        padding = (plain[row] - alone_plain[0]).abs().max()  # what the model's own kernel makes of it
        torch.testing.assert_close(together[row], expected[0], atol=float(2e-5 + padding), rtol=0)
        assert running[0].records()[row] == alone[0].record()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_cached_decoding_equals_one_pass_over_the_whole_text(loaded, prompts, settings):
    inputs, _ = collate(prompts, loaded)
    with corrected(loaded, prompts, [settings]):
        out = generate(loaded, inputs)
    assert len(out.logits) == NEW
    changed = []
    for row, prompt in enumerate(prompts):
        new = out.sequences[row, -NEW:].tolist()
        cached = torch.log_softmax(torch.stack([step[row] for step in out.logits]), -1)
        torch.testing.assert_close(cached, whole_text(loaded, prompt, [settings], new), atol=1e-4, rtol=0)
        changed.append(not torch.allclose(cached[-1], whole_text(loaded, prompt, [], new)[-1], atol=1e-2))
    assert any(changed)


@pytest.mark.parametrize("name", ["vaf", "var, text"])
def test_beams_score_what_one_pass_scores(loaded, prompts, name):
    inputs, _ = collate(prompts, loaded)
    with corrected(loaded, prompts, [SETTINGS[name]]):
        out = generate(loaded, inputs, num_beams=3, num_return_sequences=2)
    for beam, score in enumerate(out.sequences_scores.tolist()):
        new = out.sequences[beam, -NEW:].tolist()
        scored = whole_text(loaded, prompts[beam // 2], [SETTINGS[name]], new)
        assert score == pytest.approx(float(scored[range(NEW), new].mean()), abs=1e-4)


def test_several_in_one_run_act_in_their_order(loaded, prompts):
    """A scaled query is seen by the edit of rows whatever the order; two edits of rows follow theirs."""
    orders = {}
    for names in (("temperature", "pai", "var"), ("pai", "temperature", "var"), ("var", "pai", "temperature")):
        settings = [SETTINGS[name] for name in names]
        with corrected(loaded, prompts[0], settings):
            out = generate(loaded, prompts[0].inputs)
        new = out.sequences[0, -NEW:].tolist()
        cached = torch.log_softmax(torch.stack([step[0] for step in out.logits]), -1)
        torch.testing.assert_close(cached, whole_text(loaded, prompts[0], settings, new), atol=1e-4, rtol=0)
        orders[names] = cached[0]
    first, second, third = orders.values()
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    assert not torch.allclose(first, third, atol=1e-3)


def test_each_prompt_of_a_batch_has_its_own_factor(loaded, prompts):
    """The surer of two prompts keeps its plain logits bit for bit: at a factor of 1 its row stays with the kernel."""
    inputs, _ = collate(prompts, loaded)
    plain = last_logits(loaded, inputs)
    sure = plain.float().softmax(-1).amax(-1)
    settings = AdaptVis(confidence=float(sure.mean()), w_low=0.4, w_high=1.0)
    with corrected(loaded, prompts, [settings]) as running:
        out = last_logits(loaded, inputs)
    high, low = int(sure.argmax()), int(sure.argmin())
    assert torch.equal(out[high], plain[high]) and not torch.allclose(out[low], plain[low], atol=1e-3)
    notes = [record["notes"] for record in running[0].records()]
    assert notes[high][0] == "the factors are 1: nothing is changed"
    assert f"w = 0.4: the plain model's first token has probability {sure[low]:.3f}" in notes[low][1]


def test_a_prompt_without_sinks_stays_as_it_is(loaded, prompts):
    """Of two prompts in a batch one has sinks by a threshold between their largest mean masses."""
    inputs, _ = collate(prompts, loaded)
    plain = last_logits(loaded, inputs)
    low, high = 0.0, 0.5
    for _ in range(30):  # bisection for a mass that one prompt's sinks have
        mass = (low + high) / 2
        settings = Var(keep=0.3, layers="3", image_mass=0, sink_mass=mass, sink_ratio=1)
        (running,) = bind(loaded, prompts, [settings])
        with tapped(loaded.model, edits=[running]):
            out = last_logits(loaded, inputs)
        with_sinks = [bool(sinks[3].any()) for sinks in running.sinks]
        if sum(with_sinks) == 1:
            break
        low, high = (mass, high) if all(with_sinks) else (low, mass)
    edited = with_sinks.index(True)
    assert torch.equal(out[1 - edited], plain[1 - edited]) and not torch.equal(out[edited], plain[edited])
