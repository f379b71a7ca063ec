"""The public calls: one capture from Python, its plan, its size, and models that accelerate has split."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import dispatch_model

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.plan import Shape, format_bytes, parse_bytes
from attnscope.capture.record.groups import key_groups, query_groups
from attnscope.capture.run import capture_prompts, plan_shape
from attnscope.errors import ModelError, RequestError, SizeError
from attnscope.layers import select_layers
from tests.capture.eager import eager_maps, make_prompt

SHAPE = Shape(layers=28, heads=28, kv_heads=4, width=128, positions=8192, probes=300, key_groups=30, query_groups=20,
              itemsize=2)  # fmt: skip


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")))


def test_a_capture_in_one_call(loaded, stage, tmp_path):
    seen = []
    with attnscope.capture(
        loaded, stage, tmp_path / "run.h5", max_new_tokens=2, progress=lambda *step: seen.append(step)
    ) as cap:
        assert isinstance(cap, attnscope.Capture)
        assert cap.readings == ["masses", "maps", "stats"]
        assert cap.scene.question == attnscope.Scene.read(stage).question
        assert len(cap.answer["tokens"]) <= 2
    assert seen == [("layers", i, 4) for i in (1, 2, 3, 4)]


def test_the_package_is_callable_also_after_its_modules_were_imported():
    import attnscope.capture.read.capture

    assert callable(attnscope.capture)
    assert attnscope.capture.read.capture.Capture is attnscope.Capture


def test_reading_needs_no_torch():
    code = "import sys, attnscope; attnscope.open, attnscope.Plan, attnscope.Scene; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_only_the_chosen_layers_are_recorded(loaded, stage, tmp_path):
    plan = attnscope.Plan(qk=True, layers="0.5-1.0")
    with attnscope.capture(loaded, stage, tmp_path / "run.h5", plan=plan, max_new_tokens=1) as cap:
        assert cap.layers.tolist() == [2, 3]
        assert cap.maps(layer=3).shape == cap.maps(layer=2).shape
        with pytest.raises(RequestError, match="layer 0"):
            cap.attention(0)


@pytest.fixture(scope="module")
def everything(loaded, stage, tmp_path_factory):
    """A prompt, and its capture with all readings."""
    prompt, path = make_prompt(loaded, stage), tmp_path_factory.mktemp("everything") / "all.h5"
    plan = attnscope.Plan(qk=True, full=True)
    (cap,) = capture_prompts(loaded, [prompt], [path], plan=plan, max_new_tokens=3)
    with cap:
        yield prompt, cap


@pytest.mark.parametrize("readings", ["masses", "maps", "stats", "qk", "full", "masses,maps"])
def test_any_choice_of_readings_gives_what_all_of_them_give(readings, loaded, everything, tmp_path):
    prompt, all_of_them = everything
    plan = attnscope.Plan.parse(readings)
    (some,) = capture_prompts(loaded, [prompt], [tmp_path / "some.h5"], plan=plan, max_new_tokens=3)
    assert some.readings == readings.split(",")
    assert validate(some.path) == []
    for name in some.readings:
        for path, values in arrays(some._store.file[name], name):
            np.testing.assert_allclose(values, all_of_them._store.file[path][...], atol=1e-5, err_msg=path)


@pytest.mark.parametrize("readings", ["masses,maps,stats", "maps"])
def test_a_prompt_that_ends_with_a_visual_token_has_its_answer_position(readings, loaded, checkpoint, stage, tmp_path):
    prompt = make_prompt(loaded, stage)
    tokens = prompt.tokens.copy()
    seen = tokens.index[tokens["modality"] == "visual"][-1]
    kept = ["position", "token_id", "text"]
    tokens.loc[tokens.index[-1], tokens.columns.difference(kept)] = tokens.loc[seen]
    (cap,) = capture_prompts(
        loaded, [replace(prompt, tokens=tokens)], [tmp_path / "run.h5"], plan=attnscope.Plan.parse(readings)
    )
    assert cap.tokens["modality"][len(tokens) - 1] == "visual"
    for layer, exact in enumerate(eager_maps(checkpoint("qwen2_5_vl"), prompt)):
        found = cap.maps(layer=layer, group="answer_position").to_numpy()[:, : len(tokens)]
        np.testing.assert_allclose(found, exact[:, -1], atol=1e-5)
    assert not [problem for problem in validate(cap.path) if "maps" in problem.node]


def arrays(group, path):
    for name, node in group.items():
        if hasattr(node, "items"):
            yield from arrays(node, f"{path}/{name}")
        else:
            yield f"{path}/{name}", node[...]


def test_a_model_split_by_accelerate(checkpoint, stage, tmp_path):
    """Half of the layers live on disk and are fetched by hooks around each module: same readings."""
    plan = attnscope.Plan(qk=True)
    whole = attnscope.load(str(checkpoint("qwen2_5_vl")))
    prompt = make_prompt(whole, stage)
    (one,) = capture_prompts(whole, [prompt], [tmp_path / "one.h5"], plan=plan, max_new_tokens=3)
    split = attnscope.load(str(checkpoint("qwen2_5_vl")))
    places = {"model.visual": "cpu", "model.language_model.embed_tokens": "cpu", "model.language_model.norm": "cpu"}
    places |= {f"model.language_model.layers.{i}": "disk" if i % 2 else "cpu" for i in range(4)}
    places |= {"model.language_model.rotary_emb": "cpu", "lm_head": "cpu"}
    split.model = dispatch_model(split.model, places, main_device="cpu", offload_dir=tmp_path / "offload")
    (two,) = capture_prompts(split, [prompt], [tmp_path / "two.h5"], plan=plan, max_new_tokens=3)
    assert two.check["passed"]
    for layer in one.layers:
        np.testing.assert_allclose(two.attention(int(layer)), one.attention(int(layer)), atol=1e-5)
    np.testing.assert_allclose(two.masses().values, one.masses().values, atol=1e-5)


def test_half_precision_says_how_exact_it_is(checkpoint, stage, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="bfloat16")
    plan = attnscope.Plan(qk=True)
    with attnscope.capture(loaded, stage, tmp_path / "run.h5", plan=plan, max_new_tokens=2) as cap:
        assert cap.model["dtype"] == "bfloat16"
        assert cap.check["passed"]
        layer = int(cap.layers[0])
        # Rows of text queries are dense float32 sums of exactly the stored queries and keys.
        members = cap.key_member[(cap.key_groups["family"] == "modality").to_numpy()].astype(np.float64)
        queries = cap.masses()["query"].values
        expected = cap.attention(layer, queries=queries) @ members.T
        np.testing.assert_allclose(cap.masses(layer=layer).values[..., :3], expected, atol=1e-5)


def test_a_model_whose_layer_does_not_pass_the_seam_is_refused(checkpoint, stage, tmp_path):
    """A decoder that computes attention by itself would give silence; it is refused by name."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))
    attention = loaded.model.model.language_model.layers[1].self_attn

    class OwnAttention(type(attention)):
        def forward(self, hidden_states, **_kwargs):
            return torch.zeros_like(hidden_states), None

    attention.__class__ = OwnAttention
    with pytest.raises(ModelError, match="registry is not used by OwnAttention"):
        attnscope.capture(loaded, stage, tmp_path / "run.h5")
    assert list(tmp_path.iterdir()) == []


