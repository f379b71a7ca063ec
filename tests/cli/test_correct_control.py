"""`--control` of `correct` and `compare`: a third run, beside the correction on one page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import attnscope
from attnscope.correct import Controlled, SocialBias, read_corrections
from tests.cli.conftest import Ran

pytestmark = pytest.mark.usefixtures("here")

HOW = (
    "--method",
    "social-bias",
    "--set",
    "threshold=0",
    "--layers",
    "0-3",
    "--model",
    "model",
    "--no-verify",
    "--quiet",
)


@pytest.mark.slow
def test_a_control_is_run_and_shown_beside_the_correction(cli: Callable[..., Ran]) -> None:
    ran = cli("correct", "run.h5", *HOW, "--control", "wrong-speaker", "-o", "out", "--json")
    assert (ran.code, ran.err) == (0, ""), ran.err
    found = json.loads(ran.out)
    assert found["control"]["capture"] == "out/control.h5"
    assert [one["name"] for one in found["control"]["differs_in"]] == ["whose"]
    assert len(found["control"]["active_heads"]) == len(found["active_heads"]) > 0
    assert found["verdict"]["facts"]["belief"] in ("supported", "contradicted", "weakened", "nothing to believe")
    correction = SocialBias(threshold=0.0, layers="0-3")
    assert read_corrections("out/correction.json") == [correction]
    assert read_corrections("out/control.correction.json") == [Controlled(correction, whose="other")]
    with attnscope.open("out/control.h5") as cap:
        assert cap.correction[0]["params"]["whose"] == "other"

    # The same page from the three captures, and no page where the third is no control
    ran = cli("compare", "run.h5", "out/after.h5", "--control", "out/control.h5", "-o", "again", "--json", "--quiet")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["verdict"] == found["verdict"]
    ran = cli("compare", "run.h5", "out/after.h5", "--control", "out/after.h5", "-o", "no", "--quiet")
    assert ran.code == 2 and "out/after.h5: is no control of out/after.h5" in ran.err and not Path("no").exists()
    # By default nothing that is there is replaced
    ran = cli("correct", "run.h5", *HOW, "--control", "all-boxes", "-o", "out")
    assert ran.code == 2 and "--force" in ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--control", "nobody"), "--control nobody: unknown; known: wrong-speaker, all-boxes"),
        (("--control", "random-box", "--sweep", "alpha=1,2"), "--control: is of the before/after report"),
        (
            ("--method", "pai", "--control", "random-box"),
            "--control random-box: pai: chooses nothing by speakers' boxes",
        ),
    ],
)
def test_wrong_requests(cli: Callable[..., Ran], words: tuple[str, ...], message: str) -> None:
    ran = cli("correct", "run.h5", *words, "-o", "out")
    assert ran.code == 2 and message in ran.err and len(ran.err.splitlines()) == 1
    assert not Path("out/after.h5").exists()
