"""What captures are of: their groups, and numbers that mean the same in every clip."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope.errors import RequestError
from attnscope.metrics.clips.keys import groups, labels, shared
from tests.metrics.sketch import room


def test_captures_say_what_they_are_of(drawn):
    two, one = room(), room(("Ann",), (("Ann", 0.0, 1.0),))
    two.scene |= {"video": "/nowhere/a.mp4", "fields": {"task": "who", "hard": True, "cast": ["x", "y"]}}
    one.scene |= {"video": "/nowhere/b.mp4", "fields": {"people": 10}}
    about = labels([drawn(two, name="a.h5"), drawn(one, name="b.h5")], ["a", "b"])
    assert about["clip"].tolist() == ["/nowhere/a.mp4", "/nowhere/b.mp4"]
    assert about["question"].tolist() == ["Who?", "Who?"]
    assert groups(about, "speakers") == {"1": ["b"], "2": ["a"]}
    assert groups(about, "task") == {"who": ["a"], "(none)": ["b"]}
    assert groups(about, "cast") == {"x, y": ["a"], "(none)": ["b"]}
    mixed = pd.DataFrame({"capture": list("abcdef"), "field:n": ["plain", "(none)", "few", "10", "9", "few"]})
    assert list(groups(mixed, "n").items()) == [
        ("9", ["e"]),
        ("10", ["d"]),
        ("plain", ["a"]),  # what was not corrected comes before the corrections
        ("few", ["c", "f"]),
        ("(none)", ["b"]),
    ]
    with pytest.raises(
        RequestError,
        match="field 'peopel': no scene has it; the fields are speakers, correction, task, hard, cast, people",
    ):
        groups(about, "peopel")


def test_corrections_are_a_field(drawn):
    twice = [{"method": name, "params": {}, "active": [], "notes": []} for name in ("social-bias", "other-bias")]
    caps = [drawn(room(), name="a.h5"), drawn(room(), name="b.h5", correction=twice), drawn(room(), name="c.h5")]
    about = labels(caps, ["a", "b", "c"])
    assert groups(about, "correction") == {"plain": ["a", "c"], "social-bias, other-bias": ["b"]}
    caps[0].scene.fields["correction"] = "by hand"  # a field of the scenes wins
    assert groups(labels(caps[:1], ["a"]), "correction") == {"by hand": ["a"]}


def density(capture: str, values: dict[tuple[str, str], float]) -> pd.DataFrame:
    """M[s, s'] of one capture, of one place."""
    rows = [
        {
            "capture": capture,
            "metric": "m",
            "layer": 0,
            "head": 0,
            "speaker": s,
            "target": t,
            "turn": -1,
            "time": np.nan,
        }
        | {"value": value, "n": 1}
        for (s, t), value in values.items()
    ]
    return pd.DataFrame(rows)


def test_names_are_averaged_away_by_hand():
    """Own: (1 + 5) / 2 = 3 and 7; other: (2 + 6) / 2 = 4, and nothing where nobody else is."""
    one = density("a", {("Ann", "Ann"): 1, ("Ann", "Ben"): 2, ("Ben", "Ann"): 6, ("Ben", "Ben"): 5})
    two = density("b", {("Cleo", "Cleo"): 7, ("Cleo", "Dan"): np.nan})
    found = shared(pd.concat([one, two])).set_index(["capture", "target"])
    assert found["value"].to_dict() == pytest.approx(
        {("a", "own"): 3, ("a", "other"): 4, ("b", "own"): 7, ("b", "other"): np.nan}, nan_ok=True
    )
    assert found["n"].tolist() == [2, 2, 1, 0]
    assert set(found["speaker"]) == {"each"} and set(found["turn"]) == set(found["time"]) == {""}


def test_what_is_of_one_turn_or_moment_is_told_from_what_is_not():
    """Turns 0 and 4 have the mean (1 + 3) / 2, moments 0 s and 2.5 s (2 + 6) / 2; the number over all stays 9."""
    rows = pd.DataFrame(
        {
            "capture": "a",
            "metric": "m",
            "layer": 0,
            "head": -1,
            "speaker": ["Ann", "Ben", "", "", ""],
            "turn": [0, 4, -1, -1, -1],
            "time": [np.nan, np.nan, 0.0, 2.5, np.nan],
            "value": [1.0, 3.0, 2.0, 6.0, 9.0],
            "n": 1,
        }
    )
    found = shared(rows)
    assert found[["speaker", "turn", "time", "value", "n"]].to_numpy().tolist() == [
        ["each", "each", "", 2.0, 2],
        ["", "", "each", 4.0, 2],
        ["", "", "", 9.0, 1],
    ]


def test_groups_of_one_speaker_lose_the_name():
    names = ["text", "speaker:Ann", "speaker:Ben", "visual:Ann", np.nan]
    table = pd.DataFrame({"capture": "a", "metric": "m", "layer": 0, "head": 0, "query": names, "key": names[::-1]})
    table = table.assign(value=[1.0, 2.0, 4.0, 8.0, 16.0], n=1)
    found = shared(table.drop(columns="key"))
    assert found["query"].tolist()[:3] == ["text", "speaker:each", "visual:each"]
    assert found["value"].tolist() == [1, 3, 8, 16]
    assert shared(table.drop(columns="query"))["value"].tolist() == [1, 2, 6, 16]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(3)))
def test_who_is_who_does_not_matter(seed, order):
    """And a plain loop finds the same."""
    people = ["Ann", "Ben", "Cleo"]
    m = np.random.default_rng(seed).normal(size=(3, 3))
    table = density("a", {(people[i], people[j]): m[i, j] for i in range(3) for j in range(3)})
    other = density("a", {(people[order[i]], people[order[j]]): m[i, j] for i in range(3) for j in range(3)})
    pd.testing.assert_frame_equal(shared(table), shared(other))
    own, others = [m[i, i] for i in range(3)], [m[i, j] for i in range(3) for j in range(3) if i != j]
    assert shared(table)["value"].tolist() == pytest.approx([sum(own) / 3, sum(others) / 6])


def test_what_has_no_target_keeps_none():
    """A number of a speaker that has no target is neither of the speaker nor of another."""
    rows = [("a", "m", 0, 0, "Ann", target, 1.0, 1) for target in ("Ann", "Ben", "", None)]
    table = pd.DataFrame(rows, columns=["capture", "metric", "layer", "head", "speaker", "target", "value", "n"])
    assert set(shared(table)["target"]) == {"own", "other", ""}
