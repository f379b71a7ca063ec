"""The runs of a sweep: one prompt under one setting after the other, each captured small and measured."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope import metrics
from attnscope.attention import decoder_layers, tapped
from attnscope.capture.generate import collate, generate, option_logprob
from attnscope.capture.plan import Plan
from attnscope.capture.reader import Capture
from attnscope.capture.run import capture_prompts
from attnscope.correct.apply.bound import bind, check_applies
from attnscope.correct.apply.prompted import prompted
from attnscope.correct.apply.recorded import Recorded
from attnscope.correct.base import Correction, Running
from attnscope.correct.dose.grid import Setting
from attnscope.errors import RequestError
from attnscope.metrics.headline import headline
from attnscope.metrics.headline_lines import lines

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
        raise RequestError(f"--sweep {setting.text}: {error}") from None


class Runs:
    """The runs of one prompt; the first is the plain one, which says whose probability is followed."""

    def __init__(
        self, recorded: Recorded, model: LoadedModel, prompt: Prompt, threshold: float, denominator: str
    ) -> None:
        self.recorded, self.model, self.prompt = recorded, model, prompt
        self.threshold, self.denominator = threshold, denominator
        self.target: tuple[str, list[int]] = ("", [])
        kept = {k: v for k, v in recorded.run["plan"].items() if k in ("coverage", "sink_mass", "sink_ratio")}
        self.plan = Plan(masses=True, maps=True, stats=False, layers=tuple(recorded.layers), **kept)
        needed = {line.metric for line in lines(denominator)} | {"gap_uniform", "speaker_consistency_chance"}
        self.metrics = [entry.name for entry in metrics.all_metrics() if entry.name in needed]

    def check(self, setting: Setting) -> None:
        """Refuse a setting that does not apply, as far as that can be said without running the model.

        Raises:
            RequestError: naming the setting.
        """
        with named(setting):
            check_applies(self.model, self._shown(setting), setting.corrections)

    def _shown(self, setting: Setting) -> Prompt:
        """The prompt as the setting has the model see it."""
        if all(type(one).show is Correction.show for one in setting.corrections):
            return self.prompt
        scene, run = self.prompt.scene, self.recorded.run
        how = {"sampling": self.recorded.sampling, "template": run["template"], "frames": self.prompt.frames}
        return prompted(self.model, scene, setting.corrections, **how)

    def one(self, setting: Setting, path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
        """Run the model under a setting: what it said, and the numbers."""
        prompt = self._shown(setting)
        running = bind(self.model, prompt, setting.corrections)
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
