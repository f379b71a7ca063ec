"""Families that were refused for a reason that was not true, or ended in a traceback."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling
from typer.testing import CliRunner

import attnscope
from attnscope.attention import decoder_layers, dense_rows, tapped
from attnscope.capture.check.validate import validate
from attnscope.capture.run import capture_prompts
from attnscope.errors import ModelError, RunError
from attnscope.model import option_ids
from attnscope.model.per_token import token_inputs
from attnscope.transformers_names import text_decoder
from attnscope_cli.main import app
from tests.attention.test_seam import Spy
from tests.capture.eager import eager_maps, make_prompt

CAPTURED = {"qwen3_vl_moe": 1, "idefics2": 2, "qwen2_5_omni": 2}


@pytest.mark.parametrize("name", CAPTURED)
def test_a_capture_is_exact(name, checkpoint, drawn, tmp_path):
    """One frame of a family whose temporal patch is two; images as PIL has them, or not nested; the whole omni."""
    folder = str(checkpoint(name))
    loaded = attnscope.load(folder, dtype="float32", device="cpu")
    prompt = make_prompt(loaded, drawn, frames=CAPTURED[name])
    plan = attnscope.Plan(full=True)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=plan, max_new_tokens=1)
    eager = attnscope.load(folder, dtype="float32", device="cpu", attn="eager").model
    with torch.no_grad():
        maps = eager(**prompt.inputs, output_attentions=True, use_cache=False).attentions
    with cap:
        assert cap.check["passed"]
        for layer, attention in zip(cap.layers, maps, strict=True):
            np.testing.assert_allclose(cap.attention(int(layer)), attention[0].numpy(), atol=1e-4)


def test_of_a_model_that_also_speaks_the_part_that_reads_is_loaded(checkpoint):
    """Published as the whole model, whose type stands in another mapping than that of images and text."""
    folder = checkpoint("qwen2_5_omni")
    assert json.loads((folder / "config.json").read_text())["model_type"] == "qwen2_5_omni"
    loaded = attnscope.load(str(folder), dtype="float32", device="cpu")
    assert type(loaded.model).__name__ == "Qwen2_5OmniThinkerForConditionalGeneration"
    assert type(text_decoder(loaded.model)).__name__ == "Qwen2_5OmniThinkerTextModel"  # 5.10 names the whole thinker
    stored = load_file(folder / "model.safetensors")  # under other names than the module's
    assert all(name.startswith("thinker.") for name in stored)
    for name, value in loaded.model.named_parameters():
        assert any(torch.equal(value, other) for other in stored.values()), name


def test_a_prefix_that_sees_itself_is_no_cross_attention(checkpoint):
    """PaliGemma's attention says that it is not causal; it is read as its own eager attention has it."""
    loaded = attnscope.load(str(checkpoint("paligemma")), dtype="float32", device="cpu")
    model, spy = loaded.model, Spy()
    assert list(decoder_layers(model)) == [0, 1, 2, 3]
    ids = torch.cat([torch.full((1, 16), int(model.config.image_token_id)), torch.arange(300, 312)[None]], 1)
    pixels = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}
    given["token_type_ids"] = torch.zeros_like(ids)
    with torch.no_grad(), tapped(model, readers=[spy]):
        model(**given)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = model(**given, output_attentions=True).attentions
    assert float(maps[0][0, 0, 0, -1]) > 0  # the first token sees the last one
    for call, _ in spy.calls:
        dense = torch.cat([a for _, _, a, _ in dense_rows(call, 0, torch.arange(ids.shape[1]))], 1)
        torch.testing.assert_close(dense, maps[call.layer][0], atol=1e-5, rtol=0)


def test_a_processor_may_end_the_prompt_itself(checkpoint, drawn):
    """PaliGemma's adds a line break, and targets of training; an option is read as it continues all of that."""
    loaded = attnscope.load(str(checkpoint("paligemma")), dtype="float32", device="cpu")
    prompt = make_prompt(loaded, drawn, frames=2)
    assert prompt.text.endswith("assistant\n\n")
    last = prompt.tokens.iloc[-1]
    assert prompt.text[last.char_start : last.char_end] == last.text == "\n" and last.char_end == len(prompt.text)
    assert "token_type_ids" in prompt.token_inputs and "labels" not in prompt.inputs | prompt.rest
    question = prompt.tokens[prompt.tokens.role == "question"]
    assert prompt.scene.question in prompt.text[question.char_start.min() : question.char_end.max()]
    assert loaded.tokenizer.decode(option_ids(loaded, prompt, "Ben")) == "Ben"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phi4_multimodal", "idefics2", "paligemma"])
