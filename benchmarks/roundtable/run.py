"""The steps of a run, one after another."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import DegenerateDataWarning

from attnscope.demo.train.card import commit
from attnscope.errors import RunError
from attnscope.model import LoadedModel, build_prompt, load
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.roundtable import contrast, corrections, heads, page
from benchmarks.roundtable.accuracy import accuracies
from benchmarks.roundtable.conditions import Choice, grid, on_test, plain
from benchmarks.roundtable.looks import check_against_captures
from benchmarks.roundtable.pool import Pool
from benchmarks.roundtable.scenes import THINGS_ALONE, Item, Part, choose, plan_parts
from benchmarks.roundtable.settings import NAMED, Settings

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
    _tell("tables")
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
        errors=contrast.right_and_wrong(looks, seen, scores),
        choice=choice,
        facts=_facts(settings, asked, seen, plain_scores, test),
    )
    minutes = (time.monotonic() - begun) / 60
    steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in pool.seconds.items())
    results.facts.update(wall=f"{minutes:.1f} minutes", steps=steps, reused=" and ".join(pool.reused))
    return page.write(results, settings, code)


def _for_calibration(chosen: dict[Part, list[Item]]) -> dict[Part, list[Item]]:
    """What heads are chosen on: questions that name one person, and things where there is nobody."""
    return {
        part: [i for i in items if i.task in ((*NAMED, "cup") if part.people != THINGS_ALONE else ("colour",))]
        for part, items in chosen.items()
    }


def _choice(tried: pd.DataFrame, ranked: pd.DataFrame, full_ranked: pd.DataFrame) -> Choice:
    count, alpha = heads.choose(tried)
    pairs = heads.pairs(ranked)
    return Choice(alpha, tuple(pairs[:count]), tuple(pairs[-count:]), tuple(heads.pairs(full_ranked)[:count]))


def _facts(
    settings: Settings, asked: dict[Part, list[Item]], seen: pd.DataFrame, scores: pd.DataFrame, test: list[Part]
) -> dict[str, Any]:
    """What the page says about the run."""
    model = load(settings.models[0].folder, device="cpu")
    scaled = f"python -m benchmarks.roundtable --scale {settings.scale:g}"
    return {
        "layers": int(model.text_config.num_hidden_layers),
        "heads": int(model.text_config.num_attention_heads),
        "calibration_clips": int(seen["clip"].nunique()),
        "calibration_n": int(scores["id"].nunique()),
        "test_clips": sum(part.count for part in test),
        "command": "make benchmark" if settings.scale == 1 else scaled,
        "checked": _check(model, [item for items in asked.values() for item in items], seen),
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


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
