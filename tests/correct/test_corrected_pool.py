"""`corrected` around code that makes its own batches: any order, number and padding equals each prompt alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import attnscope
from attnscope.capture.record.generate import PLAIN_GREEDY, collate
from attnscope.correct import AdaptVis, Knockout, SocialBias, bind, corrected, corrections, make, prompted
from attnscope.errors import RequestError
from attnscope.scene import Sampling, Scene, read_scene_frames
from tests.correct.batches import asked
from tests.correct.by_hand import EVERYWHERE, longer

BOTH = [
    SocialBias(rows="utterances,answer", toward="Ada", **EVERYWHERE),
    Knockout(heads="1.2,3.0", edges="text:visual"),
]
TOKENS = ("input_ids", "attention_mask", "mm_token_type_ids")
NEW = 4
# What each method needs beside its defaults to change something here
STRONG = {
    "knockout": {"heads": "1.2,3.0"},
    "social-bias": {"rows": "utterances,answer", "threshold": 0.0, "layers": "0.0-1.0"},
    "vaf": {"layers": "0.0-1.0"},
    "var": {"keep": 0.05, "rows": "text", "layers": "0.0-1.0", "image_mass": 0.0, "sink_share": 1.0, "sink_ratio": 1.5},
}


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    return asked(loaded, drawn)


def alone(loaded, prompt, tail=(), settings=BOTH):
    """Logits [N + tail, vocabulary] of one prompt and what follows it."""
    with torch.no_grad(), corrected(loaded, prompt, settings):
        return loaded.model(**longer(prompt, tail)).logits[0]


def batch_of(prompts, tails, side, multiple=1):
    """Rows of prompt and tail, padded on one side, as a collate function of somebody else's would."""
    rows = [longer(prompt, tail) for prompt, tail in zip(prompts, tails, strict=True)]
    width = max(row["input_ids"].shape[1] for row in rows)
    width += -width % multiple
    batch = {}
    for name in rows[0]:
        parts = [row[name] for row in rows]
        if name in TOKENS:
            gaps = [width - part.shape[1] for part in parts]
            ends = [(gap, 0) if side == "left" else (0, gap) for gap in gaps]
            parts = [torch.nn.functional.pad(part, end) for part, end in zip(parts, ends, strict=True)]
        batch[name] = torch.cat(parts)
    return batch


