"""Captures of real model families against transformers' own eager attention, reading by reading."""

from __future__ import annotations

import numpy as np
import pytest

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.run import capture_prompts
from attnscope.estimate import means
from attnscope.families import NO_PLACES
from tests.capture.eager import eager_oracle, make_prompt, plain_generate
from tests.families import EAGER, SUPPORTED, by_speed

ALL = attnscope.Plan(qk=True, full=True, exhaustive=("masses", "stats"))
SAMPLED = attnscope.Plan(qk=True, sample=16)
TOKENS = 16
NAMES = [*SUPPORTED, "sliding", *EAGER, "gemma3", "gemma4"]
# Positions of three axes, learned sinks, windows beside images that see themselves, keys of other layers.
QUICK = ("qwen2_5_vl", "sink_logits", "gemma3", "gemma4")


def load(folder, name):
    return attnscope.load(str(folder), attn="eager" if name in EAGER else None, dtype="float32")


@pytest.fixture(scope="module", params=by_speed(NAMES, QUICK))
def case(request, checkpoint, stage, tmp_path_factory):
    """One family: its capture of everything, one of a sample of visual queries with Q and K, and the eager oracle."""
    folder = checkpoint(request.param)
    loaded = load(folder, request.param)
    prompt = make_prompt(loaded, stage)
    out = tmp_path_factory.mktemp(request.param)
    plain = plain_generate(loaded, prompt, TOKENS)
    (everything,) = capture_prompts(loaded, [prompt], [out / "all.h5"], plan=ALL, max_new_tokens=TOKENS)
    (sampled,) = capture_prompts(loaded, [prompt], [out / "qk.h5"], plan=SAMPLED, max_new_tokens=TOKENS)
    return everything, sampled, eager_oracle(folder, prompt, plain)


def test_looking_does_not_touch(case):
    cap, _, oracle = case
    assert [token["id"] for token in cap.answer["tokens"]] == oracle.generated
    assert cap.check["verified"] and cap.check["passed"]
    first = cap.check["checks"][0]
    assert first["name"] == "logits unchanged by recording" and first["value"] <= 1e-4
    assert len(cap.tokens) == len(oracle.attention[0][0])


def test_attention_is_exact_from_full_and_from_queries_and_keys(case):
    everything, lossless, oracle = case
    for row, layer in enumerate(everything.layers):
        for cap in (everything, lossless):
            got = cap.attention(int(layer))
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, oracle.attention[row], atol=1e-4)


def test_parts_are_computed_as_the_whole(case):
    _, cap, oracle = case
    queries, keys = [3, len(cap.tokens) - 1, 40], slice(10, 30)
    got = cap.attention(int(cap.layers[1]), head=2, queries=queries, keys=keys)
    np.testing.assert_allclose(got, oracle.attention[1][2][queries][:, keys], atol=1e-4)


def members(cap, layer):
    """[G, P] with each layer's sinks, by the specification."""
    groups = cap.key_member.astype(np.float64)
    groups[(cap.key_groups["family"] == "sink").to_numpy()] *= cap.sinks[layer]
    return groups


def test_masses_are_sums_of_the_map_and_add_up(case):
    cap, _, oracle = case
    rows = cap.masses()
    partition = (cap.key_groups["family"] == "modality").to_numpy()
    total = rows.values[..., partition].sum(-1)
    if cap.sink_logits is not None:  # learned sinks take the rest of each row
        lse = cap.stat("lse").values[..., rows["query"].values]
        total = total + np.exp(cap.sink_logits[..., None] - lse)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    for layer, attention in enumerate(oracle.attention):
        expected = attention[:, rows["query"].values] @ members(cap, layer).T
        np.testing.assert_allclose(rows.values[layer], expected, atol=1e-4)


