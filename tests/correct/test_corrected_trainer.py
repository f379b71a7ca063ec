"""Under a transformers Trainer: its own loops, batches and optimiser, a collate function that pads on the right."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Trainer, TrainingArguments

import attnscope
from attnscope.correct import Knockout, SocialBias, corrected
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import EVERYWHERE, longer

SETTINGS = [SocialBias(rows="utterances,answer", toward="Ada", **EVERYWHERE), Knockout(heads="1.2")]
ANSWERS = [[300, 301, 302], [303], [304, 305]]


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def prompts(loaded, drawn):
    scene = Scene.read(drawn)
    return [
        make_prompt(loaded, scene.model_copy(update={"question": question}))
        for question in ("Where is Ben?", "What does Ada hold, and why?", "Who?")
    ]


def items(prompts):
    """What a dataset of prompts with answers holds: answers are learned, prompts are not."""
    found = []
    for prompt, answer in zip(prompts, ANSWERS, strict=True):
        item = longer(prompt, answer)
        length = len(prompt.tokens)
        found.append(
            item | {"labels": item["input_ids"].masked_fill(torch.arange(length + len(answer)) < length, -100)}
        )
    return found


def collate(rows):
    """Padded on the right, as most training code does."""
    width = max(row["input_ids"].shape[1] for row in rows)
    fill = {"input_ids": 0, "attention_mask": 0, "mm_token_type_ids": 0, "labels": -100}
    batch = {}
    for name in rows[0]:
        parts = [row[name] for row in rows]
        if name in fill:
            parts = [torch.nn.functional.pad(x, (0, width - x.shape[1]), value=fill[name]) for x in parts]
        batch[name] = torch.cat(parts)
    return batch


def trainer(loaded, data, folder, **how):
    arguments = TrainingArguments(
        folder,
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **how,
    )
    return Trainer(loaded.model, arguments, train_dataset=data, eval_dataset=data, data_collator=collate)


def by_hand(loaded, prompt, item, settings):
    """Loss of the answer [tokens] of one prompt by itself, without padding."""
    with corrected(loaded, prompt, settings):
        logits = loaded.model(**{name: value for name, value in item.items() if name != "labels"}).logits[0]
    kept = item["labels"][0] != -100
    return torch.nn.functional.cross_entropy(logits[:-1][kept[1:]], item["labels"][0][kept], reduction="none")


def test_evaluation_and_prediction(loaded, prompts, tmp_path):
    data = items(prompts)
    loop = trainer(loaded, data, tmp_path, per_device_eval_batch_size=2)
    plain = loop.evaluate()["eval_loss"]
    with corrected(loaded, prompts[::-1], SETTINGS) as block:
        found, predicted = loop.evaluate()["eval_loss"], loop.predict(data)
    logits = predicted.predictions
    logits = logits[0] if isinstance(logits, tuple) else logits  # 5.24 hands back the visual features too
    with torch.no_grad():
        batches = [[by_hand(loaded, prompts[i], data[i], SETTINGS) for i in rows] for rows in ((0, 1), (2,))]
    losses = [float(torch.cat(batch).mean()) for batch in batches]
    assert found == pytest.approx((2 * losses[0] + losses[1]) / 3, abs=1e-4)  # the Trainer's mean over batches
    assert abs(found - plain) > 1e-3
    for row, (prompt, item) in enumerate(zip(prompts, data, strict=True)):
        width = item["input_ids"].shape[1]
        with torch.no_grad(), corrected(loaded, prompt, SETTINGS):
            own = loaded.model(**item).logits[0]
        torch.testing.assert_close(torch.tensor(logits[row, :width]), own, atol=2e-4, rtol=0)
    assert [(record["prompt"], record["runs"]) for record in block.records()] == [(0, 2), (1, 2), (2, 2)]
    assert loop.evaluate()["eval_loss"] == pytest.approx(plain, abs=1e-6)


def test_two_steps_of_training(checkpoint, prompts, tmp_path):
    """The same weights as two steps of plain gradient descent on losses of single, unpadded prompts."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")
    data, rate = items(prompts), 0.05
    twin = copy.copy(loaded)
    twin.model = copy.deepcopy(loaded.model)
    was = copy.deepcopy(loaded.model.state_dict())
    how = {"max_steps": 2, "learning_rate": rate, "lr_scheduler_type": "constant", "optim": "sgd", "max_grad_norm": 0.0}
    loop = trainer(loaded, data, tmp_path, per_device_train_batch_size=3, logging_strategy="no", **how)
    with corrected(loaded, prompts, SETTINGS) as block:
        loop.train()
    assert all(record["runs"] == 2 for record in block.records())
    assert not loaded.model._forward_pre_hooks
    twin.model.train()
    for _ in range(2):
        losses = [by_hand(twin, prompt, item, SETTINGS) for prompt, item in zip(prompts, data, strict=True)]
        twin.model.zero_grad()
        torch.cat(losses).mean().backward()
        with torch.no_grad():
            for parameter in twin.model.parameters():
                if parameter.grad is not None:
                    parameter -= rate * parameter.grad
    moved = 0.0
    for name, value in twin.model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], value, atol=1e-5, rtol=1e-4)
        moved = max(moved, float((value - was[name]).abs().max()))
    assert moved > 1e-3
