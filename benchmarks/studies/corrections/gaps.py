"""The gap between self and cross attention, which P2 means to lower: plain, under each of its methods, and uniform."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attnscope.capture.plan import Plan
from attnscope.capture.run import capture_prompts
from attnscope.correct import Correction, bind
from attnscope.metrics.clips.resample import sign_flips
from attnscope.metrics.modality import gap, gap_uniform
from attnscope.metrics.registry import OVER
from attnscope.model import LoadedModel, Prompt, build_prompt, load
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.studies.conditions import PLAIN
from benchmarks.studies.corrections.methods import Method
from benchmarks.studies.intervals import mean
from benchmarks.studies.scenes import Item
from benchmarks.studies.settings import Model

DENOMINATOR, SIDES, UNIFORM = "max", ("text", "visual"), "uniform attention"


def measured(model: Model, items: Sequence[Item], tried: Sequence[Method]) -> pd.DataFrame:
    """The gap of text and of visual queries, mean over layers of that of the mean over heads.

    Args:
        model: Whose attention it is.
        items: Questions, each of another clip.
        tried: Methods; those of the family "moda" are measured at their defaults.

    Returns:
        Columns method, n (clips), and for text and visual the gap with _low and _high, and in the rows of methods the
        change from plain, likewise, with the p of its signs flipped: text_change, ..., text_change_p. The first row is
        plain, the last that of uniform attention.
    """
    loaded = load(model.folder, device="cpu")
    conditions: dict[str, tuple[Correction, ...]] = {PLAIN: ()}
    conditions |= {method.name: method.corrections for method in tried if method.family == "moda"}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for item in items:
            scene = Scene.read(item.scene)
            prompt = build_prompt(loaded, scene, read_scene_frames(scene, Sampling()))
            prompt.scene.options.clear()  # not to be scored
            for name, corrections in conditions.items():
                numbers = _gaps(loaded, prompt, corrections, Path(folder) / "run.h5")
                if name == PLAIN:
                    rows.append(
                        {"clip": item.clip, "method": UNIFORM} | {side: numbers[f"{side}_uniform"] for side in SIDES}
                    )
                rows.append({"clip": item.clip, "method": name} | {side: numbers[side] for side in SIDES})
    return summary(pd.DataFrame(rows), [*conditions, UNIFORM])


def summary(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Means over clips, and changes from plain clip by clip; see `measured`."""
    plain = rows[rows["method"] == PLAIN].set_index("clip")
    means = []
    for name in names:
        own = rows[rows["method"] == name].set_index("clip")
        row: dict[str, Any] = {"method": name, "n": len(own)}
        for side in SIDES:
            numbers = {side: own[side]}
            if name not in (PLAIN, UNIFORM):
                numbers[f"{side}_change"] = own[side] - plain.loc[own.index, side]
            for what, values in numbers.items():
                number = mean(values, pd.Series(values.index, index=values.index))
                row |= {what: number.estimate, f"{what}_low": number.low, f"{what}_high": number.high}
                if what != side:
                    row[f"{what}_p"] = float(sign_flips(values.to_numpy(float)[None])[0])
        means.append(row)
    return pd.DataFrame(means)


def _gaps(loaded: LoadedModel, prompt: Prompt, corrections: Sequence[Correction], out: Path) -> dict[str, float]:
    running = bind(loaded, prompt, corrections) if corrections else []
    plan = Plan(masses=True, stats=False, maps=False)
    out.unlink(missing_ok=True)
    (cap,) = capture_prompts(loaded, [prompt], [out], plan=plan, max_new_tokens=1, corrections=running, verify=False)
    with cap:
        tables = {"": gap(cap), "_uniform": gap_uniform(cap)} if not corrections else {"": gap(cap)}
    numbers = {}
    for end, table in tables.items():
        name = "gap_uniform" if end else "gap"
        kept = table[(table["metric"] == name) & (table["layer"] == OVER) & (table["head"] == OVER)]
        kept = kept[(kept["sinks"] == "with") & (kept["denominator"] == DENOMINATOR)].set_index("query")["value"]
        numbers |= {f"{side}{end}": float(kept.get(side, np.nan)) for side in SIDES}
    return numbers
