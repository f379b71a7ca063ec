"""Rules that choose heads, against the tables of `attnscope heads` from a capture of the same prompt."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attnscope
from attnscope.capture.plan import Plan
from attnscope.capture.record.generate import collate
from attnscope.capture.run import capture_prompts
from attnscope.correct import SocialBias, bind, corrected, make
from attnscope.correct.base import Decoder
from attnscope.correct.heads.scores import Pairs
from attnscope.correct.heads.selection import HeadRule, choose, take
from attnscope.errors import RequestError
from attnscope.metrics import registry
from attnscope.metrics.choosing.ranking import choose as choose_heads
from attnscope.metrics.choosing.ranking import measure
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import run
from tests.families import by_speed

EVERY = {"layers": "0-3"}
# The tiny models have no sinks by the usual rule; by this one they do
SINKS = {"sink_mass": 0.004, "sink_ratio": 1.2}


@pytest.fixture(scope="module", params=by_speed(("qwen2_5_vl", "internvl", "sliding"), quick=("qwen2_5_vl", "sliding")))
def loaded(request, checkpoint, tmp_path_factory):
    """`sliding`: in the last two of the four layers, no text sees a cell of a speaker."""
    if request.param != "sliding":
        return attnscope.load(str(checkpoint(request.param)), dtype="float32")
    folder = shutil.copytree(checkpoint("qwen2_5_vl"), tmp_path_factory.mktemp("sliding") / "model")
    config = json.loads((folder / "config.json").read_text())
    text = config["text_config"]
    text |= {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2}
    text["layer_types"] = ["full_attention"] * 2 + ["sliding_attention"] * 2
    (folder / "config.json").write_text(json.dumps(config))
    return attnscope.load(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    """Two prompts of different lengths."""
    scene = Scene.read(drawn)
    asked = [{"question": "What does Ada's coat hide?"}, {"question": "Where?", "transcript": scene.transcript[:2]}]
    return [make_prompt(loaded, scene.model_copy(update=fields)) for fields in asked]


@pytest.fixture(scope="module")
def captured(loaded, prompts, tmp_path_factory):
    """A plain capture of the first prompt."""
    path = tmp_path_factory.mktemp("captured") / "run.h5"
    plan = Plan(masses=True, maps=True, stats=False, **SINKS)
    (cap,) = capture_prompts(loaded, prompts[:1], [path], plan=plan, max_new_tokens=1)
    with cap:
        yield cap


@pytest.fixture(scope="module")
def tables(captured):
    """What `attnscope heads` measures in it, once."""
    return measure([captured], ["run"])


@pytest.fixture(scope="module")
def g(captured):
    """[L, H] P1's criterion as the capture's table has it."""
    (table,) = registry.compute(captured, ["cross_attention"]).values()
    heads = table[(table["layer"] >= 0) & (table["head"] >= 0)].sort_values(["layer", "head"])
    return heads["value"].to_numpy().reshape(len(captured.layers), captured.heads)


def active(running, number=0):
    return {(layer, head) for layer, heads in running.records()[number]["active"] for head in heads}


def under(loaded, prompts, bias):
    inputs, _ = collate(prompts, loaded)
    with torch.no_grad(), corrected(loaded, prompts, [bias]) as running:
        return loaded.model(**inputs).logits[:, -1], running[0]


@pytest.mark.parametrize(("layers", "k"), [("0-3", 1), ("0-3", 5), ("1-2", 3), ("0-3", 16)])
def test_topk_are_the_first_of_attnscope_heads(loaded, prompts, captured, tables, layers, k):
    listed = choose_heads([captured], ["run"], "active", top=k, layers=layers, tables=tables)
    _, running = under(loaded, prompts[:1], SocialBias(topk=k, layers=layers))
    assert active(running) == {(head.layer, head.head) for head in listed.heads}
    assert len(listed.heads) == k


@pytest.mark.parametrize("k", [None, 1, 2])
def test_localization_heads_are_those_of_attnscope_heads(loaded, prompts, captured, tables, monkeypatch, k):
    monkeypatch.setattr("attnscope.correct.heads.scores.Plan", lambda: Plan(**SINKS))
    listed = choose_heads([captured], ["run"], "localization", top=k or 3, layers="0-3", tables=tables)
    _, running = under(loaded, prompts[:1], SocialBias(by="localization", topk=k, layers="0-3"))
    found = {(head.layer, head.head) for head in listed.heads}
    assert active(running) == found and 0 < len(found) <= (k or 3)
    visual = (captured.tokens["modality"] == "visual").to_numpy()
    assert captured.sinks[:, visual].any()  # so that leaving them out is part of the test
    (note,) = [note for note in running.record()["notes"] if "spatial entropy" in note]
    assert f"with image mass above {listed.criterion.gate:.3g} (the elbow)" in note


def test_the_cut_is_the_threshold_that_chooses_the_same(loaded, prompts, g):
    n = len(prompts[0].tokens)
    for chosen in (SocialBias(topk=4, **EVERY), SocialBias(quantile=0.7, **EVERY)):
        _, running = under(loaded, prompts[:1], chosen)
        note = running.record()["notes"][0]
        cut = np.partition(g.ravel(), -5)[-5] if chosen.topk else np.quantile(g, 0.7)
        assert active(running) == {tuple(map(int, place)) for place in np.argwhere(g > cut)}
        count = int((g > cut).sum())
        said = f"{count} of {g.size} heads in 4 layers, those whose mean attention to speakers' pixels (g) is above"
        assert note.startswith(f"{said} {cut:.3g}; g × prompt length = ")
        assert "(1: attention spread evenly over the prompt) at the cut" in note and "asks for" not in note
        assert float(re.search(r"prompt length = ([0-9.e+-]+)", note)[1]) == pytest.approx(cut * n, rel=6e-3)


def test_more_heads_than_there_are(loaded, prompts, g):
    """`sliding` or not, all have a value; of localization heads only those above the elbow have."""
    _, running = under(loaded, prompts[:1], SocialBias(topk=1000, layers="2-3"))
    size = g[2:].size
    begin = f"{size} of {size} heads in 2 layers, where topk asks for 1000 and there are no more, those whose"
    assert running.record()["notes"][0].startswith(begin)
    _, running = under(loaded, prompts[:1], SocialBias(topk=1000, by="localization", layers="2-3"))
    note = running.record()["notes"][0]
    found = re.match(r"(\d+) of \d+ heads in 2 layers, where topk asks for 1000 and only (\d+) of them can be", note)
    assert found and found[1] == found[2] == str(len(active(running))) and int(found[1]) < size


def test_chosen_heads_are_biased_as_the_same_heads_fixed(loaded, prompts):
    for chosen in (SocialBias(topk=4, **EVERY), SocialBias(quantile=0.5, negative="gap", rows="answer", **EVERY)):
        logits, running = under(loaded, prompts[:1], chosen)
        heads = ",".join(f"{layer}.{head}" for layer, head in sorted(active(running)))
        fixed, _ = under(loaded, prompts[:1], replace(chosen, topk=None, quantile=None, heads=heads))
        assert heads and torch.equal(logits, fixed)


def test_frozen_heads_of_a_capture(loaded, prompts, captured, tables, tmp_path):
    choose_heads([captured], ["run"], "active", top=4, layers="0-3", tables=tables).write(tmp_path / "heads.json")
    frozen, running = under(loaded, prompts[:1], SocialBias(heads=str(tmp_path / "heads.json")))
    chosen, _ = under(loaded, prompts[:1], SocialBias(topk=4, **EVERY))
    assert torch.equal(frozen, chosen)
    assert running.record()["notes"][0].startswith("4 fixed heads in ")


@pytest.mark.parametrize(
    "fields", [{"topk": 3}, {"quantile": 0.6}, {"by": "localization"}, {"topk": 3, "lowest": True}]
)
def test_a_batch_chooses_for_each_prompt_as_alone(loaded, prompts, fields):
    bias = SocialBias(**EVERY | fields)
    together, running = under(loaded, prompts, bias)
    plain = loaded.model(**collate(prompts, loaded)[0]).logits[:, -1].detach()
    for number, prompt in enumerate(prompts):
        alone, own = under(loaded, [prompt], bias)
        padding = (plain[number] - loaded.model(**prompt.inputs).logits[0, -1].detach()).abs().max()
        torch.testing.assert_close(together[number], alone[0], atol=float(1e-5 + padding), rtol=0)
        assert active(running, number) == active(own) != set()
        assert running.records()[number]["active"] == own.record()["active"]


def test_lowest_heads_are_as_many_of_those_that_see_the_cells(loaded, prompts, g):
    blind = [layer for layer in range(4) if (g[layer] == 0).all()]
    assert bool(blind) == ("sliding" in str(loaded.id))
    seeing = [place for place in map(tuple, np.argwhere(g >= 0)) if place[0] not in blind]
    ranked = sorted(seeing, key=lambda place: g[place])
    threshold = float(np.sort(g.ravel())[-4:-2].mean())  # three heads are above it
    for fields in ({"topk": 3}, {"threshold": threshold}, {"quantile": 0.84}):
        _, running = under(loaded, prompts[:1], SocialBias(lowest=True, **EVERY | fields))
        count = int((g > (threshold if "topk" in fields or "threshold" in fields else np.quantile(g, 0.84))).sum())
        wanted = 3 if "topk" in fields else count
        assert active(running) == {tuple(map(int, place)) for place in ranked[:wanted]}
        assert f"in their place the {wanted} lowest-ranked that see the cells" in running.record()["notes"][0]


def test_lowest_says_where_it_has_no_others(loaded, prompts, g):
    seeing = int((g > 0).sum())
    _, running = under(loaded, prompts[:1], SocialBias(topk=seeing, lowest=True, **EVERY))
    assert f"{seeing} of them the same heads" in running.record()["notes"][0]


def test_the_published_threshold_looks_at_nothing_first(loaded, prompts, monkeypatch):
    def refuse(*_):
        raise AssertionError("the model was run")

    monkeypatch.setattr(Decoder, "look", refuse)
    bind(loaded, prompts, [SocialBias(), SocialBias(heads="0.1"), SocialBias(alpha=0.0, topk=3)])
    with pytest.raises(AssertionError, match="the model was run"):
        bind(loaded, prompts, [SocialBias(topk=3)])


def test_zero_strength_is_the_plain_run(loaded, prompts):
    plain, _ = run(loaded, prompts[0].inputs, [])
    for fields in ({"topk": 3}, {"quantile": 0.5}, {"by": "localization"}, {"lowest": True}):
        edits = bind(loaded, prompts[0], [SocialBias(alpha=0.0, **EVERY | fields)])
        assert torch.equal(run(loaded, prompts[0].inputs, edits)[0], plain)


@given(
    values=st.lists(st.floats(0, 1) | st.just(np.nan), min_size=1, max_size=30),
    rule=st.builds(HeadRule, topk=st.integers(1, 40))
    | st.builds(HeadRule, quantile=st.floats(0, 0.99))
    | st.builds(HeadRule, threshold=st.floats(0, 0.9)),
)
@settings(max_examples=15, deadline=None)
def test_what_is_taken_is_above_the_cut_and_the_rest_is_not(values, rule):
    value = np.array(values)
    taken, cut = take(rule, np.argsort(-value, kind="stable"), value)
    rest = np.delete(value, taken)
    assert np.isfinite(value[taken]).all() and len(set(taken.tolist())) == len(taken)
    assert (value[taken] >= cut).all() and not (rest > cut).any()
    if rule.topk:
        assert len(taken) == min(rule.topk, int(np.isfinite(value).sum()))
        assert (value[taken] > cut).all() or cut in value[taken]  # a tie at the cut is the only exception
    else:
        assert (value[taken] > cut).all()


def test_a_rule_for_other_corrections(loaded, prompts, g):
    """`HeadRule` by itself, with P1's pairs."""
    tokens, seen = prompts[0].tokens, []
    said = ((tokens["turn"] >= 0) & (tokens["speaker"] != "")).to_numpy()
    covered = tokens[["covered:Ada", "covered:Ben"]].to_numpy() >= 0.5
    pairs = Pairs(torch.from_numpy(np.flatnonzero(said)), torch.from_numpy(np.flatnonzero(covered.any(1))))
    decoder = Decoder((0, 1, 2, 3), 4, g.shape[1], "m", "0" * 64, lambda edits: seen.append(edits) or _look(edits))

    def _look(edits):
        with torch.no_grad():
            return run(loaded, prompts[0].inputs, edits)[0][:, -1]

    rule = HeadRule(topk=2, layers="0-3")
    (chosen,) = choose(rule, "mine", prompts[:1], decoder, [pairs])
    best = np.argsort(-g.ravel())[:2]
    assert {(at, h) for at, hs in chosen.heads.items() for h in hs} == {divmod(int(i), g.shape[1]) for i in best}
    assert len(seen) == 1
    with pytest.raises(RequestError, match="mine: has to run the model once before it acts"):
        choose(rule, "mine", prompts[:1], replace(decoder, scout=None), [pairs])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"topk": 0}, "social-bias.topk=0: must be a number of at least 1"),
        ({"quantile": 1.0}, "social-bias.quantile=1.0: must be in [0, 1)"),
        ({"by": "mass"}, 'social-bias.by="mass": choose from active, localization'),
        (
            {"topk": 3, "quantile": 0.9},
            "social-bias.topk=3: quantile=0.9 says otherwise how many heads are chosen; give one of them",
        ),
        ({"topk": 3, "threshold": 1e-4}, "social-bias.threshold=0.0001: topk=3 chooses the heads; give one of them"),
        (
            {"quantile": 0.9, "threshold": 0.0},
            "social-bias.threshold=0.0: quantile=0.9 chooses the heads; give one of them",
        ),
        (
            {"by": "localization", "threshold": 0.0},
            "social-bias.threshold=0.0: by=localization chooses the heads; give one of them",
        ),
        ({"heads": "0.1", "topk": 3}, 'social-bias.heads="0.1": are fixed, and topk=3 chooses others'),
        ({"heads": "0.1", "quantile": 0.9}, 'social-bias.heads="0.1": are fixed, and quantile=0.9 chooses others'),
        (
            {"heads": "0.1", "by": "localization"},
            'social-bias.heads="0.1": are fixed, and by=localization chooses others',
        ),
        ({"heads": "0.1", "lowest": True}, 'social-bias.heads="0.1": are fixed, and lowest=true chooses others'),
    ],
)
def test_contradictions_and_ranges(fields, message):
    with pytest.raises(RequestError) as caught:
        make("social-bias", **fields)
    assert str(caught.value) == message
