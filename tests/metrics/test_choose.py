"""Choosing heads from captures: planted heads are found, options hold, and what cannot be ranked is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnscope.errors import RequestError
from attnscope.metrics.choosing.criteria import criteria
from attnscope.metrics.choosing.ranking import NOT_CAUSE, choose
from tests.metrics.planted import NAMES, asking, planted
from tests.metrics.sketch import Sketch, causal, room, softmax


def noise(sketch: Sketch, seed: int, layers: int = 2, heads: int = 3) -> np.ndarray:
    n = len(sketch.tokens)
    return softmax(np.random.default_rng(seed).normal(0, 2, (layers, heads, n, n)), causal(n))


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("speaker-lift", "7.1"),
        ("grounding-auc", "7.1"),
        ("cross-mass", "2.2"),
        ("active", "7.1"),
        ("answer-lift", "7.0"),
    ],
)
def test_each_criterion_finds_the_head_made_for_it(three, measured, by, first):
    found = choose(three, NAMES, by, top=2, tables=measured)
    assert found.text.split(",")[0] == first
    assert (found.clips, len(found.heads), found.criterion.top) == (2, 2, 2)
    assert found.heads[0].n == 2 and found.heads[0].low is None and found.heads[0].high is None  # two clips: too few
    assert found.heads[0].top_share == 1
    assert {row["other"] for row in found.agreement} == set(criteria()) - {by}
    assert {row["by"] for row in found.agreement} == {by}
    assert found.stability["clips"] == 2
    assert NOT_CAUSE in found.notes


def test_localization_heads_look_at_the_video_and_at_one_place(drawn):
    """Heads 0 and 1 look at the video, 0 at two places, 1 at one; head 2 at one place, but hardly; the rest nowhere."""
    sketch = asking(("Ann", "Ben", "Cleo"), times=[0.0, 1.0])
    n = len(sketch.tokens)
    ann, cleo = (np.flatnonzero(sketch.cells_of(name)) for name in ("Ann", "Cleo"))
    a = softmax(np.zeros((1, 5, n, n)), causal(n))
    a[:, :, -1] = 0
    a[:, :, -1, 0] = 1.0
    for head, cells, mass in ((0, [ann[0], cleo[0]], 0.9), (1, [ann[0]], 0.8), (2, [ann[0]], 0.1)):
        a[0, head, -1] = 0
        a[0, head, -1, cells] = mass / len(cells)
        a[0, head, -1, 0] = 1 - mass
    found = choose([drawn(sketch, a)], ["x"], "localization", top=5)
    assert found.text == "0.1,0.0"
    assert [head.value for head in found.heads] == pytest.approx([0, np.log(2)])
    assert [head.mass for head in found.heads] == pytest.approx([0.8, 0.9])
    assert "2 of 5 heads have a mass on the video above 0.1." in found.notes
    more = choose([drawn(sketch, a, name="b.h5")], ["x"], "localization", least=0.05)
    assert more.text == "0.1,0.2,0.0"  # in place of the elbow: 0 0 0.1 0.8 0.9 bends at 0.1
    with pytest.raises(RequestError, match=r"c.h5: least=0.95: no head has a mass on the video above it"):
        choose([drawn(sketch, a, name="c.h5")], ["x"], "localization", least=0.95)


def test_how_many_and_above_what_and_where(three, measured):
    caps = three[:1]
    tables = {family: table[table["capture"] == "0"] for family, table in measured.items()}
    everything = choose(caps, NAMES[:1], "active", top="100%", tables=tables)
    assert len(everything.heads) == 6
    level = everything.heads[2].value
    above = choose(caps, NAMES[:1], "active", least=level, tables=tables)
    assert above.text == ",".join(everything.text.split(",")[:2])
    scaled = level * caps[0].prompt_length  # lambda N
    assert f"2 of 6 heads have g above {level:g}; {level:g} x mean length = {scaled:.3g}." in above.notes
    for layers, number in (("0.5-1.0", 7), ("2", 2)):
        some = choose(caps, NAMES[:1], "active", layers=layers, top="34%", tables=tables)
        assert [head.layer for head in some.heads] == [number]  # 34 % of three heads is one
    with pytest.raises(RequestError, match=r"0.h5: least=1: no head is above it"):
        choose(caps, NAMES[:1], "active", least=1, tables=tables)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "mass"}, 'by="mass": is no criterion; choose from speaker-lift, '),
        ({"top": "0"}, 'top="0": is neither a number of heads, like 10, nor a share of them, like 9%'),
        ({"top": "1.5"}, 'top="1.5": is neither'),
        ({"top": "101%"}, 'top="101%": is neither'),
        ({"least": float("nan")}, "least=nan: is not a number"),
        ({"layers": "3"}, 'layers="3": layer 3 is not one of the layers with attention, 2-7'),
    ],
)
def test_requests_that_are_refused(three, options, message):
    with pytest.raises(RequestError, match=re.escape(message)):
        choose(three, NAMES, **options)


def test_what_captures_do_not_define_is_refused(drawn):
    silent, blind = drawn(room(turns=()), name="a.h5"), drawn(room(), readings=("masses",), name="b.h5")
    said = "not defined for any head (attnscope analyze says why); these are: cross-mass"
    with pytest.raises(RequestError, match=re.escape(f'a.h5: by="speaker-lift": speaker_consistency_lift is {said}')):
        choose([silent], ["a"])
    with pytest.raises(
        RequestError, match=r"b.h5: by=.active.: cross_attention needs the reading 'maps', which is not"
    ):
        choose([blind], ["b"], "active")
    other = drawn(room(), noise(room(), 0, heads=4), name="c.h5")
    with pytest.raises(RequestError, match=r"c.h5: is of the model drawn/by-hand .*; rank them apart"):
        choose([silent, other], ["a", "c"])


def test_a_corrected_capture_is_told(drawn):
    sketch = asking()
    done = [{"method": "social-bias", "params": {}, "active": [], "notes": []}]
    failed = {"verified": True, "passed": False, "checks": []}
    found = choose([drawn(sketch, planted(sketch, 0), correction=done, check=failed)], ["x"])
    assert any(note.endswith("run.h5 was made under social-bias.") for note in found.notes)
    assert any(note.endswith("the self-check FAILED: do not trust its numbers.") for note in found.notes)
