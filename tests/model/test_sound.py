"""The sound of a clip: a model that could hear it is not given it, and this is said."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import attnscope
from attnscope.errors import ModelError
from attnscope.model.prompt import build_prompt
from attnscope.model.sound import refuse_sound
from attnscope.scene import Sampling, Scene, read_scene_frames


@pytest.fixture(scope="module")
def omni(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_omni")), dtype="float32", device="cpu")


def film(path, *, sound):
    """One second of grey, with or without a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=8)
        video.width, video.height, video.pix_fmt = 112, 112, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((112, 112, 3), 30 * number, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            tone = np.sin(np.arange(16000, dtype=np.float32) / 8)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def prompt_of(loaded, path):
    scene = Scene(video=path, question="Who speaks?")
    return build_prompt(loaded, scene, read_scene_frames(scene, Sampling(frames=2)))


@pytest.mark.parametrize("sound", [True, False])
def test_a_model_that_hears_is_said_to_be_shown_frames_and_text(omni, sound, tmp_path):
    notes = [note for note in prompt_of(omni, film(tmp_path / "a.mp4", sound=sound)).warnings if "sound" in note]
    named = "its sound is left out; Qwen2_5OmniThinkerForConditionalGeneration could hear it"
    assert len(notes) == int(sound) and all(named in note and "\n" not in note for note in notes)


def test_a_model_that_does_not_hear_misses_nothing(checkpoint, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")
    warnings = prompt_of(loaded, film(tmp_path / "a.mp4", sound=True)).warnings
    assert not any("sound" in note for note in warnings)


def test_tokens_of_sound_are_not_words_of_the_template(omni, tmp_path):
    """A template that puts a clip's sound into the prompt by itself."""
    clip = film(tmp_path / "a.mp4", sound=True)
    ids = torch.tensor([[300, int(omni.model.config.audio_token_id), 301]])
    with pytest.raises(ModelError, match="1 tokens of the prompt are sound, which attnscope cannot place yet"):
        refuse_sound(omni, {"input_ids": ids})
    with pytest.raises(ModelError, match="2 tokens of the prompt are sound"):
        refuse_sound(omni, {"input_ids": ids * 0, "mm_token_type_ids": torch.tensor([[3, 0, 3]])})
    template = omni.processor.chat_template
    omni.processor.chat_template = template.replace("<|im_start|>assistant", "<|AUDIO|><|im_start|>assistant")
    try:
        with pytest.raises(ModelError, match=r"tokens of the prompt are sound|fails on the frames"):
            prompt_of(omni, clip)
    finally:
        omni.processor.chat_template = template
