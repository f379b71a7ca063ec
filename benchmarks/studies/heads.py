"""Step 3: which heads, how many of them and how strongly: chosen on calibration clips, never reported on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmarks.studies.conditions import PLAIN, Condition, Head, compared
from benchmarks.studies.settings import CALIBRATION_PEOPLE, NAMED


def stacked(looks: pd.DataFrame, what: str) -> np.ndarray:
    """One of the columns of numbers by layer and head, as [questions, layers, heads]."""
    return np.stack([np.asarray(value) for value in looks[what]])


def rank(looks: pd.DataFrame) -> pd.DataFrame:
    """Heads of one model by the lift of the answer position's attention to the box of the person asked about.

    Args:
        looks: What was read on calibration clips.

    Returns:
        Columns rank (from 1), layer, head, lift, mass (means over questions that name one person) and n.
    """
    rows = looks[looks["fields.task"].isin(NAMED) & looks["fields.people"].isin(CALIBRATION_PEOPLE)]
    lift, mass = (stacked(rows, f"answer {what}").mean(0) for what in ("lift", "mass"))
    order = np.argsort(-lift, axis=None, kind="stable")
    layers, heads = np.unravel_index(order, lift.shape)
    numbers = {"layer": layers, "head": heads, "lift": lift[layers, heads], "mass": mass[layers, heads]}
    return pd.DataFrame({"rank": np.arange(1, len(order) + 1), **numbers, "n": len(rows)})


def best(looks: pd.DataFrame, task: str, rows: str) -> Head:
    """The head of one model with the highest mean lift on the calibration clips of a task.

    Args:
        looks: What was read there.
        task: Key of TASKS.
        rows: "answer" or "name".
    """
    lift = stacked(looks[looks["fields.task"] == task], f"{rows} lift").mean(0)
    layer, head = np.unravel_index(int(lift.argmax()), lift.shape)
    return int(layer), int(head)


def tried(scores: pd.DataFrame, grid: Mapping[tuple[int, float], Condition]) -> pd.DataFrame:
    """Accuracy on calibration clips of the plain model and under each setting of the grid.

    Args:
        scores: On calibration clips; questions that name one person count.
        grid: The settings by number of heads and strength.

    Returns:
        Columns heads (0: plain), alpha, n, right and accuracy.
    """
    rows = []
    scores = scores[scores["fields.task"].isin(NAMED)]
    for (k, alpha), name in {(0, 0.0): PLAIN, **{key: c.name for key, c in grid.items()}}.items():
        correct = compared(scores, "limited", PLAIN, name).samples["corrected.correct"]
        right = int(correct.sum())
        rows.append({"heads": k, "alpha": alpha, "n": len(correct), "right": right, "accuracy": right / len(correct)})
    return pd.DataFrame(rows)


def choose(table: pd.DataFrame) -> tuple[int, float]:
    """Of the settings within one standard error of the best, that with the fewest heads, then the weakest.

    The one-standard-error rule (Breiman et al. 1984): what is not told apart is not worth more heads or more strength.
    """
    settings = table[table["heads"] > 0]
    best = settings.loc[settings["right"].idxmax()]
    error = math.sqrt(best["accuracy"] * (1 - best["accuracy"]) / best["n"])
    near = settings[settings["accuracy"] >= best["accuracy"] - error].sort_values(["heads", "alpha"])
    return int(near["heads"].iloc[0]), float(near["alpha"].iloc[0])


def pairs(ranked: pd.DataFrame) -> Sequence[Head]:
    """Layers and heads of a ranking."""
    return list(zip(ranked["layer"].tolist(), ranked["head"].tolist(), strict=True))
