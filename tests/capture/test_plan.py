"""What a plan says, and what it refuses."""

import json
import re

import pytest

from attnscope.capture.plan import Plan, Shape
from attnscope.errors import RequestError

SHAPE = Shape(
    layers=2, heads=4, kv_heads=2, width=8, positions=100, probes=30, key_groups=12, query_groups=5, itemsize=4
)


@pytest.mark.parametrize("text", ["masses,maps,stats", "masses:all,maps,stats", "masses,stats:all", "masses:all,qk"])
def test_a_plan_is_read_as_it_is_written(text):
    plan = Plan.parse(text)
    assert str(plan) == text
    assert plan.exhaustive == tuple(name for name in ("masses", "stats") if f"{name}:all" in text)
    stored = json.loads(json.dumps(plan.to_dict()))
    assert Plan(**{name: value for name, value in stored.items() if name != "readings"}) == plan


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Plan.parse("maps:all"), '"maps:all" is not a reading; :all stands after masses or stats'),
        (lambda: Plan.parse("masses:every"), '"masses:every" is not a reading; choose from masses'),
        (lambda: Plan(masses=False, exhaustive=("masses",)), "masses:all reads every visual query; :all stands after"),
        (lambda: Plan(exhaustive=("maps",)), "maps:all reads every visual query; :all stands after masses or stats"),
        (lambda: Plan(sample=7), "sample=7: must be at least 8"),
        (lambda: Plan(seed=-1), "plan: seed -1 is negative"),
    ],
)
def test_what_cannot_be_read_is_refused(make, what):
    with pytest.raises(RequestError, match=re.escape(what)):
        make()


def test_errors_of_the_flow_count_only_where_there_is_a_sample():
    sampled, every = (Plan.parse(text).sizes(SHAPE)["masses"] for text in ("masses", "masses:all"))
    assert sampled - every == 4 * 2 * 4 * 12 * 12
