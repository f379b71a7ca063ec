"""The cases of the gallery: each is a page that a command writes, from embedded models and drawn scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import attnscope
from attnscope.correct import Correction, ModaAlign, ModaMask, rerun
from attnscope.correct.controls import control
from attnscope.demo.scenes import write_scenes
from attnscope.demo.walkthrough import CONTROL, CORRECTION, MODEL, Demo, demo
from attnscope.report.analyze import analyze
from attnscope.report.compare import compare

NOTE = (
    "roundtable is a tiny model, trained on drawn scenes with at most three people so that it fails in crowds. "
    "docs/roundtable.md and docs/corrections.md say how often corrections help it."
)
PLAN = attnscope.Plan(qk=True)
# A question that stays wrong under the demo's correction.
FAILS = {"seed": 5, "count": 10, "people": (5, 6), "tasks": ("target", "pronoun", "mention", "pointing")}
FAILING = "test-5-00007-pointing"


@dataclass(frozen=True)
class Case:
    """A page of the gallery.

    Attributes:
        name: Of its files.
        title: What it shows.
        says: What there is to see, in a sentence or two.
        make: Writes the page into a folder and returns it.
    """

    name: str
    title: str
    says: str
    make: Callable[[Demo, Path], Path]


def _analysis(made: Demo, _: Path) -> Path:
    return made.report


def _before_after(made: Demo, _: Path) -> Path:
    return made.comparison


def _things_and_people(_: Demo, out: Path) -> Path:
    """Three clips with five people, each asked about a thing and about a person."""
    tasks = ("colour", "target", "pronoun", "mention")
    write_scenes(out / "scenes", count=8, seed=3, people=(5,), tasks=tasks)
    scenes = sorted((out / "scenes" / "scenes").glob("*.json"))
    clips: dict[str, dict[str, Path]] = {}
    for path in scenes:
        clip, task = path.stem.rsplit("-", 1)
        clips.setdefault(clip, {})["thing" if task == "colour" else "person"] = path
    both = [paths for paths in clips.values() if len(paths) == 2][:3]
    captures = [_capture(path, out / f"{path.stem}.h5", what) for paths in both for what, path in paths.items()]
    return analyze(captures, out / "report", by="asked about", caption=NOTE).report


def _moda(made: Demo, out: Path) -> Path:
    """The alignment and the masked attention of MODA on the demo's scene."""
    before = made.runs[0].path
    return _corrected(before, [ModaAlign(), ModaMask()], out)


def _fails(_: Demo, out: Path) -> Path:
    """The demo's correction and its control on a question that stays wrong."""
    write_scenes(out / "scenes", **FAILS)  # type: ignore[arg-type]
    before = _capture(out / "scenes" / "scenes" / f"{FAILING}.json", out / "before.h5")
    return _corrected(before, [CORRECTION], out, control([CORRECTION], CONTROL))


def _capture(scene: Path, out: Path, asked: str | None = None) -> Path:
    shown = attnscope.Scene.read(scene)
    if asked is not None:
        shown = shown.model_copy(update={"fields": {**shown.fields, "asked about": asked}})
    attnscope.capture(attnscope.load(MODEL), shown, out, plan=PLAN, max_new_tokens=4).close()
    return out


def _corrected(before: Path, corrections: Sequence[Correction], out: Path, beside: Sequence[Correction] = ()) -> Path:
    model = attnscope.load(MODEL)
    rerun(before, corrections, out / "after.h5", model=model).close()
    if beside:
        rerun(before, beside, out / "control.h5", model=model).close()
    other = out / "control.h5" if beside else None
    return compare(before, out / "after.h5", out / "report", caption=NOTE, control=other).report


CASES = (
    Case(
        "one-capture",
        "One capture",
        "`attnscope analyze` on a crowded scene that the model answers wrongly: whom it confuses, and in which layers.",
        _analysis,
    ),
    Case(
        "social-bias",
        "Before and after social-bias",
        "The answer turns right when attention is drawn to the person who is asked about. The control, the same bias "
        "toward everybody's boxes, leaves it wrong.",
        _before_after,
    ),
    Case(
        "things-and-people",
        "Asked about a thing, asked about a person",
        "Three clips with five people. Each is asked the color of a thing, and whom a speaker means: object-centric "
        "beside multi-speaker.",
        _things_and_people,
    ),
    Case(
        "moda",
        "Before and after MODA",
        "`moda-align` and `moda-mask`, without training, on the scene of the demo. The answer stays wrong.",
        _moda,
    ),
    Case(
        "fails",
        "A case that fails",
        "Under the correction of the demo this question stays wrong: the answer moves from one wrong person to "
        "another, and moves the same way under the control.",
        _fails,
    ),
)


def run_demo(out: Path) -> Demo:
    """The demo, whose captures two of the cases show."""
    return demo(out)
