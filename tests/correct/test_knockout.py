"""Cut heads and edges on running models against a dense reference that edits an explicit N x N matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attnscope
from attnscope.attention import AttentionCall, decoder_layers, dense_attention, dense_rows, logits, output_factor
from attnscope.attention.decoder import registry_of
from attnscope.capture.check.validate import validate
from attnscope.capture.record.generate import PLAIN_GREEDY, collate
from attnscope.capture.run import capture_prompts
from attnscope.correct import Knockout, bind, corrected, make
from attnscope.correct.knockout.edges import Cut, cut_edges
from attnscope.correct.knockout.running import RunningKnockout
from attnscope.errors import ModelError, RequestError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer, run, whole_map
from tests.correct.moda_dense import allowed
from tests.families import CORRECTED
from tests.families.llava import build_sliding

FEW = pytest.mark.parametrize("family", CORRECTED)
EDGES = [
    Knockout(edges="answer:visual"),
    Knockout(edges="utterances:own,question:speakers", heads="0.1,2.3,2.0"),
    Knockout(edges="Ada:Ben,question:text,text:Ada", coverage=0.3),
]


# ---- by hand


def call_of(z, v, *, dtype=torch.float32, mask=None):
    """A call whose logits [H, N, N] are z: queries are its rows, keys unit vectors; one value head, v [N, D]."""
    z = torch.as_tensor(z, dtype=torch.float32)
    n = z.shape[-1]
    query, key = (z / 0.5)[None].to(dtype), torch.eye(n, dtype=dtype)[None, None]
    return AttentionCall(0, query, key, torch.as_tensor(v)[None, None].to(dtype), mask, 0.5, None, None, None, True, "")


def cut_of(row, keys):
    """A prompt's cut without later tokens: the set that each row is cut from, and the sets."""
    keys = torch.as_tensor(keys, dtype=torch.bool)
    row = torch.tensor([*row, -1])
    return Cut(len(row) - 1, row, torch.cat([keys, torch.zeros(len(keys), 1, dtype=torch.bool)], 1))


def attention(call):
    (parts,) = list(dense_rows(call, 0, torch.arange(call.query.shape[2])))
    return parts[2]


def test_an_edge_and_a_head_by_hand():
    """Row 2 gives 0.2, 0.3, 0.5 to its three keys; cut from key 1 it gives 0.2 / 0.7, 0, 0.5 / 0.7.

    Row 0 sees key 0 alone: cut from it, it would have nothing, and is left as it is.
    """
    z = [[[0.0, 0, 0], [0, 0, 0], [math.log(0.2), math.log(0.3), math.log(0.5)]]]
    call = call_of(z, np.eye(3))
    running = RunningKnockout(Knockout(heads="0.0"), [cut_of([1, -1, 0], [[0, 1, 0], [1, 0, 0]])], [{0: [0]}])
    expected = [[1, 0, 0], [0.5, 0.5, 0], [2 / 7, 0, 5 / 7]]
    torch.testing.assert_close(attention(running(call))[0], torch.tensor(expected))
    assert running.alone == [{0: 1}]
    said = "1 token (in the layer with most) would have lost all keys and was left alone"
    assert said in running.record()["notes"][-1]

    whole = Cut(3, torch.tensor([-1, 0, 0, 0]), torch.zeros(1, 0, dtype=torch.bool))
    cut = RunningKnockout(Knockout(heads="0.0"), [whole], [{0: [0]}])(call)
    assert output_factor(cut).tolist() == [[[1, 0, 0]]]
    assert cut.query is call.query


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_what_is_left_keeps_its_proportions(seed, dtype):
    """For any sets, rows and heads: nothing at the cut keys, the rest as before over its sum; other heads as before."""
    draw = np.random.default_rng(seed)
    heads, n = 3, 7
    call = call_of(draw.normal(0, 30, (heads, n, n)), draw.normal(size=(n, 4)), dtype=dtype)
    keys, row = draw.random((2, n)) < 0.4, draw.integers(-1, 2, n)
    chosen = sorted(draw.choice(heads, 2, replace=False).tolist())
    running = RunningKnockout(Knockout(heads="0.0"), [cut_of(row, keys)], [{0: chosen}])
    before, after = attention(call), attention(running(call))
    alone = 0
    for i in range(n):
        kept = [j for j in range(i + 1) if row[i] < 0 or not keys[row[i], j]]
        alone += not kept
        for h in range(heads):
            own = before[h, i].double()
            if h in chosen and kept:
                z = logits(call.query[0], call.key[0], scaling=call.scaling)[h, i, kept].double()
                own = torch.zeros(n, dtype=torch.float64)
                own[kept] = torch.softmax(z, -1)
            torch.testing.assert_close(after[h, i].double(), own, atol=1e-5, rtol=0)
            assert not after[h, i][[j for j in range(n) if j not in kept]].any() or h not in chosen or not kept
    assert running.alone == [{0: alone}]


