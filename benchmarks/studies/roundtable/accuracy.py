"""Step 2: how often both models are right, by task and number of people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from attnscope.demo.questions import TASKS
from attnscope.evaluate import Evaluation
from benchmarks.studies.conditions import PLAIN
from benchmarks.studies.settings import NAMED

GROUPS = ["task", "people"]


def accuracies(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each model, task and number of people.

    Args:
        scores: Those of the plain models on test clips.

    Returns:
        Columns role, task, people, n, clips, seats (combinations of seats), accuracy, low, high, chance (one over the
        options) and chance_others (one over everybody but the one asked about; NaN where that is no use).
    """
    parts = []
    for role, mine in scores[scores["condition"] == PLAIN].groupby("role", sort=False):
        samples = mine.rename(columns={"correct": "plain.correct"})
        table = Evaluation(Path(), {}, samples).table(GROUPS).iloc[1:]  # the first row is of all questions
        parts.append(table.assign(role=role))
    table = pd.concat(parts, ignore_index=True)
    seats = scores.groupby(["fields.task", "fields.people"])["fields.seats"].nunique()
    cells = list(zip(table["task"], table["people"], strict=True))
    table["seats"] = [int(seats.loc[cell]) for cell in cells]
    table["chance_others"] = [others(*cell) for cell in cells]
    order = {task: number for number, task in enumerate(TASKS)}
    table = table.sort_values(["task", "people", "role"], key=lambda c: c.map(order) if c.name == "task" else c)
    columns = ["role", *GROUPS, "n", "clips", "seats", "accuracy", "low", "high", "chance", "chance_others"]
    return table[columns].reset_index(drop=True)


def others(task: str, people: int) -> float:
    """Chance of one who knows only that nobody speaks to, means, or points at oneself."""
    return 1 / (people - 1) if task in (*NAMED, "target-hidden") and people > 1 else float("nan")
