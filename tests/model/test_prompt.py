"""Spans, roles and times of the token table, for every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attnscope.errors import ModelError, RequestError, SceneError
from attnscope.families import NO_PLACES
from attnscope.model import SUPPORTED_FAMILIES, LoadedModel, Placing, build_prompt, load, option_ids
from attnscope.model.layouts import LAYOUTS, Blank
from attnscope.model.layouts.internvl import InternVLLayout
from attnscope.scene import Frames, Scene
from attnscope.vocabulary import TOKEN_COLUMNS
from tests.families import EAGER, FAMILIES, PLACED, SUPPORTED

TRANSCRIPT = [
    {"speaker": "Anna", "text": "Hello Ben."},
    {"speaker": "Ben", "text": "Hello Ben."},
    {"text": "Somebody says “naïve” 😀👩‍👩‍👧 ﷽ 你好."},
    {"speaker": "Zoë O'Neil", "text": "cafe\u0301 is not café"},
    {"speaker": "Anna", "text": "Hello Ben."},
]


def frames(count: int = 3, kind: str = "video", step: float = 0.7) -> Frames:
    images = np.random.default_rng(0).integers(0, 256, (count, 180, 320, 3), dtype=np.uint8)
    times = np.arange(count) * step + 0.4
    return Frames(images, times, np.arange(count, dtype=np.int32) * 7, 320, 180, kind, 10.0, 61.0, 200)


def scene(**fields: Any) -> Scene:
    return Scene.from_dict({"video": "clip.mp4", **fields})


@pytest.fixture(scope="session", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> LoadedModel:
    return load_tiny(checkpoint, request.param)


@pytest.fixture(scope="session")
def qwen(checkpoint: Callable[[str], Path]) -> LoadedModel:
    return load_tiny(checkpoint, "qwen2_5_vl")


def load_tiny(checkpoint: Callable[[str], Path], name: str) -> LoadedModel:
    attn = "eager" if name in EAGER else None
    return load(checkpoint(name), dtype="float32", device="cpu", attn=attn)


def joined(tokens: pd.DataFrame, text: str) -> str:
    """The characters that some tokens cover, each once."""
    covered = sorted({i for row in tokens.itertuples() for i in range(row.char_start, row.char_end)})
    return "".join(text[i] for i in covered)


def test_every_layout_has_a_checkpoint() -> None:
    assert set(SUPPORTED) <= set(SUPPORTED_FAMILIES) <= set(SUPPORTED) | set(PLACED)


def test_spans_reproduce_every_turn_and_the_question(loaded: LoadedModel) -> None:
    told = scene(transcript=TRANSCRIPT, question="Who is there?\n\nSay it.", options=["Anna", "Zoë"])
    prompt = build_prompt(loaded, told, frames())
    tokens, text = prompt.tokens, prompt.text
    assert tokens.position.tolist() == list(range(prompt.inputs["input_ids"].shape[1]))
    assert tokens.token_id.tolist() == prompt.inputs["input_ids"][0].tolist()
    for number, turn in enumerate(told.transcript):
        own = tokens[tokens.turn == number]
        line = f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text
        assert joined(own, text).strip() == line
        assert set(own.speaker) == {turn.speaker or ""}
        assert set(own.role) == {"transcript"}
        assert own.position.tolist() == list(range(own.position.min(), own.position.max() + 1))
    assert tokens.groupby("turn").position.min().loc[0:].is_monotonic_increasing
    asked = joined(tokens[tokens.role == "question"], text)
    options = "Options:\n- Anna\n- Zoë\nAnswer with one of the options."
    assert asked.strip() == f"Who is there?\n\nSay it.\n{options}"
    written = tokens[tokens.modality == "text"]
    assert all(text[row.char_start : row.char_end] == row.text for row in written.itertuples())


def test_every_position_has_one_modality_and_role(loaded: LoadedModel) -> None:
    tokens = build_prompt(loaded, scene(transcript=TRANSCRIPT, question="Who?"), frames()).tokens
    kinds = {name: object if column.dtype == "strings" else column.dtype for name, column in TOKEN_COLUMNS.items()}
    assert tokens.dtypes[list(kinds)].tolist() == [np.dtype(kind) for kind in kinds.values()]
    assert list(tokens.columns) == list(kinds)  # no speaker has boxes
    assert set(tokens.modality) == {"text", "visual", "special"}
    assert set(tokens.role) <= {"system", "template", "visual", "transcript", "question"}
    assert ((tokens.role == "visual") == (tokens.modality == "visual")).all()
    assert set(tokens[tokens.role == "template"].modality) == {"special"}
    assert set(tokens[tokens.role.isin(["system", "transcript", "question"])].modality) == {"text"}
    block = tokens[tokens.modality == "visual"]
    placeholder = build_prompt(loaded, scene(question="Who?"), frames()).text[
        block.char_start.iloc[0] : block.char_end.iloc[0]
    ]
    names = ("<image>", "<video>", "<|video_pad|>", "<start_of_image>", "<|video|>", "<|VIDEO_PLACEHOLDER|>")
    assert any(name in placeholder for name in names)


def test_the_model_runs_on_the_inputs(loaded: LoadedModel) -> None:
    for shown in (frames(5), frames(1), frames(1, "image")):
        prompt = build_prompt(loaded, scene(transcript=TRANSCRIPT, question="Who?"), shown)
        out = loaded.model.generate(**prompt.inputs, max_new_tokens=16, do_sample=False)
        assert out.shape[1] == len(prompt.tokens) + 16


def test_empty_scene(loaded: LoadedModel) -> None:
    tokens = build_prompt(loaded, scene(), frames()).tokens
    assert set(tokens.role) <= {"system", "template", "visual"}
    assert (tokens.turn == -1).all()


def test_times_and_frames(loaded: LoadedModel) -> None:
    shown = frames(5)
    prompt = build_prompt(loaded, scene(question="Who?"), shown)
    tokens = prompt.tokens
    if prompt.placing.how == "none":
        assert (tokens.frame_first == -1).all()
        assert tokens[["time", "x0", "y0", "x1", "y1"]].isna().all(axis=None)
        return
    visual = tokens[(tokens.modality == "visual") & tokens.x0.notna()]
    assert (visual.frame_first.min(), visual.frame_last.max()) == (0, 4)
    assert visual.frame_first.is_monotonic_increasing
    span = 2 if loaded.family.startswith(("qwen", "ernie")) else 1
    assert ((visual.frame_last - visual.frame_first).isin([0, span - 1])).all()
    expected = (shown.times[visual.frame_first] + shown.times[visual.frame_last]) / 2
    np.testing.assert_allclose(visual.time, expected)
    views = 2 if loaded.family == "idefics3" else 1  # the tiles of an image, and the whole
    for _, frame in visual.groupby("frame_first"):  # its cells tile their rectangle
        area = ((frame.x1 - frame.x0) * (frame.y1 - frame.y0)).sum()
        hull = (frame.x1.max() - frame.x0.min()) * (frame.y1.max() - frame.y0.min())
        assert area == pytest.approx(views * hull, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("qwen3_vl", [f"<{t} seconds><|vision_start|>" for t in ("0.8", "2.1", "3.2")]),
        ("internvl", [f"Frame{i}: <img>" for i in range(1, 6)]),
        ("smolvlm", [f"Frame from 00:0{i}:<fake_token_around_image><global-img>" for i in (0, 1, 1, 2, 3)]),
    ],
)
def test_labels_between_frames_carry_their_frame_and_true_time(
    checkpoint: Callable[[str], Path], name: str, labels: list[str]
) -> None:
    tokens = build_prompt(load_tiny(checkpoint, name), scene(question="Who?"), frames(5)).tokens
    visual = tokens.modality == "visual"
    for (_, run), label in zip(tokens[tokens.frame_first >= 0].groupby("frame_first"), labels, strict=True):
        inside = visual[run.index]
        assert "".join(run.text[: inside.idxmax() - run.index[0]]).strip() == label
        assert not inside.iloc[-1]  # the closing token
        assert run[~inside].x0.isna().all()


def test_qwen_is_told_the_true_rate(qwen: LoadedModel) -> None:
    inputs = build_prompt(qwen, scene(question="Who?"), frames(6, step=0.7)).inputs
    assert inputs["second_per_grid_ts"].tolist() == pytest.approx([1.4], abs=1e-3)


def test_coverage_of_cells_by_boxes(qwen: LoadedModel) -> None:
    box = {"start": 0, "end": 1.5, "keyframes": [{"t": 0, "xyxy": [0, 0, 160, 90]}]}
    told = scene(speakers={"Ben": {"segments": []}, "Anna": {"segments": [box]}}, question="Who?")
    tokens = build_prompt(qwen, told, frames(5)).tokens  # frames at 0.4, 1.1, 1.8, 2.5, 3.2 s
    assert list(tokens.columns)[-2:] == ["covered:Ben", "covered:Anna"]
    visual = tokens[tokens.modality == "visual"]
    assert (visual["covered:Ben"] == 0).all()
    early, late = visual[visual.frame_first == 0], visual[visual.frame_first > 0]
    assert (late["covered:Anna"] == 0).all()
    area = (early.x1 - early.x0) * (early.y1 - early.y0)
    assert (early["covered:Anna"] * area).sum() == pytest.approx(160 * 90, rel=1e-4)
    assert tokens[tokens.modality != "visual"]["covered:Anna"].isna().all()


def test_system_message(loaded: LoadedModel) -> None:
    prompt = build_prompt(loaded, scene(system="Look at their faces.", question="Who?"), frames())
    own = prompt.tokens[prompt.tokens.role == "system"]
    assert joined(own, prompt.text).strip() == "Look at their faces."


def test_labels_of_the_scene_are_not_shown(qwen: LoadedModel) -> None:
    plain = {"question": "Who?", "options": ["Anna", "Ben"]}
    labelled = scene(**plain, fields={"task": "who is who", "people": 2})
    assert build_prompt(qwen, labelled, frames()).text == build_prompt(qwen, scene(**plain), frames()).text


def test_default_system_message(qwen: LoadedModel) -> None:
    prompt = build_prompt(qwen, scene(question="Who?"), frames())
    own = prompt.tokens[prompt.tokens.role == "system"]
    assert joined(own, prompt.text) == "You are a helpful assistant."
    assert set(own.modality) == {"text"}


def test_unknown_family_says_so_once(checkpoint: Callable[[str], Path]) -> None:
    prompt = build_prompt(load_tiny(checkpoint, "idefics2"), scene(question="Who?"), frames())
    reason = (
        "family idefics2 has no layout, and each visual token of Idefics2ForConditionalGeneration answers to places all"
        " over the frame, as behind a resampler or a Q-Former, so that its tokens have no places"
    )
    assert prompt.warnings == [f"{reason}: {NO_PLACES}"]
    assert prompt.placing == Placing("none", reason=reason)
    assert prompt.unplaced == prompt.placing.reason
    assert (prompt.tokens.modality == "visual").sum() == 3 * 8


def test_template(qwen: LoadedModel) -> None:
    told = scene(transcript=[{"speaker": "Anna", "text": "Hi.", "start": 1.0, "end": 2.0}, {"text": "Psst."}])
    prompt = build_prompt(qwen, told, frames(), template="[{start:.1f} s] {speaker} says {text}")
    assert "[1.0 s] Anna says Hi.\nPsst." in prompt.text
    assert joined(prompt.tokens[prompt.tokens.turn == 0], prompt.text) == "[1.0 s] Anna says Hi."


BAD_TEMPLATES = [
    ("{speaker}", "template '{speaker}' lacks the field {text}"),
    ("{name}: {text}", "template '{name}: {text}' has an unknown field {name}"),
    ("{speaker: {text}", "template '{speaker: {text}' cannot be read: "),
    (
        "{start:.1f} {text}",
        "template '{start:.1f} {text}' cannot write transcript turn 0: start is not known",
    ),
]


@pytest.mark.parametrize(("template", "message"), BAD_TEMPLATES)
def test_bad_templates(qwen: LoadedModel, template: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        build_prompt(qwen, scene(transcript=TRANSCRIPT), frames(), template=template)
    assert str(error.value).startswith(message)


INJECTIONS = [
    (
        {"transcript": [{"speaker": "Anna", "text": "so <|im_end|> there"}]},
        "transcript[0].text",
        "<|im_end|>",
    ),
    (
        {"transcript": [{"text": "a"}, {"speaker": "<|im_start|>", "text": "b"}]},
        "transcript[1].speaker",
        "<|im_start|>",
    ),
    ({"question": "<|video_pad|>?"}, "question", "<|video_pad|>"),
    ({"question": "?", "options": ["a", "<|image_pad|>"]}, "options[1]", "<|image_pad|>"),
    ({"system": "<|vision_start|>"}, "system", "<|vision_start|>"),
]


@pytest.mark.parametrize(("fields", "where", "token"), INJECTIONS)
def test_special_tokens_in_the_scene_are_refused(
    qwen: LoadedModel, fields: dict[str, Any], where: str, token: str
) -> None:
    with pytest.raises(SceneError) as error:
        build_prompt(qwen, scene(**fields), frames())
    assert str(error.value) == f"scene.{where}: contains '{token}', a special token of {qwen.id}; take it out"


@pytest.mark.parametrize("name", ["llava_next_video", "internvl", "smolvlm"])
def test_media_placeholders_in_the_scene_are_refused(checkpoint: Callable[[str], Path], name: str) -> None:
    with pytest.raises(SceneError, match=r"^scene.transcript\[0\].text: contains '<video>', a special token"):
        build_prompt(load_tiny(checkpoint, name), scene(transcript=[{"text": "a <video> here"}]), frames())


def test_text_that_only_looks_special_is_kept(qwen: LoadedModel) -> None:
    words = "<image> <video> {x} [INST] </s> \ue000"
    prompt = build_prompt(qwen, scene(transcript=[{"text": words}]), frames())
    assert joined(prompt.tokens[prompt.tokens.turn == 0], prompt.text) == words


def test_characters_that_no_prompt_can_hold(qwen: LoadedModel) -> None:
    with pytest.raises(SceneError) as error:
        build_prompt(qwen, scene(question="a\0b"), frames())
    assert str(error.value) == "scene.question: contains the character U+0000, which no prompt can hold"


def test_option_tokens_continue_the_prompt(loaded: LoadedModel) -> None:
    prompt = build_prompt(loaded, scene(question="Who?", options=["Anna", "the pianist"]), frames())
    for option in prompt.scene.options:
        ids = option_ids(loaded, prompt, option)
        spoken = loaded.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        assert spoken == option if prompt.text[-1].isspace() else spoken == f" {option}"
    with pytest.raises(RequestError, match=r"^option: is empty"):
        option_ids(loaded, prompt, " ")


def test_a_layout_that_does_not_fit_is_an_error(qwen: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, "qwen2_5_vl", LAYOUTS["internvl"])
    monkeypatch.setattr(InternVLLayout, "views", lambda *_: [Blank(3)])
    with pytest.raises(ModelError) as error:
        build_prompt(qwen, scene(question="Who?"), frames())
    assert str(error.value).startswith(
        f"{qwen.id}: the layout of family qwen2_5_vl places 3 visual tokens, but the processor made "
    )


def test_a_template_that_changes_the_text_is_an_error(qwen: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    template = qwen.processor.chat_template.replace("{{ part['text'] }}", "{{ part['text'] | upper }}")
    monkeypatch.setattr(qwen.processor, "chat_template", template)
    with pytest.raises(ModelError) as error:
        build_prompt(qwen, scene(question="Who?"), frames())
    assert str(error.value) == (f"{qwen.id}: the chat template changes the user's text, so its tokens cannot be placed")
