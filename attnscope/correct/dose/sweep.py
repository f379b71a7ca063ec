"""Dose and response: one captured prompt under many settings of corrections, the model loaded once.

sweep = run_sweep("run.h5", [("social-bias", {"rows": "answer"})], ["alpha=0.25,0.5,1,2,4"])
sweep.table   # a row per setting and number, with a column per swept parameter
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.attention import decoder_layers, tapped
from attnscope.capture.plan import Plan
from attnscope.capture.read.capture import Capture
from attnscope.capture.record.generate import collate, generate, option_logprob
from attnscope.capture.run import capture_prompts
from attnscope.correct.apply.binding import bind, check_applies
from attnscope.correct.apply.known import Captured
from attnscope.correct.apply.prompts import prompted
from attnscope.correct.apply.refusals import refuse_early
from attnscope.correct.apply.source import Recorded
from attnscope.correct.base import Correction, Running
from attnscope.correct.dose.grid import Axis, Setting, Step, axes, grid, said
from attnscope.errors import RequestError
from attnscope.metrics.headline import headline, lines

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

ANSWER = ("Log-probability of the followed answer", "Probability of the followed answer")
HEADS = "Active heads"


@contextmanager
def named(setting: Setting) -> Iterator[None]:
    """Name the setting of a sweep in what is refused inside the block.

    Raises:
        RequestError: As raised inside, with the setting before it.
    """
    try:
        yield
    except RequestError as error:
        raise RequestError.of("sweeps", setting.text, *error.args) from None


class Runs:
    """The runs of one prompt; the first is the plain one, which says whose probability is followed."""

    def __init__(
        self, recorded: Recorded, model: LoadedModel, prompt: Prompt, threshold: float, denominator: str
    ) -> None:
        self.recorded, self.model, self.prompt = recorded, model, prompt
        self.known = Captured.of(recorded, model, prompt)
        self.threshold, self.denominator = threshold, denominator
        self.target: tuple[str, list[int]] = ("", [])
        kept = {k: v for k, v in recorded.run["plan"].items() if k in ("coverage", "sink_mass", "sink_ratio")}
        self.plan = Plan(masses=True, maps=True, stats=False, layers=tuple(recorded.layers), **kept)
        needed = {line.metric for line in lines(denominator)} | {"gap_uniform", "speaker_consistency_chance"}
        self.metrics = [entry.name for entry in metrics.all_metrics() if entry.name in needed]

    def check(self, setting: Setting) -> None:
        """Refuse a setting that does not apply, as far as that can be said without running the model.

        Raises:
            RequestError: Naming the setting.
        """
        with named(setting):
            check_applies(self.model, self._shown(setting), setting.corrections)

    def _shown(self, setting: Setting) -> Prompt:
        """The prompt as the setting has the model see it."""
        if not any("prompt" in one.changes for one in setting.corrections):
            return self.prompt
        scene, run = self.prompt.scene, self.recorded.run
        how = {"sampling": self.recorded.sampling, "template": run["template"], "frames": self.prompt.frames}
        return prompted(self.model, scene, setting.corrections, **how)

    def one(self, setting: Setting, path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
        """Run the model under a setting: what it said, and the numbers."""
        prompt = self._shown(setting)
        running = bind(self.model, prompt, setting.corrections, plain=self.known if prompt is self.prompt else None)
        run = self.recorded.run
        (cap,) = capture_prompts(
            self.model,
            [prompt],
            [path],
            plan=self.plan,
            sampling=self.recorded.sampling,
            max_new_tokens=run["max_new_tokens"],
            template=run["template"],
            verify=False,
            corrections=running,
        )
        with cap:
            options = _options(cap)
            if not self.target[0]:
                self.target = self._target(cap, options)
            notes = [note for record in cap.correction for note in record["notes"]]
            said = {
                "answer": str(cap.answer["text"]),
                "options": options,
                "records": cap.correction,
                "notes": notes,
            }
            if cap.check["passed"] is False:
                notes.append("the self-check FAILED: do not trust these numbers")
            rows = [*self._answer(prompt, running, options), self._heads(cap), *self._attention(cap)]
        return said, pd.DataFrame(rows)

    def _target(self, cap: Capture, options: list[dict[str, Any]]) -> tuple[str, list[int]]:
        """Text and tokens of the answer that is followed."""
        from attnscope.model import option_ids

        if cap.scene.answer is not None:
            return cap.scene.answer, option_ids(self.model, self.prompt, cap.scene.answer)
        if options:
            best = max(options, key=lambda option: float(option["logprob"]))
            return str(best["text"]), []  # scored with the others
        return str(cap.answer["text"]), [int(token["id"]) for token in cap.answer["tokens"]]

    def _answer(
        self, prompt: Prompt, running: Sequence[Running], options: list[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Log-probability and probability of the followed answer, and of every option."""
        known = {option["text"]: option for option in options}
        chosen = known.get(self.target[0])
        lp = self._logprob(prompt, running) if chosen is None else float(chosen["logprob"])
        share = math.exp(lp) if chosen is None else float(chosen["share"])
        for name, unit, value in zip(ANSWER, ("nat", "1"), (lp, share), strict=True):
            yield _row(name, self.target[0], "logprob" if unit == "nat" else "probability", unit, value, 1, "prompts")
        for text, option in known.items():
            yield _row("Log-probability of an option", text, "logprob", "nat", option["logprob"], 1, "prompts")
            yield _row("Probability of an option", text, "probability", "1", option["share"], 1, "prompts")

    def _logprob(self, prompt: Prompt, running: Sequence[Running]) -> float:
        """Log-probability of the followed answer where it is none of the options."""
        with tapped(self.model.model, edits=running):
            (first,) = generate(self.model, collate([prompt], self.model)[0], 1)
            return option_logprob(self.model, prompt, self.target[1], first.first_logits)

    def _heads(self, cap: Capture) -> dict[str, Any]:
        """How many heads of the model were active; one that several corrections touch counts once."""
        active = {(layer, head) for one in cap.correction for layer, heads in one["active"] for head in heads}
        total = len(decoder_layers(self.model.model)) * cap.heads
        return _row(HEADS, "", "active_heads", "1", len(active), total, "heads")

    def _attention(self, cap: Capture) -> Iterator[dict[str, Any]]:
        """The headline numbers of a run."""
        tables = metrics.compute(cap, self.metrics, threshold=self.threshold)
        for table in tables.values():
            table.insert(0, "capture", "run")
        for row in headline(tables, self.denominator).to_dict(orient="records"):
            unit = metrics.get(row["metric"]).unit
            yield _row(row["number"], "", row["metric"], unit, row["value"], row["n"], row["counts"])


def _row(number: str, of: str, metric: str, unit: str, value: float, n: int, counts: str) -> dict[str, Any]:
    return {
        "number": number,
        "of": of,
        "metric": metric,
        "unit": unit,
        "value": float(value),
        "n": int(n),
        "counts": counts,
    }


def _options(cap: Capture) -> list[dict[str, Any]]:
    """The scene's options with log-probability and their share of what all options have."""
    found = list(cap.answer["options"])
    lp = np.array([float(option["logprob"]) for option in found])
    weight = np.exp(lp - lp.max()) if len(lp) else lp
    return [
        {"text": option["text"], "logprob": value, "share": share}
        for option, value, share in zip(found, lp.tolist(), (weight / weight.sum()).tolist(), strict=True)
    ]


@contextmanager
def quiet() -> Iterator[None]:
    """No lines of single captures: there are as many as settings."""
    logger = logging.getLogger("attnscope")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


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
        denominator: Denominator of the gap between self and cross attention.
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
        return one.method, one.values()
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
