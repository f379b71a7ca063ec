"""The steps of a run, one after another."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import DegenerateDataWarning

from attnscope.errors import RunError
from attnscope.model import LoadedModel, build_prompt, load
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.studies import heads
from benchmarks.studies.conditions import Choice, chosen, grid, on_test, plain
from benchmarks.studies.looks import check_against_captures
from benchmarks.studies.options import command, tell
from benchmarks.studies.pool import Pool
from benchmarks.studies.roundtable import contrast, corrections, page
from benchmarks.studies.roundtable.accuracy import accuracies
from benchmarks.studies.scenes import THINGS_ALONE, Item, Part, choose, plan_parts
from benchmarks.studies.settings import NAMED, Settings
from training.card import commit

_CHECKED = 4  # questions that are also captured
_TOLERANCE = 1e-3  # of a lift, which is some units


def run(settings: Settings) -> Path:
    """Do everything, and write the page.

    Returns:
        The page.
    """
    begun, code = time.monotonic(), commit()  # before the run writes into the clone
    calibration, test = (plan_parts(settings, split) for split in ("calibration", "test"))
    with Pool(settings) as pool:
        pool.write_scenes([*calibration, *test])
        asked = _for_calibration(choose(calibration, settings.calibration_per_cell, 0))
        plain_scores, seen = pool.answer("calibration", asked, plain(), read=True)
        ranked = heads.rank(seen[seen["role"] == "limited"])
        full_ranked = heads.rank(seen[seen["role"] == "full"])
        tries = grid(heads.pairs(ranked))
        grid_scores, _ = pool.answer("grid", asked, list(tries.values()))
        tried = heads.tried(pd.concat([plain_scores, grid_scores], ignore_index=True), tries)
        choice = _choice(tried, ranked, full_ranked)
        questions = choose(test, settings.per_cell, settings.dose_per_cell)
        scores, looks = pool.answer("test", questions, [*plain(), *on_test(choice)], read=True)
    tell("tables")
    warnings.filterwarnings("ignore", category=DegenerateDataWarning)  # where all answers are right, or all wrong
    results = page.Results(
        accuracy=accuracies(scores),
        ranked=ranked,
        grid=tried,
        cells=corrections.by_cell(scores, "limited"),
        full=corrections.by_cell(scores, "full"),
        controls=corrections.controls(scores, choice),
        nobody=corrections.nobody_named(scores),
        dose=corrections.doses(scores, choice),
        attention=contrast.attention(looks, seen, scores),
        alike=contrast.alike(looks),
        errors=contrast.right_and_wrong(looks, seen, scores),
        choice=choice,
        facts=_facts(settings, asked, seen, plain_scores, test) | {"commit": code, "full_heads": choice.full_heads},
    )
    minutes = (time.monotonic() - begun) / 60
    steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in pool.seconds.items())
    results.facts.update(wall=f"{minutes:.1f} minutes", steps=steps, reused=" and ".join(pool.reused))
    return page.write(results, settings.out)


def run_contrast(settings: Settings) -> Path:
    """Measure again only where the plain models look: boxes of unlike size, and right and wrong answers.

    All else of the page is what an earlier run left in the folder.

    Returns:
        The page.
    """
    results = page.read(settings.out)
    alike, errors = measure_contrast(settings)
    again = command("roundtable", settings, "contrast")
    facts = results.facts | {"contrast": {"command": again, "per_cell": settings.per_cell}}
    return page.write(replace(results, alike=alike, errors=errors, facts=facts), settings.out)


def measure_contrast(settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of `contrast.alike` and `contrast.right_and_wrong`."""
    with Pool(settings) as pool:
        asked = {}
        for split, most in (("calibration", settings.calibration_per_cell), ("test", settings.per_cell)):
            parts = plan_parts(settings, split)
            cells = contrast.wanted() if split == "test" else contrast.calibrates()
            parts = [part for part in parts if part.people in {people for _, people in cells}]
            pool.write_scenes(parts)
            taken = choose(parts, most, 0)
            asked[split] = {
                part: [item for item in items if (item.task, item.people) in cells] for part, items in taken.items()
            }
        _, seen = pool.answer("contrast-calibration", asked["calibration"], plain(), read=True)
        scores, looks = pool.answer("contrast-test", asked["test"], plain(), read=True)
    return contrast.alike(looks), contrast.right_and_wrong(looks, seen, scores)


def _for_calibration(chosen: dict[Part, list[Item]]) -> dict[Part, list[Item]]:
    """What heads are chosen on: questions that name one person, and things where there is nobody."""
    return {
        part: [i for i in items if i.task in ((*NAMED, "cup") if part.people != THINGS_ALONE else ("colour",))]
        for part, items in chosen.items()
    }


def _choice(tried: pd.DataFrame, ranked: pd.DataFrame, full_ranked: pd.DataFrame) -> Choice:
    return chosen(*heads.choose(tried), heads.pairs(ranked), heads.pairs(full_ranked))


def _facts(
    settings: Settings, asked: dict[Part, list[Item]], seen: pd.DataFrame, scores: pd.DataFrame, test: list[Part]
) -> dict[str, Any]:
    """What the page says about the run."""
    limited = load(settings.models[0].folder, device="cpu")
    return {
        "layers": int(limited.text_config.num_hidden_layers),
        "heads": int(limited.text_config.num_attention_heads),
        "calibration_clips": int(seen["clip"].nunique()),
        "calibration_n": int(scores["id"].nunique()),
        "test_clips": sum(part.count for part in test),
        "command": "make benchmark" if settings.scale == 1 else command("roundtable", settings),
        "scale": settings.scale,
        "per_cell": settings.per_cell,
        "workers": settings.workers,
        "models": [
            {key: value for key, value in asdict(model).items() if key != "folder"} for model in settings.models
        ],
        "contrast": None,
        "checked": _check(limited, [item for items in asked.values() for item in items], seen),
    }


def _check(model: LoadedModel, items: Sequence[Item], seen: pd.DataFrame) -> dict[str, Any]:
    """Compare what was read at the seam with captures of the same questions.

    Raises:
        RunError: They differ.
    """
    mine = seen[seen["role"] == "limited"].set_index("id")
    some = [item for item in items if item.id in mine.index and item.people][:_CHECKED]
    prompts = []
    for item in some:
        scene = Scene.read(item.scene)
        prompts.append(build_prompt(model, scene, read_scene_frames(scene, Sampling())))
    worst = check_against_captures(model, prompts, [dict(mine.loc[item.id]) for item in some])
    if not worst < _TOLERANCE:
        raise RunError(f"attention read at the seam and by capture differ by {worst:.2g}")
    return {"n": len(some), "worst": f"{worst:.1g}"}
