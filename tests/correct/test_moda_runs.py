"""MODA's corrections in batches, with a cache, with beams, in half precision, in captures and one after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnscope
from attnscope.attention import dense_rows
from attnscope.capture.record.generate import PLAIN_GREEDY, collate
from attnscope.capture.run import capture_prompts
from attnscope.correct import SocialBias, bind, corrected, recipe
from attnscope.correct.moda import ModaAlign, ModaCalibrate, ModaMask, ModaPseudo, diagnose
from attnscope.correct.what_if.stored import stored_call
from attnscope.errors import ModelError, NotApplicableError, RequestError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer, run, whole_map
from tests.families.llava import build_sliding

NEW = 4
SETTINGS = {
    "align": [ModaAlign(strength=2.0)],
    "align, both, prefix": [ModaAlign(gram="paper", norm="fro", direction="both", scope="prefix", strength=3.0)],
    "mask": [ModaMask(gate=0.3)],
    "pseudo": [ModaPseudo(p_base=1.0, beta=0.1)],
    "calibrate": [ModaCalibrate(target=0.2, queries="both")],
    "all": [ModaAlign(), ModaCalibrate(target=0.3), ModaMask(gate=0.5, queries="visual"), ModaPseudo()],
}


@pytest.fixture(scope="module", params=["qwen2_5_vl", "sliding"])
def several(request, checkpoint, drawn, tmp_path_factory):
    """A model, and three prompts of it of different lengths; `sliding`: a window that the oldest tokens leave."""
    folder = (
        build_sliding(tmp_path_factory.mktemp("sliding") / "model", window=236)
        if request.param == "sliding"
        else checkpoint(request.param)
    )
    loaded, scene = attnscope.load(str(folder), dtype="float32"), Scene.read(drawn)
    asked = [{"question": "Where is Ben?"}, {"transcript": scene.transcript[:2]}, {"options": []}]
    prompts = [make_prompt(loaded, scene.model_copy(update=fields)) for fields in asked]
    assert len({len(prompt.tokens) for prompt in prompts}) == 3
    return loaded, prompts


@pytest.fixture(scope="module")
def one(checkpoint, drawn):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    return loaded, make_prompt(loaded, drawn)


def same_record(found, expected):
    """Equal, but for digits of numbers that the kernel reads from a padded batch."""
    assert {k: v for k, v in found.items() if k != "notes"} == {k: v for k, v in expected.items() if k != "notes"}
    words = [[word for note in record["notes"] for word in note.split()] for record in (found, expected)]
    for a, b in zip(*words, strict=True):
        if a != b:
            assert float(a.strip("(),%")) == pytest.approx(float(b.strip("(),%")), rel=0.02, abs=1e-4)


@pytest.mark.parametrize("corrections", SETTINGS.values(), ids=SETTINGS)
def test_a_batch_with_a_cache_equals_one_pass_over_each_text(several, corrections):
    loaded, prompts = several
    how = PLAIN_GREEDY | {"max_new_tokens": NEW, "min_new_tokens": NEW, "pad_token_id": 0}
    with corrected(loaded, prompts, corrections) as running:
        out = loaded.model.generate(
            **collate(prompts, loaded)[0], **how, return_dict_in_generate=True, output_logits=True
        )
    for row, prompt in enumerate(prompts):
        ids = out.sequences[row, -NEW:].tolist()
        inputs = longer(prompt, ids[:-1])
        with torch.no_grad(), corrected(loaded, prompt, corrections) as alone:
            whole = loaded.model(**inputs, use_cache=False).logits[0, -NEW:]
        cached = torch.stack([step[row] for step in out.logits])
        torch.testing.assert_close(torch.log_softmax(cached, -1), torch.log_softmax(whole, -1), atol=2e-4, rtol=0)
        with torch.no_grad():
            plain = loaded.model(**inputs, use_cache=False).logits[0, -NEW:]
        assert not torch.allclose(plain, whole, atol=1e-2)
        for together, single in zip(running, alone, strict=True):
            same_record(together.records()[row], single.record())


def test_beams_are_copies_of_their_prompt(several):
    loaded, prompts = several
    corrections = SETTINGS["all"]
    how = PLAIN_GREEDY | {"max_new_tokens": NEW, "min_new_tokens": NEW, "pad_token_id": 0, "num_beams": 2}
    with corrected(loaded, prompts, corrections):
        out = loaded.model.generate(
            **collate(prompts, loaded)[0], **how, return_dict_in_generate=True, output_scores=True
        )
    for row, prompt in enumerate(prompts):
        ids = out.sequences[row, -NEW:].tolist()
        with torch.no_grad(), corrected(loaded, prompt, corrections):
            whole = torch.log_softmax(loaded.model(**longer(prompt, ids[:-1]), use_cache=False).logits[0, -NEW:], -1)
        total = float(whole[range(NEW), ids].sum())
        assert float(out.sequences_scores[row]) * NEW == pytest.approx(total, abs=1e-3)


def test_keys_come_first_and_both_ways_of_channels_add_up(one):
    """Align then mask is another thing than align alone or mask alone, and the mask holds on the pulled keys."""
    loaded, prompt = one
    both = [ModaAlign(layers="0"), ModaMask(gate=0.25, layers="0")]
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, both))
    _, pulled = run(loaded, prompt.inputs, bind(loaded, prompt, both[:1]))
    visual = torch.tensor((prompt.tokens["modality"] == "visual").to_numpy())
    share = whole_map(calls[0])[:, ~visual][..., visual].sum(-1)[:, -20:]
    torch.testing.assert_close(share, torch.full_like(share, 0.25), atol=1e-5, rtol=0)
    torch.testing.assert_close(calls[0].key[..., :16], pulled[0].key, atol=0, rtol=0)
    assert calls[0].query[..., 16:].min() < 0 == calls[0].query[..., 16:].max()  # a logit that is raised loses digits
    with pytest.raises(ModelError, match="layer 0 has keys of 18 channels, 16 of them the model's: it must"):
        run(loaded, prompt.inputs, bind(loaded, prompt, both[::-1]))


def test_it_works_with_corrections_that_are_not_of_moda(one):
    loaded, prompt = one
    bias = SocialBias(alpha=1.0, threshold=0.0, layers="0.0-1.0")
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [bias, ModaMask(gate=0.4)]))
    visual = torch.tensor((prompt.tokens["modality"] == "visual").to_numpy())
    share = whole_map(calls[3])[:, ~visual][..., visual].sum(-1)[:, -20:]
    torch.testing.assert_close(share, torch.full_like(share, 0.4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("gate", [0.0, 0.02, 1.0])
def test_rows_whose_cross_mass_underflows_get_their_gate(one, gate):
    """A first correction takes all of the text rows' visual mass, e^-300; the second gives it back."""
    from attnscope.attention import add_bias

    loaded, prompt = one
    visual = torch.tensor((prompt.tokens["modality"] == "visual").to_numpy())

    def push(call):
        table = torch.full((*call.query.shape[:3], 1), -300.0)
        return add_bias(call, table, visual[None, :, None].float())

    (running,) = bind(loaded, prompt, [ModaMask(gate=gate, queries="text", layers="0")])
    _, calls = run(loaded, prompt.inputs, [push, running])
    share = whole_map(calls[0])[:, ~visual][..., visual].sum(-1)[:, -20:]
    torch.testing.assert_close(share, torch.full_like(share, gate), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(checkpoint, drawn, dtype):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype=dtype)
    prompt = make_prompt(loaded, drawn)
    visual = torch.tensor((prompt.tokens["modality"] == "visual").to_numpy())
    rows = torch.arange(len(visual))[~visual][-20:]
    for gate, within in ((0.3, 0.01), (0.0, 0.0)):
        running = bind(loaded, prompt, [ModaAlign(), ModaMask(gate=gate), ModaPseudo(), ModaMask(combine="natural")])
        out, calls = run(loaded, prompt.inputs, running)
        share = torch.cat([a for _, _, a, _ in dense_rows(calls[2], 0, rows)], 1)[..., visual].sum(-1)
        assert out.isfinite().all()
        torch.testing.assert_close(share, torch.full_like(share, gate), atol=within, rtol=0)
    plain, _ = run(loaded, prompt.inputs, [])
    same, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [ModaAlign(strength=0.0), ModaPseudo(p_base=-1000.0)]))
    assert torch.equal(plain, same)


