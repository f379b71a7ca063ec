"""The trainable form of MODA's alignment: the identity at first, trained by a Trainer, saved and loaded again."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import attnscope
from attnscope.capture.record.generate import PLAIN_GREEDY, collate
from attnscope.capture.run import capture_prompts
from attnscope.correct import corrected
from attnscope.correct.moda import ModaAdapter, ModaAlign
from attnscope.errors import RequestError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer, run, whole_map

ANSWERS = [[300, 301, 302], [410, 411, 412]]


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    scene = Scene.read(drawn)
    asked = [{"question": "Where is Ben?"}, {"question": "What does Ada hold?", "transcript": scene.transcript[:2]}]
    return [make_prompt(loaded, scene.model_copy(update=fields), frames=2) for fields in asked]


@pytest.fixture(scope="module")
def samples(prompts):
    """Inputs with an answer and its labels."""
    made = []
    for prompt, answer in zip(prompts, ANSWERS, strict=True):
        inputs = longer(prompt, answer)
        labels = inputs["input_ids"].clone()
        labels[:, : -len(answer)] = -100
        made.append(inputs | {"labels": labels})
    return made


def logits(loaded, inputs):
    with torch.no_grad():
        return loaded.model(**{k: v for k, v in inputs.items() if k != "labels"}).logits


def randomise(adapter, seed=0, amount=0.5):
    """Parameters as training could leave them."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += amount * torch.randn(parameter.shape, generator=rng)
    return adapter


def test_at_first_it_is_the_identity_and_leaving_restores_the_model(loaded, prompts):
    plain = logits(loaded, prompts[0].inputs)
    names = [name for name, _ in loaded.model.named_parameters()]
    for options in ({}, {"gram": "paper", "norm": "fro", "direction": "both", "scope": "prefix"}):
        adapter = ModaAdapter(loaded, **options)
        with adapter:
            assert torch.equal(logits(loaded, prompts[0].inputs), plain)
            assert not any(p.requires_grad for n, p in loaded.model.named_parameters() if "moda" not in n)
            assert all(p.requires_grad for p in adapter.parameters())
            randomise(adapter)
            assert (logits(loaded, prompts[0].inputs) - plain).abs().max() > 1e-2
        assert torch.equal(logits(loaded, prompts[0].inputs), plain)
        assert [name for name, _ in loaded.model.named_parameters()] == names
        assert all(p.requires_grad for p in loaded.model.parameters())


