"""The whole path on a tiny model and a clip, both made in place: capture, analyze, correct."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attnscope.capture.plan import Plan
from attnscope.capture.run import Progress, capture
from attnscope.correct import SocialBias, rerun
from attnscope.demo.checkpoint import build_tiny_qwen2_5_vl
from attnscope.demo.clip import render_clip
from attnscope.errors import RequestError
from attnscope.model import load
from attnscope.report.analyze import analyze
from attnscope.report.compare import compare
from attnscope.scene import Sampling, Scene

logger = logging.getLogger("attnscope")
MODEL = "qwen2.5-vl-random-weights"
_MARK = "made-by-attnscope-demo"
RANDOM = (
    "The demo's weights are random: the numbers show what attnscope measures, and say nothing about any trained model."
)


@dataclass(frozen=True)
class Demo:
    """What the demo wrote."""

    before: Path
    after: Path
    report: Path
    comparison: Path

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: str(path) for name, path in asdict(self).items()} | {"note": RANDOM}

    def describe(self) -> str:
        """What to look at."""
        return "\n".join(
            [
                RANDOM,
                f"capture     {self.before}",
                f"report      {self.report}",
                f"corrected   {self.after}",
                f"comparison  {self.comparison}",
            ]
        )


def demo(out: str | Path, *, progress: Progress | None = None) -> Demo:
    """Run capture, analyze and correct offline.

    Args:
        out: Folder for everything; a folder that an earlier demo made is replaced.
        progress: As in `attnscope.capture`.

    Raises:
        RequestError: If the folder holds something else.
    """
    out = Path(out)
    _make_room(out)
    scene = Scene.read(render_clip(out / "clip"))
    logger.info("made a clip of two people: %s", scene.video)
    model = load(str(build_tiny_qwen2_5_vl(out / MODEL)))
    logger.info("made a tiny Qwen2.5-VL checkpoint with random weights: %s", out / MODEL)
    before, after = out / "before.h5", out / "after.h5"
    capture(model, scene, before, plan=Plan(qk=True), sampling=Sampling(frames=8), progress=progress).close()
    report = analyze([before], out / "analysis", caption=RANDOM).report
    # Random logits are as often negative as not, and the published bias would then push away: take the gap.
    rerun(before, [SocialBias(alpha=1.0, negative="gap")], after, model=model, progress=progress).close()
    comparison = compare(before, after, out / "comparison", caption=RANDOM).report
    return Demo(before, after, report, comparison)


def _make_room(out: Path) -> None:
    if out.exists():
        if not out.is_dir() or (any(out.iterdir()) and not (out / _MARK).exists()):
            raise RequestError(f"{out}: is not empty and was not made by the demo; choose another folder with -o")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / _MARK).write_text("This folder is replaced by every `attnscope demo`.\n", encoding="utf-8")
