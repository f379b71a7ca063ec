"""Peers: what they tell, invariants of single rows, models with capped or learned logits, wrong use."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

import attnscope
from attnscope.attention import AttentionCall, dense_attention, dense_rows, logits, tapped
from attnscope.correct import Decoder, bind, make
from attnscope.correct.peers.adaptvis import AdaptVis
from attnscope.correct.peers.pai import Pai
from attnscope.correct.peers.temperature import Temperature
from attnscope.correct.peers.tokens import Tokens
from attnscope.correct.peers.vaf import Vaf
from attnscope.correct.peers.var import RunningVar, Var
from attnscope.errors import ModelError, RequestError
from attnscope.layers import select_layers
from tests.capture.eager import make_prompt
from tests.correct import peers_by_hand as hand
from tests.correct.by_hand import run

N = 24
DECODER = Decoder((0,), 1, 4, "none", "none")


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def prompt(loaded, stage):
    return make_prompt(loaded, stage)


def random_call(seed, learned=None):
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (2 * torch.randn(1, h, N, 16, generator=generator) for h in (4, 2, 2))
    query[..., 0] += 3
    key[0, :, 3, 0] += 5  # one key that draws much
    return AttentionCall(0, query, key, value, None, 0.25, None, None, learned, True, "sdpa")


def rows_of(call):
    return torch.cat([attention for _, _, attention, _ in dense_rows(call, 0, torch.arange(N))], 1)


@hypothesis(max_examples=15, deadline=None)
@given(
    keep=st.floats(0.01, 0.99),
    share=st.floats(0, 1),
    mass=st.floats(0, 1),
    first=st.integers(0, 6),
    size=st.integers(2, 12),
    seed=st.integers(0, 99),
    learned=st.sampled_from([None, torch.tensor([-1.0, 0.0, 1.0, 2.0])]),
)
def test_redistribution_keeps_the_total_and_all_proportions(keep, share, mass, first, size, seed, learned):
    """Also of rows that sum to less than 1, because a learned logit takes part in the denominator."""
    call = random_call(seed, learned)
    at = torch.arange(N + 1)
    visual = (at >= first) & (at < first + size)
    tokens = Tokens(N, (at > first) & ~visual, visual[None])
    settings = Var(keep=keep, sink_share=share, image_mass=mass, rows="text", sink_mass=0.03, sink_ratio=1.2)
    running = RunningVar(settings, DECODER, [0], [tokens])
    before, after = rows_of(call).double(), rows_of(running(call)).double()
    torch.testing.assert_close(after.sum(-1), before.sum(-1), atol=1e-5, rtol=0)
    assert learned is not None or bool(((after.sum(-1) - 1).abs() < 1e-5).all())
    sinks, visual = running.sinks[0][0][:-1], visual[:-1]
    others, text = visual & ~sinks, ~visual & ~sinks
    edited = ((after - before).abs().amax(-1) > 1e-9).nonzero().tolist()
    assert all(bool(tokens.rows[row]) for _, row in edited)
    for head, row in edited:
        old, new = before[head, row], after[head, row]
        torch.testing.assert_close(new[sinks], keep * old[sinks], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(new[text], old[text], atol=1e-6, rtol=1e-4)
        growth = 1 + (1 - keep) * old[sinks].sum() / old[others].sum()
        torch.testing.assert_close(new[others], growth * old[others], atol=1e-6, rtol=1e-4)
        assert old[visual].sum() >= mass - 1e-6 and old[visual & sinks].sum() <= share * old[visual].sum() + 1e-6


def test_the_redistribution_above_happens():
    """Guards the test above: with its thresholds and no conditions on heads, most rows of heads change."""
    call, at = random_call(0), torch.arange(N + 1)
    visual = (at >= 2) & (at < 12)
    settings = Var(sink_share=1, image_mass=0, rows="text", sink_mass=0.03, sink_ratio=1.2)
    running = RunningVar(settings, DECODER, [0], [Tokens(N, at >= 12, visual[None])])
    changed = (rows_of(running(call)) - rows_of(call)).abs().amax(-1) > 1e-3
    assert bool(running.sinks[0][0][3]) and changed[:, 12:].float().mean() > 0.5 and not changed[:, :12].any()


@pytest.mark.parametrize("settings", [Pai(alpha=0.2), AdaptVis(confidence=0, w_high=1.5), Vaf(layers="0.0-1.0")])
def test_the_share_of_negative_logits_is_told(loaded, prompt, settings):
    (running,) = bind(loaded, prompt, [settings])
    run(loaded, prompt.inputs, [running])
    n, layer = len(prompt.tokens), 0  # of the first layer, whose plain logits are those of the plain run
    _, calls = run(loaded, prompt.inputs, [])
    call = calls[layer]
    z = logits(call.query[0], call.key[0], scaling=call.scaling)
    visual, before, text, answer = hand.positions(prompt, n)
    rows = text if settings.method == "vaf" else answer
    for group, keys in enumerate([visual, before] if settings.method == "vaf" else [visual]):
        negative = pairs = 0
        for row in rows.nonzero()[:, 0].tolist():
            seen = keys & (torch.arange(n) <= row)
            negative, pairs = negative + int((z[:, row, seen] < 0).sum()), pairs + 4 * int(seen.sum())
        assert running.negative[0][layer][group].tolist() == [negative, pairs]
    told = [note for note in running.record()["notes"] if note.startswith("the logit is negative in")]
    effects = {"pai": ["raises it"], "adaptvis": ["lowers it, the contrary of what is meant"]}
    both = ["lowers it, the contrary of what is meant", "raises it, the contrary of what is meant"]
    assert [note.partition("there the edit ")[2] for note in told] == effects.get(settings.method, both)


def test_a_record_does_not_depend_on_what_follows_the_prompt(loaded, prompt):
    """Counts are of rows of the prompt, each once, however often a reader asks and whatever is appended."""
    from tests.correct.by_hand import longer

    records = []
    for inputs in (prompt.inputs, longer(prompt, [300, 301])):
        running = bind(loaded, prompt, [Vaf(), Var(rows="text", sink_mass=0.004, sink_ratio=1.3), Pai()])
        for _ in range(2):
            run(loaded, inputs, running)
        records.append([one.record() for one in running])
    assert records[0] == records[1]


def test_defaults_are_the_published_layers_of_32():
    assert select_layers(Pai().layers, range(32), 32) == list(range(2, 32))
    assert select_layers(Var().layers, range(32), 32) == list(range(2, 32))
    assert select_layers(Vaf().layers, range(32), 32) == list(range(9, 15))
    assert select_layers(AdaptVis().layers, range(32), 32) == list(range(32))


def test_capped_logits_are_edited_after_the_cap(checkpoint, stage):
    folder = checkpoint("softcap")
    loaded = attnscope.load(str(folder), attn="eager", dtype="float32")
    prompt = make_prompt(loaded, stage, frames=2)
    n, eager = len(prompt.tokens), hand.Eager(folder)
    for settings, edit in [
        (Pai(alpha=0.5, layers="0-3"), hand.pai(prompt, n, range(4), 0.5)),
        (Vaf(1.3, 0.7, "0-3"), hand.vaf(prompt, n, range(4), 1.3, 0.7)),
    ]:
        expected, _ = eager.run(prompt.inputs, edit)
        out, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [settings]))
        plain, _ = eager.run(prompt.inputs, hand.plain)
        torch.testing.assert_close(out[0], expected, atol=1e-4, rtol=0)
        assert not torch.allclose(out[0, -1], plain[-1], atol=1e-3)
    refused = pytest.raises(ModelError, match=r"layer 0: this model caps its attention logits \(softcap 5.0\); temper")
    with refused:
        run(loaded, prompt.inputs, bind(loaded, prompt, [Temperature()]))


@pytest.mark.parametrize("by", [0.5, 0.7])
def test_a_temperature_in_half_precision(checkpoint, stage, by):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="bfloat16")
    prompt = make_prompt(loaded, stage)
    (running,) = bind(loaded, prompt, [Temperature(temperature=by, rows="all", layers="0")])
    _, before = run(loaded, prompt.inputs, [])
    _, after = run(loaded, prompt.inputs, [running])
    exact = before[0].query.float() / by
    assert torch.equal(after[0].query.float(), exact) == (by == 0.5)
    torch.testing.assert_close(after[0].query.float(), exact, atol=0, rtol=2**-8)
    assert any("rounded to bfloat16" in note for note in running.record()["notes"]) == (by != 0.5)


def test_a_temperature_scales_logits_and_biases_before_it(loaded, prompt):
    """Corrections act in their order: what an earlier one adds to the logits is divided too."""
    from attnscope.correct import SocialBias

    bias = SocialBias(alpha=1.5, rows="answer", toward="everyone", strength="constant", layers="0", threshold=0.0)
    cooled = Temperature(temperature=0.5, layers="0", rows="answer")
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [bias, cooled]))
    call = calls[0]
    z = logits(call.query[0], call.key[0], scaling=call.scaling)[:, -1]
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [bias]))
    torch.testing.assert_close(
        z, 2 * logits(calls[0].query[0], calls[0].key[0], scaling=call.scaling)[:, -1], atol=1e-4, rtol=0
    )
    n = torch.ones(len(prompt.tokens), len(prompt.tokens)).tril().bool()
    whole = dense_attention(call.query[0], call.key[0], n, scaling=call.scaling)
    torch.testing.assert_close(whole[:, -1], torch.softmax(z, -1), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("pai", {"alpha": -0.1}, "pai.alpha=-0.1: must be a number of at least 0"),
        ("pai", {"alpha": float("inf")}, "pai.alpha=inf: must be a number between -1e+30 and 1e+30"),
        ("pai", {"layers": "two"}, 'pai.layers="two": "two" is neither numbers like 0-9,20 nor a range of depth like'),
        ("vaf", {"enhance": 0.0}, "vaf.enhance=0.0: must be a number above 0"),
        ("vaf", {"suppress": float("nan")}, "vaf.suppress=nan: must be a number between -1e+30 and 1e+30"),
        ("adaptvis", {"confidence": 1.5}, "adaptvis.confidence=1.5: must be in [0, 1]"),
        ("adaptvis", {"w_low": -1.0}, "adaptvis.w_low=-1.0: must be a number above 0"),
        ("var", {"keep": 0.0}, "var.keep=0.0: must be in (0, 1]"),
        ("var", {"sink_share": 1.1}, "var.sink_share=1.1: must be in [0, 1]"),
        ("var", {"image_mass": -0.1}, "var.image_mass=-0.1: must be in [0, 1]"),
        ("var", {"rows": "all"}, 'var.rows="all": choose from answer, text'),
        ("var", {"sink_mass": 1.0}, "var.sink_mass=1.0: must be in [0, 1)"),
        ("var", {"sink_ratio": 0.5}, "var.sink_ratio=0.5: must be a number of at least 1"),
        ("temperature", {"temperature": 0.0}, "temperature.temperature=0.0: must be a number above 0"),
        ("temperature", {"rows": "words"}, 'temperature.rows="words": choose from answer, text, all'),
        ("temperature", {"heads": "2"}, 'temperature.heads="2": "2" is not a layer and a head, like 12.3'),
    ],
)
def test_parameters_out_of_range(method, fields, message):
    with pytest.raises(RequestError) as caught:
        make(method, **fields)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_what_the_model_does_not_have(loaded, prompt):
    with pytest.raises(RequestError, match=r"layers=.2-9.: layer 4 is not one of the layers with attention, 0-3"):
        bind(loaded, prompt, [Pai(layers="2-9")])
    with pytest.raises(RequestError, match=r"heads=.1.7.: the model has heads 0-3 in each layer"):
        bind(loaded, prompt, [Temperature(heads="1.7")])
    with pytest.raises(RequestError, match="adaptvis: has to run the model once before it acts"):
        AdaptVis(layers="0").bind([prompt], DECODER)


def test_a_plain_run_is_not_read_through_a_row_edit(loaded, prompt):
    """A run of the model outside the block is plain again."""
    with torch.no_grad():
        plain = loaded.model(**prompt.inputs).logits
        with tapped(loaded.model, edits=bind(loaded, prompt, [Pai()])):
            assert not torch.equal(loaded.model(**prompt.inputs).logits, plain)
        assert torch.equal(loaded.model(**prompt.inputs).logits, plain)
