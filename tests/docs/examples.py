"""What the examples of the public API stand on: files of one drawn clip, captures of it, and names for them."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import attnscope
from attnscope import correct, metrics
from attnscope.demo.scenes import write_scenes
from attnscope.report import figures
from attnscope.scene import read_scene_frames

DRAWN = correct.SocialBias(rows="answer", strength="constant", alpha=8.0, heads="2.0,2.1,2.2,2.3,2.4,2.5,2.6,2.7")


def write_files(folder: Path) -> None:
    """Write the files that examples read, each beside the other: a clip of five people, and two captures of it."""
    write_scenes(folder / "demo", count=1, seed=38, people=(5,))
    (path,) = (folder / "demo" / "scenes").glob("*-target.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    shutil.copy(path.parent / document["video"], folder / "clip.mp4")
    shutil.rmtree(folder / "demo")
    (folder / "scene.json").write_text(json.dumps(document | {"video": "clip.mp4"}), encoding="utf-8")
    (folder / "speakers.json").write_text(json.dumps(document["speakers"]), encoding="utf-8")
    cues = [
        f"{number}\n{_stamp(turn['start'])} --> {_stamp(turn['end'])}\n{turn['speaker']}: {turn['text']}\n"
        for number, turn in enumerate(document["transcript"], 1)
    ]
    (folder / "clip.srt").write_text("\n".join(cues), encoding="utf-8")
    lines = [json.dumps({"id": name, "scene": "scene.json"}) for name in ("first", "second")]
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plan = attnscope.Plan(qk=True, hidden=True)
    attnscope.capture("roundtable", folder / "scene.json", folder / "run.h5", plan=plan, max_new_tokens=4).close()
    correct.rerun(folder / "run.h5", [DRAWN], folder / "after.h5").close()
    correct.write_corrections(folder / "correction.json", [DRAWN])


def names(stack: ExitStack) -> dict[str, Any]:
    """The names that every example may use, in a working directory with the files."""
    cap = stack.enter_context(attnscope.open("run.h5"))
    after = stack.enter_context(attnscope.open("after.h5"))
    model = attnscope.load("roundtable")
    scene = attnscope.Scene.read("scene.json")
    frames = read_scene_frames(scene)
    tables = metrics.compute(cap)
    after_tables = metrics.compute(after)
    pair = (("run", cap), ("after", after))
    about = metrics.clips.labels([cap, after], ["run", "after"])
    return {
        "__name__": "examples",
        "np": np,
        "pd": pd,
        "attnscope": attnscope,
        "figures": figures,
        "metrics": metrics,
        "cap": cap,
        "after": after,
        "model": model,
        "scene": scene,
        "frames": frames,
        "prompt": attnscope.model.build_prompt(model, scene, frames),
        "social": DRAWN,
        "tables": tables,
        "after_tables": after_tables,
        "about": about,
        "looks": pd.concat(metrics.answer_mass(one).assign(capture=name) for name, one in pair),
    }


def _stamp(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    return f"00:00:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"
