"""What the models are trained on is what users send: the processor's pixels, the prompt's tokens and positions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnscope.demo.cast import FPS, FRAMES, SLOT
from attnscope.demo.film import write_film
from attnscope.demo.questions import Question, questions, shown_options
from attnscope.demo.scenes import MOTION, SCALE, scene_of
from attnscope.demo.script import Clip, ClipSampler
from attnscope.model import build_prompt, load
from attnscope.model.prompt import Prompt, option_ids
from attnscope.scene import Frames, Scene, read_scene_frames
from training.packing import IGNORED, Packed, Packer
from training.pixels import LABELS, SLOTS, TOKENS, draw_slots, grid, labels, patches

Models = tuple[Any, Any]


def clips() -> dict[str, Clip]:
    stage = ClipSampler("train", 11)
    return {
        "things": stage.clip(0),
        "named": stage.clip(3, turns=1, named=True),
        "hidden": stage.clip(2, turns=2, named=False),
        "three turns": stage.clip(5, turns=3, named=True),
        "alone": stage.clip(1, turns=2, named=False),
    }


CLIPS = clips()


@pytest.fixture(scope="module")
def packer(untrained: Models) -> Packer:
    return Packer(*untrained)


@pytest.fixture(scope="module")
def loaded(untrained_folder: Path) -> Any:
    return load(untrained_folder, device="cpu")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film as long as all of them; token ids do not depend on what it shows."""
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    grey = np.full((96 * SCALE, 96 * SCALE, 3), 128, dtype=np.uint8)
    write_film(path, [grey] * (FRAMES * MOTION), round(FPS) * MOTION)
    return path


@pytest.fixture(scope="module")
def prompt_of(loaded: Any, film: Path) -> Callable[[Clip, Question, tuple[str, ...]], Prompt]:
    """The prompt of a question, by way of a scene file."""
    frames: list[Frames] = []

    def build(clip: Clip, question: Question, options: tuple[str, ...]) -> Prompt:
        path = film.with_name("scene.json")
        path.write_text(json.dumps(scene_of(clip, question, options, film.name, "train")), encoding="utf-8")
        scene = Scene.read(path)
        if not frames:
            frames.append(read_scene_frames(scene))
        return build_prompt(loaded, scene, frames[0])

    return build


def test_patches_are_those_of_the_video_processor(untrained: Models) -> None:
    processor = untrained[1]
    clip = CLIPS["named"]
    slots = draw_slots(clip, range(SLOTS))
    frames = slots.reshape(FRAMES, 96, 96, 3)
    real = processor.video_processor(videos=[frames], do_sample_frames=False, return_tensors="pt")
    assert torch.equal(real["video_grid_thw"], grid(SLOTS))
    assert torch.allclose(patches(torch.from_numpy(slots), processor), real["pixel_values_videos"], atol=1e-5, rtol=0)


def test_slots_are_pairs_of_frames_in_any_order() -> None:
    every = draw_slots(CLIPS["named"], range(SLOTS))
    assert every.shape == (SLOTS, SLOT, 96, 96, 3)
    assert np.array_equal(draw_slots(CLIPS["named"], [2, 0]), every[[2, 0]])
    assert not np.array_equal(every[0], every[1])


@pytest.mark.parametrize("name", CLIPS)
def test_labels_tell_who_and_what_is_there(name: str) -> None:
    clip = CLIPS[name]
    for slot in range(SLOTS):
        found = labels(clip, slot)
        assert found.shape == (TOKENS, len(LABELS))
        assert (found >= 0).all() and (found < list(LABELS.values())).all()
        frame = slot * SLOT
        people = {
            (p.who + 1, p.seat + 1, p.points_at[frame] + 1, 1 + any(p.mouth[frame : frame + SLOT]), p.cup + 1)
            for p in clip.people
        }
        things = {(thing.kind + 1, thing.colour + 1): (thing.x, thing.y) for thing in clip.picture.things}
        assert {tuple(row) for row in found[:, :5].tolist()} == {(0,) * 5, *people}
        lying = {tuple(row) for row in found[:, 5:].tolist()}
        assert lying <= {(0, 0), *things}
        # what lies where four tokens meet fills none of them
        assert {shown for shown, at in things.items() if min(abs((x + 8) % 16 - 8) for x in at) > 5} <= lying


def test_labels_lie_where_people_sit() -> None:
    clip = CLIPS["three turns"]
    places = np.argwhere(labels(clip, 0)[:, 0].reshape(6, 6) > 0)
    assert len(places)
    for row, column in places:
        who = labels(clip, 0)[row * 6 + column, 0] - 1
        (person,) = (p for p in clip.people if p.who == who)
        assert abs(column * 16 + 8 - person.x) < 11 + 8 and abs(row * 16 + 8 - person.y) < 13 + 8


