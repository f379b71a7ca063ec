"""Corrections from options: several methods in order, and each parameter to the method that has it."""

from __future__ import annotations

import pytest

from attnscope.correct import Knockout, ModaAlign, ModaMask, Pai, SocialBias, Temperature, requested, write_corrections
from attnscope.errors import RequestError


def test_parameters_find_their_methods_and_methods_keep_their_order():
    found = requested(
        ["temperature", "social-bias", "knockout"],
        {"alpha": 2.0, "threshold": None, "edges": "answer:visual"},
        ["temperature.temperature=1.5", "social-bias.rows=answer", "toward=Ann", "topk=3", "lowest=true"],
    )
    assert found == [
        Temperature(temperature=1.5),
        SocialBias(alpha=2.0, rows="answer", toward="Ann", topk=3, lowest=True),
        Knockout(edges="answer:visual"),
    ]
    assert requested(["knockout", "temperature"], {}, ["knockout.heads=1.2,3.0"])[1] == Temperature()
    assert requested(["social-bias"], {"alpha": None}, ["topk=none", "alpha=1e-3"]) == [SocialBias(alpha=1e-3)]
    assert requested(["social-bias"], {"alpha": 3}) == [SocialBias(alpha=3.0)]  # of a configuration file
    assert requested(["moda-align"], {"strength": "0.5"}) == [ModaAlign(strength=0.5)]  # text for social-bias
    assert requested(["moda-mask"], {}, ["combine = natural"]) == [ModaMask(combine="natural")]
    assert requested([], {}) == []


TWO = 'pai and social-bias; say which with settings="METHOD.alpha=VALUE"'


@pytest.mark.parametrize(
    ("methods", "named", "settings", "message"),
    [
        ("moda-align", {"strength": "much"}, [], 'strength="much": is not a number'),
        ("pai,social-bias", {"alpha": 2.0}, [], f"alpha=2.0: is a parameter of {TWO}"),
        ("pai,social-bias", {}, ["alpha=2"], f'settings="alpha=2": is a parameter of {TWO}'),
        (
            "pai,pai",
            {},
            ["pai.alpha=2"],
            'settings="pai.alpha=2": is a parameter of pai and pai; say which with a file',
        ),
        ("knockout", {"alpha": 2.0}, [], "alpha=2.0: knockout has no parameter alpha; it has heads, edges, rows, "),
        ("pai,vaf", {"edges": "a:b"}, [], 'edges="a:b": pai has no parameter edges; it has alpha, layers; vaf has no'),
        ("pai", {}, ["beta=2"], 'settings="beta=2": pai has no parameter beta; it has alpha, layers'),
        ("pai", {}, ["vaf.enhance=2"], 'settings="vaf.enhance=2": vaf is none of the methods pai'),
        ("pai", {}, ["alpha"], 'settings="alpha": is not KEY=VALUE or METHOD.KEY=VALUE'),
        ("pai", {}, ["pai.=2"], 'settings="pai.=2": is not KEY=VALUE or METHOD.KEY=VALUE'),
        ("pai", {}, ["alpha=much"], 'settings="pai.alpha=much": is not a number'),
        ("social-bias", {}, ["topk=1.5"], 'settings="social-bias.topk=1.5": is not a whole number or none'),
        ("social-bias", {}, ["lowest=2"], 'settings="social-bias.lowest=2": is not true or false'),
        ("pai", {"alpha": 2.0}, ["alpha=3"], 'settings="alpha=3": alpha is given twice'),
        ("nope", {}, [], 'there is no correction named "nope"; choose from adaptvis, '),
        ("", {"alpha": 2.0}, [], "alpha=2.0: is about a correction; say which with methods"),
        ("", {}, ["alpha=2"], 'settings="alpha=2": is about a correction; say which with methods'),
    ],
)
def test_what_belongs_nowhere_is_refused(methods, named, settings, message):
    with pytest.raises(RequestError) as caught:
        requested([m for m in methods.split(",") if m], named, settings)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_file_stands_alone(tmp_path):
    path = tmp_path / "correction.json"
    write_corrections(path, [Pai(), SocialBias(alpha=3.0)])
    assert requested([], {"alpha": None}, (), file=path) == [Pai(), SocialBias(alpha=3.0)]
    for more, said in (
        ({"methods": ["pai"]}, 'methods="pai"'),
        ({"named": {"alpha": 2.0}}, "alpha=2.0"),
        ({"settings": ["alpha=2"]}, 'settings="alpha=2"'),
    ):
        with pytest.raises(RequestError) as caught:
            requested(**{"methods": [], "named": {}, **more}, file=path)
        assert str(caught.value) == f"file={path}: says which corrections there are; leave out {said}"
