"""What the head of a CVAT export says of its tasks: their videos, and which frames the numbers in the file mean.

In the export of a task frames are numbered as in the whole video, whatever part or step of it the task shows. In the
export of a project the frames of each task follow those of the tasks before it in its subset: its numbers are larger
by the sum of `start_frame + step * size` of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from attnscope.scene.importers.streaming import number, whole

HEAD = ("task", "project", "job", "source", "original_size")
_STEP = re.compile(r"step\s*=\s*(\d+)")
Size = tuple[float, float]


@dataclass
class Task:
    """A task.

    Attributes:
        clip: Name of its video; "" if the file names none.
        size: Width and height of its frames.
        offset: What its numbers of frames are larger by.
        start: First frame that it shows.
        until: Frame after the last one that it shows; None if the file does not say.
        of_project: Whether it is one of several in the file.
    """

    clip: str = ""
    size: Size | None = None
    offset: int = 0
    start: int = 0
    until: int | None = None
    of_project: bool = False

    def frame(self, written: int | None) -> int | None:
        """The frame of the video that a number means; None if the task has no such frame."""
        if written is None:
            return None
        frame = written - self.offset
        if self.of_project and (frame < self.start or (self.until is not None and frame > self.until)):
            return None
        return frame if frame >= 0 else None


@dataclass
class Tasks:
    """The tasks of a file by id; a file of one task has it alone."""

    tasks: dict[str, Task] = field(default_factory=dict)

    def add(self, element: Element) -> None:
        """Take in a child of the head: a task, a project with its tasks; the video or, of a job, the size of frames."""
        if element.tag == "source":
            for task in self.tasks.values():
                task.clip = (element.text or "").strip() or task.clip
            return
        if element.tag == "original_size":
            for task in self.tasks.values():
                task.size = _size(element) or task.size
            return
        parts = [element] if element.tag in ("task", "job") else list(element.iter("task"))
        offset, subset = 0, None
        for part in parts:
            if (part.findtext("subset") or "") != subset:
                offset, subset = 0, part.findtext("subset") or ""
            task, frames = _task(part, offset, len(parts) > 1)
            self.tasks[(part.findtext("id") or "").strip()] = task
            offset += frames

    def of(self, element: Element) -> Task:
        """The task of a track or image; an unknown one has no name and no size."""
        if len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        return self.tasks.get(element.get("task_id", ""), Task())


def _task(part: Element, offset: int, of_project: bool) -> tuple[Task, int]:
    """A task, and by how much it moves the numbers of the next one in a project."""
    clip = (part.findtext("source") or part.findtext("name") or "").strip()
    inner = part.find("original_size")
    size = None if inner is None else _size(inner)
    given = _STEP.search(part.findtext("frame_filter") or "")
    step = max(int(given[1]), 1) if given else 1
    start, stop, count = (whole(part.findtext(key)) for key in ("start_frame", "stop_frame", "size"))
    start = start or 0
    until = stop + step if stop is not None else start + count * step if count else None
    return Task(clip, size, offset, start, until, of_project), start + step * (count or 0)


def _size(element: Element) -> Size | None:
    width, height = (number(element.findtext(side)) for side in ("width", "height"))
    return (width, height) if width and height else None
