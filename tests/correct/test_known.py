"""What corrections look at first is taken from a plain capture of the prompt: the numbers of a run, and no run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import attnscope
from attnscope.attention import decoder_blocks
from attnscope.correct import AdaptVis, BoxesDrawn, SocialBias, bind, corrected, rerun
from attnscope.correct.apply import binding
from attnscope.correct.apply.known import Captured
from attnscope.correct.apply.source import Recorded
from attnscope.correct.heads.scores import ActiveScores, LocalizationScores, Pairs
from attnscope.correct.look import ANSWER, MAPS, RUN, STORED
from attnscope.correct.social.rows import draw
from attnscope.errors import RequestError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.support.clip import render_clip

RULES = {
    "words": {"topk": 3},
    "answer": {"rows": "answer", "topk": 2, "layers": "1-2"},
    "all rows": {"rows": "utterances,answer", "quantile": 0.8, "layers": "0.0-1.0"},
    "localization": {"by": "localization", "layers": "0.0-1.0"},
    "lowest": {"topk": 3, "lowest": True},
}
PLANS = {"qk": attnscope.Plan(maps=False, stats=False, qk=True), "maps": attnscope.Plan()}


@pytest.fixture(scope="module", params=["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def made(request, checkpoint, tmp_path_factory):
    """A model, a prompt of it, and plain captures of that prompt by name of the plan."""
    folder = tmp_path_factory.mktemp("known")
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype=request.param)
    scene = Scene.read(render_clip(folder / "clip")).model_copy(update={"question": "Who does Ada ask?"})
    paths = {name: folder / f"{name}.h5" for name in PLANS}
    for name, path in paths.items():
        attnscope.capture(loaded, scene, path, plan=PLANS[name], max_new_tokens=1, verify=False).close()
    return loaded, Recorded.read(paths["qk"], to="correct").prompt(loaded, logits=False), paths


def no_run(monkeypatch):
    def refuse(*_args):
        raise AssertionError("the plain model was run")

    monkeypatch.setattr(binding, "_scout", refuse)


@pytest.mark.parametrize("plan", PLANS)
def test_scores_are_those_of_a_run(made, plan):
    """In half precision recording itself moves what deeper layers are given by its rounding, 2^-8."""
    loaded, prompt, paths = made
    known = Captured.of(Recorded.read(paths[plan], to="correct"), loaded, prompt)
    exact = loaded.model.dtype == torch.float32
    targets, layers = draw(prompt, SocialBias(rows="utterances,answer")), [0, 1, 2, 3]
    decoder = binding._decoder(loaded, lambda edits: binding._scout(loaded, [prompt], edits))
    for kind in (ActiveScores, LocalizationScores):
        pairs = [Pairs(targets.rows, targets.visual)]
        stored, ran = kind([prompt], layers, pairs), kind([prompt], layers, pairs)
        with torch.no_grad():
            assert (
                replace(decoder, known=known).look("x", [stored], layers).source == {"qk": STORED, "maps": MAPS}[plan]
            )
            assert decoder.look("x", [ran], layers).source == RUN
        one, two = stored.of(0), ran.of(0)
        assert stored.places == ran.places and (one.sees == two.sees).all()
        np.testing.assert_allclose(one.value, two.value, rtol=1e-5 if exact else 0.05, atol=0)
        if exact:
            assert one.rank.tolist() == two.rank.tolist()
    (mine, answer), (theirs, run) = replace(decoder, known=known).confidence("x"), decoder.confidence("x")
    assert mine == pytest.approx(theirs, rel=1e-5 if exact else 0.05)
    assert (answer, run) == (ANSWER, RUN)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_same_heads_without_a_run(made, monkeypatch, rule):
    loaded, prompt, paths = made
    exact = loaded.model.dtype == torch.float32  # else heads next to each other may change places
    (ran,) = bind(loaded, prompt, [SocialBias(**rule)])
    no_run(monkeypatch)
    for plan, source in (("qk", STORED), ("maps", MAPS)):
        (stored,) = bind(loaded, prompt, [SocialBias(**rule)], plain=paths[plan])
        assert stored.choices[0].note.endswith(f"; scores: from {source}")
        counts = [sum(map(len, chosen.heads.values())) for chosen in (stored.choices[0], ran.choices[0])]
        assert counts[0] == counts[1] > 0
        if exact:
            assert stored.choices[0].heads == ran.choices[0].heads
            assert stored.choices[0].note == ran.choices[0].note.replace(RUN, source)


@pytest.mark.slow
def test_a_repeated_capture_runs_the_plain_model_for_nothing_but_its_check(made, monkeypatch, tmp_path):
    loaded, prompt, paths = made
    corrections = [SocialBias(topk=2), AdaptVis(confidence=0.0)]
    ran = [running.record() for running in bind(loaded, prompt, corrections)]
    no_run(monkeypatch)
    for plan, source in (("qk", STORED), ("maps", MAPS)):
        with rerun(paths[plan], corrections, tmp_path / f"{plan}.h5", model=loaded) as after:
            notes = [note for record in after.correction for note in record["notes"]]
        assert [note.split("scores: from ")[1] for note in notes if "scores: from" in note] == [source, ANSWER]
    assert sum("scores: from a run" in note for record in ran for note in record["notes"]) == 2


def test_a_block_takes_what_a_capture_knows(made, monkeypatch):
    loaded, prompt, paths = made
    answers = []
    for plain in ((), paths["qk"]):
        with corrected(loaded, prompt, [SocialBias(topk=2), AdaptVis()], plain=plain) as block:
            answers.append(block.answer(max_new_tokens=2))
        if not plain:
            no_run(monkeypatch)
    assert answers[0] == answers[1]


def test_what_is_not_certainly_the_same_is_run(made, caplog):
    loaded, prompt, paths = made
    caplog.set_level("INFO", "attnscope")
    recorded = Recorded.read(paths["qk"], to="correct")
    other = {
        "weights": {"weights": None},
        "dtype": {"dtype": "float64", "weights": recorded.model["weights"]},
        "attention": {"attention": "eager"},
        "versions": {"versions": recorded.model["versions"] | {"torch": "2.0"}},
    }
    for name, change in other.items():
        caplog.clear()
        assert Captured.of(replace(recorded, model=recorded.model | change), loaded, prompt) is None
        assert f"its scores are not taken, because its {name} may be another" in caplog.text
    marked = replace(prompt, frames=replace(prompt.frames, images=prompt.frames.images.copy()))
    marked.frames.images[0, :8, :8] = 255  # as a box that is drawn: too little for a comparison of lossy frames
    recorded.check(marked)
    assert Captured.of(recorded, loaded, marked) is None
    assert Captured.of(replace(recorded, answer={}), loaded, prompt).confidence is None


def test_what_a_capture_does_not_hold_is_run(made, tmp_path):
    loaded, prompt, _ = made
    scene = prompt.scene
    plans = {
        "rounded": attnscope.Plan(maps_dtype="float16"),
        "few": attnscope.Plan(qk=True, layers="1"),
        "masses": attnscope.Plan(maps=False),
    }
    for name, plan in plans.items():
        attnscope.capture(loaded, scene, tmp_path / f"{name}.h5", plan=plan, max_new_tokens=1, verify=False).close()
        (running,) = bind(loaded, prompt, [SocialBias(topk=2)], plain=tmp_path / f"{name}.h5")
        assert running.choices[0].note.endswith(f"scores: from {RUN}")


def test_another_prompt_is_refused(made, drawn):
    loaded, prompt, paths = made
    with pytest.raises(RequestError, match="the prompt is no longer the one captured"):
        bind(loaded, make_prompt(loaded, drawn), [SocialBias(topk=2)], plain=paths["qk"])
    with pytest.raises(RequestError, match="is a capture of one prompt, and corrections are bound to 2"):
        bind(loaded, [prompt, prompt], [SocialBias(topk=2)], plain=paths["qk"])
    with (
        pytest.raises(RequestError, match="is of what the plain model is shown, which boxes-drawn changes"),
        corrected(loaded, prompt.scene, [BoxesDrawn(), SocialBias(topk=2)], plain=[paths["qk"]]),
    ):
        pass


def test_a_run_ends_after_the_last_layer_that_is_looked_at(made):
    loaded, prompt, _ = made
    ran = list[int]()
    blocks = decoder_blocks(loaded.model)
    hooks = [
        block.register_forward_hook(lambda *_, number=number: ran.append(number)) for number, block in enumerate(blocks)
    ]
    try:
        (few,) = bind(loaded, prompt, [SocialBias(topk=2, layers="1-2")])
        assert ran == [0, 1]  # of layer 2, queries and keys alone are needed
        ran.clear()
        with corrected(loaded, prompt, SocialBias(topk=2, layers="1-2")) as block:
            block.answer(max_new_tokens=1)
            assert ran == [0, 1, 0, 1, 2, 3]
            assert block.records()[0]["corrections"][0]["notes"][0] == few.choices[0].note
        ran.clear()
        bind(loaded, prompt, [AdaptVis()])
        assert ran == [0, 1, 2, 3]
    finally:
        for hook in hooks:
            hook.remove()
