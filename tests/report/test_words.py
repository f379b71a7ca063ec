"""The scene of a capture on a page without script: words and how much each looks at the video, frames, time line."""

from __future__ import annotations

import numpy as np
import pytest

import attnscope
from attnscope.report.page.words import STEPS, on_video, stage_page


@pytest.fixture(scope="module")
def shown(before):
    with attnscope.open(before) as cap:
        yield cap, stage_page(cap)


def test_the_share_of_a_word_is_the_captures_own(shown):
    cap, page = shown
    masses = cap.masses().sel(key_group="modality:visual").mean(["layer", "head"])
    shares = on_video(cap)
    assert np.isfinite(shares).sum() == masses.sizes["query"]
    assert shares[masses.coords["query"].to_numpy()] == pytest.approx(masses.to_numpy(), abs=1e-6)
    tokens = cap.tokens
    for number, line in enumerate(page["words"][: len(cap.scene.transcript)]):
        own = np.flatnonzero((tokens["turn"] == number) & (tokens["modality"] == "text"))
        told = "".join(word["text"] for word in line["words"])
        assert told == "".join("".join(tokens["text"].iloc[own]).split())
        assert line["speaker"] == cap.scene.transcript[number].speaker
        if len(line["words"]) == len(own):
            assert [word["share"] for word in line["words"]] == pytest.approx(shares[own].tolist())


def test_shades_go_with_shares(shown):
    _, page = shown
    words = [word for line in page["words"] for word in line["words"] if word["share"] is not None]
    words.sort(key=lambda word: word["share"])
    steps = [word["step"] for word in words]
    assert steps == sorted(steps) and (steps[0], steps[-1]) == (1, STEPS)
    assert len(page["legend"]) == STEPS


def test_frames_boxes_and_turns_are_the_scenes(shown):
    cap, page = shown
    assert [frame["number"] for frame in page["frames"]] == list(range(len(cap.frames.times)))
    assert {box["name"] for frame in page["frames"] for box in frame["boxes"]} == set(cap.scene.speakers)
    lanes = {lane["name"]: lane for lane in page["line"]["lanes"]}
    said = [turn.speaker for turn in cap.scene.transcript]
    assert {name: len(lane["turns"]) for name, lane in lanes.items() if lane["turns"]} == {
        n: said.count(n) for n in said
    }
    assert page["prompt"] == cap.prompt_text


def test_what_was_not_read_has_no_share(shown, monkeypatch):
    cap, _ = shown
    monkeypatch.setattr(type(cap), "has", lambda *_: False)
    page = stage_page(cap)
    assert page["legend"] == []
    assert {word["share"] for line in page["words"] for word in line["words"]} == {None}
    assert {word["step"] for line in page["words"] for word in line["words"]} == {None}
