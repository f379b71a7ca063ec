"""The benchmark's own arithmetic, on examples worked by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from attnscope.evaluate.stats import mcnemar
from attnscope.scene import Scene
from benchmarks.studies import heads, intervals
from benchmarks.studies.conditions import Choice, Condition, compared, grid, on_test, published, written
from benchmarks.studies.jitter import jittered, move
from benchmarks.studies.looks import one_a_unit
from benchmarks.studies.numbers import percent_in, points, probability
from benchmarks.studies.roundtable import sentences
from benchmarks.studies.roundtable.accuracy import accuracies, others
from benchmarks.studies.roundtable.corrections import doses
from benchmarks.studies.scenes import Item
from benchmarks.studies.settings import ALPHAS, FEWEST, MORE, NAMED

DATA = Path(__file__).parents[2] / "docs" / "data"
CHOICE = Choice(2.0, ((1, 0), (0, 1)), ((5, 7), (5, 6)), ((2, 2), (3, 3)))


def row(number: int, condition: str, correct: bool, **other: Any) -> dict[str, Any]:
    """A score, of the limited model at four people if not said otherwise; one question a clip."""
    labels = {"fields.task": "target", "fields.people": 4, "fields.seats": "0-1", "fields.dose": True}
    asked = {"id": f"q{number}", "clip": f"c{number}", "options": ("Ada", "Ben", "Cleo", "Dan")}
    return asked | labels | {"role": "limited", "condition": condition, "reason": None, "correct": correct} | other


# ---- verdicts and intervals


def test_verdicts_are_derived_from_the_numbers_of_a_row() -> None:
    rows = pd.DataFrame({"low": [0.01, 0.01, 0.01], "high": [0.2] * 3, "p": [0.01, 0.12, 0.01], "verdict": "old"})
    assert intervals.judged(rows)["verdict"].tolist() == ["helps", "no difference shown", "helps"]
    with_clips = rows.assign(p_clips=[0.01, 0.01, 0.2])
    assert intervals.judged(with_clips)["verdict"].tolist() == ["helps", *["no difference shown"] * 2]


@pytest.mark.parametrize("name", ["roundtable-correction", "corrections-cells"])
def test_the_stored_verdicts_are_those_of_the_stored_numbers(name: str) -> None:
    table = pd.read_csv(DATA / f"{name}.csv")
    assert len(table) > 20
    assert table["verdict"].tolist() == intervals.judged(table)["verdict"].tolist()


@pytest.mark.parametrize(("difference", "n"), [(-214 / 479, 479), (-45 / 479, 479), (0.2, 10)])
def test_the_largest_p_of_a_difference_is_that_with_all_questions_changed(difference: float, n: int) -> None:
    net = abs(round(difference * n))
    several = [mcnemar(net + lost, lost) for lost in range((n - net) // 2 + 1)]
    assert intervals.largest_p(difference, n) == max(several)


def test_a_mean_is_over_questions_and_its_interval_over_clips() -> None:
    # clip a: 1, 3; clip b: 5. Mean (1 + 3 + 5) / 3 = 3; drawing a alone gives 2, b alone 5
    found = intervals.mean(pd.Series([1.0, 3.0, 5.0]), pd.Series(["a", "a", "b"]))
    assert found == (3.0, 2.0, 5.0)
    assert math.isnan(intervals.mean(pd.Series([1.0]), pd.Series(["a"])).low)


def test_a_gap_is_right_less_wrong() -> None:
    values, right = pd.Series([4.0, 2.0, 1.0, 0.0]), pd.Series([True, True, False, False])
    found, p, strata = intervals.gap(values, right, pd.Series(["a", "b", "c", "d"]), pd.Series([4] * 4))
    assert found.estimate == pytest.approx((4 + 2) / 2 - (1 + 0) / 2)
    assert p == pytest.approx(1 / 3, abs=0.02) and strata == 1  # 2 of the 6 ways to deal them
    assert math.isnan(found.low)  # two clips on a side: no interval
    thrice = [pd.concat([column] * 3, ignore_index=True) for column in (values, right)]
    several, p, _ = intervals.gap(*thrice, pd.Series(list("abcdefghijkl")), pd.Series([4] * 12))
    assert several.estimate == pytest.approx(found.estimate)
    assert several.low < several.estimate < several.high and p < 0.01
    none, p, strata = intervals.gap(values, pd.Series([True] * 4), pd.Series(list("abcd")), pd.Series([4] * 4))
    assert math.isnan(none.estimate) and math.isnan(p) and strata == 0


def test_a_gap_is_taken_within_numbers_of_people() -> None:
    """With more people both the attention and the right answers fall; within a number of people nothing goes along."""
    rng = np.random.default_rng(0)
    people = np.repeat([4, 5, 6], 100)
    right = rng.random(300) < np.array([0.9, 0.5, 0.1])[people - 4]
    values = np.array([4.0, 3.0, 2.0])[people - 4] + rng.normal(0, 0.5, 300)
    clips = pd.Series(range(300))
    pooled = values[right].mean() - values[~right].mean()
    found, p, strata = intervals.gap(pd.Series(values), pd.Series(right), clips, pd.Series(people))
    assert pooled > 0.8 and strata == 3
    assert found.low < 0 < found.high and p > 0.05
    planted, p, _ = intervals.gap(pd.Series(values + right), pd.Series(right), clips, pd.Series(people))
    assert planted.estimate == pytest.approx(found.estimate + 1) and planted.low > 0.7 and p < 0.001


# ---- boxes of unlike size


def test_one_cell_a_unit_is_the_one_in_the_middle_of_the_box() -> None:
    """Units 0 and 2; the box covers 3 x 1 cells of the first and 2 x 2 of the second."""
    places = [(0, 0, 0), (0, 1, 0), (0, 2, 0), (2, 0, 0), (2, 1, 0), (2, 0, 1), (2, 1, 1), (2, 5, 5)]
    tokens = pd.DataFrame(
        [{"frame_first": f, "x0": x, "x1": x + 1, "y0": y, "y1": y + 1} for f, x, y in places], index=range(8)
    )
    cells = torch.tensor([True] * 7 + [False])
    assert one_a_unit(SimpleNamespace(tokens=tokens), cells).tolist() == [1, 3]  # of equally near ones the first


def alike(**thing: float) -> pd.DataFrame:
    """A thing that gets less for each cell and more in sum than two cups, if not said otherwise."""
    ends = {"role": "limited", "rows": "answer", "n": 9, "cells": 9.0}
    rows = [{"task": "colour", "people": 0, "mass": 0.1, "matched": 5.0} | thing]
    rows += [{"task": task, "people": people, "mass": 0.2, "matched": 4.0} for task, people in AGAINST]
    table = pd.DataFrame([ends | row for row in rows])
    for what, far in (("mass", 0.01), ("matched", 0.1)):
        table[f"{what}_low"], table[f"{what}_high"] = table[what] - far, table[what] + far
    return table


AGAINST = (("cup", 1), ("cup", 6), ("pointing", 6), ("target", 6))


def test_less_needs_both_the_mass_and_as_many_cells() -> None:
    (said,) = sentences.paper_claim(alike(), {"limited": "few"})
    assert (
        "cup at 1 person 0.2 [0.19, 0.21] and 4 [3.9, 4.1]: more in sum, less per cell: neither less nor more" in said
    )
    (said,) = sentences.paper_claim(alike(mass=0.3), {"limited": "few"})
    assert said.count(": less") == 4 and "neither" not in said
    (said,) = sentences.paper_claim(alike(matched=4.0, mass=0.2), {"limited": "few"})
    assert said.count("not told apart (the intervals overlap)") == 4


# ---- the choice of heads and strength


def test_heads_are_ranked_by_lift_on_questions_that_name_one_person_among_four_or_five() -> None:
    looks = pd.DataFrame(
        {
            "fields.task": ["target", "pointing", "cup", "target"],
            "fields.people": [4, 5, 4, 3],
            "answer lift": [[[1.0, 3.0], [0.0, 2.0]], [[3.0, 4.0], [0.0, 2.0]], [[99.0, 0.0]] * 2, [[99.0, 0.0]] * 2],
            "answer mass": [[[0.1, 0.3], [0.0, 0.2]]] * 4,
        }
    )
    ranked = heads.rank(looks)
    # means over the first two: (0, 0) 2.0, (0, 1) 3.5, (1, 0) 0.0, (1, 1) 2.0; of equal ones the first
    assert heads.pairs(ranked) == [(0, 1), (0, 0), (1, 1), (1, 0)]
    assert ranked["lift"].tolist() == [3.5, 2.0, 2.0, 0.0]
    assert ranked["n"].iloc[0] == 2


def test_the_best_head_of_a_task_is_chosen_on_that_task() -> None:
    looks = pd.DataFrame({"fields.task": ["cup", "target"], "name lift": [[[1.0, 2.0]], [[3.0, 0.0]]]})
    assert heads.best(looks, "cup", "name") == (0, 1)
    assert heads.best(looks, "target", "name") == (0, 0)


def test_of_settings_within_a_standard_error_the_one_with_fewer_heads_is_chosen_then_the_weaker() -> None:
    # the best is right in 80 of 100: one standard error is sqrt(.8 * .2 / 100) = .04, so 76 is near and 75 is not
    tried = pd.DataFrame({"heads": [0, 4, 2, 2, 1], "alpha": [0.0, 1.0, 2.0, 1.0, 0.5], "right": [90, 80, 76, 76, 75]})
    tried = tried.assign(n=100, accuracy=tried["right"] / 100)
    assert heads.choose(tried) == (2, 1.0)
    tried.loc[len(tried)] = [16, 8.0, 90, 100, 0.9]  # error .03: only 87 and more are near
    assert heads.choose(tried) == (16, 8.0)


def test_the_grid_is_counted_on_questions_that_name_one_person() -> None:
    tries = {(2, 1.0): Condition("k2 alpha1")}
    scores = pd.DataFrame(
        [row(n, condition, right) for condition in ("plain", "k2 alpha1") for n, right in enumerate((True, False))]
        + [row(9, "plain", True, **{"fields.task": "cup"})]
    )
    table = heads.tried(scores, tries)
    assert table[["heads", "n", "right", "accuracy"]].to_numpy().tolist() == [[0, 2, 1, 0.5], [2, 2, 1, 0.5]]


# ---- conditions


def test_conditions_have_names_of_their_own_and_the_chosen_strength_is_asked_of_all_questions() -> None:
    conditions = on_test(CHOICE)
    assert len({(c.role, c.name) for c in conditions}) == len(conditions)
    asked = [
        c
        for c in conditions
        if c.corrections and c.corrections[0].heads == "0.1,1.0" and c.corrections[0].toward == "asked"
    ]
    alphas = {c.corrections[0].alpha: c.dose_only for c in asked if c.name.startswith("asked")}
    assert alphas == {alpha: alpha != 2.0 for alpha in ALPHAS}
    assert next(c for c in conditions if c.name == "lowest").corrections[0].heads == "5.6,5.7"
    assert next(c for c in conditions if c.role == "full").corrections[0].heads == "2.2,3.3"


def test_what_is_published_stays_as_published() -> None:
    bias, mark = published(CHOICE)["utterances, as published (dynamic heads)"]
    assert (bias.rows, bias.heads, bias.negative, bias.strength, bias.alpha, mark) == (
        *("utterances", "", "paper", "logit", 1.0),
        "2nd",
    )


def test_a_condition_wants_its_tasks_people_and_dose() -> None:
    item = Item(None, "c", (), "target", 4, True, "0-1", dose=False)  # type: ignore[arg-type]
    assert Condition("a").wants(item)
    assert not Condition("a", dose_only=True).wants(item)
    assert not Condition("a", people=(5,)).wants(item)
    assert not Condition("a", tasks=("cup",)).wants(item)
    assert Condition("a", tasks=(), people=()).wants(item)


def test_the_grid_takes_the_best_heads() -> None:
    ranked = [(layer, head) for layer in range(6) for head in range(8)]
    assert grid(ranked)[2, 4.0].corrections[0].heads == written(ranked[:2]) == "0.0,0.1"


# ---- scores


def test_others_is_the_chance_of_one_who_leaves_out_the_person_asked_about() -> None:
    assert others("target", 4) == 1 / 3
    assert others("target-hidden", 2) == 1.0
    assert math.isnan(others("speaks", 4))


def test_accuracies_are_by_model_task_and_people() -> None:
    scores = pd.DataFrame(
        [row(n, "plain", n < 3, role=role) for role in ("limited", "full") for n in range(4)]
        + [row(n, "asked", True) for n in range(4)]
    )
    table = accuracies(scores)
    assert table["role"].tolist() == ["full", "limited"]
    assert table["accuracy"].tolist() == [0.75, 0.75]
    assert table[["n", "clips", "seats", "chance"]].iloc[0].tolist() == [4, 4, 1, 0.25]


def test_where_a_condition_does_not_apply_the_plain_answer_counts() -> None:
    scores = pd.DataFrame(
        [row(n, "plain", right) for n, right in enumerate((True, False, True))]
        + [row(0, "x", True), row(1, "x", True), row(2, "x", False, reason="names nobody")]
    )
    found = compared(scores, "limited", "plain", "x")
    assert found.comparison([]).to_dict("records")[0]["applied"] == 2
    assert found.samples["corrected.correct"].tolist() == [True, True, True]
    assert found.comparison([]).to_dict("records")[0]["difference"] == pytest.approx(1 / 3)


def test_the_dose_curve_begins_at_the_plain_model_and_passes_the_chosen_strength() -> None:
    names = [c.name for c in on_test(CHOICE) if c.name.split()[0] in ("asked", "other", "everyone", "visual", "lowest")]
    right = {"plain": False, "asked": True}
    scores = pd.DataFrame([row(n, c, right.get(c, n == 0)) for c in dict.fromkeys(["plain", *names]) for n in range(2)])
    table = doses(scores, CHOICE).set_index(["line", "alpha"])["accuracy"]
    assert table["asked", 0.0] == 0.0
    assert table["asked", 2.0] == 1.0
    assert table["asked", 4.0] == 0.5


# ---- boxes


def test_a_moved_box_keeps_its_size_goes_the_distance_and_stays_within_the_frame() -> None:
    box, rng = (0.0, 200.0, 110.0, 330.0), np.random.default_rng(3)  # at the left edge of 480 x 480
    for _ in range(50):
        left, top, right, bottom = move(box, 100.0, rng)
        assert (right - left, bottom - top) == (pytest.approx(110), pytest.approx(130))
        assert math.hypot(left - box[0], top - box[1]) == pytest.approx(100)
        assert min(left, top) >= 0
        assert max(right, bottom) <= 480


def test_only_the_asked_persons_box_is_moved_and_a_seed_moves_it_the_same_way() -> None:
    box = {"segments": [{"start": 0, "end": 4, "keyframes": [{"t": 0, "xyxy": [100, 100, 210, 230]}]}]}
    scene = Scene.from_dict({"video": "x.mp4", "speakers": {"Ada": box, "Ben": box}})
    once, again, other = (jittered(scene, "Ada", 10, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert once.speakers["Ben"] == scene.speakers["Ben"]
    left, top, *_ = once.speakers["Ada"].segments[0].keyframes[0].xyxy
    assert math.hypot(left - 100, top - 100) == pytest.approx(50)  # 10 of 96 units are 50 of 480 pixels


# ---- words


def test_numbers_have_their_interval_and_a_real_minus() -> None:
    found = {"accuracy": 0.5, "difference": -0.125, "low": -0.25, "high": 0.0}
    assert percent_in(found) == "50.0 [-25.0, 0.0]"
    assert points(found) == "−12.5 [−25.0, +0.0]"
    assert points(found | {"low": math.nan}) == "−12.5"
    assert probability(1e-9) == "< 0.0001"


def controls(**other: Any) -> dict[str, Any]:
    """A row of the table of controls: it helps, and the correction is ahead of it."""
    numbers = {"group": "rows", "name": "x", "condition": "X", "n": 10, "applied": 10, "verdict": "helps"}
    ends = {
        "difference": 0.2,
        "low": 0.1,
        "high": 0.3,
        "ahead": 0.2,
        "ahead_low": 0.1,
        "ahead_high": 0.3,
        "ahead_verdict": "helps",
    }
    return numbers | ends | {"fewest": 0.0, "fewest_low": -0.1, "fewest_high": 0.1, "fewest_verdict": "no"} | other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"verdict": "hurts", "difference": -0.2}, "hurt"),
        ({"verdict": "no difference shown", "difference": 0.01}, "no difference shown"),
        ({"ahead": 0.0, "ahead_low": -0.1, "ahead_verdict": "no difference shown"}, "is not shown to be ahead"),
        ({"fewest": -0.2, "fewest_low": -0.3, "fewest_high": -0.1, "fewest_verdict": "hurts"}, "breaks what worked"),
    ],
)
def test_a_condition_that_fails_or_does_as_well_is_named(change: dict[str, Any], said: str | None) -> None:
    accuracy = pd.DataFrame({"role": ["limited"], "task": ["thing"], "people": [0], "accuracy": [0.96], "n": [9]})
    cells = pd.DataFrame({"task": ["target"], "people": ["4"], "verdict": ["helps"]})
    errors = pd.DataFrame({"role": ["limited"], "verdict": ["lower when wrong"]})
    nobody = pd.DataFrame(columns=["task", "n", "applied", "plain"])
    table = pd.DataFrame([controls(name="asked", group="lines"), controls(**change)])
    names, trained = {"limited": "few", "full": "many"}, {"limited": 3, "full": 6}
    found = sentences.did_not_work(accuracy, cells, cells, table, errors, nobody, names, trained)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]
    low = accuracy.assign(accuracy=0.94)
    first = sentences.did_not_work(low, cells, cells, table, errors, nobody, names, trained)[0]
    assert first.startswith("few was trained on as many") and first.endswith("thing at 0 people 94.0 % (n = 9).")


def test_each_control_by_heads_stands_beside_the_other() -> None:
    other = {"more_difference": -0.052, "more_low": -0.089, "more_high": -0.013, "more_verdict": "hurts", "more_n": 710}
    table = pd.DataFrame([controls(group="lines", name="lowest"), controls(group="lines", name="visual")])
    said = sentences.control_lines(table, other)
    assert "lowest g in each prompt are another control: −5.2 [−8.9, −1.3] points there, hurts" in said[0]
    assert "another control" not in said[1]


@pytest.mark.parametrize(("name", "good"), [("other", "hurts"), ("visual", "no difference shown")])
def test_a_control_should_hurt_or_change_nothing(name: str, good: str) -> None:
    for verdict in ("hurts", "no difference shown", "helps"):
        (said,) = sentences.control_lines(pd.DataFrame([controls(group="lines", name=name, verdict=verdict)]))
        assert ("as it should" in said) == (verdict == good)


def test_the_settings_fit_each_other() -> None:
    assert max(MORE) > FEWEST
    assert FEWEST not in MORE
    assert set(NAMED) == {"target", "pronoun", "mention", "pointing"}
