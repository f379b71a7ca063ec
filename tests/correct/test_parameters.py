"""Parameters of every correction: types, sizes and names, said in one form wherever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnscope.correct import AdaptVis, Pai, SocialBias, Var, corrections, make, requested
from attnscope.correct.registry import listed
from attnscope.errors import RequestError

NEEDED = {"knockout": {"heads": "1.2"}}
KNOWN = [(method, one) for method, cls in sorted(corrections().items()) for one in cls.parameters().values()]
NUMBERS = [(method, one.name) for method, one in KNOWN if {float, int} & {*one.kinds}]
WORDS = [(method, one.name) for method, one in KNOWN if str in one.kinds]
CHOICES = [(method, one.name) for method, one in KNOWN if one.choices]


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


@pytest.mark.parametrize("value", ["nothing of the kind", ["answer"], 3, None])
@pytest.mark.parametrize(("method", "name"), CHOICES)
def test_what_is_none_of_the_choices(method, name, value):
    listed_choices = ", ".join(corrections()[method].parameters()[name].choices)
    assert refused(corrections()[method], **NEEDED.get(method, {}) | {name: value}).endswith(
        f": choose from {listed_choices}"
    )
    if isinstance(value, str):
        line = refused(requested, [method], {}, [f"{name}={value}"])
        assert line == f'{method}.{name}="{value}": choose from {listed_choices}'


def test_every_parameter_belongs_to_one_kind_and_says_what_it_means():
    assert len({*NUMBERS, *WORDS, *CHOICES}) == len(NUMBERS) + len(WORDS) + len(CHOICES)
    others = {(m, one.name) for m, one in KNOWN} - {*NUMBERS, *WORDS, *CHOICES}
    assert others == {("social-bias", "lowest")}
    for method, one in KNOWN:
        assert one.meaning.endswith((".", "?")) and one.source in {"paper", "code", "2nd", "ours"}, (method, one.name)


def test_the_same_line_from_python_options_and_a_name():
    line = "social-bias.topk=0: must be a number of at least 1"
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
