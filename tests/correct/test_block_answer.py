"""`block.answer()`: the answer of a corrected run, and no answer of an uncorrected one."""

from __future__ import annotations

import pytest

import attnscope
from attnscope.correct import rerun
from attnscope.demo.scenes import write_scenes
from attnscope.demo.walkthrough import PEOPLE, SEED
from attnscope.errors import RequestError

DRAWN_TO_THE_ASKED = {
    "rows": "answer",
    "strength": "constant",
    "alpha": 8.0,
    "heads": "2.0,2.1,2.2,2.3,2.4,2.5,2.6,2.7",
}


@pytest.fixture(scope="module")
def model():
    return attnscope.load("roundtable", device="cpu")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    write_scenes(folder, count=1, seed=SEED, people=(PEOPLE,))
    return next((folder / "scenes").glob("*-target.json"))


@pytest.mark.slow
def test_it_is_the_answer_that_a_rerun_stores(model, scene, tmp_path):
    correction = attnscope.SocialBias(**DRAWN_TO_THE_ASKED)
    attnscope.capture(model, scene, tmp_path / "before.h5").close()
    rerun(tmp_path / "before.h5", [correction], tmp_path / "after.h5").close()
    with attnscope.open(tmp_path / "before.h5") as before, attnscope.open(tmp_path / "after.h5") as after:
        plain, corrected = before.answer["text"], after.answer["text"]
    assert plain != corrected
    with attnscope.corrected(model, scene, [correction]) as block:
        assert block.answer() == corrected
        assert [record["runs"] for record in block.records()] == [1]


def test_a_block_that_was_left_answers_nothing(model, scene):
    with attnscope.corrected(model, scene, [attnscope.SocialBias(**DRAWN_TO_THE_ASKED)]) as block:
        with pytest.raises(RequestError, match=r"prompt=1: the prompts of the block are 0-0"):
            block.answer(1)
        with pytest.raises(RequestError, match="must be at least 1"):
            block.answer(max_new_tokens=0)
    with pytest.raises(RequestError, match="the model would answer without corrections"):
        block.answer()
