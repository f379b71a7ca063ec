"""Boxes drawn on the frames and boxes told in the prompt: what is shown, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import attnscope
from attnscope import fonts
from attnscope.capture.record.groups import key_groups, query_groups
from attnscope.correct import bind, corrected, make
from attnscope.correct.notes import HOW_BOXES
from attnscope.correct.peers.boxes_described import BoxesDescribed
from attnscope.correct.peers.boxes_drawn import COLOURS, BoxesDrawn
from attnscope.errors import NotApplicableError, RequestError
from attnscope.model import build_prompt
from attnscope.scene import Frames, Sampling, Scene, read_scene_frames, scene_boxes
from attnscope.scene.mentions import asked_speakers, mentions
from attnscope.scene.models import Speaker

HEAD = "Boxes in percent of the frame (left, top, right, bottom): "


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def scene(drawn):
    """Ada and Ben; a question that names Ada."""
    return Scene.read(drawn).model_copy(update={"question": "What does Ada hold?", "options": []})


@pytest.fixture(scope="module")
def frames(scene):
    return read_scene_frames(scene, Sampling(frames=4))


def moving(name="Ann"):
    """A scene of one blank clip: a speaker who moves and leaves, and one who is never there."""
    keyframes = [{"t": 0, "xyxy": [10, 20, 30, 60]}, {"t": 2, "xyxy": [30, 20, 50, 60]}]
    there = {"segments": [{"start": 0, "end": 2.5, "keyframes": keyframes}]}
    return Scene.from_dict({"video": "none.mp4", "speakers": {name: there, "Bob": {"segments": []}}})


def blank(times=(0.0, 1.0, 2.0, 3.0), width=200, height=100, value=128):
    n = len(times)
    images = np.full((n, height, width, 3), value, np.uint8)
    return Frames(images, np.array(times), np.arange(n, dtype=np.int32), width, height, "video", 1.0, 4.0, n)


def test_lines_lie_along_the_boxes_and_the_rest_stays():
    """Written out: two pixels inside each edge have the colour, and only frames with the speaker change."""
    scene, plain = moving(), blank()
    same, shown = BoxesDrawn(line=0.02, label=0).show(scene, plain)
    assert same is scene and shown.images.dtype == np.uint8
    assert (plain.images == 128).all()
    expected = plain.images.copy()
    for frame, left in enumerate((10, 20, 30)):
        expected[frame, 20:60, left : left + 20] = COLOURS[0]
        expected[frame, 22:58, left + 2 : left + 18] = 128
    np.testing.assert_array_equal(shown.images, expected)
    unchanged = replace(shown, images=plain.images, warnings=plain.warnings)
    assert all(np.array_equal(getattr(unchanged, k), v) for k, v in vars(plain).items())


def test_names_are_written_on_plates_of_the_speakers_colours(scene, frames):
    boxes = scene_boxes(scene, frames)
    _, bare = BoxesDrawn(label=0).show(scene, frames)
    _, shown = BoxesDrawn().show(scene, frames)
    changed = (shown.images != bare.images).any(-1)
    for row in range(2):
        for frame in range(len(frames.times)):
            left, top, right, _ = boxes.xyxy[row, frame].round().astype(int)
            plate = shown.images[frame, : top + 20, left:right]
            assert (plate == COLOURS[row]).all(-1).sum() > 30  # the plate, above the box or in its upper edge
            assert changed[frame, : top + 20, left:right].any()
    assert len(set(COLOURS)) == 7


@pytest.mark.parametrize("box", [[-50, -40, 30, 40], [150, 60, 260, 140], [100.2, 50.1, 100.9, 50.8]])
def test_boxes_at_the_edge_and_tiny_ones(box):
    keyframes = [{"t": 0, "xyxy": box}]
    there = {"segments": [{"start": 0, "end": 9, "keyframes": keyframes}]}
    scene = Scene.from_dict({"video": "none.mp4", "speakers": {"A very long name indeed": there}})
    _, shown = BoxesDrawn().show(scene, blank())
    assert shown.images.shape == (4, 100, 200, 3) and (shown.images != 128).any((1, 2, 3)).all()


def test_what_cannot_be_drawn_as_it_should_is_told(monkeypatch):
    base = fonts.face("Ann")
    monkeypatch.setattr(fonts, "face", lambda _: base)  # no other font is installed
    _, shown = BoxesDrawn().show(moving("\u5f20\u4f1f"), blank())
    strange = "boxes-drawn: the labels of \u5f20\u4f1f lack letters that no installed font has"
    assert shown.warnings == ["boxes-drawn: the frames show boxes of \u5f20\u4f1f", strange]
    _, shown = BoxesDrawn().show(moving("Ann"), blank())
    assert shown.warnings == ["boxes-drawn: the frames show boxes of Ann"]
    speakers = {f"S{i}": moving().to_dict()["speakers"]["Ann"] for i in range(9)}
    _, shown = BoxesDrawn().show(Scene.from_dict({"video": "none.mp4", "speakers": speakers}), blank())
    assert shown.warnings[-1] == "boxes-drawn: 9 speakers share 7 colours"


@pytest.mark.parametrize(
    ("which", "line"),
    [
        ("first", "Ann (5, 20, 15, 60)."),
        ("mean", "Ann (10, 20, 20, 60)."),
        ("all", "at 0.0 s Ann (5, 20, 15, 60); at 1.0 s Ann (10, 20, 20, 60); at 2.0 s Ann (15, 20, 25, 60)."),
    ],
)
def test_boxes_are_told_in_percent(which, line):
    scene, frames = BoxesDescribed(frames=which).show(moving(), plain := blank())
    assert frames is plain
    (turn,) = scene.transcript
    assert (turn.speaker, turn.text, turn.start, turn.end) == (None, HEAD + line, None, None)


@pytest.mark.parametrize(("to", "which"), [(30, "mean"), (150, "mean"), (150, "first"), (150, "all")])
def test_a_mean_box_that_says_little_is_noted(to, which):
    """Ann moves by her width, and overlaps her mean in all frames; or by seven times that, and does not."""
    data = moving().to_dict()
    data["speakers"]["Ann"]["segments"][0]["keyframes"][1]["xyxy"] = [to, 20, to + 20, 60]
    settings, frames = BoxesDescribed(frames=which), blank()
    scene, _ = settings.show(Scene.from_dict(data), frames)
    notes = settings.bind([SimpleNamespace(scene=scene, frames=frames)], None).record()["notes"]
    said = (
        "each box is the mean of the frames that show its speaker, and those of Ann do not all overlap their mean;"
        " frames=all gives every frame"
    )
    assert notes[2:] == ([said] if (to, which) == (150, "mean") else [])


@pytest.fixture(scope="module", params=["boxes-drawn", "boxes-told"])
def both(request, loaded, scene, frames):
    """The correction, the plain prompt and the one that it shows."""
    settings = make(request.param)
    return settings, build_prompt(loaded, scene, frames), build_prompt(loaded, *settings.show(scene, frames))


def test_the_model_is_shown_something_else_and_no_attention_is_edited(loaded, both):
    settings, plain, prompt = both
    with torch.no_grad():
        before = loaded.model(**plain.inputs).logits[0, -1]
        after = loaded.model(**prompt.inputs).logits[0, -1]
        with corrected(loaded, prompt, [settings]) as running:
            assert torch.equal(loaded.model(**prompt.inputs).logits[0, -1], after)
    assert not torch.allclose(before, after, atol=1e-3)
    record = running[0].record()
    assert (record["method"], record["active"]) == (settings.method, [])
    assert record["params"] == settings.params() and record["notes"][0] == "no attention is changed"


def test_places_speakers_and_mentions_stay(both):
    """Words of speakers, numbers of turns, question and cells are the plain prompt's; the one new line is nobody's."""
    settings, plain, prompt = both
    columns = ["text", "role", "modality", "turn", "speaker", "frame_first", "x0", "y1", "covered:Ada", "covered:Ben"]
    kept = [
        tokens.loc[
            (tokens["modality"] == "visual") | (tokens["speaker"] != "") | (tokens["role"] == "question"), columns
        ]
        for tokens in (plain.tokens, prompt.tokens)
    ]
    assert kept[0].reset_index(drop=True).equals(kept[1].reset_index(drop=True))
    line = prompt.tokens[prompt.tokens["turn"] == len(plain.scene.transcript)]
    if settings.method == "boxes-drawn":
        assert line.empty and prompt.tokens.equals(plain.tokens)
    else:
        assert "".join(line["text"]).strip() == prompt.scene.transcript[-1].text
        assert set(line["speaker"]) == {""} and set(line["role"]) == {"transcript"}
    assert asked_speakers(prompt.scene) == asked_speakers(plain.scene) == ["Ada"]
    assert mentions(prompt.scene) == mentions(plain.scene)
    assert prompt.scene.speaker_names == plain.scene.speaker_names


def test_no_group_of_a_speaker_holds_the_line(both):
    """Masses, maps and all metrics are of these groups: those of speakers and of their turns keep their sizes."""
    sizes = []
    for prompt in both[1:]:
        keys, queries = key_groups(prompt.tokens, 0.5), query_groups(prompt.tokens)
        found = {
            name: int(m.sum()) for name, m in zip(keys.names, keys.member, strict=True) if ":A" in name or ":B" in name
        }
        found |= {name: int(m.sum()) for name, m in zip(queries.names, queries.member, strict=True)}
        sizes.append({name: size for name, size in found.items() if name != f"turn:{len(both[1].scene.transcript)}"})
    assert sizes[0] == sizes[1] and {"text:Ada", "visual:Ben", "speaker:Ada", "turn:0", "question"} <= sizes[0].keys()


@pytest.mark.parametrize("method", ["boxes-drawn", "boxes-told"])
def test_wrong_use_gives_one_line(loaded, scene, frames, method):
    settings, plain = make(method), build_prompt(loaded, scene, frames)
    with pytest.raises(RequestError) as caught:
        bind(loaded, plain, [settings])
    assert str(caught.value) == (
        f"{scene.video}: {method} changes what the model is shown, and this prompt was built without it;"
        " build it with attnscope.correct.prompted"
    )
    line = f"{method} needs a speaker with a box in a sampled frame, and there is none; {HOW_BOXES}"
    for bare in (
        scene.model_copy(update={"speakers": {}}),
        scene.model_copy(update={"speakers": {"Ada": Speaker(segments=[])}}),
    ):
        with pytest.raises(NotApplicableError) as caught:
            settings.show(bare, frames)
        assert str(caught.value) == f"{scene.video}: {line}"


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("boxes-drawn", {"line": 0.0}, "boxes-drawn.line=0.0: must be in (0, 0.2]"),
        ("boxes-drawn", {"label": 0.6}, "boxes-drawn.label=0.6: must be in [0, 0.5]"),
        ("boxes-told", {"frames": "last"}, 'boxes-told.frames="last": choose from mean, first, all'),
    ],
)
def test_parameters_out_of_range(method, fields, message):
    with pytest.raises(RequestError) as caught:
        make(method, **fields)
    assert str(caught.value) == message
