"""Step 4: what the chosen correction changes, beside what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.studies.conditions import CHOSEN, LINES, PLAIN, Choice, compared, dose, published
from benchmarks.studies.intervals import judged
from benchmarks.studies.settings import ALPHAS, JITTER, MORE, NAMED, SECONDS, TEST_PEOPLE

ALL = "all four"
_ACCURACY = ("n", "clips", "accuracy", "low", "high", "chance")


def by_cell(scores: pd.DataFrame, role: str) -> pd.DataFrame:
    """The chosen correction against the plain model, by task and number of people.

    Returns:
        Columns task ("all four" for the four tasks together), people ("4-6" for all of these), n, clips, plain and
        corrected accuracy, difference, low, high, p, p_clips, n01, n10 and verdict. The first row is the one to read.
    """
    rows = []
    for tasks, people in [(NAMED, MORE), *((NAMED, (n,)) for n in TEST_PEOPLE)]:
        rows.append(_row(scores, role, CHOSEN, tasks, people))
    there = set(zip(scores["fields.task"], scores["fields.people"], strict=True))  # a tiny run may miss some
    rows += [_row(scores, role, CHOSEN, (task,), (n,)) for task in NAMED for n in TEST_PEOPLE if (task, n) in there]
    return judged(pd.DataFrame(rows))


def controls(scores: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Every condition at its one setting against the plain model, at more people than the model was trained on.

    Returns:
        Columns group, condition, source, n, applied, plain, corrected, difference, low, high, p, p_clips, n01, n10;
        fewest (the difference at the fewest people) with fewest_low, _high, _p and _p_clips; and ahead (the chosen
        correction's accuracy less this one's) likewise.
    """
    rows = []
    for group, name, label, source in _listed(choice):
        row = _row(scores, "limited", name, NAMED, MORE)
        fewest = _row(scores, "limited", name, NAMED, TEST_PEOPLE[:1])
        ahead = _row(scores, "limited", CHOSEN, NAMED, MORE, before=name)
        for part, numbers in (("fewest", fewest), ("ahead", ahead)):
            ends = {key: numbers[key] for key in ("low", "high", "p", "p_clips")}
            row |= {part: numbers["difference"], **{f"{part}_{key}": value for key, value in ends.items()}}
        rows.append({"group": group, "name": name, "condition": label, "source": source, **row})
    return pd.DataFrame(rows).drop(columns=["task", "people"])


def nobody_named(scores: pd.DataFrame) -> pd.DataFrame:
    """Questions that name nobody, at which the chosen correction has no one to draw the answer to.

    Returns:
        Columns task, n, applied and plain accuracy.
    """
    rows = [_row(scores, "limited", "nobody named", (task,), TEST_PEOPLE) for task in SECONDS]
    return pd.DataFrame(rows)[["task", "n", "applied", "plain", "corrected"]]


def doses(scores: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Accuracy by strength, on the questions that were asked at every strength.

    Returns:
        Columns line, alpha (0: plain), n, clips, accuracy, low, high, chance.
    """
    rows = []
    asked = scores[scores["fields.dose"].astype(bool) & scores["fields.people"].isin(MORE)]
    for line in LINES:
        for alpha in (0.0, *ALPHAS):
            name = line if alpha in (0.0, choice.alpha) else dose(line, alpha)
            samples = compared(asked[asked["fields.task"].isin(NAMED)], "limited", PLAIN, name)
            numbers = samples.table([]).to_dict("records")[0 if alpha == 0 else 1]  # plain, corrected
            rows.append({"line": line, "alpha": alpha, **{key: numbers[key] for key in _ACCURACY}})
    return pd.DataFrame(rows)


def _listed(choice: Choice) -> list[tuple[str, str, str, str]]:
    """Group, name, what a reader sees and source mark of every condition of the table."""
    marks = {name: mark for name, (_, mark) in published(choice).items()}
    listed = [("lines", line, label, "ours") for line, label in LINES.items()]
    listed += [("rows", name, name, mark) for name, mark in marks.items()]
    return listed + [("boxes", f"jitter {far}", f"box moved by {far} units", "ours") for far in JITTER]


def _row(
    scores: pd.DataFrame, role: str, name: str, tasks: Sequence[str], people: Sequence[int], before: str = PLAIN
) -> dict[str, Any]:
    part = scores[scores["fields.task"].isin(tasks) & scores["fields.people"].isin(people)]
    samples = compared(part, role, before, name)
    accuracy = samples.table([]).set_index("condition")["accuracy"]
    comparison = samples.comparison([]).to_dict("records")[0]
    labels = {
        "task": tasks[0] if len(tasks) == 1 else ALL,
        "people": f"{people[0]}" if len(people) == 1 else f"{people[0]}-{people[-1]}",
    }
    numbers = {
        key: comparison[key]
        for key in ("n", "clips", "applied", "difference", "low", "high", "p", "p_clips", "n01", "n10")
    }
    both = {"plain": accuracy["plain"], "corrected": accuracy["corrected"]}
    return {**labels, **both, **numbers}
