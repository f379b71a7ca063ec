"""The controls of a correction: what they change, what they leave, and that they can be written and applied."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import attnscope
from attnscope.correct import Controlled, Knockout, SocialBias, bind, recipe
from attnscope.correct.controls import ELSEWHERE, control, controls, left_out, slug
from attnscope.errors import RequestError
from attnscope.scene import Scene
from attnscope_cli import _choices
from tests.capture.eager import make_prompt
from tests.correct.by_hand import run

NAMES = [
    "wrong speaker",
    "all boxes",
    "all visual tokens",
    "random box",
    "lowest-g heads",
    "jittered boxes",
    "moved boxes",
    "missing boxes",
]
ANSWER = SocialBias(rows="answer", heads="0.1,2.3", strength="constant", alpha=2.0)
UTTERANCES = SocialBias(topk=3, layers="0-3", negative="gap")


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def prompt(loaded, drawn):
    return make_prompt(loaded, Scene.read(drawn).model_copy(update={"question": "What does Ada hold?"}))


@pytest.mark.parametrize("chosen", [ANSWER, UTTERANCES], ids=["answer", "utterances"])
def test_every_control_is_another_correction_that_can_be_applied(loaded, prompt, tmp_path, chosen):
    made = controls([chosen], seed=6)
    assert list(made) == NAMES and left_out([chosen]) == {}
    seen = [run(loaded, prompt.inputs, bind(loaded, prompt, [chosen]))[0]]
    for name, several in made.items():
        recipe.write(tmp_path / "c.json", several)
        assert recipe.read(tmp_path / "c.json") == several
        logits, _ = run(loaded, prompt.inputs, bind(loaded, prompt, several))
        assert not any(torch.equal(logits, other) for other in seen), name
        seen.append(logits)


def test_a_control_changes_what_it_is_about_alone():
    changed = {"wrong speaker": "whose", "all boxes": "whose", "all visual tokens": "whose", "random box": "whose seed"}
    changed |= {"jittered boxes": "box_jitter seed", "moved boxes": "box_shift seed", "missing boxes": "box_drop seed"}
    changed |= {"lowest-g heads": "heads topk layers lowest"}
    made = controls([ANSWER], jitter=0.2, shift=0.7, drop=0.3, seed=5)
    for name, (one,) in made.items():
        now, was = one.params(), Controlled(ANSWER).params()
        assert one.of.params().keys() == ANSWER.params().keys()
        assert {field for field in now if now[field] != was[field]} == set(changed[name].split())
    assert [made[name][0].seed for name in NAMES] == [0, 0, 0, 5, 0, 5, 5, 5]
    assert (made["jittered boxes"][0].box_jitter, made["missing boxes"][0].box_drop) == (0.2, 0.3)
    assert (made["moved boxes"][0].box_shift, made["lowest-g heads"][0].topk) == (0.7, 2)


def test_the_wrong_speaker_is_that_of_toward_other(loaded, prompt):
    (wrong,) = controls([ANSWER])["wrong speaker"]
    by_hand = replace(ANSWER, toward="other")
    logits = [run(loaded, prompt.inputs, bind(loaded, prompt, [one]))[0] for one in (wrong, by_hand)]
    assert torch.equal(*logits)


def test_other_corrections_of_a_chain_stay():
    knockout = Knockout(heads="1.1")
    made = controls([knockout, ANSWER])
    assert list(made) == NAMES
    assert all(several[0] == knockout and several[1] != ANSWER for several in made.values())


def test_what_makes_no_sense_is_left_out_and_why():
    reasons = left_out([Knockout(heads="1.1")])
    assert list(reasons) == NAMES and controls([Knockout(heads="1.1")]) == {}
    assert reasons["random box"] == "knockout: chooses nothing by speakers' boxes, or is this control already"
    assert reasons["lowest-g heads"] == "knockout: chooses nothing by heads, or is this control already"
    compared = replace(ANSWER, toward="everyone")
    assert left_out([compared])["wrong speaker"].startswith(
        'social-bias.whose="other": toward="everyone" says otherwise'
    )
    assert list(controls([compared])) == NAMES[4:]
    (wrong,) = controls([ANSWER])["wrong speaker"]
    assert list(left_out([wrong])) == ["wrong speaker"]


def test_one_control_by_its_name():
    made = controls([ANSWER])
    for name in ELSEWHERE:
        assert control([ANSWER], name) == control([ANSWER], slug(name)) == made[name]
    assert [slug(name) for name in ELSEWHERE] == list(_choices.CONTROLS)
    with pytest.raises(RequestError, match=r'control="moved-boxes": unknown; known: wrong-speaker, all-boxes'):
        control([ANSWER], "moved-boxes")  # worse boxes are no control in this sense
    with pytest.raises(RequestError, match=r"says otherwise for the answer; give one; these corrections have lowest-g"):
        control([replace(ANSWER, toward="everyone")], "wrong-speaker")
    with pytest.raises(RequestError, match=r"knockout: chooses nothing by heads, or is this control already$"):
        control([Knockout(heads="1.1")], "lowest-g-heads")
