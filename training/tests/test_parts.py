"""The parts of a training: whitened features, what is saved, the schedule, the curve."""

from __future__ import annotations

import json
import math
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attnscope.demo.questions import TASKS, questions
from attnscope.demo.script import ClipSampler
from training.build import build, save
from training.language import Lesson, choose, for_glances, for_whole_clips
from training.packing import IGNORED, WAYS
from training.pixels import LABELS, SLOTS, TOKENS, labels
from training.pool import SCALE, Seen, see, turns_of, whiten
from training.state import Curve, Optimisation, schedule
from training.tower import Heads, accuracy_of, draw_batch, loss_of, noisy, with_free_arms
from training.waypoints import Waypoints

Models = tuple[Any, Any]


def covariance(x: torch.Tensor) -> torch.Tensor:
    return torch.cov(x.double().T, correction=0)


@torch.no_grad()
def test_whitened_features_have_mean_0_and_one_variance(untrained: Models) -> None:
    model = deepcopy(untrained[0])
    last = model.model.visual.merger.mlp[2]
    inputs = torch.randn(3000, last.in_features, generator=torch.Generator().manual_seed(0)) + 0.5
    before = last(inputs)
    assert before.mean(0).abs().max() > 0.1
    whiten(model, before)
    after = last(inputs)
    size = len(after[0])
    assert after.mean(0).abs().max() < 1e-5
    assert torch.allclose(covariance(after), SCALE**2 * torch.eye(size, dtype=torch.float64), atol=1e-6)


@torch.no_grad()
def test_faint_directions_are_not_blown_up(untrained: Models) -> None:
    model = deepcopy(untrained[0])
    last = model.model.visual.merger.mlp[2]
    inputs = torch.randn(3000, last.in_features, generator=torch.Generator().manual_seed(0))
    last.weight[0] *= 1e-4
    whiten(model, last(inputs))
    variances = covariance(last(inputs)).diagonal()
    assert variances[0] < 0.01 * SCALE**2
    assert torch.allclose(variances[1:], torch.tensor(SCALE**2, dtype=torch.float64), rtol=0.01)


def test_whitening_changes_the_last_layer_alone(untrained: Models) -> None:
    model = deepcopy(untrained[0])
    stage = ClipSampler("train", 3)
    seen = see(model, untrained[1], [stage.clip(2), stage.clip(0)], torch.Generator().manual_seed(0))
    assert [one.tokens.shape for one in seen] == [(SLOTS * TOKENS, 128)] * 2
    whiten(model, torch.cat([one.tokens for one in seen]))
    before, after = untrained[0].state_dict(), model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"model.visual.merger.mlp.2.weight", "model.visual.merger.mlp.2.bias"}


def test_a_seed_builds_the_same_weights(untrained: Models) -> None:
    same, other = build(0)[0].state_dict(), build(1)[0].state_dict()
    wanted = untrained[0].state_dict()
    assert all(torch.equal(same[name], wanted[name]) for name in wanted)
    matrices = [name for name in wanted if wanted[name].ndim > 1]
    assert not any(torch.equal(other[name], wanted[name]) for name in matrices)


