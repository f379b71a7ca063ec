"""Boxes that are not quite right: one speaker's box moved by a known distance."""

from __future__ import annotations

import math

import numpy as np

from attnscope.demo.cast import UNITS
from attnscope.demo.scenes import SCALE
from attnscope.scene import Scene

_SIDE = UNITS * SCALE  # of the film's frame, pixels
Box = tuple[float, float, float, float]


def move(box: Box, distance: float, rng: np.random.Generator) -> Box:
    """A box of the same size elsewhere: in a random direction, of those that keep it within the frame.

    Args:
        box: Left, top, right, bottom in pixels.
        distance: Pixels.
        rng: Draws the direction.
    """
    left, top, right, bottom = box
    if distance == 0:
        return box
    for _ in range(10_000):
        angle = rng.uniform(0, 2 * math.pi)
        dx, dy = distance * math.cos(angle), distance * math.sin(angle)
        if left + dx >= 0 and top + dy >= 0 and right + dx <= _SIDE and bottom + dy <= _SIDE:
            return left + dx, top + dy, right + dx, bottom + dy
    raise ValueError(f"box {box} cannot be moved by {distance} within the frame")


def jittered(scene: Scene, name: str, units: int, seed: int) -> Scene:
    """The scene with one speaker's box moved, by the same step in all frames.

    Args:
        scene: A round-table scene, whose boxes stay where they are.
        name: The speaker.
        units: How far, in units of the drawing.
        seed: Of the direction.
    """
    speaker = scene.speakers[name]
    segment = speaker.segments[0]
    keyframe = segment.keyframes[0]
    moved = keyframe.model_copy(update={"xyxy": move(keyframe.xyxy, units * SCALE, np.random.default_rng(seed))})
    elsewhere = speaker.model_copy(update={"segments": [segment.model_copy(update={"keyframes": [moved]})]})
    return scene.model_copy(update={"speakers": {**scene.speakers, name: elsewhere}})
