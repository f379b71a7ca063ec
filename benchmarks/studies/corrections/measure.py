"""From scores to tables: accuracy, doses, and what every correction gains and harms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.studies.conditions import PLAIN, compared
from benchmarks.studies.corrections.methods import Method, dosed
from benchmarks.studies.corrections.settings import HARM
from benchmarks.studies.intervals import judged
from benchmarks.studies.settings import MORE, NAMED, TEST_PEOPLE

# Which questions a row of numbers is over: tasks and numbers of people
PARTS = {"more": (NAMED, MORE), "fewest": (NAMED, TEST_PEOPLE[:1]), "harm": (HARM, TEST_PEOPLE)}


def doses(scores: pd.DataFrame, tried: Sequence[Method]) -> pd.DataFrame:
    """Accuracy on calibration clips, plain and at every dose.

    Returns:
        Columns method, parameter, dose (NaN: plain), default (whether it is), n, clips, applied, right, accuracy, low
        and high.
    """
    plain = {"method": PLAIN, "parameter": "", "dose": float("nan"), "default": False, "applied": 0}
    rows = [plain | _accuracy(scores, PLAIN)]
    for method in tried:
        for dose in method.doses:
            name = dosed(method, dose)
            applied = int(scores[scores["condition"] == name]["reason"].isna().sum())
            row = {"method": method.name, "parameter": method.dose, "dose": dose, "default": dose == method.default}
            rows.append(row | {"applied": applied} | _accuracy(scores, name))
    return pd.DataFrame(rows)


def best(table: pd.DataFrame) -> dict[str, float]:
    """The dose of each method that is most often right on calibration clips; of equal ones the first."""
    swept = table[table["method"] != PLAIN]
    return {str(name): float(part.loc[part["right"].idxmax(), "dose"]) for name, part in swept.groupby("method")}


def rows_of(scores: pd.DataFrame, conditions: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """What every condition changes on test clips.

    Args:
        scores: Of the plain model and the conditions.
        conditions: Name, and what stands before the numbers in its row.

    Returns:
        What stands before; condition; and for each of `PARTS`, with its name before them: n, clips, applied, plain,
        accuracy, difference, low, high, p, p_clips, n01, n10 and verdict.
    """
    rows = []
    for name, before in conditions.items():
        row: dict[str, Any] = {**before, "condition": name}
        for part, (tasks, people) in PARTS.items():
            row |= {f"{part}_{key}": value for key, value in _changed(scores, name, tasks, people).items()}
        rows.append(row)
    return verdicts(pd.DataFrame(rows))


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `rows_of` with the verdict of each part, derived from the numbers."""
    for part in PARTS:
        table = judged(table, f"{part}_")
    return table


def cells(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The same by task and number of people.

    Returns:
        Columns condition, task, people, then as in `rows_of`.
    """
    asked = scores[scores["condition"] == PLAIN]
    there = sorted(set(zip(asked["fields.task"], asked["fields.people"], strict=True)), key=_order)
    rows = [
        {"condition": name, "task": task, "people": people} | _changed(scores, name, (task,), (people,))
        for name in names
        for task, people in there
    ]
    return judged(pd.DataFrame(rows))


def by_task_and_people(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """In short: each task at more people than were trained on, each number of people, each other kind of question.

    Returns:
        Columns condition, over (a task, or "3 people"), n, clips, applied, plain, accuracy, difference, side (of 0 on
        which the interval lies: 1, -1, or 0 where it holds 0), p, p_clips, n01, n10 and verdict.
    """
    over: dict[str, tuple[Sequence[str], Sequence[int]]] = {task: ((task,), MORE) for task in NAMED}
    over |= {f"{people} people": (NAMED, (people,)) for people in TEST_PEOPLE}
    over |= {task: ((task,), TEST_PEOPLE) for task in HARM}
    rows = [
        {"condition": name, "over": label} | _with_side(_changed(scores, name, *part))
        for name in names
        for label, part in over.items()
    ]
    return short_verdicts(pd.DataFrame(rows))


def short_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `by_task_and_people` with verdicts: the side of the interval stands for its ends."""
    return judged(table.assign(low=table["side"], high=table["side"])).drop(columns=["low", "high"])


def _with_side(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row.pop("low"), row.pop("high")
    return row | {"side": int(low > 0) - int(high < 0)}


def _order(cell: tuple[str, int]) -> tuple[int, int]:
    return (*NAMED, *HARM).index(cell[0]), cell[1]


def _accuracy(scores: pd.DataFrame, name: str) -> dict[str, Any]:
    evaluation = compared(scores, "limited", PLAIN, name)
    row = evaluation.table([]).to_dict("records")[1]
    right = int(evaluation.samples["corrected.correct"].sum())
    return {"n": row["n"], "clips": row["clips"], "right": right} | {k: row[k] for k in ("accuracy", "low", "high")}


def _changed(scores: pd.DataFrame, name: str, tasks: Sequence[str], people: Sequence[int]) -> dict[str, Any]:
    part = scores[scores["fields.task"].isin(tasks) & scores["fields.people"].isin(people)]
    evaluation = compared(part, "limited", PLAIN, name)
    row = evaluation.comparison([]).to_dict("records")[0]
    numbers = {key: row[key] for key in ("n", "clips", "applied")}
    plain, after = (float(evaluation.samples[f"{name}.correct"].mean()) for name in ("plain", "corrected"))
    numbers |= {"plain": plain, "accuracy": after}
    numbers |= {key: row[key] for key in ("difference", "low", "high", "p", "p_clips", "n01", "n10")}
    return numbers
