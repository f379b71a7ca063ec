"""What one run of the benchmark does: sizes, seeds, folders and the two models."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attnscope
from attnscope.demo.questions import SOCIAL, TASKS
from attnscope.errors import RequestError
from attnscope.model.folder import embedded_folder

NAMED = ("target", "pronoun", "mention", "pointing")  # social tasks whose question names one person
SECONDS = ("target-hidden", "speaks")  # social tasks whose question names nobody
ALPHAS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # of the dose curve
GRID_ALPHAS, GRID_HEADS = (1.0, 2.0, 4.0, 8.0, 16.0), (2, 4, 8, 16)  # of the choice on calibration clips
CALIBRATION_PEOPLE = (4, 5)
FEWEST, MORE = 3, (4, 5, 6)  # people of the clips on which corrections are tested: as trained on, and more
CROWD = f"{MORE[0]} to {MORE[-1]} people"
TEST_PEOPLE = (FEWEST, *MORE)
JITTER = (5, 10, 20)  # units: 96 to the side of the frame
LIBRARY = Path(attnscope.__file__).parent
CLIPS_PER_QUESTION = 4.5  # about two clips in nine allow a question of a given rare task
PART = 32  # clips drawn and scored by one process at a time
BATCH = 16

assert set(NAMED) | set(SECONDS) == set(SOCIAL) <= set(TASKS)


@dataclass(frozen=True)
class Model:
    """One of the two checkpoints.

    Attributes:
        role: "limited", trained on few people, or "full", trained on as many as are asked about.
        name: As its model card says.
        folder: Of the checkpoint.
        most_people: In its training clips.
        sha256: Of its weights and configuration.
    """

    role: str
    name: str
    folder: Path
    most_people: int
    sha256: str


def digest(files: Iterable[Path]) -> str:
    """A hash of the code that decides a result, which an interrupted run must find unchanged."""
    content = [path.read_bytes() for path in sorted(files)]
    return hashlib.sha256(b"".join(content)).hexdigest()[:12]


@dataclass(frozen=True)
class Settings:
    """All that decides the numbers.

    Attributes:
        models: The limited model, then the full one.
        scale: Factor on the number of questions.
        work: Folder of scenes and results, which an interrupted run finds again.
        out: Folder of roundtable.md, images/ and data/.
        workers: Processes, one thread each.
    """

    models: tuple[Model, ...]
    scale: float
    work: Path
    out: Path
    workers: int

    @property
    def per_cell(self) -> int:
        """Most questions of a task and a number of people on test clips."""
        return self._scaled(120)

    @property
    def dose_per_cell(self) -> int:
        """Those of them, the first, that are also asked at every strength of the dose curve."""
        return self._scaled(60)

    @property
    def calibration_per_cell(self) -> int:
        """Most questions of a task and a number of people on calibration clips."""
        return self._scaled(75)

    def clips(self, split: str, people: int) -> int:
        """How many clips are drawn."""
        if split == "calibration":
            return math.ceil(self.calibration_per_cell * (CLIPS_PER_QUESTION if people else 1))
        per_question = {0: 1.0, 1: 2.0, 2: 2.0}  # not about social tasks, or trivial there
        return math.ceil(self.per_cell * per_question.get(people, CLIPS_PER_QUESTION))

    def _scaled(self, count: int) -> int:
        return max(2, round(count * self.scale))


def find_model(role: str, where: str) -> Model:
    """Read what a checkpoint says about itself.

    Args:
        role: "limited" or "full".
        where: An embedded model or a folder.

    Raises:
        RequestError: It is not a checkpoint of `training`, or the limited model is none.
    """
    folder = embedded_folder(where) or Path(where)
    try:
        card: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        content = [(folder / name).read_bytes() for name in ("config.json", "model.safetensors")]
    except (OSError, ValueError) as error:
        raise RequestError(f"--models {where}: is no checkpoint of training: {error}") from None
    recipe = card["recipe"]
    if role == "limited" and max(recipe["people"]) > FEWEST:
        raise RequestError(f"--models {where}: was trained on more than {FEWEST} people; it can only be the second")
    digest = hashlib.sha256(b"".join(content)).hexdigest()
    return Model(role, recipe["name"], folder.resolve(), max(recipe["people"]), digest)
