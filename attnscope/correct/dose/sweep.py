"""Dose and response: one captured prompt under many settings of corrections, the model loaded once.

found = run_sweep("run.h5", [("social-bias", {"rows": "answer"})], ["alpha=0.25,0.5,1,2,4"])
found.table   # a row per setting and number, with a column per swept parameter
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope.correct.apply.known import refuse_early
from attnscope.correct.apply.recorded import Recorded
from attnscope.correct.base import Correction
from attnscope.correct.dose.grid import Axis, Setting, Step, axes, grid, said
from attnscope.correct.dose.runs import ANSWER, HEADS, Runs, named, quiet

if TYPE_CHECKING:
    from attnscope.model import LoadedModel

__all__ = ["ANSWER", "HEADS", "PLAIN", "Progress", "Sweep", "run_sweep"]

Progress = Callable[[str, int, int], None]
PLAIN = 0  # number of the plain run, which stands for zero strength


@dataclass(frozen=True)
class Sweep:
    """What one prompt answered, and where it looked, under every setting.

    Attributes:
        axes: The swept parameters.
        steps: Method and given parameters of each correction.
        settings: One a number; number 0 is the plain run, without values.
        target: The answer that is followed: the scene's right answer, or else the plain run's own.
        right: Whether it is the scene's.
        runs: One a setting: `answer` (text), `options` (text, logprob, share), `records` of the corrections, `notes`.
        table: `setting`, a column per axis (empty for the plain run), `number`, `of` (an option, or ""), `metric`,
            `unit`, `value`, `plain`, `change`, `n` and what it `counts`.
    """

    axes: list[Axis]
    steps: list[Step]
    settings: list[Setting]
    target: str
    right: bool
    runs: list[dict[str, Any]]
    table: pd.DataFrame


def run_sweep(
    before: str | Path,
    steps: Sequence[Step | Correction],
    sweeps: Sequence[str],
    *,
    model: LoadedModel | str | Path | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    progress: Progress | None = None,
) -> Sweep:
    """Run the model of a capture on its prompt, plain and under every setting.

    Of each run a small capture is made (masses and maps, in a temporary folder) and measured. All settings are checked
    before any of them runs.

    Args:
        before: A plain capture.
        steps: Method and given parameters of each correction, applied in order; or corrections, whose parameters may
            all be swept.
        sweeps: Swept parameters, as in `attnscope.correct.dose.grid.axes`.
        model: The model, if it is not to be loaded again from where the capture had it.
        threshold: Covered fraction from which a cell counts as a speaker's.
        denominator: Of the gap between self and cross attention.
        progress: Called with (what, done, total).

    Raises:
        RequestError: If a parameter is not known or a value out of range, there are too many settings, a setting does
            not apply to the scene or the model, or these are no longer what was captured.
    """
    swept = axes(sweeps, [(one.method, {}) if isinstance(one, Correction) else one for one in steps])
    base = [_step(one) for one in steps]
    points = grid(swept, base)
    recorded = Recorded.read(before, to="sweep over")
    for setting in points:
        with named(setting):
            refuse_early(recorded.path, [setting.corrections])
    loaded = recorded.load(model)
    runs = Runs(recorded, loaded, recorded.prompt(loaded), threshold, denominator)
    settings = [Setting({}, ()), *points]
    for setting in points:
        runs.check(setting)
    found: list[tuple[dict[str, Any], pd.DataFrame]] = []
    with TemporaryDirectory(prefix="attnscope-") as folder, quiet():
        for number, setting in enumerate(settings):
            if progress is not None:
                progress("settings", number, len(settings))
            found.append(runs.one(setting, Path(folder) / "run.h5"))
        if progress is not None:
            progress("settings", len(settings), len(settings))
    return Sweep(
        axes=swept,
        steps=base,
        settings=settings,
        target=runs.target[0],
        right=recorded.scene.answer is not None,
        runs=[run for run, _ in found],
        table=_table(swept, settings, [rows for _, rows in found]),
    )


def _step(one: Step | Correction) -> Step:
    """Method and parameters; None in what was given by hand is not given."""
    if isinstance(one, Correction):
        return one.method, {field.name: getattr(one, field.name) for field in fields(one) if field.init}
    return one[0], {key: value for key, value in one[1].items() if value is not None}


def _table(swept: Sequence[Axis], settings: Sequence[Setting], found: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All runs under each other, each number with that of the plain run and the change."""
    plain = found[PLAIN].set_index(["number", "of"])["value"]
    parts = []
    for number, (setting, rows) in enumerate(zip(settings, found, strict=True)):
        part = rows.assign(setting=number, **{axis.name: setting.values.get(axis.name) for axis in swept})
        part["plain"] = plain.reindex(pd.MultiIndex.from_frame(part[["number", "of"]])).to_numpy()
        parts.append(part.assign(change=part["value"] - part["plain"]))
    table = pd.concat(parts, ignore_index=True)
    for axis in swept:  # one type a column, so that parquet takes it
        if axis.is_number:
            table[axis.name] = table[axis.name].astype(np.float64)
        else:
            table[axis.name] = [None if value is None else said(value) for value in table[axis.name]]
    names = [axis.name for axis in swept]
    return table[["setting", *names, "number", "of", "metric", "unit", "value", "plain", "change", "n", "counts"]]
