"""Boxes that are worse than they are, the cells that they cover, and quantiles over many such draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.model.place import coverage
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames

Unit = Literal["box", "px"]


def disturb(
    cap: Capture, draws: int, *, amount: float, unit: Unit, drop: float, grow: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The scene's boxes in the sampled frames, disturbed [draws, S, F, 4]; NaN where missing or left without area."""
    frames = cast("Frames", cap.frames)  # times, width and height are all it takes
    boxes = scene_boxes(cap.scene, frames).xyxy.astype(np.float64)  # [S, F, 4]
    sides = np.concatenate([boxes[..., 2:] - boxes[..., :2]] * 2, axis=-1)  # width, height, width, height
    larger = boxes + sides * np.array([-grow, -grow, grow, grow])
    scale = sides if unit == "box" else np.ones_like(sides)
    noisy = larger + rng.normal(0, amount, (draws, *boxes.shape)) * scale
    noisy = np.clip(noisy, 0, [frames.width, frames.height] * 2)
    lost = (noisy[..., 2:] <= noisy[..., :2]).any(-1) | (rng.random(noisy.shape[:-1]) < drop)
    noisy[lost] = np.nan
    return np.asarray(noisy, dtype=np.float32)


def covered(cap: Capture, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Covered fraction of each token's cell for boxes [S, F, 4], as in the columns `covered:` of `tokens`, [S, P]."""
    corners = cap.tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float32)
    frames = cap.tokens[["frame_first", "frame_last"]].to_numpy(np.int32)
    out = np.full((len(boxes), len(corners)), np.nan, dtype=np.float32)
    placed = np.isfinite(corners[:, 0])
    for row, xyxy in enumerate(boxes):
        out[row, placed] = coverage(corners[placed], frames[placed], xyxy)
    return out


def quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> list[NDArray[np.float64]]:
    """Quantiles of the finite among [D, N], linear between neighbours, each [N]; NaN where none is.

    That is numpy.nanquantile, which goes column by column.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(0) - 1, 0)
    out = []
    for share in shares:
        below = np.floor(share * last).astype(np.int64)
        above = np.ceil(share * last).astype(np.int64)
        low, high = (np.take_along_axis(ordered, at[None], axis=0)[0] for at in (below, above))
        out.append(low + (share * last - below) * (high - low))
    return out


def check(
    *, draws: int, level: float, amount: float = 0.1, unit: str = "box", drop: float = 0.0, grow: float = 0.0
) -> dict[str, Any]:
    """Refuse options out of range.

    Returns:
        How boxes are disturbed, options of `disturb`.

    Raises:
        RequestError: Naming the option and its value.
    """
    rules = (
        ("draws", draws, draws >= 1, "at least 1"),
        ("amount", amount, amount >= 0, "at least 0"),
        ("amount", f"{amount:.0%}", unit != "box" or amount <= 1, "at most 100% of a box"),
        ("unit", unit, unit in ("box", "px"), "box or px"),
        ("drop", drop, 0 <= drop <= 1, "a probability, 0 to 1"),
        ("grow", grow, grow > -0.5, "above -0.5, where nothing is left of a box"),
        ("level", level, 0 < level < 1, "a share of the draws, above 0 and below 1"),
    )
    for name, value, good, rule in rules:
        if not good:
            raise RequestError(f"jitter: {name} is {value}; it is {rule}")
    return {"amount": amount, "unit": unit, "drop": drop, "grow": grow}
