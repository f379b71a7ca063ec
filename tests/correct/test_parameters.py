"""Parameters of every correction: types, sizes and names, said in one form wherever they come from."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from attnscope.correct import AdaptVis, Pai, SocialBias, Var, corrections, make, requested
from attnscope.correct.registry import listed
from attnscope.errors import RequestError

NEEDED = {"knockout": {"heads": "1.2"}}
NUMBERS = [
    (method, field.name)
    for method, cls in sorted(corrections().items())
    for field in fields(cls)
    if "float" in str(field.type) or "int" in str(field.type)
]
WORDS = [
    (method, field.name)
    for method, cls in sorted(corrections().items())
    for field in fields(cls)
    if "str" in str(field.type)
]


def refused(make_it, *args, **kwargs) -> str:
    with pytest.raises(RequestError) as caught:
        make_it(*args, **kwargs)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", [1e39, -1e31, float("inf"), float("nan"), 10**50])
@pytest.mark.parametrize(("method", "name"), NUMBERS)
def test_a_number_that_nothing_can_be_computed_with(method, name, value):
    said = refused(corrections()[method], **NEEDED.get(method, {}) | {name: value})
    assert said.startswith(f"{method}.{name}=") and said.endswith(": must be a number between -1e+30 and 1e+30")


@pytest.mark.parametrize("value", [["answer"], 3, Path("heads.json"), b"all"])
@pytest.mark.parametrize(("method", "name"), WORDS)
def test_what_is_no_text(method, name, value):
    said = refused(corrections()[method], **NEEDED.get(method, {}) | {name: value})
    assert said.startswith(f"{method}.{name}=") and said.endswith(": is not text")


def test_the_same_line_from_python_options_and_a_name():
    line = "social-bias.topk=0: must be a number of heads, at least 1"
    assert refused(SocialBias, topk=0) == line
    assert refused(make, "social-bias", topk=0) == line
    assert refused(requested, ["social-bias"], {}, ["topk=0"]) == line
    assert refused(Var, sink_mass=2.0) == "var.sink_mass=2.0: must be in [0, 1)"
    assert refused(SocialBias, topk=1.5) == "social-bias.topk=1.5: is not a whole number or none"
    assert refused(SocialBias, lowest=1) == "social-bias.lowest=1: is not true or false"
    assert refused(SocialBias, rows=["answer"]) == 'social-bias.rows=["answer"]: is not text'


def test_whole_numbers_and_those_of_numpy_are_numbers():
    made = SocialBias(alpha=2, topk=np.int64(3), coverage=np.float32(0.5))
    assert made == SocialBias(alpha=2.0, topk=3, coverage=0.5)
    assert [type(value) for value in (made.alpha, made.topk, made.coverage)] == [float, int, float]
    assert Pai(alpha=1e29).alpha == 1e29 and AdaptVis(w_low=1e-30).w_low == 1e-30


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("social_bias", "social-bias"),
        ("SocialBias", "social-bias"),
        ("moda-calib", "moda-calibrate"),
        ("AdaptViz", "adaptvis"),
    ],
)
def test_a_name_that_is_nearly_right(name, meant):
    assert refused(make, name).startswith(f'there is no correction named "{name}"; did you mean {meant}? There are ')


def test_one_correction_or_several():
    assert listed(Pai()) == [Pai()] and listed((Pai(), Var())) == [Pai(), Var()] and listed([]) == []
    assert refused(listed, ["social-bias"]).startswith('"social-bias" is not a correction; make one with ')
    assert refused(listed, "social-bias").startswith('"social-bias" is not a correction')
    assert refused(listed, [SocialBias]).startswith("SocialBias is not a correction")
    assert refused(listed, 3).startswith("3 is not a correction")