# ---- running models


def named_pairs(prompt, knockout):
    """Pairs [N, N] that edges cut, token by token; later tokens are not in it."""
    tokens, scene, n = prompt.tokens.to_dict("list"), prompt.scene, len(prompt.tokens)
    times, names = prompt.frames.times.tolist(), list(scene.speakers)

    def covers(j, name):
        share = tokens[f"covered:{name}"][j]
        return bool(share >= knockout.coverage)

    def is_query(i, word):
        turn = tokens["turn"][i]
        rules = {"answer": i == n - 1, "question": tokens["role"][i] == "question"}
        rules |= {"text": tokens["modality"][i] == "text", "utterances": turn >= 0}
        return rules[word] if word in rules else turn >= 0 and scene.transcript[turn].speaker == word

    def is_key(i, j, word):
        if word in ("visual", "text"):
            return tokens["modality"][j] == word
        if word == "speakers":
            return any(covers(j, name) for name in names)
        if word != "own":
            return covers(j, word)
        said = scene.transcript[tokens["turn"][i]]
        inside = [f for f, t in enumerate(times) if said.start <= t <= said.end]
        live = inside or [int(np.argmin([max(said.start - t, t - said.end) for t in times]))]
        first, last = tokens["frame_first"][j], tokens["frame_last"][j]
        return covers(j, said.speaker) and any(first <= f <= last for f in live)

    cut = torch.zeros(n, n, dtype=torch.bool)
    for queries, keys in (edge.split(":") for edge in knockout.edges.split(",")):
        for i in [i for i in range(n) if is_query(i, queries)]:
            cut[i] |= torch.tensor([is_key(i, j, keys) for j in range(n)])
    return cut


