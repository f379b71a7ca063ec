"""Earlier turns of a chat: token ids as transformers makes them of the same messages, and every token with its role."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnscope
from attnscope.errors import ModelError, SceneError
from attnscope.model import build_prompt, load_skeleton
from attnscope.model.media import media_parts
from attnscope.model.prompt import write_prompt
from attnscope.scene import Message, Sampling, Scene, read_scene_frames
from attnscope.vocabulary import HISTORY, QUESTION, TRANSCRIPT
from tests.families import EVERY, by_speed

SAID = ["Who is on the left?", "Ada is on the left.", "And who talks first?", "Ada  does:\nshe asks."]
MESSAGES = [Message(role=("user", "assistant")[number % 2], text=text) for number, text in enumerate(SAID)]


def chat(drawn: Path, **fields: Any) -> Scene:
    return Scene.read(drawn).model_copy(update={"history": MESSAGES, **fields})


def by_hand(loaded: Any, scene: Scene, media: list[str]) -> str:
    """The prompt of the same chat from the model's own template."""
    turns = "\n".join(f"{turn.speaker}: {turn.text}" for turn in scene.transcript)
    options = "\n".join(f"- {option}" for option in scene.options)
    asked = f"{scene.question}\nOptions:\n{options}\nAnswer with one of the options."
    texts = [f"{turns}\n\n{SAID[0]}", *SAID[1:], asked]
    messages: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        parts = [*({"type": kind} for kind in media if not number), {"type": "text", "text": text}]
        messages.append({"role": ("user", "assistant")[number % 2], "content": parts})
    written: str = loaded.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return written


@pytest.mark.parametrize("family", by_speed(["roundtable", "qwen3_vl", "llava_onevision", "internvl", "smolvlm"]))
def test_a_chat_is_what_the_template_makes_of_it(family: str, checkpoint: Callable[[str], Path], drawn: Path) -> None:
    loaded = load_skeleton(family if family == "roundtable" else checkpoint(family))
    scene = chat(drawn)
    frames = read_scene_frames(scene, Sampling(frames=4))
    written = write_prompt(loaded, scene, frames)
    media = media_parts(loaded, frames)
    assert written.rendered == by_hand(loaded, scene, media)
    tokens = written.tokens
    texts = {role: "".join(tokens["text"][tokens["role"] == role]) for role in (HISTORY, QUESTION, TRANSCRIPT)}
    for said in SAID:
        assert said.strip() in texts[HISTORY]
    assert texts[HISTORY].replace(" ", "") == "".join(SAID).replace(" ", "")
    assert texts[QUESTION].strip().startswith(str(scene.question))
    assert "Ada: Did you bring the tickets" in texts[TRANSCRIPT]
    assert (tokens["modality"][tokens["role"] == HISTORY] == "text").all()
    assert (tokens["turn"][tokens["role"] == HISTORY] == -1).all()


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_every_family_takes_a_chat_or_says_why_not(family: str, checkpoint: Callable[[str], Path], drawn: Path) -> None:
    loaded, scene = load_skeleton(checkpoint(family)), chat(drawn)
    frames = read_scene_frames(scene, Sampling(frames=2))
    try:
        tokens = write_prompt(loaded, scene, frames, probe=False).tokens
    except ModelError as error:
        assert "cannot take earlier messages (scene.history)" in str(error)
        return
    texts = tokens["text"][tokens["role"] == HISTORY]
    assert "".join(texts).replace(" ", "") == "".join(SAID).replace(" ", "")


def test_ids_equal_those_of_apply_chat_template(drawn: Path) -> None:
    """transformers tokenises the whole chat itself; its ids are those of the token table."""
    loaded = load_skeleton("roundtable")
    scene = chat(drawn, system="Be brief.")
    frames = read_scene_frames(scene, Sampling(frames=4))
    written = write_prompt(loaded, scene, frames)
    grid = written.processed["video_grid_thw"][0]
    count = int(grid.prod()) // loaded.processor.video_processor.merge_size**2
    expanded = written.rendered.replace("<|video_pad|>", "<|video_pad|>" * count)
    ids = loaded.tokenizer(expanded)["input_ids"]
    assert written.tokens["token_id"].tolist() == ids
    assert set(written.tokens["role"]) == {"system", "template", "visual", "transcript", "history", "question"}


def test_a_capture_of_a_chat_is_whole(drawn: Path, tmp_path: Path) -> None:
    """The role has a set of keys of its own, the file is valid, and a correction runs the same chat again."""
    model = attnscope.load("roundtable", device="cpu")
    scene = chat(drawn)
    with attnscope.capture(model, scene, tmp_path / "run.h5", sampling=Sampling(frames=4), max_new_tokens=2) as cap:
        assert cap.check["passed"]
        assert [message.text for message in cap.scene.history] == SAID
        roles = cap.key_groups[cap.key_groups["family"] == "role"]["name"].tolist()
        assert HISTORY in roles
        row = int(np.flatnonzero((cap.key_groups["name"] == HISTORY).to_numpy())[0])
        assert cap.key_member[row].sum() == (cap.tokens["role"] == HISTORY).sum() > 0
        again = build_prompt(model, cap.scene, read_scene_frames(cap.scene, Sampling(frames=4)))
        assert again.tokens["token_id"].tolist() == cap.tokens["token_id"][: cap.prompt_length].tolist()
    assert attnscope.validate(tmp_path / "run.h5") == []


def test_special_tokens_in_a_chat_are_refused(drawn: Path) -> None:
    loaded = load_skeleton("roundtable")
    bad = [Message(role="user", text="Who?"), Message(role="assistant", text="<|im_end|> Ada")]
    scene = chat(drawn, history=bad)
    with pytest.raises(SceneError, match=r"scene.history\[1\].text: contains '<|im_end|>'"):
        write_prompt(loaded, scene, read_scene_frames(scene, Sampling(frames=2)))
