"""Step 1: clips of the calibration and the test split, and which of their questions are asked."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.demo.scenes import write_scenes
from attnscope.demo.script import MOST_PEOPLE, Split
from benchmarks.studies.settings import CALIBRATION_PEOPLE, LIBRARY, PART, Settings, digest

THINGS_ALONE = 0  # number of people


@dataclass(frozen=True)
class Part:
    """Some clips with one number of people, in a folder of their own.

    Attributes:
        split: Of the seat combinations.
        people: In each clip.
        number: Of the part; with `people` it is the seed.
        count: Clips.
        folder: Complete, or absent.
    """

    split: Split
    people: int
    number: int
    count: int
    folder: Path


@dataclass(frozen=True)
class Item:
    """A question that is asked.

    Attributes:
        scene: Its file; the stem is its id.
        clip: Name of its film.
        options: Answers to choose from.
        task, people, named, seats: As in the scene's fields.
        dose: Whether it is also asked at every strength of the dose curve.
    """

    scene: Path
    clip: str
    options: tuple[str, ...]
    task: str
    people: int
    named: bool
    seats: str
    dose: bool

    @property
    def id(self) -> str:
        """Unique in a run."""
        return self.scene.stem


def plan_parts(settings: Settings, split: Split) -> list[Part]:
    """The parts of a split; calibration has the numbers of people that heads are chosen at, and things alone."""
    people = (THINGS_ALONE, *CALIBRATION_PEOPLE) if split == "calibration" else range(MOST_PEOPLE + 1)
    version = digest(
        path for path in (LIBRARY / "demo").glob("*.py") if path.name != "walkthrough.py"
    )  # it draws nothing
    parts = []
    for number in people:
        clips = settings.clips(split, number)
        for part in range(math.ceil(clips / PART)):
            count = min(PART, clips - part * PART)
            folder = settings.work / f"scenes-{version}" / f"{split}-{number}-{part:03d}-of-{count}"
            parts.append(Part(split, number, part, count, folder))
    return parts


def write_part(part: Part) -> None:
    """Draw the clips of a part, unless they are there."""
    if part.folder.exists():
        return
    draft = part.folder.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was stopped
    seed = 1000 * part.people + part.number  # also in the names of clips and questions, which must differ
    write_scenes(draft, count=part.count, seed=seed, split=part.split, people=[part.people])
    draft.replace(part.folder)


def choose(parts: Iterable[Part], most: int, dose: int) -> dict[Part, list[Item]]:
    """The first questions of each task and number of people, in the order of the parts.

    Args:
        parts: Written parts.
        most: Questions of a task and a number of people.
        dose: How many of these, the first, are also asked at every strength.
    """
    taken: Counter[tuple[str, int]] = Counter()
    chosen: dict[Part, list[Item]] = {}
    for part in parts:
        items = []
        for scene, document in _questions(part):
            fields, options = document["fields"], tuple(document["options"])
            cell = fields["task"], part.people
            if taken[cell] < most:
                clip, labels = (
                    Path(document["video"]).stem,
                    (fields["task"], part.people, fields["named"], fields["seats"]),
                )
                items.append(Item(scene, clip, options, *labels, dose=taken[cell] < dose))
                taken[cell] += 1
        chosen[part] = items
    return chosen


def _questions(part: Part) -> Iterator[tuple[Path, dict[str, Any]]]:
    for line in (part.folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        scene = part.folder / json.loads(line)["scene"]
        yield scene, json.loads(scene.read_text(encoding="utf-8"))
