"""The steps of a run, one after another."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from scipy.stats import DegenerateDataWarning

from attnscope.demo.script import Split
from attnscope.demo.train.card import commit
from benchmarks.corrections import measure, page
from benchmarks.corrections.methods import at_best, at_default, at_doses, dosed, methods
from benchmarks.corrections.settings import HARM, Settings, chosen
from benchmarks.roundtable.conditions import PLAIN, Condition
from benchmarks.roundtable.pool import Pool
from benchmarks.roundtable.scenes import Item, Part, choose, plan_parts
from benchmarks.roundtable.settings import CALIBRATION_PEOPLE, NAMED, TEST_PEOPLE


def run(settings: Settings) -> Path:
    """Do everything, and write the page.

    Returns:
        The page.
    """
    begun, code = time.monotonic(), commit()  # before the run writes into the clone
    found = chosen()
    tried = methods(found)
    plain = [Condition(PLAIN, tasks=(), people=())]
    calibration = _parts(settings, "calibration", CALIBRATION_PEOPLE)
    test = _parts(settings, "test", TEST_PEOPLE)
    with Pool(settings) as pool:
        pool.write_scenes([*calibration, *test])
        named = _only(choose(calibration, settings.calibration_per_cell, 0), few=())
        swept, _ = pool.answer("doses", named, [*plain, *at_doses(tried)])
        doses = measure.doses(swept, tried)
        best = measure.best(doses)
        questions = _only(choose(test, settings.per_cell, settings.dose_per_cell), few=HARM)
        scores, _ = pool.answer("corrections", questions, [*plain, *at_default(tried)])
        again, _ = pool.answer("best", questions, at_best(tried, best))
    _tell("tables")
    warnings.filterwarnings("ignore", category=DegenerateDataWarning)  # where all answers are right, or all wrong
    scores = pd.concat([scores, again], ignore_index=True)
    results = page.Results(
        tried=tried,
        doses=doses,
        main=measure.rows_of(scores, {one.name: {"family": one.family, "source": one.source} for one in tried}),
        best=measure.rows_of(
            scores,
            {
                (one.name if best[one.name] == one.default else dosed(one, best[one.name])): {
                    "method": one.name,
                    "parameter": one.dose,
                    "default": one.default,
                    "best": best[one.name],
                }
                for one in tried
                if one.doses
            },
        ),
        cells=measure.cells(scores, [one.name for one in tried]),
        short=measure.by_task_and_people(scores, [one.name for one in tried]),
        chosen=found,
    )
    return page.write(results, settings, _took(pool, time.monotonic() - begun), code)


def _parts(settings: Settings, split: Split, people: tuple[int, ...]) -> list[Part]:
    return [part for part in plan_parts(settings, split) if part.people in people]


def _only(questions: dict[Part, list[Item]], few: tuple[str, ...]) -> dict[Part, list[Item]]:
    """The questions that name a person, and the first of each other kind in `few`."""
    return {
        part: [item for item in items if item.task in NAMED or (item.task in few and item.dose)]
        for part, items in questions.items()
    }


def _took(pool: Pool, seconds: float) -> str:
    """What the run cost, in words."""
    steps = ", ".join(f"{step} {took:.0f} s" for step, took in pool.seconds.items())
    said = f"{seconds / 60:.1f} minutes on {pool.settings.workers} processes of one thread each ({steps})"
    if pool.reused:
        spent = sum(pool.spent.values()) / 60
        said += f"; {' and '.join(pool.reused)} in part from an earlier run. All answers took {spent:.0f} minutes of"
        said += " one process, drawing the clips not counted"
    return said


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