def test_with_one_r_and_no_fuser_it_is_moda_align(loaded, prompts):
    for options in ({}, {"gram": "paper", "norm": "spectral", "direction": "both", "scope": "prefix"}):
        adapter = ModaAdapter(loaded, **options)
        with torch.no_grad():
            for r in adapter.r.values():
                r.fill_(1.5)
        with adapter:
            found = logits(loaded, prompts[1].inputs)
        with corrected(loaded, prompts[1], [ModaAlign(strength=1.5, **options)]):
            torch.testing.assert_close(found, logits(loaded, prompts[1].inputs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scope", ["prompt", "prefix"])
def test_a_trainer_lowers_the_loss_and_the_file_gives_the_same_model(loaded, samples, prompts, scope, tmp_path):
    from transformers import Trainer, TrainingArguments

    torch.manual_seed(0)
    adapter = ModaAdapter(loaded, scope=scope)
    base = {name: p.clone() for name, p in loaded.model.named_parameters()}
    how = TrainingArguments(
        output_dir=str(tmp_path / "run"),
        max_steps=8,
        per_device_train_batch_size=1,
        learning_rate=0.05,
        lr_scheduler_type="constant",
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
    )
    with adapter:

        def loss():
            loaded.model.eval()
            with torch.no_grad():
                return sum(float(loaded.model(**sample).loss) for sample in samples)

        before = loss()
        Trainer(loaded.model, how, train_dataset=samples, data_collator=lambda rows: rows[0]).train()
        after = loss()
        trained = logits(loaded, prompts[0].inputs)
    assert after < before - 0.1
    assert all(r.abs().max() > 1e-3 for r in adapter.r.values())
    assert all((w - torch.eye(16)).abs().max() > 1e-3 for w in adapter.fuser.values())
    assert all(torch.equal(base[name], p) for name, p in loaded.model.named_parameters())
    adapter.save(tmp_path / "moda.safetensors")
    assert [path.name for path in tmp_path.glob("moda*")] == ["moda.safetensors"]
    with ModaAdapter.load(loaded.model, tmp_path / "moda.safetensors") as again:  # also from the bare model
        assert torch.equal(logits(loaded, prompts[0].inputs), trained)
        assert again.settings["scope"] == scope and again.layers == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # its new name is not in every 5.x
def test_gradients_with_checkpointing_are_the_same(loaded, samples):
    """Layers that are computed again in the backward pass have the adapter too."""
    found = []
    for again in (False, True):
        adapter = randomise(ModaAdapter(loaded), amount=0.1)
        with adapter:
            loaded.model.train()
            if again:
                loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
            loaded.model(**samples[0]).loss.backward()
            loaded.model.gradient_checkpointing_disable()
            loaded.model.eval()
        found.append({name: p.grad for name, p in adapter.named_parameters()})
    for name, gradient in found[0].items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=1e-4)


def test_another_thread_sees_it_too(loaded, prompts):
    """As a backward pass on a GPU does, which computes layers again in a thread of its own."""
    with randomise(ModaAdapter(loaded)):
        here, there = logits(loaded, prompts[0].inputs), []
        worker = threading.Thread(target=lambda: there.append(logits(loaded, prompts[0].inputs)))
        worker.start()
        worker.join()
        assert torch.equal(here, there[0])


def test_the_answer_to_be_predicted_does_not_reach_the_keys(loaded, samples):
    """Logits up to the first label are the same whatever is to be predicted; in the released code they are not."""
    with randomise(ModaAdapter(loaded)), torch.no_grad():
        one = samples[0]
        other = one | {"input_ids": one["input_ids"].clone()}
        other["input_ids"][:, -3:] = 350
        first = [loaded.model(**inputs).logits[0, :-3] for inputs in (one, other)]
        assert torch.equal(*first)
        leaked = [logits(loaded, inputs)[0, :-3] for inputs in (one, other)]  # without labels, all of it is the prompt
        assert not torch.allclose(*leaked, atol=1e-4)


def test_padding_on_either_side_and_a_cache(loaded, prompts):
    inputs, _ = collate(prompts, loaded)
    short = min(range(2), key=lambda row: len(prompts[row].tokens))
    how = PLAIN_GREEDY | {"max_new_tokens": 3, "min_new_tokens": 3, "pad_token_id": 0}
    with randomise(ModaAdapter(loaded, scope="prefix", direction="both", gram="paper", norm="fro")):
        out = loaded.model.generate(**inputs, **how, return_dict_in_generate=True, output_logits=True)
        for row, prompt in enumerate(prompts):
            ids = out.sequences[row, -3:].tolist()
            # the tokens that were generated keep their keys: labels say that they are not the prompt
            whole = longer(prompt, ids[:-1])
            labels = whole["input_ids"].clone()
            labels[:, : len(prompt.tokens)] = -100
            with torch.no_grad():
                expected = loaded.model(**whole, labels=labels, use_cache=False).logits[0, -3:]
            cached = torch.stack([step[row] for step in out.logits])
            torch.testing.assert_close(
                torch.log_softmax(cached, -1), torch.log_softmax(expected, -1), atol=1e-4, rtol=0
            )
        right = dict(prompts[short].inputs)
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            if name in right:
                right[name] = torch.nn.functional.pad(right[name], (0, 5))
        n = len(prompts[short].tokens)
        torch.testing.assert_close(
            logits(loaded, right)[0, :n], logits(loaded, prompts[short].inputs)[0], atol=1e-4, rtol=0
        )


def test_a_capture_of_a_model_with_an_adapter(loaded, prompts, tmp_path):
    """The seam's blocks nest: what is recorded is the adapted attention, and the capture passes its own check."""
    with randomise(ModaAdapter(loaded, scope="prefix")):
        plan = attnscope.Plan(qk=True)
        (cap,) = capture_prompts(loaded, prompts[:1], [tmp_path / "a.h5"], plan=plan, max_new_tokens=3)
        _, calls = run(loaded, prompts[0].inputs, [])
    with cap:
        n = cap.prompt_length
        got = cap.attention(2, queries=slice(0, n), keys=slice(0, n))
        np.testing.assert_allclose(got, whole_map(calls[2]), atol=1e-4)
        assert cap.check["passed"]
    plain = run(loaded, prompts[0].inputs, [])[1][2]
    assert not np.allclose(got, whole_map(plain), atol=1e-2)


# ---- what is refused


def test_wrong_use_gives_one_line(loaded, samples, prompts):
    with ModaAdapter(loaded), pytest.raises(RequestError, match="has a MODA adapter already; detach it first"):
        ModaAdapter(loaded).attach()
    with pytest.raises(RequestError, match='gram="kv": choose from paper, code'):
        ModaAdapter(loaded, gram="kv")
    with ModaAdapter(loaded):
        embeds = loaded.model.get_input_embeddings()(prompts[0].inputs["input_ids"])
        with pytest.raises(RequestError, match="was given no input_ids"):
            loaded.model(inputs_embeds=embeds)
        everything = samples[0] | {"labels": samples[0]["input_ids"]}
        with pytest.raises(RequestError, match="sample 0 has no text before its first label"):
            loaded.model(**everything)
        loaded.model.train()
        with pytest.raises(RequestError, match="in training, scope 'prompt' needs labels"):
            loaded.model(**prompts[0].inputs)
        loaded.model.eval()


def test_files_that_are_not_its_own(loaded, checkpoint, tmp_path):
    path = tmp_path / "moda.safetensors"
    with pytest.raises(RequestError, match=r"moda\.safetensors: no such file"):
        ModaAdapter.load(loaded, path)
    path.write_text("nothing")
    with pytest.raises(RequestError, match="not a safetensors file"):
        ModaAdapter.load(loaded, path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(RequestError, match="is not a MODA adapter of version 1"):
        ModaAdapter.load(loaded, path)
    ModaAdapter(loaded, layers="0.5-1.0").save(path)
    assert sorted(load_file(path)) == ["fuser.visual_2", "fuser.visual_3", "r.visual_2", "r.visual_3"]
    other = attnscope.load(str(checkpoint("qwen3_vl")), dtype="float32")
    with pytest.raises(RequestError, match=r"was trained for another configuration \(Qwen2_5_VL.*\) than this Qwen3VL"):
        ModaAdapter.load(other, path)
    half = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="bfloat16", attn="eager")  # the same model
    assert ModaAdapter.load(half, path).layers == [2, 3]