def test_a_capture_under_them_is_exact_and_says_what_was_done(one, tmp_path):
    loaded, prompt = one
    corrections = SETTINGS["all"]
    running = bind(loaded, prompt, corrections)
    plan = attnscope.Plan(qk=True)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=plan, max_new_tokens=3, corrections=running)
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, corrections))
    with cap:
        n = cap.prompt_length
        for layer in map(int, cap.layers):
            got = cap.attention(layer, queries=slice(0, n), keys=slice(0, n))
            np.testing.assert_allclose(got, whole_map(calls[layer]), atol=1e-4)
        assert cap.check["passed"]
        assert [done["method"] for done in cap.correction] == [c.method for c in corrections]
        notes = [done["notes"][0] for done in cap.correction]
        assert notes[0].startswith("132 of 132 visual keys are pulled in 4 layers, for all query heads, by code's Gram")
        assert notes[1].startswith("text rows: gap (over max) of 16 heads in 4 layers brought from")
        assert notes[2] == "all heads of 4 layers: the gate of rows that see both sides is 0.5"
        assert notes[3].startswith("in 4 layers, pseudo keys take ")


def test_a_recipe_gives_the_same_logits(one, tmp_path):
    loaded, prompt = one
    recipe.write(tmp_path / "correction.json", SETTINGS["all"])
    again = recipe.read(tmp_path / "correction.json")
    assert again == SETTINGS["all"]
    both = [run(loaded, prompt.inputs, bind(loaded, prompt, some))[0] for some in (SETTINGS["all"], again)]
    assert torch.equal(*both)