def test_flow_is_the_mean_over_the_queries_of_a_group(case):
    cap, _, oracle = case
    length = cap.prompt_length
    static = (cap.key_groups["family"] != "sink").to_numpy()
    for layer, attention in enumerate(oracle.attention):
        queries = cap.key_member[static, :length].astype(np.float64)
        size = queries.sum(1)
        masses = attention[:, :length] @ members(cap, layer).T
        with np.errstate(invalid="ignore"):
            expected = np.einsum("sn,hng->hsg", queries, masses) / size[:, None]
        np.testing.assert_allclose(cap.flow().values[layer], expected, atol=1e-4)
        allowed = attention.max(0)[:length] > 0
        pairs = np.einsum("sn,nk,gk->sg", queries, allowed.astype(np.float64), members(cap, layer))
        np.testing.assert_array_equal(cap.flow_pairs().values[layer], pairs)


def test_a_sample_stands_for_visual_queries(case):
    """What is said to be exact is that of all queries; the rest is the mean over the sample, with its error."""
    everything, cap, oracle = case
    assert everything.was_read("masses").all() and not everything.flow_error().fillna(0).values.any()
    flow, error = cap.flow().values, cap.flow_error().values
    parts = cap.key_groups["family"].isin(["frame", "speaker_visual"]).to_numpy()
    length, read = cap.prompt_length, cap.was_read("stats")
    exact = ~(cap.key_member[:, :length] & ~read[:length]).any(1)[(cap.key_groups["family"] != "sink").to_numpy()]
    exact = exact[:, None] | ~parts  # [Gq, G]
    np.testing.assert_allclose(flow[..., exact], everything.flow().values[..., exact], atol=1e-4)
    assert not np.nan_to_num(error[..., exact]).any()
    seen = (cap.tokens["modality"] == "visual").to_numpy()
    sample = np.flatnonzero(read & seen)
    assert len(sample) == min(16, seen.sum()) and np.array_equal(read, cap.was_read("masses"))
    static = cap.key_member[(cap.key_groups["family"] != "sink").to_numpy(), :length]
    for row, attention in enumerate(oracle.attention):
        masses = (attention[:, sample] @ members(cap, row).T).swapaxes(0, 1)  # [n, H, G]
        mean, spread = means(masses, static[:, sample], (static & seen[:length]).sum(1))
        np.testing.assert_allclose(flow[row][:, ~exact], mean.swapaxes(0, 1)[:, ~exact], atol=1e-4)
        np.testing.assert_allclose(error[row][:, ~exact], spread.swapaxes(0, 1)[:, ~exact], atol=1e-4)
        entropy = cap.stat("entropy").values[row]
        np.testing.assert_allclose(entropy[:, read], everything.stat("entropy").values[row][:, read], atol=1e-4)
        assert np.isnan(entropy[:, ~read]).all()
    for name in ("lse", "sink_mass", "max", "allowed"):
        np.testing.assert_allclose(cap.stat(name), everything.stat(name), atol=1e-4)
    for name in ("masses", "maps"):
        np.testing.assert_allclose(getattr(cap, name)(), getattr(everything, name)(), atol=1e-4)


def test_maps_are_means_over_the_queries_of_a_group(case):
    cap, _, oracle = case
    weights = cap.query_member / cap.query_member.sum(1, keepdims=True)
    kinds = set(cap.query_groups["kind"])
    assert kinds == {"turn", "speaker", "question", "answer_position", "generated"}
    for layer, attention in enumerate(oracle.attention):
        np.testing.assert_allclose(cap.maps().values[layer], np.einsum("rq,hqk->hrk", weights, attention), atol=1e-4)


def test_stats_of_every_query(case):
    cap, _, oracle = case
    for layer, attention in enumerate(oracle.attention):
        exact = attention.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(exact > 0, exact * np.log(exact), 0).sum(-1)
        np.testing.assert_allclose(cap.stat("entropy").values[layer], entropy, atol=2e-4)
        np.testing.assert_allclose(cap.stat("sink_mass").values[layer], exact @ cap.sinks[layer], atol=1e-4)
        largest = cap.stat("max")
        np.testing.assert_allclose(largest.values[layer], exact[:, largest["query"].values].max(-1), atol=1e-4)
        np.testing.assert_array_equal(cap.stat("allowed").values[layer], (exact.max(0) > 0).sum(-1))