@torch.no_grad()
def test_saved_weights_are_those_in_float16_and_load_as_float32(untrained: Models, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = deepcopy(untrained[0])
    ids = torch.arange(20)[None]
    before = model(input_ids=ids).logits
    save(model, untrained[1], tmp_path)
    assert torch.equal(model(input_ids=ids).logits, before)  # it is left as it was
    loaded, processor = (auto.from_pretrained(tmp_path) for auto in (AutoModelForImageTextToText, AutoProcessor))
    found, wanted = loaded.state_dict(), untrained[0].state_dict()
    assert set(found) == set(wanted)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(torch.equal(found[name], wanted[name].half().float()) for name in wanted)
    assert type(processor).__name__ == "Qwen2_5_VLProcessor"
    text = "Ada: can you hear me?\n\nWho is Ada talking to?"
    assert processor.tokenizer(text)["input_ids"] == untrained[1].tokenizer(text)["input_ids"]
    assert '"float16"' not in (tmp_path / "config.json").read_text()
    assert (tmp_path / "model.safetensors").stat().st_size < 2.1 * sum(value.numel() for value in wanted.values())
    sizes = json.loads((tmp_path / "processor_config.json").read_text())["video_processor"]["size"]
    assert sizes == {"shortest_edge": 16**2, "longest_edge": 96**2}


@pytest.mark.parametrize("options", [True, False])
def test_questions_are_chosen_without_repeats(options: bool) -> None:
    rng, stage = np.random.default_rng(0), ClipSampler("train", 8)
    tasks = set()
    for number in range(60):
        clip = stage.clip(number % 7)
        every = questions(clip)
        chosen = choose(clip, rng, 4, options=options)
        assert len(chosen) == len({question.text for question, _ in chosen}) == min(4, len(every))
        assert all(question in every and bool(shown) == options for question, shown in chosen)
        assert all(question.answer in shown for question, shown in chosen if options)
        tasks |= {question.task for question, _ in chosen}
    assert tasks == set(TASKS)


def test_a_tower_batch_has_labels_of_its_frames() -> None:
    frames, wanted = draw_batch(ClipSampler("train", 1), (0, 3), 4)
    assert (frames.dtype, wanted.dtype) == (torch.uint8, torch.int64)
    assert frames.shape == (4, 2, 96, 96, 3) and wanted.shape == (4, TOKENS, len(LABELS))
    grainy = noisy(frames, torch.Generator().manual_seed(0))
    assert 0.5 < (grainy - frames).abs().mean() < 30 and 0 <= grainy.min() <= grainy.max() <= 255


def test_loss_and_accuracy_of_perfect_and_of_wrong_labels() -> None:
    wanted = draw_batch(ClipSampler("train", 1), (3,), 3)[1]
    wanted[0, 0, 5:] = 1  # all labels occur
    sizes = list(LABELS.values())
    perfect = [nn.functional.one_hot(wanted[..., i], size).float() * 50 for i, size in enumerate(sizes)]
    wrong = [scores.roll(1, -1) for scores in perfect]
    assert loss_of(perfect, wanted) < 1e-6 < 10 < loss_of(wrong, wanted)
    assert accuracy_of(perfect, wanted) == dict.fromkeys(LABELS, 1.0)
    assert accuracy_of(wrong, wanted) == dict.fromkeys(LABELS, 0.0)
    logits = Heads()(torch.zeros(2, TOKENS, 128))
    assert [tuple(scores.shape) for scores in logits] == [(2, TOKENS, size) for size in sizes]


def test_the_rate_rises_then_falls() -> None:
    rates = [schedule(step, 200) for step in range(201)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and rates[200] == pytest.approx(0.02)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert schedule(0, 1) == 1


def test_optimisation_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    def begin() -> tuple[nn.Linear, Optimisation]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 1)
        return layer, Optimisation({"layer": layer}, 0.1, 6)

    def go_on(layer: nn.Linear, work: Optimisation, until: int) -> None:
        while work.step < until:
            work.update((layer(torch.full((1, 3), float(work.step + 1))) ** 2).sum())

    layer, work = begin()
    assert not work.restore(tmp_path / "state.pt")
    go_on(layer, work, 3)
    work.save(tmp_path / "state.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    go_on(layer, work, 6)
    again, later = begin()
    assert later.restore(tmp_path / "state.pt") and later.step == 3
    go_on(again, later, 6)
    assert torch.equal(layer.weight, again.weight) and torch.equal(layer.bias, again.bias)
    assert not torch.equal(layer.weight, begin()[0].weight)


def test_the_curve_of_an_interrupted_training_has_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    assert Curve(path).rows() == []
    first = Curve(path)
    for step, loss in ((50, 3.0), (100, 2.0), (150, 1.0)):
        first.add("tower", step, loss, {"name": 0.5, "seat": 0.25})
    second = Curve(path)
    second.add("tower", 150, 1.0, {"name": 0.5, "seat": 0.25})  # its state was of step 100
    second.add("language", 50, 4.0, {"answers": 1.0})
    rows = second.rows()
    assert [(row["stage"], row["step"], row["loss"]) for row in rows] == [
        ("tower", "50", "3.0000"),
        ("tower", "100", "2.0000"),
        ("tower", "150", "1.0000"),
        ("language", "50", "4.0000"),
    ]
    assert rows[0]["accuracy"] == "name=0.500 seat=0.250"
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


def test_free_arms_point_at_empty_seats_too_but_never_at_oneself() -> None:
    stage, seats, taken = ClipSampler("train", 5), Counter[int](), 0
    for _ in range(80):
        clip = stage.clip(2)
        free = with_free_arms(clip, stage.rng)
        here = {person.seat for person in clip.people}
        for before, person in zip(clip.people, free.people, strict=True):
            (seat,) = set(person.points_at)
            assert seat != person.seat and replace(person, points_at=before.points_at) == before
            seats[seat] += 1
            taken += seat in here
        assert free.turns == clip.turns
    assert set(seats) == set(range(-1, 8)) and 0 < taken < 40  # one seat in seven is taken
    assert 20 < seats[-1] < 45


def test_turns_are_counted_where_the_speaker_is_seen() -> None:
    clip = ClipSampler("train", 6).clip(3, turns=3)
    found = turns_of(clip).reshape(SLOTS, TOKENS)
    for slot in range(SLOTS):
        (number,) = (n for n, turn in enumerate(clip.turns, 1) if turn.start <= 2 * slot < turn.end)
        shown = labels(clip, slot)
        speaker = clip.people[clip.turns[number - 1].speaker]
        assert set(found[slot].tolist()) == {0, number}
        assert ((found[slot] > 0).numpy() == (shown[:, 0] == speaker.who + 1)).all()


@torch.no_grad()
def test_waypoints_are_scored_where_they_are_known() -> None:
    head = Waypoints()
    nn.init.zeros_(head.place.weight), nn.init.zeros_(head.turn.weight), nn.init.zeros_(head.turn.bias)
    head.place.bias.copy_(50 * nn.functional.one_hot(torch.tensor([2, 5, 1]), 8).flatten())
    states, places = torch.randn(1, 4, 128), torch.full((1, 4, WAYS), IGNORED)
    # four values, each as likely; without a speaker in sight, half the weight
    assert float(head.turn_loss(states[0, :2], torch.tensor([[0, 3]]))) == pytest.approx(math.log(4))
    assert float(head.turn_loss(states[0, :2], torch.tensor([[0, 0]]))) == pytest.approx(math.log(4) / 2)
    assert float(head.place_loss(states, places)) == 0
    places[0, 3] = torch.tensor([2, IGNORED, 1])
    assert float(head.place_loss(states, places)) == pytest.approx(0, abs=1e-6)
    places[0, 3, 1] = 4
    assert float(head.place_loss(states, places)) == pytest.approx(50 / 3, abs=1e-3)


def test_lessons_weigh_clips() -> None:
    stage = ClipSampler("train", 9)
    assert [for_glances(stage.clip(people)) for people in range(5)] == [2, 0.5, 0.5, 1, 1]
    weights = {(t, n): for_whole_clips(stage.clip(3, turns=t, named=n)) for t in (1, 2) for n in (True, False)}
    assert weights == {(1, True): 1, (1, False): 1, (2, True): 1, (2, False): 4}
    assert for_whole_clips(stage.clip(1)) == 0.5
    alone = {len(clip.picture.things): for_whole_clips(clip) for clip in (stage.clip(0) for _ in range(20))}
    assert alone == {1: 0.5, 2: 2, 3: 3}
    lesson = Lesson("x", SLOTS, 1, batch=1, rate=1.0, shown=0.0, weigh=for_glances)
    seen = [Seen(stage.clip(people), torch.zeros(0), torch.zeros(0)) for people in (0, 1, 3, 3)]
    assert lesson.chances(seen).tolist() == pytest.approx([2 / 4.5, 0.5 / 4.5, 1 / 4.5, 1 / 4.5])
