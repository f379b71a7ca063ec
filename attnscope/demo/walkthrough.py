"""The whole path on the embedded model: a crowded scene answered wrongly, shown, corrected, and a control."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.capture import open as open_capture
from attnscope.capture.plan import Plan
from attnscope.capture.run import Progress, capture
from attnscope.correct import Correction, SocialBias
from attnscope.correct.apply.rerun import rerun_each
from attnscope.correct.controls import control
from attnscope.demo.scenes import write_scenes
from attnscope.errors import Argument, RequestError
from attnscope.files import LOCK, exists, is_folder
from attnscope.files.folders import claimed, unusable_folder
from attnscope.model import load
from attnscope.report.analyze import analyze
from attnscope.report.compare import compare
from attnscope.report.index import index
from attnscope.report.page.numbers import percent
from attnscope.scene import Scene

logger = logging.getLogger("attnscope")
MODEL = "roundtable"
# The scene: more people than the model was trained on, and a wrong answer. Chosen because it shows the effect.
SEED, PEOPLE, TASK = 38, 5, "target"
# Heads and strength were chosen on calibration clips by `make benchmark`; this scene is none of them.
CORRECTION = SocialBias(
    rows="answer", strength="constant", alpha=8.0, heads="2.0,2.1,2.2,2.3,2.4,2.5,2.6,2.7", toward="asked"
)
CONTROL = "all boxes"  # singles nobody out, so nothing should change
_MARK = "made-by-attnscope-demo"
NOTE = (
    "roundtable is a tiny model, trained on drawn scenes with at most three people so that it fails in crowds. "
    "This scene was chosen because it shows the effect; docs/roundtable.md says how often it occurs."
)


@dataclass(frozen=True)
class Run:
    """One run of the model.

    Attributes:
        what: In a few words.
        path: The capture.
        answer: What the model says.
        right: Whether that is the scene's answer.
        probability: Probability of the right option among the options.
    """

    what: str
    path: Path
    answer: str
    right: bool
    probability: float


@dataclass(frozen=True)
class Demo:
    """What the demo wrote."""

    scene: Path
    question: str
    expected: str
    runs: tuple[Run, ...]
    report: Path
    comparison: Path
    verdict: tuple[str, ...]
    index: Path

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        runs = {
            run.what: {
                "capture": str(run.path),
                "answer": run.answer,
                "right": run.right,
                "probability": run.probability,
            }
            for run in self.runs
        }
        return {
            "note": NOTE,
            "scene": str(self.scene),
            "question": self.question,
            "expected": self.expected,
            "runs": runs,
            "report": str(self.report),
            "comparison": str(self.comparison),
            "verdict": list(self.verdict),
            "index": str(self.index),
        }

    def describe(self) -> str:
        """What happened, and what to look at."""
        width = max(len(run.what) for run in self.runs)
        lines = [
            f"  {run.what:<{width}}  {run.answer:<6} {'right' if run.right else 'wrong'}"
            f"   (probability of {self.expected} among the options: {percent(run.probability)})"
            for run in self.runs
        ]
        return "\n".join(
            [
                f"look at this first      {self.comparison}",
                f"where attention goes    {self.report}",
                f"both, in a list          {self.index}",
                "",
                f"{self.question} (right: {self.expected})",
                *lines,
                "",
                *self.verdict,
                "",
                NOTE,
            ]
        )


def demo(out: str | Path, *, progress: Progress | None = None) -> Demo:
    """Capture a scene, analyze it, correct it, and run a control, offline.

    Args:
        out: Folder for everything; a folder that an earlier demo made is replaced.
        progress: As in `attnscope.capture`.

    Raises:
        BusyError: If another process is writing the folder.
        RequestError: If the folder holds something else.
    """
    out = Path(out)
    if exists(out) and not is_folder(out):
        raise RequestError(f"{out}: is a file; choose a folder for ", Argument("out"))
    with claimed(out):
        _make_room(out)
        return _run_all(out, progress)


def _run_all(out: Path, progress: Progress | None) -> Demo:
    """Everything that the demo shows, into a folder that is its own."""
    write_scenes(out / "scenes", count=1, seed=SEED, people=(PEOPLE,))
    (path,) = (out / "scenes" / "scenes").glob(f"*-{TASK}.json")
    scene = Scene.read(path)
    logger.info("a clip of %d people: %s", PEOPLE, scene.video)
    model = load(MODEL)
    before = out / "before.h5"
    capture(model, scene, before, plan=Plan(qk=True), max_new_tokens=4, progress=progress).close()
    report = analyze([before], out / "analysis", caption=NOTE).report
    after, beside = out / "after.h5", out / "control.h5"
    runs: dict[Path, Sequence[Correction]] = {after: [CORRECTION], beside: control([CORRECTION], CONTROL)}
    for cap in rerun_each(before, runs, model=model, progress=progress):
        cap.close()
    page = compare(before, after, out / "comparison", control=beside, caption=NOTE)
    verdict = tuple(str(lead) for lead in page.numbers["verdict"]["leads"])
    paths = {"plain": before, "corrected": after, "control": beside}
    told = tuple(_run(what, path) for what, path in paths.items())
    listed = Path(index(out)["page"])
    return Demo(path, scene.question or "", scene.answer or "", told, report, page.report, verdict, listed)


def _run(what: str, path: Path) -> Run:
    with open_capture(path) as cap:
        answer, expected = str(cap.answer["text"]).strip(), cap.scene.answer or ""
        shares = {option["text"]: math.exp(option["logprob"]) for option in cap.answer["options"]}
    return Run(what, path, answer, answer == expected, shares[expected] / sum(shares.values()))


def _make_room(out: Path) -> None:
    try:
        inside = [path for path in out.iterdir() if path.name != LOCK]
        if inside and not exists(out / _MARK):
            raise RequestError(
                f"{out}: is not empty and was not made by the demo; choose another folder for ", Argument("out")
            )
        for path in inside:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (out / _MARK).write_text("This folder is replaced by every `attnscope demo`.\n", encoding="utf-8")
    except OSError as error:
        raise unusable_folder(out, error) from None