def test_log_sum_exp_recovers_the_map_from_the_logits(case):
    """exp(z - lse) from the stored queries and keys is the attention: lse belongs to these logits."""
    cap, _, oracle = case
    layer = int(cap.layers[0])
    found = cap.qk(layer)
    q, k = found.q[...].astype(np.float64), found.k[...].astype(np.float64)
    z = np.einsum("hqd,hkd->hqk", q, k.repeat(found.group, 0)) * found.scale
    if found.softcap is not None:
        z = found.softcap * np.tanh(z / found.softcap)
    attention = np.where(oracle.attention[0] > 0, np.exp(z - cap.stat("lse").values[0][..., None]), 0)
    np.testing.assert_allclose(attention, oracle.attention[0], atol=1e-4)


def test_the_specification_holds(case):
    for cap in case[:2]:
        assert [str(problem) for problem in validate(cap.path)] == []


@pytest.mark.parametrize("name", by_speed(NAMES, QUICK))
def test_a_padded_batch_equals_single_captures(name, checkpoint, stage, tmp_path):
    folder = checkpoint(name)
    loaded = load(folder, name)
    scene = attnscope.Scene.read(stage)
    short = scene.model_copy(update={"transcript": scene.transcript[:1], "question": "Who?"})
    prompts = [make_prompt(loaded, s) for s in (scene, short)]
    outs = [tmp_path / "long.h5", tmp_path / "short.h5"]
    for cap, prompt in zip(capture_prompts(loaded, prompts, outs, plan=ALL, max_new_tokens=4), prompts, strict=True):
        with cap:
            plain = plain_generate(loaded, prompt, 4)
            assert [token["id"] for token in cap.answer["tokens"]] == plain
            oracle = eager_oracle(folder, prompt, plain)
            for row, layer in enumerate(cap.layers):
                np.testing.assert_allclose(cap.attention(int(layer)), oracle.attention[row], atol=1e-4)
                expected = oracle.attention[row][:, cap.masses()["query"].values] @ members(cap, row).T
                np.testing.assert_allclose(cap.masses().values[row], expected, atol=1e-4)
            assert [str(problem) for problem in validate(cap.path)] == []


def test_a_family_without_a_layout_is_captured_with_its_places_unknown(checkpoint, stage, tmp_path, caplog):
    """Idefics2 has a resampler and no layout: modality is right, places are unknown, and that is said once."""
    from PIL import Image

    picture = tmp_path / "scene.png"
    Image.new("RGB", (320, 180), (90, 120, 150)).save(picture)
    scene = attnscope.Scene.read(stage).model_copy(update={"video": picture})
    folder = checkpoint("idefics2")
    loaded = load(folder, "idefics2")
    with attnscope.capture(loaded, scene, tmp_path / "run.h5", plan=ALL, max_new_tokens=3) as cap:
        visual = (cap.tokens["modality"] == "visual").to_numpy()
        ids = cap.tokens["token_id"].to_numpy()
        image_token = loaded.model.config.image_token_id
        assert visual.any() and (visual[: cap.prompt_length] == (ids == image_token)[: cap.prompt_length]).all()
        assert (cap.tokens["frame_first"][visual] == -1).all() and cap.tokens["x0"][visual].isna().all()
        (warning,) = [w for w in cap.prompt["warnings"] if "no layout" in w]
        assert warning.startswith("family idefics2 has no layout, and each visual token of Idefics2")
        assert warning.endswith(f"so that its tokens have no places: {NO_PLACES}")
        assert sum("no layout" in record.getMessage() for record in caplog.records) == 1
        oracle = eager_oracle(folder, make_prompt(loaded, scene), [t["id"] for t in cap.answer["tokens"]])
        for row, layer in enumerate(cap.layers):
            np.testing.assert_allclose(cap.attention(int(layer)), oracle.attention[row], atol=1e-4)
        assert [str(problem) for problem in validate(cap.path)] == []