def test_the_command_captures_a_clip_as_a_row_of_images(name, checkpoint, drawn, tmp_path):
    """Each was once refused for a reason that was not true."""
    out = tmp_path / "run.h5"
    arguments = ["capture", str(checkpoint(name)), "--scene", str(drawn), "--frames", "2", "-o", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--max-new-tokens", "3"])
    assert (result.exit_code, out.exists()) == (0, True), result.stderr
    assert [str(problem) for problem in validate(out)] == []
    with attnscope.open(out) as cap:
        assert cap.check["passed"] and len(cap.answer["tokens"]) == 3
        assert (cap.tokens["modality"] == "visual").sum() % 2 == 0  # as many tokens for each of two frames


def without_probing(*_args):
    raise ModelError("not tried here: runs of its 1024 pixel tower take minutes")


@pytest.mark.slow
def test_images_in_a_flat_list_are_captured(checkpoint, drawn, tmp_path, monkeypatch):
    """GOT-OCR2's processor takes a list of images, not one list for each prompt."""
    monkeypatch.setattr("attnscope.model.probe.probed_places", without_probing)
    folder = str(checkpoint("got_ocr2"))
    loaded = attnscope.load(folder, dtype="float32", device="cpu")
    prompt = make_prompt(loaded, drawn, frames=2)
    plan = attnscope.Plan(full=True)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=plan, max_new_tokens=1)
    with cap:
        assert cap.check["passed"]
        for layer, attention in zip(cap.layers, eager_maps(folder, prompt), strict=True):
            np.testing.assert_allclose(cap.attention(int(layer)), attention, atol=1e-4)


def test_a_model_of_text_alone_is_refused_still(checkpoint, tmp_path):
    folder = tmp_path / "llama"
    folder.mkdir()
    for file in checkpoint("idefics2").iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match="model type 'llama' does not take images or video with text"):
        attnscope.load(str(folder))


def fail(*_args, **_kwargs):
    raise IndexError("index 7 is out of bounds\n" + "for a very long reason " * 40)


def test_an_error_inside_the_model_is_one_line(checkpoint, drawn, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")
    prompt = make_prompt(loaded, drawn, frames=2)
    handle = loaded.model.model.language_model.layers[1].mlp.register_forward_pre_hook(fail)
    try:
        with pytest.raises(RunError) as error:
            capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], max_new_tokens=1)
    finally:
        handle.remove()
    said = str(error.value)
    assert said.startswith(
        f"{loaded.id}: Qwen2_5_VLForConditionalGeneration failed while it ran (IndexError: index 7 is"
    )
    assert "\n" not in said and len(said) < 500
    assert isinstance(error.value.__cause__, IndexError) and error.value.exit_code == 1
    assert not (tmp_path / "a.h5").exists()


def test_the_command_says_it_in_one_line(checkpoint, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(modeling.Qwen2MLP, "forward", fail)
    arguments = ["capture", str(checkpoint("qwen2_5_vl")), "--scene", str(drawn), "-o", str(tmp_path / "a.h5")]
    result = CliRunner().invoke(app, [*arguments, "--frames", "2"])
    lines = [line for line in result.stderr.splitlines() if "failed while it ran" in line]
    assert result.exit_code == 1 and len(lines) == 1 and "Traceback" not in result.output
    assert "unexpected" not in result.stderr


def test_token_inputs_of_an_omni(checkpoint, drawn):
    loaded = attnscope.load(str(checkpoint("qwen2_5_omni")), dtype="float32", device="cpu")
    prompt = make_prompt(loaded, drawn, frames=2)
    assert set(prompt.token_inputs) >= {"input_ids", "attention_mask"} and "video_grid_thw" not in prompt.token_inputs
    assert token_inputs(prompt.inputs | prompt.rest) == prompt.token_inputs