def test_capped_logits_take_keys_and_factors_and_refuse_channels(checkpoint, drawn):
    loaded = attnscope.load(str(checkpoint("softcap")), dtype="float32", attn="eager")
    prompt = make_prompt(loaded, drawn)
    plain, _ = run(loaded, prompt.inputs, [])
    for fine in (ModaAlign(), ModaPseudo()):
        found, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [fine]))
        assert (found - plain).abs().max() > 1e-3
    for refused in (ModaMask(), ModaCalibrate()):
        with pytest.raises(ModelError, match="caps its attention logits"):
            run(loaded, prompt.inputs, bind(loaded, prompt, [refused]))


def test_nothing_to_do(checkpoint, drawn):
    """No token before the video: nothing to pull visual keys by, and visual rows without a gap."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    prompt = make_prompt(loaded, drawn)
    tokens = prompt.tokens.copy()
    first = int((tokens["modality"] == "visual").to_numpy().nonzero()[0][0])
    bare = attnscope.model.Prompt(prompt.text, prompt.inputs, tokens.iloc[first:], prompt.frames, prompt.scene)
    with pytest.raises(NotApplicableError, match="moda-align with scope=prefix: no token of the other modality stands"):
        bind(loaded, bare, [ModaAlign(scope="prefix")])
    with pytest.raises(NotApplicableError, match="moda-calibrate with queries=visual: no text stands before"):
        bind(loaded, bare, [ModaCalibrate(queries="visual")])
    silent = attnscope.model.Prompt(prompt.text, prompt.inputs, tokens[tokens["modality"] != "text"], *_scene(prompt))
    with pytest.raises(NotApplicableError, match="moda-mask: the prompt has no text tokens"):
        bind(loaded, silent, [ModaMask()])


def _scene(prompt):
    return prompt.frames, prompt.scene


# ---- the diagnostic


def test_diagnose_reads_keys_of_a_capture(one, tmp_path):
    loaded, prompt = one
    plan = attnscope.Plan(qk=True)
    for name, corrections in (("plain", []), ("pulled", [ModaAlign(gram="paper", norm="fro", strength=30.0)])):
        running = bind(loaded, prompt, corrections)
        capture_prompts(loaded, [prompt], [tmp_path / f"{name}.h5"], plan=plan, max_new_tokens=2, corrections=running)
    _, calls = run(loaded, prompt.inputs, [])
    visual = (prompt.tokens["modality"] == "visual").to_numpy()
    with attnscope.open(tmp_path / "plain.h5") as cap:
        found = diagnose(cap, norm="fro", k=3).set_index(["layer", "kv_head"])
    with attnscope.open(tmp_path / "pulled.h5") as cap:
        pulled = diagnose(cap, norm="fro", k=3)
    assert len(found) == 8
    assert (found["visual"] == visual.sum()).all() and (found["text"] == (~visual).sum()).all()
    for (layer, head), row in found.iterrows():
        key = calls[layer].key[0, head].double().numpy()
        own, other = key[visual], key[~visual]
        mapped = own @ (other.T @ other)
        cosines = (own * mapped).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(mapped, axis=1)
        assert row["cosine_visual"] == pytest.approx(cosines.mean(), abs=1e-4)
        bases = [np.linalg.svd(part)[2][:3].T for part in (own, other)]
        angles = np.arccos(np.clip(np.linalg.svd(bases[0].T @ bases[1])[1], 0, 1))
        assert row["angle_last"] == pytest.approx(angles.max(), abs=1e-4)
        assert row["angle_mean"] == pytest.approx(angles.mean(), abs=1e-4)
    # what a correction does to one layer can be asked of the capture: with K^T K, for K^T V it has no values
    with attnscope.open(tmp_path / "plain.h5") as cap:
        (running,) = bind(loaded, prompt, [ModaAlign(gram="paper", norm="fro", layers="0")])
        expected = run(loaded, prompt.inputs, [running])[1][0].key
        torch.testing.assert_close(running(stored_call(cap, 0)).key, expected, atol=1e-5, rtol=0)
        (running,) = bind(loaded, prompt, [ModaAlign()])
        with pytest.raises(RequestError, match="moda-align with gram=code needs the values, which a capture"):
            running(stored_call(cap, 0))
    # keys that were pulled hard towards the text's main direction lie along it
    assert (pulled["cosine_visual"][:2].to_numpy() > found["cosine_visual"][:2].to_numpy()).all()


def test_diagnose_refuses_what_it_cannot_read(one, tmp_path):
    loaded, prompt = one
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "no.h5"], max_new_tokens=1)
    with cap, pytest.raises(RequestError, match="has no queries and keys; capture again with qk in the plan"):
        diagnose(cap)
    running = bind(loaded, prompt, [ModaMask()])
    plan = attnscope.Plan(qk=True)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "m.h5"], plan=plan, max_new_tokens=1, corrections=running)
    with cap, pytest.raises(RequestError, match="was made under moda-mask, and its keys may hold more than"):
        diagnose(cap)
    with pytest.raises(RequestError, match='norm="l1": choose from row, fro, spectral, trace'):
        diagnose(cap, norm="l1")