class Dense:
    """In place of the decoder's kernel: softmax of an explicit matrix with -inf where a pair is cut."""

    def __init__(self, model, cut, heads):
        self.modules = {module: number for number, module in decoder_layers(model).items()}
        self.registry, self.cut, self.heads = registry_of(next(iter(self.modules))), cut, heads
        self.original = self.registry["sdpa"]

    def __call__(self, module, query, key, value, attention_mask, scaling=None, **kwargs):
        if module not in self.modules:
            return self.original(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        n, groups = query.shape[2], query.shape[1] // key.shape[1]
        k, v = (x.repeat_interleave(groups, 1) for x in (key, value))
        z = (query @ k.transpose(2, 3)) * (scaling or query.shape[-1] ** -0.5)
        seen = allowed(attention_mask, n)
        for h in range(z.shape[1]):
            left = seen & ~self.cut if (self.modules[module], h) in self.heads else seen
            left = torch.where(left.any(1, keepdim=True), left, seen)
            z[:, h].masked_fill_(~left, -math.inf)
        return (torch.softmax(z, -1) @ v).transpose(1, 2).contiguous(), None

    def logits(self, loaded, inputs):
        self.registry["sdpa"] = self
        try:
            with torch.no_grad():
                return loaded.model(**inputs).logits
        finally:
            del self.registry["sdpa"]


def every_head(loaded):
    return [(la, h) for la in decoder_layers(loaded.model) for h in range(loaded.text_config.num_attention_heads)]


def named_heads(loaded, knockout):
    return (
        [tuple(map(int, at.split("."))) for at in knockout.heads.split(",")] if knockout.heads else every_head(loaded)
    )


@FEW
@pytest.mark.parametrize("knockout", EDGES, ids=lambda k: k.edges)
def test_edges_equal_an_explicit_edit_of_the_matrix(prepared, family, knockout):
    loaded, prompt = prepared(family)
    pairs, heads = named_pairs(prompt, knockout), named_heads(loaded, knockout)
    assert pairs.tril().any()
    reference = Dense(loaded.model, pairs, heads).logits(loaded, prompt.inputs)
    running = bind(loaded, prompt, [knockout])
    found, calls = run(loaded, prompt.inputs, running)
    torch.testing.assert_close(found, reference, atol=1e-4, rtol=0)
    plain, _ = run(loaded, prompt.inputs, [])
    assert (found - plain).abs().max() > 1e-2
    for layer, call in calls.items():  # in every layer, nothing is left at a cut pair
        cut = torch.stack([pairs & ((layer, h) in heads) for h in range(call.query.shape[1])])
        assert not whole_map(call)[cut].any()
    assert running[0].record()["active"] == [
        [la, sorted(h for at, h in heads if at == la)] for la in sorted({at for at, _ in heads})
    ]


@FEW
@pytest.mark.parametrize("rows", ["all", "answer,Ada"])
def test_a_head_equals_zeros_before_the_output_projection(prepared, family, rows):
    loaded, prompt = prepared(family)
    said = prompt.tokens["speaker"] == "Ada"
    at = [i for i in range(len(prompt.tokens)) if rows == "all" or said[i] or i == len(prompt.tokens) - 1]
    heads, hooks = {0: [1], 2: [0, 3]}, []
    for layer, module in decoder_layers(loaded.model).items():

        def zero(_module, args, layer=layer):
            (mixed,) = args  # [1, N, H * D]
            parts = mixed.clone().unflatten(-1, (loaded.text_config.num_attention_heads, -1))
            for head in heads.get(layer, []):
                parts[:, at, head] = 0
            return (parts.flatten(2),)

        hooks.append(module.o_proj.register_forward_pre_hook(zero))
    with torch.no_grad():
        expected = loaded.model(**prompt.inputs).logits
    for hook in hooks:
        hook.remove()
    found, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [Knockout(heads="0.1,2.3,2.0", rows=rows)]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found - run(loaded, prompt.inputs, [])[0]).abs().max() > 1e-2


def test_merged_groups_are_their_parts_and_names_can_change_places(prepared):
    loaded, prompt = prepared("qwen2_5_vl")

    def after(edges, heads=""):
        return run(loaded, prompt.inputs, bind(loaded, prompt, [Knockout(edges=edges, heads=heads)]))[0]

    whole = after("question:speakers")
    assert torch.equal(after("question:Ada,question:Ben"), whole)
    assert torch.equal(after("question:Ben,question:Ada,question:speakers"), whole)
    assert not torch.allclose(after("question:Ada"), whole, atol=1e-3)
    assert torch.equal(after("Ada:own,Ben:own"), after("utterances:own"))
    every = ",".join(f"{la}.{h}" for la, h in every_head(loaded))
    assert torch.equal(after("question:speakers", every), whole)


