"""Which frame an image of "CVAT for images" is, whose id and whose name both hold a number.

CVAT counts the images of a task from 0 as they were uploaded. The export of a video names them after its frames, so
both numbers are equal; images that somebody extracted from a video are often numbered from 1, and often only some of
the frames. There the two contradict each other, and which one counts cannot be known from the file (rule: ours).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args
from xml.etree.ElementTree import Element

from attnscope.errors import SceneError
from attnscope.scene.importers.boxes.cvat_tasks import Task
from attnscope.scene.importers.streaming import whole
from attnscope.scene.problems import show

Counted = Literal["auto", "id", "name"]
_NUMBER = re.compile(r"(\d{1,15})$")


class ImageNumbers:
    """Numbers the images of a file.

    Args:
        path: The file, for messages.
        frames_by: "id" or "name"; "auto" takes the id where the names are numbered alike, from 0 or from 1.
        first: Number that the first frame has in names; None if it is not given.

    Raises:
        ValueError: If `frames_by` is unknown.
    """

    def __init__(self, path: Path, frames_by: str, first: int | None) -> None:
        if frames_by not in get_args(Counted):
            raise ValueError(f"frames_by: {frames_by} is not one of {', '.join(get_args(Counted))}")
        self.path, self.frames_by, self.first = path, frames_by, first
        self.lowest: int | None = None  # the lowest number in a name
        self.differs: dict[int, str] = {}  # number in the name less the id -> the first such image; two are kept

    def see(self, image: Element, task: Task) -> None:
        """Take in an image before any is numbered."""
        named, at = _named(image), whole(image.get("id"))
        if named is None or at is None:
            return
        self.lowest = named if self.lowest is None else min(self.lowest, named)
        other = min(
            named - at, named - at + task.offset, key=abs
        )  # names of a project are shifted with the ids, or not
        if len(self.differs) < 2:
            self.differs.setdefault(other, f"{show(image.get('name', ''))} has the id {at}")

    def check(self) -> None:
        """Refuse names and ids that contradict each other.

        Raises:
            SceneError: If they do, and `frames_by` does not say which counts.
        """
        wrong = [image for other, image in self.differs.items() if len(self.differs) > 1 or other not in (0, 1)]
        if self.frames_by == "auto" and wrong:
            raise SceneError(
                f"{self.path}: image {wrong[-1]}: which of the two is the number of the frame? Say frames_by=name or "
                "frames_by=id"
            )

    def frame(self, image: Element, task: Task) -> int | None:
        """The frame, from 0; None if the image is none."""
        named = _named(image)
        if named is None:
            return None
        if self.frames_by == "name":
            shift = self._first + (task.offset if named == whole(image.get("id")) else 0)  # both are moved in a project
            return named - shift if named >= shift else None
        return task.frame(whole(image.get("id")))

    @property
    def _first(self) -> int:
        return self.first if self.first is not None else int(self.lowest == 1)

    def notes(self) -> list[str]:
        """What is unsure about the numbers."""
        if self.frames_by == "auto" and 1 in self.differs:
            return [
                f"{self.path.name}: images are numbered from 1 in their names and from 0 by their ids; they are frames "
                "from 0"
            ]
        if self.frames_by == "name" and self.lowest and self.first is None:
            other = 1 - self._first
            return [
                f"{self.path.name}: the lowest number of an image is {self.lowest}, so images are taken to count from "
                f"{self._first}; first_frame={other} makes them count from {other}"
            ]
        return []


def _named(image: Element) -> int | None:
    """The number at the end of an image's name."""
    match = _NUMBER.search(Path(image.get("name", "")).stem)
    return int(match[1]) if match else None
