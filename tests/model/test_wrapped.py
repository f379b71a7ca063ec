"""Wrapped, compiled, adapted and patched models: right numbers, or one line that says why not.

The oracle is transformers' own call of the model on the processor's own output, before anything is put around it.
"""

from __future__ import annotations

import copy

import pytest
import torch
from peft import PromptEncoderConfig, get_peft_model
from transformers.video_utils import VideoMetadata

import attnscope
from attnscope.correct import Temperature, corrected
from attnscope.demo.scenes import write_scenes
from attnscope.errors import ModelError
from attnscope.model import around
from attnscope.scene import Sampling, Scene, read_scene_frames
from tests.model.wrappers import WRAPPERS, Tempered, narrow, quantized, swallowing, swallowing_core


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Five people and a question whose answer depends on where they stand."""
    folder = tmp_path_factory.mktemp("crowd") / "scenes"
    write_scenes(folder, count=1, seed=38, people=(5,))
    return next((folder / "scenes").glob("*-target.json"))


@pytest.fixture(scope="module")
def loaded():
    return attnscope.load("roundtable", device="cpu")


@pytest.fixture(scope="module")
def plain(loaded, crowd, tmp_path_factory):
    with attnscope.capture(loaded, crowd, tmp_path_factory.mktemp("plain") / "run.h5", max_new_tokens=2) as cap:
        yield cap


@pytest.fixture(scope="module")
def full(loaded, crowd, plain):
    """The processor's own output on the scene's frames and the prompt's text."""
    frames = read_scene_frames(Scene.read(crowd), Sampling())
    rate = (len(frames.times) - 1) / float(frames.times[-1] - frames.times[0])
    metadata = VideoMetadata(
        total_num_frames=round(len(frames.times) * 1000 / rate),
        fps=1000.0,
        width=frames.width,
        height=frames.height,
        duration=float(frames.times[-1]),
        frames_indices=[round(float(time) * 1000) for time in frames.times],
    )
    return loaded.processor(
        text=[plain.prompt_text],
        videos=[[frames.images]],
        video_metadata=[metadata],
        do_sample_frames=False,
        return_tensors="pt",
        return_mm_token_type_ids=True,
    )


def oracle(model, inputs):
    """Log-probabilities [vocabulary] of the first answer token, by the plain call."""
    with torch.no_grad():
        return torch.log_softmax(model(**inputs).logits[0, -1].float(), -1)


def everything(cap):
    return cap.maps().to_numpy()


def fresh(loaded):
    return copy.deepcopy(loaded.model)


REFERENCES = {"adapter": WRAPPERS["merged adapter"], "adapter, compiled": WRAPPERS["merged adapter"]}
REFERENCES |= {"merged adapter": WRAPPERS["merged adapter"], "int8": quantized}


SLOW = {"compiled in place", "compiled decoder", "patched with functools.wraps", "patched as a method"}
SLOW |= {"adapter, compiled", "merged adapter"}


def cases(names, slow):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in names]


@pytest.mark.parametrize("name", cases(WRAPPERS, SLOW))
def test_a_wrapped_model_gives_the_numbers_of_the_model_inside(name, loaded, crowd, plain, full, tmp_path):
    expected = oracle(REFERENCES.get(name, lambda model: model)(fresh(loaded)), full)
    wrapped = around(WRAPPERS[name](fresh(loaded)), loaded.processor)
    with attnscope.capture(wrapped, crowd, tmp_path / "run.h5", max_new_tokens=2) as cap:
        options = {option["text"]: option["logprob"] for option in cap.answer["options"]}
        tokens = {option["text"]: option["tokens"] for option in cap.answer["options"]}
        first, check, maps = cap.answer["tokens"][0], cap.check, everything(cap)
    assert first["id"] == int(expected.argmax())
    assert first["logprob"] == pytest.approx(float(expected.max()), abs=2e-3)
    for text, logprob in options.items():
        assert len(tokens[text]) == 1
        assert logprob == pytest.approx(float(expected[tokens[text][0]]), abs=2e-3)
    assert check["passed"]
    if name not in REFERENCES:
        assert torch.allclose(torch.tensor(maps), torch.tensor(everything(plain)), atol=1e-4, equal_nan=True)


def test_the_answer_shows_the_difference(plain, loaded, full):
    """Without its positions in time, height and width the model answers otherwise: the table can tell."""
    flat = {name: value for name, value in full.items() if name != "mm_token_type_ids"}
    assert plain.answer["text"].strip() == "Ben"
    assert int(oracle(loaded.model, flat).argmax()) != int(oracle(loaded.model, full).argmax())


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (narrow, r"narrow.*forward stands in for the forward of .* and does not take mm_token_type_ids"),
        (swallowing, "visual tokens lost their positions in time, height and width"),
        (swallowing_core, "visual tokens lost their positions in time, height and width"),
        (Tempered, r"Tempered: its logits are not those of the Qwen2_5_VL\w+ inside it"),
        (torch.nn.Linear, "Linear.* is not a transformers model"),
    ],
)
def test_what_loses_an_input_or_changes_the_output_is_refused(patch, message, loaded, crowd, tmp_path):
    model = patch(fresh(loaded)) if patch is not torch.nn.Linear else torch.nn.DataParallel(torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match=message):
        attnscope.capture(around(model, loaded.processor), crowd, tmp_path / "run.h5", max_new_tokens=2)
    assert not list(tmp_path.iterdir())


def test_an_adapter_outside_the_layers_is_refused(loaded):
    config = PromptEncoderConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=2, token_dim=128, num_layers=6, num_attention_heads=8
    )
    tuned = get_peft_model(fresh(loaded), config)
    with pytest.raises(ModelError, match=r"adapter 'default' \(P_TUNING\) puts tokens of its own before the prompt"):
        around(tuned, loaded.processor)


@pytest.mark.parametrize("name", cases(["compiled", "adapter of zeros", "patched without a signature"], {"compiled"}))
def test_corrections_reach_the_model_inside(name, loaded, crowd):
    """Other code calls the wrapper, before the block too, so that a compiled one has been compiled without it."""
    wrapper = WRAPPERS[name](fresh(loaded))
    taken, setting = around(wrapper, loaded.processor), Temperature(temperature=3.0)
    with corrected(loaded, crowd, setting) as block:
        inputs = block.prompts[0].inputs
        with torch.no_grad():
            expected = loaded.model(**inputs).logits[0, -1]
    with torch.no_grad():
        before = wrapper(**inputs).logits[0, -1]
    with corrected(taken, crowd, setting) as block, torch.no_grad():
        found = wrapper(**inputs).logits[0, -1]
    assert [record["runs"] for record in block.records()] == [1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (before - expected).abs().max() > 0.05
    with torch.no_grad():
        torch.testing.assert_close(wrapper(**inputs).logits[0, -1], before, atol=1e-5, rtol=1e-5)
