"""The steps of a run, one after another."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import DegenerateDataWarning

from attnscope.demo.script import Split
from benchmarks.studies.conditions import PLAIN, Condition
from benchmarks.studies.corrections import gaps, measure, page
from benchmarks.studies.corrections.methods import at_best, at_default, at_doses, dosed, methods
from benchmarks.studies.corrections.settings import HARM, Settings, chosen
from benchmarks.studies.options import command, tell
from benchmarks.studies.pool import Pool
from benchmarks.studies.scenes import Item, Part, choose, plan_parts
from benchmarks.studies.settings import CALIBRATION_PEOPLE, MORE, NAMED, PART, TEST_PEOPLE
from training.card import commit


def run(settings: Settings) -> Path:
    """Do everything, and write the page.

    Returns:
        The page.
    """
    begun, code = time.monotonic(), commit()  # before the run writes into the clone
    choice = chosen()
    tried = methods(choice)
    plain = [Condition(PLAIN, tasks=(), people=())]
    calibration = _parts(settings, "calibration", CALIBRATION_PEOPLE)
    test = _parts(settings, "test", TEST_PEOPLE)
    with Pool(settings) as pool:
        pool.write_scenes([*calibration, *test])
        named = _only(choose(calibration, settings.calibration_per_cell, 0), others=())
        swept, _ = pool.answer("doses", named, [*plain, *at_doses(tried)])
        doses = measure.doses(swept, tried)
        best = measure.best(doses)
        questions = _only(choose(test, settings.per_cell, settings.dose_per_cell), others=HARM)
        scores, _ = pool.answer("corrections", questions, [*plain, *at_default(tried)])
        again, _ = pool.answer("best", questions, at_best(tried, best))
    tell("tables")
    warnings.filterwarnings("ignore", category=DegenerateDataWarning)  # where all answers are right, or all wrong
    scores = pd.concat([scores, again], ignore_index=True)
    results = page.Results(
        tried=tried,
        doses=doses,
        main=measure.rows_of(
            scores, {method.name: {"family": method.family, "source": method.source} for method in tried}
        ),
        best=measure.rows_of(
            scores,
            {
                (method.name if best[method.name] == method.default else dosed(method, best[method.name])): {
                    "method": method.name,
                    "parameter": method.dose,
                    "default": method.default,
                    "best": best[method.name],
                }
                for method in tried
                if method.doses
            },
        ),
        cells=measure.cells(scores, [method.name for method in tried]),
        short=measure.by_task_and_people(scores, [method.name for method in tried]),
        gaps=gaps.measured(settings.models[0], named_at_more(questions, settings), tried),
        chosen=choice,
        facts=_facts(settings, _took(pool, time.monotonic() - begun), code),
    )
    return page.write(results, settings.out)


def run_gaps(settings: Settings) -> Path:
    """Measure again only the gaps between modalities; all else of the page is what an earlier run left in the folder.

    Returns:
        The page.
    """
    results = page.read(settings.out)
    first = math.ceil(settings.gap_clips / len(MORE) / PART) + 1  # parts of each number of people: more than enough
    test = [part for part in _parts(settings, "test", MORE) if part.number < first]
    with Pool(settings) as pool:
        pool.write_scenes(test)
    questions = _only(choose(test, settings.per_cell, settings.dose_per_cell), others=HARM)
    table = gaps.measured(
        settings.models[0], named_at_more(questions, settings), methods(chosen(settings.out / "data"))
    )
    facts = results.facts | {"gaps_from": command("corrections", settings, "gaps")}
    return page.write(replace(results, gaps=table, facts=facts), settings.out)


def named_at_more(questions: dict[Part, list[Item]], settings: Settings) -> list[Item]:
    """The first questions that name a person at more people than were trained on, each of another clip."""
    by_clip: dict[str, Item] = {}
    for part, items in questions.items():
        own = [item for item in items if item.task in NAMED and part.people in MORE]
        for item in own[: math.ceil(settings.gap_clips / len(MORE))]:
            by_clip.setdefault(item.clip, item)
    by_people = {people: [item for item in by_clip.values() if item.people == people] for people in MORE}
    most = math.ceil(settings.gap_clips / len(MORE))
    return [item for items in by_people.values() for item in items[:most]]


def _facts(settings: Settings, took: str, code: str) -> dict[str, Any]:
    """What the page says about the run."""
    model = settings.models[0]
    return {
        "scale": settings.scale,
        "command": "make bench-corrections" if settings.scale == 1 else command("corrections", settings),
        "took": took,
        "commit": code,
        "model": {key: value for key, value in asdict(model).items() if key != "folder"},
        "per_cell": settings.per_cell,
        "others_per_cell": settings.dose_per_cell,
        "gaps_from": None,
    }


def _parts(settings: Settings, split: Split, people: tuple[int, ...]) -> list[Part]:
    return [part for part in plan_parts(settings, split) if part.people in people]


def _only(questions: dict[Part, list[Item]], others: tuple[str, ...]) -> dict[Part, list[Item]]:
    """The questions that name a person, and the first of each kind in `others`."""
    return {
        part: [item for item in items if item.task in NAMED or (item.task in others and item.dose)]
        for part, items in questions.items()
    }


def _took(pool: Pool, seconds: float) -> str:
    """What the run cost, in words."""
    steps = ", ".join(f"{step} {took:.0f} s" for step, took in pool.seconds.items())
    text = f"{seconds / 60:.1f} minutes on {pool.settings.workers} processes of one thread each ({steps})"
    if pool.reused:
        spent = sum(pool.spent.values()) / 60
        text += f"; {' and '.join(pool.reused)} in part from an earlier run. All answers took {spent:.0f} minutes of"
        text += " one process, drawing the clips not counted"
    return text
