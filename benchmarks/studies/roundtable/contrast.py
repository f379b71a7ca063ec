"""Step 5: how much attention the asked box gets: alone, among people, and when the answer is right or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks.studies.conditions import PLAIN, Head
from benchmarks.studies.heads import best, stacked
from benchmarks.studies.intervals import gap, mean
from benchmarks.studies.settings import CALIBRATION_PEOPLE, MORE, NAMED

CELLS = {"colour": (0,), "cup": (1, 2, 3, 4, 5, 6), "pointing": (3, 4, 5, 6), "target": (3, 4, 5, 6)}
ROWS = {"answer": "the answer position", "name": "the name in the question"}
ERRORS = ("cup", *NAMED)  # tasks at which right and wrong answers are told apart
ALIKE = {"colour": (0,), "cup": (1, 6), "pointing": (6,), "target": (6,)}  # cells that are compared across kinds
LOWER, HIGHER = "lower when wrong", "higher when wrong"


def wanted() -> set[tuple[str, int]]:
    """Task and number of people of the test questions that `alike` and `right_and_wrong` are over."""
    compared = {(task, people) for task, numbers in ALIKE.items() for people in numbers}
    return compared | {(task, people) for task in ERRORS for people in MORE}


def calibrates() -> set[tuple[str, int]]:
    """The same of the calibration questions that the best heads of `right_and_wrong` are chosen on."""
    return {(task, people) for task in ERRORS for people in CALIBRATION_PEOPLE}


def attention(test: pd.DataFrame, calibration: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Attention to the box of what is asked about.

    Args:
        test: What was read on test clips.
        calibration: What was read on calibration clips, where the best heads are chosen.
        scores: Of the plain models on test clips: who was asked.

    Returns:
        Columns role, rows ("answer", "name"), task, people, n, left_out (questions whose box covers no visual token by
        half), clips, cells (mean), and for the mean over layers and heads ("all") and the best head ("best", its
        layer and head beside it) per_pair, mass and lift, each with _low and _high.
    """
    records = []
    for role, rows, task, part, head in _parts(test, calibration, list(CELLS)):
        for people in CELLS[task]:
            cell = part[part["fields.people"] == people]
            asked = scores[(scores["role"] == role) & (scores["condition"] == PLAIN)]
            asked = asked[(asked["fields.task"] == task) & (asked["fields.people"] == people)]
            row: dict[str, Any] = {"role": role, "rows": rows, "task": task, "people": people, "n": len(cell)}
            row |= {"left_out": len(asked) - len(cell), "clips": cell["clip"].nunique()}
            row |= {"cells": cell["cells"].mean(), "layer": head[0], "head": head[1]}
            for view in ("all", "best") if len(cell) else ():
                mass, lift = (
                    _view(cell, f"{rows} {what}", head if view == "best" else None) for what in ("mass", "lift")
                )
                for what, values in (("per_pair", mass / cell["cells"]), ("mass", mass), ("lift", lift)):
                    number = mean(values, cell["clip"])
                    row |= {f"{view}_{what}": number.estimate}
                    row |= {f"{view}_{what}_low": number.low, f"{view}_{what}_high": number.high}
            records.append(row)
    return pd.DataFrame(records)


def alike(test: pd.DataFrame) -> pd.DataFrame:
    """Attention to boxes of unlike size in numbers that can be compared: mean over all layers and heads.

    The lift of a box is a mean over its cells, so a box that holds more than the thing itself is diluted, while its sum
    grows with every cell. So both stand here, and the lift of as many cells for every box: one a temporal unit, the
    nearest to the middle of the box.

    Args:
        test: What was read on test clips.

    Returns:
        Columns role, rows, task, people, n, clips, cells (mean), and mass, lift and matched, each with _low and _high.
    """
    records = []
    for role in test["role"].unique():
        for rows in ROWS:
            for task, numbers in ALIKE.items():
                for people in numbers:
                    kind = (test["fields.task"] == task) & (test["fields.people"] == people)
                    cell = test[(test["role"] == role) & kind]
                    row: dict[str, Any] = {"role": role, "rows": rows, "task": task, "people": people}
                    row |= {"n": len(cell), "clips": cell["clip"].nunique(), "cells": cell["cells"].mean()}
                    for what in ("mass", "lift", "matched") if len(cell) else ():
                        number = mean(_view(cell, f"{rows} {what}", None), cell["clip"])
                        row |= {what: number.estimate, f"{what}_low": number.low, f"{what}_high": number.high}
                    records.append(row)
    return pd.DataFrame(records)


def right_and_wrong(test: pd.DataFrame, calibration: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Lift of the attention to the asked box, of questions answered right less that of those answered wrong.

    Compared within numbers of people: with more of them both the lift and the right answers fall.

    Args: as in `attention`; only clips with more people than the limited model was trained on.

    Returns:
        Columns role, rows, task, view ("all", "best"), layer, head, n, clips, right and wrong (numbers of questions),
        strata (numbers of people with answers of both kinds), lift_right, lift_wrong and pooled (their difference
        whatever the number of people), difference (within numbers of people), low, high and p.
    """
    plain = scores[scores["condition"] == PLAIN].set_index(["role", "id"])["correct"]
    records = []
    for role, rows, task, part, head in _parts(test[test["fields.people"].isin(MORE)], calibration, list(ERRORS)):
        correct = pd.Series([bool(plain[role, name]) for name in part["id"]], index=part.index)
        for view in ("all", "best"):
            lift = _view(part, f"{rows} lift", head if view == "best" else None)
            number, p, strata = gap(lift, correct, part["clip"], part["fields.people"])
            row: dict[str, Any] = {"role": role, "rows": rows, "task": task, "view": view}
            row |= {"layer": head[0], "head": head[1], "n": len(part), "clips": part["clip"].nunique()}
            row |= {"right": int(correct.sum()), "wrong": int((~correct).sum()), "strata": strata}
            row |= {"lift_right": lift[correct].mean(), "lift_wrong": lift[~correct].mean()}
            row |= {"pooled": lift[correct].mean() - lift[~correct].mean()}
            records.append(row | {"difference": number.estimate, "low": number.low, "high": number.high, "p": p})
    return pd.DataFrame(records)


def _parts(
    test: pd.DataFrame, calibration: pd.DataFrame, tasks: list[str]
) -> Iterator[tuple[str, str, str, pd.DataFrame, Head]]:
    """Model, rows, task, the test questions, and the best head of the calibration questions of the same kind."""
    for role in test["role"].unique():
        chosen_on = calibration[calibration["role"] == role]
        for rows in ROWS:
            for task in tasks:
                part = test[(test["role"] == role) & (test["fields.task"] == task)]
                if len(part):
                    yield role, rows, task, part, best(chosen_on, task, rows)


def _view(looks: pd.DataFrame, what: str, head: Head | None) -> pd.Series:
    """One number a question: of a head, or the mean over all layers and heads."""
    values = stacked(looks, what)
    return pd.Series(values.mean((1, 2)) if head is None else values[:, head[0], head[1]], index=looks.index)
