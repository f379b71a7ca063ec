"""Arithmetic that families with a fixed-size vision tower share."""

from __future__ import annotations

from typing import Any

from attnscope.errors import ModelError
from attnscope.model.layouts.base import Region


def square(value: Any, what: str) -> int:
    """Side of a square given as an int or as (side, side); some configurations write one, some the other."""
    sides = {int(v) for v in value} if isinstance(value, (list, tuple)) else {int(value)}
    if len(sides) != 1:
        raise ModelError(f"{what} is {value}: only square inputs have a known layout")
    return sides.pop()


def patches(vision_config: Any) -> tuple[int, float]:
    """Return how many patches a side of the tower has, and the fraction of the input's side that they cover.

    A 384 pixel input has 27 patches of 14 pixels; its last 6 pixels are never seen.
    """
    size = square(vision_config.image_size, "vision image_size")
    patch = square(vision_config.patch_size, "vision patch_size")
    count = size // patch
    return count, count * patch / size


def squash_or_crop(video_processor: Any, width: int, height: int) -> Region:
    """Return the rectangle of the source that a resize to (`size`) and a centre crop leave, in source pixels.

    It reaches over the source's edge where the processor pads a frame smaller than the crop.
    """
    size = video_processor.size
    new_width, new_height = float(width), float(height)
    if video_processor.do_resize:
        if size.get("shortest_edge"):
            edge = size["shortest_edge"]
            short, long = sorted((width, height))
            other = int(edge * long / short)
            new_width, new_height = (edge, other) if width <= height else (other, edge)
        else:
            new_width, new_height = size["width"], size["height"]
    x_scale, y_scale = width / new_width, height / new_height  # source pixels a processed pixel
    if not video_processor.do_center_crop:
        return (0.0, 0.0, float(width), float(height))
    crop_width, crop_height = video_processor.crop_size["width"], video_processor.crop_size["height"]
    left, top = _crop_start(new_width, crop_width), _crop_start(new_height, crop_height)
    return (left * x_scale, top * y_scale, (left + crop_width) * x_scale, (top + crop_height) * y_scale)


def _crop_start(size: float, crop: int) -> int:
    """First pixel of a centre crop; negative where the image is smaller and gets padded on both sides."""
    return int((size - crop) / 2.0) if size >= crop else -(int(crop - size) // 2)