def test_asked_is_whom_the_question_names(prepared, drawn):
    loaded, _ = prepared("qwen2_5_vl")
    prompt = make_prompt(loaded, Scene.read(drawn).model_copy(update={"question": "What does Ben hold?"}))
    asked, named = (
        run(loaded, prompt.inputs, bind(loaded, prompt, [Knockout(edges=f"answer:{who}")]))[0]
        for who in ("asked", "Ben")
    )
    assert torch.equal(asked, named)


# ---- batches, generated tokens, other kernels


@pytest.fixture(scope="module", params=["qwen2_5_vl", "sliding"])
def several(request, prepared, drawn, tmp_path_factory):
    """A model, and three prompts of it of different lengths."""
    if request.param == "sliding":
        folder = build_sliding(tmp_path_factory.mktemp("sliding") / "model", window=236)
        loaded = attnscope.load(str(folder), dtype="float32")
    else:
        loaded, _ = prepared("qwen2_5_vl")
    scene = Scene.read(drawn)
    asked = [{"question": "Where is Ben?"}, {"transcript": scene.transcript[:2]}, {"options": []}]
    prompts = [make_prompt(loaded, scene.model_copy(update=fields)) for fields in asked]
    assert len({len(prompt.tokens) for prompt in prompts}) == 3
    return loaded, prompts


CUTS = {
    "heads": Knockout(heads="0.1,1.2,2.0", rows="answer,Ben"),
    "edges": Knockout(edges="answer:visual,utterances:own,question:text", heads="0.1,1.0,2.2"),
}


@pytest.mark.parametrize("knockout", CUTS.values(), ids=CUTS)
def test_a_batch_equals_its_prompts_alone_token_by_token(several, knockout):
    """Also while tokens are generated, against one pass over the whole text."""
    loaded, prompts = several
    inputs, new = collate(prompts, loaded)[0], 4
    how = PLAIN_GREEDY | {"max_new_tokens": new, "min_new_tokens": new, "pad_token_id": 0}
    with corrected(loaded, prompts, [knockout]) as running:
        out = loaded.model.generate(**inputs, **how, return_dict_in_generate=True, output_logits=True)
    for row, prompt in enumerate(prompts):
        ids = out.sequences[row, -new:].tolist()
        cached = torch.log_softmax(torch.stack([step[row] for step in out.logits]), -1)
        with torch.no_grad(), corrected(loaded, prompt, [knockout]) as alone:
            whole = loaded.model(**longer(prompt, ids[:-1]), use_cache=False).logits[0, -new:]
        torch.testing.assert_close(cached, torch.log_softmax(whole, -1), atol=1e-4, rtol=0)
        plain = loaded.model(**longer(prompt, ids[:-1]), use_cache=False).logits[0, -new:]
        assert not torch.allclose(whole, plain, atol=1e-2)
        assert running[0].records()[row] == alone[0].record()


def test_models_with_capped_logits_lose_heads_and_refuse_edges(checkpoint, drawn):
    loaded = attnscope.load(str(checkpoint("softcap")), dtype="float32", attn="eager")
    prompt = make_prompt(loaded, drawn)
    plain, _ = run(loaded, prompt.inputs, [])
    found, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [Knockout(heads="0.1")]))
    assert (found - plain).abs().max() > 1e-2
    with pytest.raises(ModelError, match="caps its attention logits"):
        run(loaded, prompt.inputs, bind(loaded, prompt, [Knockout(edges="answer:text")]))


def test_half_precision_leaves_nothing_at_a_cut_pair(checkpoint, drawn):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="bfloat16")
    prompt = make_prompt(loaded, drawn)
    pairs = named_pairs(prompt, EDGES[0])
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [EDGES[0]]))
    for call in calls.values():
        found = dense_attention(call.query[0], call.key[0], pairs | ~pairs, scaling=call.scaling)
        assert not found[:, pairs].any()