@pytest.mark.parametrize("shown", [True, False], ids=["options", "no options"])
@pytest.mark.parametrize("name", CLIPS)
def test_tokens_and_positions_are_those_of_prompts(
    name: str, shown: bool, packer: Packer, loaded: Any, prompt_of: Callable[..., Prompt]
) -> None:
    clip, rng = CLIPS[name], np.random.default_rng(1)
    picked = {question.task: question for question in questions(clip)}.values()  # one of each task
    asked = [(question, shown_options(question, rng) if shown else ()) for question in picked]
    packed = packer.pack([clip], [asked])
    p, s = packed.layout.prefix, packed.layout.length
    for number, (question, options) in enumerate(asked):
        prompt = prompt_of(clip, question, options)
        inputs = prompt.inputs
        answer = option_ids(loaded, prompt, question.answer)
        wanted = [*inputs["input_ids"][0].tolist(), *answer]
        own = slice(p + number * s, p + number * s + len(wanted) - p)
        assert [*packed.ids[0, :p].tolist(), *packed.ids[0, own].tolist()] == wanted, prompt.text
        assert not packed.ids[0, own.stop : p + (number + 1) * s].any()
        positions, _ = loaded.model.model.get_rope_index(
            inputs["input_ids"],
            inputs["mm_token_type_ids"],
            video_grid_thw=inputs["video_grid_thw"],
            second_per_grid_ts=inputs["second_per_grid_ts"],
        )
        length = positions.shape[-1]
        found = torch.cat([packed.positions[:, 0, :p], packed.positions[:, 0, own]], 1)
        assert torch.equal(found[:, :length], positions[:, 0])
        assert torch.equal(found[:, length:], positions[:, 0, -1:] + torch.arange(1, len(answer) + 1))


def test_the_target_after_a_question_is_its_answer_then_the_end(packer: Packer) -> None:
    asked = [(question, question.options) for question in questions(CLIPS["named"])]
    packed = packer.pack([CLIPS["named"]], [asked])
    at = torch.nonzero(packed.targets[0] != IGNORED)[:, 0].tolist()
    said = [packer.tokenizer.decode(packed.targets[0, i]) for i in at]
    assert said == [word for question, _ in asked for word in (question.answer, "<|im_end|>")]
    for before, after in zip(at[::2], at[1::2], strict=True):
        assert packer.tokenizer.decode(packed.ids[0, before - 2 : before + 1]) == "<|im_start|>assistant\n"
        assert after == before + 1 and packed.ids[0, after] == packed.targets[0, before]


def test_a_batch_is_its_clips_side_by_side(packer: Packer) -> None:
    some, other = CLIPS["three turns"], CLIPS["things"]
    asked = [[(q, ()) for q in questions(clip)[:count]] for clip, count in ((some, 3), (other, 2))]
    both = packer.pack([some, other], asked)
    assert both.ids.shape == (2, both.layout.prefix + 3 * both.layout.length)
    assert both.positions.shape == (3, *both.ids.shape)
    for row, clip in enumerate((some, other)):
        alone = packer.pack([clip], [asked[row]])
        p, s = alone.layout.prefix, alone.layout.length
        assert both.layout.real[row].tolist() == [True] * p + [False] * (both.layout.prefix - p)
        for name in ("ids", "positions", "targets"):
            found, wanted = (getattr(packed, name)[..., i, :] for packed, i in ((both, row), (alone, 0)))
            assert torch.equal(found[..., :p], wanted[..., :p])
            for number in range(len(asked[row])):
                start = both.layout.prefix + number * both.layout.length
                assert torch.equal(found[..., start : start + s], wanted[..., p + number * s :][..., :s])
    last = both.targets[1, both.layout.prefix + 2 * both.layout.length :]
    assert (last == IGNORED).all()  # the second clip has two questions


def test_a_prompt_of_one_slot_lacks_the_other_visual_tokens(packer: Packer, untrained: Models) -> None:
    clip = CLIPS["hidden"].at_slot(2)
    asked = [(question, question.options) for question in questions(clip)]
    whole, glance = (one.pack([clip], [asked]) for one in (packer, Packer(*untrained, 1)))
    fewer = (SLOTS - 1) * TOKENS
    assert glance.layout.prefix == whole.layout.prefix - fewer
    at = packer.head.index(packer.video) + TOKENS
    for name in ("ids", "targets"):
        found, wanted = (getattr(packed, name)[0].tolist() for packed in (glance, whole))
        assert found == wanted[:at] + wanted[at + fewer :]
    assert torch.equal(glance.positions[:, 0, :at], whole.positions[:, 0, :at])
    assert glance.positions[:, 0, at].tolist() == [int(glance.positions[:, 0, :at].max()) + 1] * 3


def test_to_moves_every_tensor(packer: Packer) -> None:
    packed: Packed = packer.pack([CLIPS["things"]], [[(questions(CLIPS["things"])[0], ())]]).to("meta")
    tensors = (packed.ids, packed.positions, packed.targets, packed.layout.real)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_every_word_of_a_prompt_is_one_token(untrained: Models, packer: Packer) -> None:
    tokenizer = untrained[1].tokenizer
    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    stage = ClipSampler("test", 3)
    words: set[str] = set()
    for number in range(150):
        clip = stage.clip(number % 7)
        for question in questions(clip):
            text, _ = packer.question(question, shown_options(question, stage.rng))
            prompt = tokenizer.decode([*packer.head, *packer.transcript(clip), *text])
            for part in re.split(r"<\|\w+\|>", prompt):
                words |= {word for word, _ in split(part) if re.search(r"[a-z]", word)}
    assert {"Ada", "ĠAda", "you", "someone", "Ġthree", "Ġpurple"} <= words
    pieces = {word: tokenizer.backend_tokenizer.model.tokenize(word) for word in words}
    assert {word: [piece.value for piece in found] for word, found in pieces.items() if len(found) != 1} == {}
