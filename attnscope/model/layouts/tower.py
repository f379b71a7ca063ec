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


def squash_or_crop(part: Any, width: int, height: int) -> Region:
    """Return the rectangle of the source that a resize to (`size`) and a centre crop leave, in source pixels.

    It reaches over the source's edge where the processor pads a frame smaller than the crop.

    Args:
        part: The image processor or the video processor.
        width: Width of the source.
        height: Height of the source.
    """
    size = part.size
    new_width, new_height = float(width), float(height)
    if part.do_resize:
        if size.get("shortest_edge"):
            edge = size["shortest_edge"]
            short, long = sorted((width, height))
            other = int(edge * long / short)
            new_width, new_height = (edge, other) if width <= height else (other, edge)
        else:
            new_width, new_height = size["width"], size["height"]
    x_scale, y_scale = width / new_width, height / new_height  # source pixels a processed pixel
    if not part.do_center_crop:
        return (0.0, 0.0, float(width), float(height))
    crop_width, crop_height = part.crop_size["width"], part.crop_size["height"]
    left, top = _crop_start(new_width, crop_width), _crop_start(new_height, crop_height)
    return (left * x_scale, top * y_scale, (left + crop_width) * x_scale, (top + crop_height) * y_scale)


def leading_tokens(processor: Any, strategy: str) -> int:
    """Return how many tokens without a place, such as a class token, stand before the patches of an image.

    Args:
        processor: One of LLaVA's processors, which counts the tokens that its tower adds to the patches.
        strategy: `vision_feature_select_strategy`: "default" drops the first token of the tower, "full" keeps it.

    Raises:
        ModelError: If a patch is dropped, because the tower has no class token.
    """
    added = int(processor.num_additional_image_tokens)
    if strategy == "default" and not added:
        raise ModelError(
            "vision_feature_select_strategy is 'default' and num_additional_image_tokens is 0: the first patch of each"
            " image would be dropped"
        )
    return added - (strategy == "default")


def _crop_start(size: float, crop: int) -> int:
    """First pixel of a centre crop; negative where the image is smaller and gets padded on both sides."""
    return int((size - crop) / 2.0) if size >= crop else -(int(crop - size) // 2)
