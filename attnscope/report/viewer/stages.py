"""What the people of a scene, its words and its frames are: the part of the document that captures share."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from attnscope.report.viewer.colors import people
from attnscope.report.viewer.packing import pack
from attnscope.report.viewer.shown import PLACE, Shown
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames

Address = Callable[[int], str | None]  # of a frame: a data URI, an address, or None where it is left out
SIDES = (640, 480, 320)  # pixels, of the larger side of pictures in a page: the first at which they fit
QUALITY = 75  # of their JPEG
MOST = 240  # frames with a picture


def stage_of(shown: Shown, images: Address) -> dict[str, Any]:
    """The stage of a capture that has one of its own.

    Args:
        shown: The capture.
        images: Where the picture of each frame is.

    Returns:
        A `Stage` of viewer/src/document.ts.
    """
    cap = shown.cap
    frames, scene, tokens = cap.frames, cap.scene, cap.tokens.iloc[shown.cells]
    boxes = scene_boxes(scene, cast("Frames", frames))  # times, width and height are all it takes
    return {
        "kind": str(frames.kind),
        "width": int(frames.width),
        "height": int(frames.height),
        "people": people(scene),
        "turns": [
            {"index": i, "speaker": turn.speaker, "text": turn.text, "start": turn.start, "end": turn.end}
            for i, turn in enumerate(scene.transcript)
        ],
        "frames": [
            {
                "time": float(time),
                "image": images(row),
                "boxes": {
                    name: [round(float(side), 2) for side in boxes.xyxy[s, row]]
                    for s, name in enumerate(boxes.speakers)
                    if np.isfinite(boxes.xyxy[s, row]).all()
                },
            }
            for row, time in enumerate(frames.times)
        ],
        "cells": {
            "positions": pack(shown.cells, "int32"),
            "first": pack(tokens["frame_first"].to_numpy(), "int32"),
            "last": pack(tokens["frame_last"].to_numpy(), "int32"),
            "box": pack(tokens[PLACE[2:]].to_numpy(np.float32)),
        },
        "question": scene.question,
        "expected": scene.answer,
    }


@dataclass
class Pictures:
    """The frames of a capture as data URIs, scaled down where they are large, as many as a budget lets in.

    Attributes:
        cap: The capture.
        budget: Characters that they may take together.
    """

    cap: Capture
    budget: int
    _uris: dict[int, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        total = len(self.cap.frames)
        for side in SIDES:
            uris = dict(self._encoded(_evenly(total, min(total, MOST)), side))
            if sum(map(len, uris.values())) <= self.budget:
                break
        count = len(uris)
        while sum(len(uris[row]) for row in _evenly(total, count) if row in uris) > self.budget:
            count -= 1
        self._uris = {row: uris[row] for row in _evenly(total, count) if row in uris}

    def __call__(self, row: int) -> str | None:
        """The data URI of a frame; None where it is left out."""
        return self._uris.get(row)

    @property
    def left_out(self) -> int:
        """How many frames have no picture."""
        return len(self.cap.frames) - len(self._uris)

    @property
    def characters(self) -> int:
        """What they take."""
        return sum(map(len, self._uris.values()))

    def _encoded(self, rows: list[int], side: int) -> Iterator[tuple[int, str]]:
        for row in rows:
            yield row, "data:image/jpeg;base64," + base64.b64encode(_scaled(self.cap, row, side)).decode()


def _evenly(total: int, count: int) -> list[int]:
    """So many of the numbers below `total`, evenly chosen."""
    if count >= total:
        return list(range(total))
    return np.unique(np.linspace(0, total - 1, count).round().astype(int)).tolist() if count else []


def _scaled(cap: Capture, row: int, side: int) -> bytes:
    """A frame as JPEG: the stored one where it is small enough, else scaled to `side` pixels."""
    image = Image.fromarray(cap.frames.image(row))
    if max(image.size) <= side:
        return cap.frames.jpeg(row)
    share = side / max(image.size)
    small = image.resize(
        (max(1, round(image.width * share)), max(1, round(image.height * share))), Image.Resampling.BOX
    )
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