def test_the_size_is_checked_before_the_run(loaded, stage, tmp_path):
    plan = attnscope.Plan(full=True, max_size=2 * 2**20)
    with pytest.raises(
        SizeError, match=r"over the budget of 2.0 MiB \(full alone takes .* plan=.masses,maps,stats,qk."
    ):
        attnscope.capture(loaded, stage, tmp_path / "run.h5", plan=plan)
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_a_large_model():
    """28 layers x 28 heads at 8192 positions, as worked out by hand."""
    sizes = attnscope.Plan(qk=True, full=True).sizes(SHAPE)
    assert sizes["full"] == 28 * 28 * 8192 * 8192 * 4
    assert sizes["qk"] == 28 * (28 + 4) * 8192 * 128 * 2
    assert sizes["maps"] == 28 * 28 * 20 * 8192 * 4
    assert format_bytes(sizes["qk"]) == "1.75 GiB"


def test_the_told_size_is_what_is_stored(everything):
    """Uncompressed bytes of the datasets, against the plan's estimate for exactly as many tokens."""
    _, cap = everything
    generated = len(cap.tokens) - cap.prompt_length
    shape = Shape(4, cap.heads, 2, 16, len(cap.tokens), len(cap.masses()["query"]), len(cap.key_groups),
                  len(cap.query_groups), 4)  # fmt: skip
    assert generated == 2
    told = attnscope.Plan(qk=True, full=True).sizes(shape)
    for reading in told:
        group = cap._store.file[reading]
        stored = sum(node.nbytes for node in leaves(group) if node.dtype.kind in "fiu")
        assert 0.9 * stored <= told[reading] <= 1.2 * stored + 4096