def own_logits(batch, logits):
    """The logits of each row without its padding."""
    return [row[seen.bool()] for row, seen in zip(logits, batch["attention_mask"], strict=True)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("order", [[2, 0], [1, 1, 2], [0], [2, 2], [0, 1, 0, 1]], ids=str)
def test_any_order_number_and_padding(loaded, prompts, order, side):
    batch = batch_of([prompts[i] for i in order], [()] * len(order), side)
    with torch.no_grad(), corrected(loaded, prompts, BOTH) as block:
        found = own_logits(batch, loaded.model(**batch).logits)
    for i, logits in zip(order, found, strict=True):
        torch.testing.assert_close(logits, alone(loaded, prompts[i]), atol=2e-4, rtol=0)
    with corrected(loaded, prompts[order[0]], BOTH) as by_itself, torch.no_grad():
        loaded.model(**prompts[order[0]].inputs)
    records = {record["prompt"]: record for record in block.records()}
    assert sorted(records) == sorted(set(order)) and all(record["runs"] == 1 for record in records.values())
    assert records[order[0]]["corrections"] == by_itself.records()[0]["corrections"]
    assert block[1].records()[0]["method"] == "knockout"


@pytest.mark.parametrize("side", ["left", "right"])
def test_answers_of_different_lengths_behind_the_prompts(loaded, prompts, side):
    """Also one prompt several times with different answers, as a harness scores options."""
    order, tails = [1, 0, 0, 0], [(300, 301, 302), (), (303,), (304, 305)]
    batch = batch_of([prompts[i] for i in order], tails, side)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    with torch.no_grad(), corrected(loaded, prompts, BOTH):
        out = loaded.model(**batch, labels=labels)
        last = loaded.model(**batch, logits_to_keep=2).logits
        states = loaded.model(**batch, output_hidden_states=True).hidden_states
    expected = [alone(loaded, prompts[i], tail) for i, tail in zip(order, tails, strict=True)]
    losses = []
    for row, (logits, own) in enumerate(zip(own_logits(batch, out.logits), expected, strict=True)):
        torch.testing.assert_close(logits, own, atol=2e-4, rtol=0)
        ids = batch["input_ids"][row][batch["attention_mask"][row].bool()]
        losses.append(torch.nn.functional.cross_entropy(own[:-1], ids[1:], reduction="none"))
    assert float(out.loss) == pytest.approx(float(torch.cat(losses).mean()), abs=1e-4)
    torch.testing.assert_close(last, out.logits[:, -2:])
    assert states[-1].shape[:2] == batch["input_ids"].shape


@pytest.mark.parametrize("method", sorted(set(corrections()) - {"boxes-drawn", "boxes-told"}))
def test_every_correction_follows_more_padding_than_needed(loaded, prompts, method):
    """A batch padded to a multiple of 64, in another order, generated with a cache; boxes-* edit no attention."""
    settings = [make(method, **STRONG.get(method, {}))]
    how = PLAIN_GREEDY | {"max_new_tokens": NEW, "min_new_tokens": NEW, "pad_token_id": 0}
    batch = batch_of([prompts[2], prompts[0]], [(), ()], "left", multiple=64)
    assert batch["input_ids"].shape[1] > max(len(prompt.tokens) for prompt in prompts)
    with corrected(loaded, prompts, settings):
        out = loaded.model.generate(**batch, **how, return_dict_in_generate=True, output_logits=True)
    plain = loaded.model.generate(**batch, **how, return_dict_in_generate=True, output_logits=True)
    assert not torch.allclose(out.logits[0], plain.logits[0], atol=1e-4)
    for row, prompt in enumerate((prompts[2], prompts[0])):
        with corrected(loaded, prompt, settings):
            own = loaded.model.generate(**prompt.inputs, **how, return_dict_in_generate=True, output_logits=True)
        assert out.sequences[row, -NEW:].tolist() == own.sequences[0, -NEW:].tolist()
        for step, expected in zip(out.logits, own.logits, strict=True):
            torch.testing.assert_close(step[row], expected[0], atol=5e-4, rtol=0)


def test_beams_and_returned_sequences_in_another_order(loaded, prompts):
    how = PLAIN_GREEDY | {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": NEW, "pad_token_id": 0}
    how |= {"return_dict_in_generate": True, "output_scores": True}
    with corrected(loaded, prompts, BOTH):
        both = loaded.model.generate(**collate([prompts[1], prompts[0]], loaded)[0], **how)
    for row, prompt in enumerate((prompts[1], prompts[0])):
        with corrected(loaded, prompt, BOTH):
            own = loaded.model.generate(**prompt.inputs, **how)
        scores = both.sequences_scores[2 * row : 2 * row + 2]
        torch.testing.assert_close(scores, own.sequences_scores, atol=2e-4, rtol=0)


def test_two_generations_side_by_side(loaded, prompts):
    """Each cache is followed by itself."""
    step = torch.tensor([[300]])
    with torch.no_grad(), corrected(loaded, prompts, BOTH):
        caches = [loaded.model(**prompts[i].inputs, use_cache=True).past_key_values for i in (0, 1)]
        found = [loaded.model(input_ids=step, past_key_values=cache).logits[0, -1] for cache in caches]
    for i, logits in enumerate(found):
        torch.testing.assert_close(logits, alone(loaded, prompts[i], [300])[-1], atol=2e-4, rtol=0)


def test_a_correction_that_scouts(loaded, prompts):
    """The plain model is asked in the hook; around it another block is open, whose corrections stay out of that."""
    settings, cut = [AdaptVis(confidence=1.0, w_low=0.2)], [Knockout(heads="0.0,0.1")]
    with torch.no_grad():
        told = bind(loaded, prompts[0], settings)[0]
        with corrected(loaded, prompts, cut) as outer, corrected(loaded, prompts, settings) as inner:
            found = loaded.model(**prompts[0].inputs).logits[0]
    torch.testing.assert_close(found, alone(loaded, prompts[0], (), [*cut, *settings]), atol=2e-4, rtol=0)
    assert not torch.allclose(found, alone(loaded, prompts[0], (), cut), atol=1e-3)
    assert inner[0].record()["notes"][1] == told.record()["notes"][1]
    assert [record["runs"] for record in (*outer.records(), *inner.records())] == [1, 1]


def test_unknown_prompts(loaded, prompts):
    known, other = prompts[:2], prompts[2]
    n = [len(prompt.tokens) for prompt in prompts]
    told = f"were bound to 2 prompts of {n[0]}, {n[1]} tokens, and the model is given 1 x {n[2]} others"
    with torch.no_grad():
        plain, more = loaded.model(**other.inputs).logits, loaded.model(**longer(other, [300])).logits
        with pytest.raises(RequestError, match=told), corrected(loaded, known, BOTH):
            loaded.model(**other.inputs)
        with corrected(loaded, known, BOTH, unknown="plain") as block:
            out = loaded.model(**other.inputs, use_cache=True)
            assert torch.equal(out.logits, plain)
            after = loaded.model(input_ids=torch.tensor([[300]]), past_key_values=out.past_key_values).logits
            torch.testing.assert_close(after[0, -1], more[0, -1], atol=1e-4, rtol=0)
            assert (block.plain, block.records()) == (1, [])
            mixed = batch_of([prompts[0], other], [(), ()], "left")
            with pytest.raises(RequestError, match="1 of 2 prompts of a batch are unknown to the corrections"):
                loaded.model(**mixed)
    with (
        pytest.raises(RequestError, match='unknown "skip": choose from refuse, plain'),
        corrected(loaded, known, BOTH, unknown="skip"),
    ):
        pass


def test_calls_that_cannot_be_followed(loaded, prompts):
    prompt = prompts[0]
    embeds = loaded.model.get_input_embeddings()(prompt.inputs["input_ids"])
    with torch.no_grad(), corrected(loaded, prompts, BOTH):
        with pytest.raises(RequestError, match="by their token ids, and the model is given inputs_embeds"):
            loaded.model(inputs_embeds=embeds)
        with pytest.raises(RequestError, match="a part of the model runs by itself"):
            loaded.model.forward(**prompt.inputs)  # what a wrapper does that goes past the hooks
        cache = loaded.model(**prompt.inputs, use_cache=True).past_key_values
        with pytest.raises(RequestError, match="given 1 x 2 others: several tokens at once after a prompt"):
            loaded.model(input_ids=torch.tensor([[300, 301]]), past_key_values=cache)
        loaded.model(input_ids=torch.tensor([[300]]), past_key_values=cache)
        cache.crop(-1)
        n = len(prompt.tokens)
        with pytest.raises(
            RequestError, match=rf"their cache held {n + 1} tokens, and has been cut to {n} \(as prompt"
        ):
            loaded.model(input_ids=torch.tensor([[301]]), past_key_values=cache)
        with pytest.raises(RequestError, match=r"lookup does|several tokens at once"):
            loaded.model.generate(**prompt.inputs, prompt_lookup_num_tokens=3, max_new_tokens=8, pad_token_id=0)
        right = batch_of(prompts, [()] * 3, "right")
        with pytest.raises(RequestError, match="attention maps need prompts that are padded on the left"):
            loaded.model(**right, output_attentions=True)
        said = []

        def call():
            with pytest.raises(RequestError) as caught:
                loaded.model(**prompt.inputs)
            said.append(str(caught.value))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert "in the thread that opened their block" in said[0]


def test_gradient_checkpointing_is_refused(checkpoint, prompts):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    loaded.model.gradient_checkpointing_enable()
    loaded.model.train()
    with pytest.raises(RequestError, match="do not follow gradient checkpointing"), corrected(loaded, prompts, BOTH):
        loaded.model(**prompts[0].inputs)
    loaded.model.eval()
    with torch.no_grad(), corrected(loaded, prompts, BOTH):
        loaded.model(**prompts[0].inputs)


def test_leaving_the_block_restores_everything(loaded, prompts):
    def state():
        hooks = [len(getattr(loaded.model, name)) for name in ("_forward_pre_hooks", "_forward_hooks")]
        return hooks, dict(ALL_ATTENTION_FUNCTIONS._local_mapping), ALL_ATTENTION_FUNCTIONS["sdpa"]

    was = state()
    with torch.no_grad():
        plain = loaded.model(**prompts[0].inputs).logits
        with pytest.raises(KeyError, match="mine"), corrected(loaded, prompts, BOTH):
            assert state() != was
            loaded.model(**prompts[0].inputs)
            raise KeyError("mine")
        assert state() == was
        with pytest.raises(RequestError), corrected(loaded, prompts[:1], BOTH):
            loaded.model(**prompts[1].inputs)
        assert state() == was
        assert torch.equal(loaded.model(**prompts[0].inputs).logits, plain)


def test_a_forward_that_fails_is_forgotten(loaded, prompts):
    with torch.no_grad(), corrected(loaded, prompts, BOTH) as block:
        with pytest.raises((RuntimeError, ValueError)):
            loaded.model(**prompts[0].inputs | {"pixel_values_videos": torch.zeros(1, 3)})
        with pytest.raises(RequestError, match="a part of the model runs by itself"):
            loaded.model.forward(**prompts[0].inputs)
        found = loaded.model(**prompts[1].inputs).logits[0]
    torch.testing.assert_close(found, alone(loaded, prompts[1]), atol=1e-5, rtol=0)
    assert len(block.records()) == 2


# ---- prompts of the same tokens


def mirrored(loaded, scene):
    """The same clip with frames mirrored: the same tokens, other pixels."""
    frames = read_scene_frames(scene, Sampling(frames=4))
    flipped = replace(frames, images=np.ascontiguousarray(frames.images[:, :, ::-1]))
    return prompted(loaded, scene, frames=frames), prompted(loaded, scene, frames=flipped)


def swapped(scene):
    """The same scene with the speakers' boxes exchanged."""
    one, two = scene.speakers
    return scene.model_copy(update={"speakers": {one: scene.speakers[two], two: scene.speakers[one]}})


def test_prompts_of_the_same_tokens_are_told_apart_by_their_pixels(loaded, drawn):
    scene = Scene.read(drawn)
    one, other = mirrored(loaded, scene)
    assert torch.equal(one.inputs["input_ids"], other.inputs["input_ids"])
    pool = [one, replace(other, scene=swapped(scene))]
    batch, _ = collate([pool[1], pool[0], pool[1]], loaded)
    with torch.no_grad(), corrected(loaded, pool, BOTH) as block:
        loaded.model(**batch)
        assert [record["runs"] for record in block.records()] == [1, 1]
        loaded.model(**pool[1].inputs)
        assert [record["runs"] for record in block.records()] == [1, 2]


def test_prompts_alike_in_tokens_and_pixels_go_by_their_order(loaded, drawn):
    scene = Scene.read(drawn)
    pool = [prompted(loaded, one, sampling=Sampling(frames=4)) for one in (scene, swapped(scene))]
    expected = [alone(loaded, prompt)[-1] for prompt in pool]
    assert not torch.allclose(*expected, atol=1e-3)
    with torch.no_grad(), corrected(loaded, pool, BOTH):
        found = loaded.model(**collate(pool, loaded)[0]).logits[:, -1]
        torch.testing.assert_close(found, torch.stack(expected), atol=2e-4, rtol=0)
        with pytest.raises(RequestError, match="prompts 0 and 1 have the same tokens and cannot be told apart"):
            loaded.model(**pool[1].inputs)
    with torch.no_grad(), corrected(loaded, [pool[0], pool[0]], BOTH) as block:  # one and the same: no question
        loaded.model(**pool[0].inputs)
    assert [record["prompt"] for record in block.records()] == [0]


# ---- scenes


def test_scenes_and_paths_in_place_of_prompts(loaded, drawn):
    scene, how = Scene.read(drawn), {"sampling": Sampling(frames=4), "template": "{speaker} says {text}"}
    expected = prompted(loaded, scene, BOTH, **how)
    assert "Ada says" in expected.text and "Ada says" not in prompted(loaded, drawn).text
    for given in (scene, drawn, str(drawn), [expected], [scene, drawn]):
        with torch.no_grad(), corrected(loaded, given, BOTH, **how) as block:
            assert block.prompts[0].text == expected.text
            loaded.model(**block.prompts[0].inputs)
        assert len(block.records()) == 1


def test_what_is_shown(loaded, drawn):
    """Drawn boxes are other pixels, told ones other words; a plain prompt is refused."""
    scene, shows = Scene.read(drawn), [make("boxes-drawn"), make("boxes-told")]
    with corrected(loaded, scene, [*shows, *BOTH]) as block, torch.no_grad():
        (prompt,) = block.prompts
        assert "Boxes in percent" in prompt.text
        loaded.model(**prompt.inputs)
    assert [record["method"] for record in block.records()[0]["corrections"]] == [
        "boxes-drawn",
        "boxes-told",
        "social-bias",
        "knockout",
    ]
    plain = prompted(loaded, scene)
    assert not torch.equal(plain.inputs["pixel_values_videos"], prompt.inputs["pixel_values_videos"])
    for show in shows:
        with pytest.raises(RequestError, match="this prompt was built without it"), corrected(loaded, plain, [show]):
            pass


def test_a_correction_that_does_not_apply_is_refused_before_the_model_runs(loaded, prompts, drawn):
    bare = Scene.read(drawn).model_copy(update={"speakers": {}})
    with (
        pytest.raises(RequestError, match="needs speakers with boxes"),
        corrected(loaded, [prompts[0], bare], [AdaptVis(), *BOTH]),
    ):
        pass
    with pytest.raises(RequestError, match="corrections need at least one prompt"), corrected(loaded, [], BOTH):
        pass


@pytest.mark.parametrize("beams", [1, 2])
def test_generate_tells_prompts_of_the_same_tokens_apart_by_their_pixels(loaded, drawn, beams):
    """It encodes pixels before it calls the model; a processor's are float32."""
    scene = Scene.read(drawn)
    one, other = mirrored(loaded, scene)
    pool, how = (
        [one, replace(other, scene=swapped(scene))],
        {"max_new_tokens": 4, "do_sample": False, "num_beams": beams},
    )
    batch, _ = collate(pool[::-1], loaded)
    with corrected(loaded, pool, BOTH) as block:
        found = loaded.model.generate(**batch, **how)
        assert [record["runs"] for record in block.records()] == [1, 1]
        loaded.model.generate(**pool[1].inputs, **how)
        assert [record["runs"] for record in block.records()] == [1, 2]
    for row, prompt in zip(found, pool[::-1], strict=True):
        with corrected(loaded, prompt, BOTH):
            assert torch.equal(row, loaded.model.generate(**prompt.inputs, **how)[0])
    assert "generate" not in loaded.model.__dict__


def test_the_tokens_of_a_prompt_with_other_frames_are_another_prompt(loaded, drawn):
    one, other = mirrored(loaded, Scene.read(drawn))
    noise = 0.01 * torch.randn(one.inputs["pixel_values_videos"].shape)  # as of code that resizes in another way
    with torch.no_grad(), corrected(loaded, one, BOTH) as block:
        loaded.model(**one.inputs | {"pixel_values_videos": one.inputs["pixel_values_videos"] + noise})
        assert len(block.records()) == 1
        for call in (loaded.model, loaded.model.generate):
            with pytest.raises(RequestError, match="others: the tokens of a prompt with other frames than its own"):
                call(**other.inputs)
    with torch.no_grad(), corrected(loaded, one, BOTH, unknown="plain") as block:
        found = loaded.model(**other.inputs).logits
        assert (block.plain, block.records()) == (1, [])
    with torch.no_grad():
        assert torch.equal(found, loaded.model(**other.inputs).logits)
