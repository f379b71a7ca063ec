"""Work spread over processes; results are files, so that a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.studies import jitter, looks, worker
from benchmarks.studies.conditions import Condition
from benchmarks.studies.options import tell
from benchmarks.studies.scenes import Item, Part, write_part
from benchmarks.studies.settings import LIBRARY, Settings, digest


class Pool:
    """Processes that stay for the whole run.

    Attributes:
        settings: Of the run.
        seconds: What each step took.
        spent: Seconds of one process that the answers of each step took, also in an earlier run.
        reused: Steps that found results of an earlier run.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seconds: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        self.reused: list[str] = []
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(settings.workers, context, worker.start, (settings.models,))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write_scenes(self, parts: Sequence[Part]) -> None:
        """Draw the clips of parts."""
        missing = [part for part in parts if not part.folder.exists()]
        self._do("scenes", write_part, missing, len(parts))

    def answer(
        self, step: str, chosen: dict[Part, list[Item]], conditions: Sequence[Condition], *, read: bool = False
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Answer questions under conditions.

        Args:
            step: Its name.
            chosen: Questions by part.
            conditions: Each is asked the questions that it wants.
            read: Whether to read where the plain models look.

        Returns:
            Scores, one row for each model, condition and question; and what was read, one row for each model and
            question that names somebody. Both with the labels of the questions.
        """
        key = self._key(conditions, read)
        jobs = []
        for part, items in chosen.items():
            wanted = [item for item in items if any(condition.wants(item) for condition in conditions)]
            if wanted:
                ids = hashlib.sha256(" ".join(f"{item.id}:{item.dose}" for item in wanted).encode()).hexdigest()
                name = f"{step}-{part.folder.name}-{key}-{ids[:8]}.json"
                jobs.append(worker.Job(wanted, conditions, read, self.settings.work / "results" / name))
        self._do(step, worker.run, [job for job in jobs if not job.result.exists()], len(jobs))
        results = [json.loads(job.result.read_text(encoding="utf-8")) for job in jobs]
        self.spent[step] = sum(result["seconds"] for result in results)
        items = [item for job in jobs for item in job.items]
        return _labelled([row for result in results for row in result["scores"]], items), _labelled(
            [row for result in results for row in result["looks"]], items
        )

    def _key(self, conditions: Sequence[Condition], read: bool) -> str:
        """Changes with everything that decides a result: the code, the models, the conditions."""
        decides = {
            "code": digest([*LIBRARY.rglob("*.py"), *map(Path, (worker.__file__, looks.__file__, jitter.__file__))]),
            "models": [model.sha256 for model in self.settings.models],
            "conditions": [_told(condition) for condition in conditions],
            "looks": read,
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    def _do(self, step: str, work: Callable[[Any], Any], jobs: Sequence[Any], total: int) -> None:
        begun, done = time.monotonic(), total - len(jobs)
        if done:
            self.reused.append(step)
        tell(f"{step}: {total} parts" + (f", {done} of them from an earlier run" if done else ""))
        futures = [self._pool.submit(work, job) for job in jobs]
        for number, future in enumerate(as_completed(futures), 1):
            future.result()
            took = time.monotonic() - begun
            if number == len(jobs) or number % max(1, len(jobs) // 10) == 0:
                left = took / number * (len(jobs) - number)
                tell(f"{step}: {done + number} of {total} parts, {took:.0f} s, about {left:.0f} s left")
        self.seconds[step] = time.monotonic() - begun


def _told(condition: Condition) -> dict[str, Any]:
    return asdict(condition) | {
        "corrections": [[correction.method, correction.params()] for correction in condition.corrections]
    }


def _labelled(rows: Sequence[dict[str, Any]], items: Sequence[Item]) -> pd.DataFrame:
    """Rows with the labels of their questions; the columns are those of `attnscope.evaluate.Evaluation.samples`."""
    labels = {item.id: item for item in items}
    frame = pd.DataFrame(rows)
    if len(frame):
        frame["clip"] = [labels[name].clip for name in frame["id"]]
        frame["options"] = [labels[name].options for name in frame["id"]]
        for field in ("task", "people", "named", "seats", "dose"):
            frame[f"fields.{field}"] = [getattr(labels[name], field) for name in frame["id"]]
    return frame