def test_a_capture_under_a_knockout(prepared, tmp_path):
    """The answer position's mass on visual tokens is 0 in the cut heads; the file is sound and passes its check."""
    loaded, prompt = prepared("internvl")
    knockout = Knockout(edges="answer:visual", heads="1.2,3.0")
    running = bind(loaded, prompt, [knockout, Knockout(heads="0.0")])
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "after.h5"], max_new_tokens=3, corrections=running)
    with cap:
        assert cap.check["passed"]
        masses = (
            cap.masses().sel(key_group="modality:visual", query=slice(cap.prompt_length - 1, None)).values
        )  # [L, H, Q]
        gone = [(la, h) for la, h in every_head(loaded) if not masses[la, h].any()]
        assert gone == [(1, 2), (3, 0)]
        assert [one["params"]["heads"] for one in cap.correction] == ["1.2,3.0", "0.0"]
        assert (
            cap.correction[1]["notes"][1]
            == "their output is 0 there; their attention is recorded as it would have been"
        )
    assert validate(tmp_path / "after.h5") == []


# ---- what is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "knockout needs heads, edges or both: it does not cut every head"),
        ({"heads": "2"}, 'knockout.heads="2": "2" is not a layer and a head, like 12.3'),
        ({"edges": "answer"}, 'knockout.edges="answer": "answer" is not QUERIES:KEYS, like answer:visual'),
        (
            {"edges": "answer:own"},
            'knockout.edges="answer:own": "own" is for the words of speakers, and "answer" are not',
        ),
        (
            {"edges": "answer:visual", "rows": "answer"},
            'knockout.rows="answer": edges="answer:visual" says which rows are cut',
        ),
        ({"heads": "0.1", "coverage": 2}, "knockout.coverage=2.0: must be in (0, 1]"),
    ],
)
def test_parameters_out_of_range(fields, message):
    with pytest.raises(RequestError) as caught:
        make("knockout", **fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edges": "answer:Zed"}, 'edges="answer:Zed": "Zed": choose from visual, text, question, '),
        (
            {"edges": "Zed:visual"},
            'edges="Zed:visual": "Zed": choose from answer, question, utterances, text, visual, Ada',
        ),
        ({"edges": "answer:asked"}, 'edges="answer:asked": the prompt has no one speaker with a box whom the question'),
        ({"heads": "0.1", "rows": "lips"}, 'rows="lips": "lips": choose from answer, '),
        ({"heads": "9.0"}, 'heads="9.0": layer 9 is not one of the layers with attention, 0-3'),
        ({"heads": "1.7"}, 'heads="1.7": the model has heads 0-3 in each layer'),
    ],
)
def test_what_the_prompt_or_the_model_does_not_have(prepared, fields, message):
    loaded, prompt = prepared("qwen2_5_vl")
    with pytest.raises(RequestError) as caught:
        bind(loaded, prompt, [Knockout(**fields)])
    assert message in str(caught.value)


def test_names_in_edges_are_compared_by_what_can_be_seen(prepared):
    loaded, prompt = prepared("qwen2_5_vl")
    plain, marked = (cut_edges(prompt, [(name, name)], 0.5) for name in ("Ada", "\u202aA\u00adda\u202c"))
    assert torch.equal(plain.keys, marked.keys) and plain.keys.any()
    with pytest.raises(RequestError, match=r'did you mean "Ada"\?$'):
        bind(loaded, prompt, [Knockout(edges="answer:ada")])


@pytest.mark.parametrize("edges", ["utterances:own", "answer:speakers", "answer:utterances", "question:visual"])
def test_a_scene_without_what_an_edge_names(prepared, drawn, edges):
    loaded, _ = prepared("qwen2_5_vl")
    bare = Scene.read(drawn).model_copy(update={"speakers": {}, "transcript": [], "question": None, "options": []})
    with pytest.raises(RequestError, match=f"edges=.{edges}.: the prompt has no ") as caught:
        bind(loaded, make_prompt(loaded, bare), [Knockout(edges=edges)])
    assert ("give boxes in" in str(caught.value)) == (edges == "answer:speakers")