@pytest.mark.slow
@pytest.mark.parametrize("family", ["kimi_k25", "qwen3_5_moe"])
def test_the_told_size_of_latent_attention_and_of_gates(family, checkpoint, stage, tmp_path):
    """Queries that are wider than `head_dim` says, and a number a head and query that only some models have."""
    loaded = attnscope.load(str(checkpoint(family)))
    prompt, plan = make_prompt(loaded, stage), attnscope.Plan(qk=True)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=plan, max_new_tokens=1)
    groups = key_groups(prompt.tokens, plan.coverage), query_groups(prompt.tokens)
    told = plan.sizes(plan_shape(loaded, plan.with_layers(cap.layers.tolist()), *groups, 1))
    for reading in ("qk", "stats"):
        stored = sum(node.nbytes for node in leaves(cap._store.file[reading]) if node.ndim > 1)
        assert told[reading] == stored


def leaves(group):
    for node in group.values():
        if hasattr(node, "values"):
            yield from leaves(node)
        else:
            yield node


@pytest.mark.parametrize(
    ("spec", "expected"),
    [(None, [*range(28)]), ("0-2,27", [0, 1, 2, 27]), ("0.36-0.71", [*range(10, 20)]), ((5, 3), [3, 5]), ("7", [7])],
)
def test_choosing_layers(spec, expected):
    """0.36 and 0.71 of 28 layers are the published layers 10 to 19."""
    assert select_layers(spec, range(28), 28) == expected


def test_depth_leaves_out_layers_without_attention():
    """A hybrid model with softmax attention in every fourth of 28 layers."""
    hybrid = [3, 7, 11, 15, 19, 23, 27]
    assert select_layers("0.36-0.71", hybrid, 28) == [11, 15, 19]
    with pytest.raises(RequestError, match="layer 10 is not one of the layers with attention, 3-27"):
        select_layers("10", hybrid, 28)


@pytest.mark.parametrize("spec", ["", "a", "3-1", "0.5", "0.7-0.2", "0.2-1.5", "1-2-3", "-1", "0.4-0.6-0.8"])
def test_what_is_no_choice_of_layers(spec):
    with pytest.raises(RequestError, match="layers="):
        select_layers(spec, range(28), 28)


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2 * 2**30), ("500M", 500 * 2**20), ("1e9", 10**9), ("3 kb", 3072), ("7b", 7)]
)
def test_sizes_as_people_write_them(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "0", "nan", "inf", "GiB"])
def test_what_is_no_size(text):
    with pytest.raises(RequestError, match="is not a size such as"):
        parse_bytes(text)


def test_prompts_that_make_no_batch_are_refused_in_one_line(checkpoint, stage, tmp_path):
    """SmolVLM's frames have an axis of prompts before their own: two and three of them do not go together."""
    smolvlm = attnscope.load(str(checkpoint("smolvlm")), dtype="float32", device="cpu")
    prompts = [make_prompt(smolvlm, stage, frames=count) for count in (2, 3)]
    with pytest.raises(RequestError, match=r"^pixel_values: not all prompts of a batch have this input alike"):
        capture_prompts(smolvlm, prompts, [tmp_path / "two.h5", tmp_path / "three.h5"], plan=attnscope.Plan())
    assert not list(tmp_path.iterdir())
