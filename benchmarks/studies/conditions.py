"""Under what the questions are answered: plain, under the chosen correction, and under what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from attnscope.correct import Correction, SocialBias
from attnscope.evaluate import Evaluation
from benchmarks.studies.scenes import Item
from benchmarks.studies.settings import ALPHAS, GRID_ALPHAS, GRID_HEADS, JITTER, MORE, NAMED, TEST_PEOPLE

Head = tuple[int, int]  # layer, head
PLAIN = "plain"
CHOSEN = "asked"  # the line of the chosen correction
LINES = {
    CHOSEN: "the box of the asked person (the correction)",
    "other": "the box of the wrong person",
    "everyone": "everyone's boxes",
    "visual": "all visual tokens",
    "lowest": "the asked person, heads ranked lowest on calibration clips",
}


@dataclass(frozen=True)
class Condition:
    """One way to answer.

    Attributes:
        name: Unique for a model.
        role: Of the model.
        corrections: Applied in order; none for the plain model.
        tasks: Questions that are asked; all if empty.
        people: Numbers of people; all if empty.
        jitter: How far the asked person's box is moved, in units of the drawing.
        dose_only: Only the questions of the dose curve.
    """

    name: str
    role: str = "limited"
    corrections: tuple[Correction, ...] = ()
    tasks: tuple[str, ...] = NAMED
    people: tuple[int, ...] = TEST_PEOPLE
    jitter: int = 0
    dose_only: bool = False

    @property
    def shown(self) -> tuple[int, tuple[Correction, ...]]:
        """What decides the prompts: how far a box is moved, and the corrections that change what the model is shown."""
        return self.jitter, tuple(each for each in self.corrections if "prompt" in each.changes)

    def wants(self, item: Item) -> bool:
        """Whether a question is asked under it."""
        return (
            (not self.tasks or item.task in self.tasks)
            and (not self.people or item.people in self.people)
            and (item.dose or not self.dose_only)
        )


@dataclass(frozen=True)
class Choice:
    """What was chosen on calibration clips.

    Attributes:
        alpha: Strength.
        heads: The highest-ranked heads of the limited model, best first.
        lowest: As many of its lowest-ranked ones.
        full_heads: As many of the full model's highest-ranked ones.
    """

    alpha: float
    heads: tuple[Head, ...]
    lowest: tuple[Head, ...]
    full_heads: tuple[Head, ...]


def chosen(count: int, alpha: float, ranked: Sequence[Head], full_heads: Sequence[Head]) -> Choice:
    """The choice of `count` heads: of a ranking the first and the last, and as many of the full model's ranking."""
    return Choice(alpha, tuple(ranked[:count]), tuple(ranked[-count:]), tuple(full_heads[:count]))


def written(heads: Sequence[Head]) -> str:
    """Heads as `--heads` takes them."""
    return ",".join(f"{layer}.{head}" for layer, head in sorted(heads))


def plain() -> list[Condition]:
    """Both models as they are, on every question."""
    return [Condition(PLAIN, role, tasks=(), people=()) for role in ("limited", "full")]


def grid(ranked: Sequence[Head]) -> dict[tuple[int, float], Condition]:
    """The settings that are tried on calibration clips, by number of heads and strength."""
    return {
        (k, alpha): Condition(f"k{k} alpha{alpha:g}", corrections=(_answer(alpha, ranked[:k]),), people=())
        for k in GRID_HEADS
        for alpha in GRID_ALPHAS
    }


def on_test(choice: Choice) -> list[Condition]:
    """Everything that is tried on test clips, beside the plain models."""
    chosen = _answer(choice.alpha, choice.heads)
    biases = {
        CHOSEN: chosen,
        **{line: replace(chosen, toward=line) for line in ("other", "everyone", "visual")},
        "lowest": _answer(choice.alpha, choice.lowest),
    }
    conditions = [Condition(line, corrections=(bias,)) for line, bias in biases.items()]
    conditions += [
        Condition(dose(line, alpha), corrections=(replace(bias, alpha=alpha),), people=MORE, dose_only=True)
        for line, bias in biases.items()
        for alpha in ALPHAS
        if alpha != choice.alpha
    ]
    conditions += [Condition(name, corrections=(bias,)) for name, (bias, _) in published(choice).items()]
    conditions += [Condition(f"jitter {far}", corrections=(chosen,), jitter=far) for far in JITTER]
    conditions += [Condition("nobody named", corrections=(chosen,), tasks=("target-hidden", "speaks"))]
    return [*conditions, Condition(CHOSEN, "full", (_answer(choice.alpha, choice.full_heads),))]


def dose(line: str, alpha: float) -> str:
    """Name of the condition on a dose curve that is not at the chosen strength."""
    return f"{line} alpha{alpha:g}"


def published(choice: Choice) -> dict[str, tuple[SocialBias, str]]:
    """The paper's rows and rules, with the mark of their source: by name."""
    fixed = _answer(choice.alpha, choice.heads)
    gap = replace(fixed, strength="logit", negative="gap", alpha=1.0)
    rules = {"utterances, as published (dynamic heads)": (SocialBias(), "2nd")}
    rules["utterances, dynamic heads, gap"] = (SocialBias(negative="gap"), "2nd, gap ours")
    rules["answer, all else as published (dynamic heads)"] = (SocialBias(rows="answer"), "2nd, rows ours")
    for rows in ("utterances", "question", "answer"):
        mark = "2nd, heads and gap ours" if rows == "utterances" else "ours"
        rules[f"{rows}, logit rule with gap"] = (replace(gap, rows=rows), mark)
        if rows != "answer":
            rules[f"{rows}, constant"] = (
                replace(fixed, rows=rows),
                "2nd, heads and constant ours" if rows == "utterances" else "ours",
            )
    return rules


def _answer(alpha: float, heads: Sequence[Head]) -> SocialBias:
    return SocialBias(alpha=alpha, rows="answer", toward="asked", heads=written(heads), strength="constant")


def compared(scores: pd.DataFrame, role: str, before: str, after: str) -> Evaluation:
    """Two conditions of a model on the questions that the second was asked.

    Where a condition does not apply to a question, the plain answer counts.
    """
    mine = scores[scores["role"] == role]
    first, second, plain = (mine[mine["condition"] == name].set_index("id") for name in (before, after, PLAIN))
    samples = plain.loc[second.index]
    samples = samples.assign(
        **{
            "plain.correct": _or_plain(first.loc[second.index], samples),
            "corrected.correct": _or_plain(second, samples),
            "corrected.applied": second["reason"].isna(),
        }
    )
    return Evaluation(Path(), {}, samples.reset_index())


def _or_plain(rows: pd.DataFrame, plain: pd.DataFrame) -> pd.Series:
    return rows["correct"].where(rows["reason"].isna(), plain["correct"]).astype(bool)
