"""Animated WebP, which FFmpeg does not decode, through Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnscope.errors import MediaError
from attnscope.scene.frames import Frames, choose, refuse_too_many
from attnscope.scene.images import on_white
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds

_HEADER = 12  # bytes: RIFF, the size of what follows, WEBP


def is_animated_webp(path: Path) -> bool:
    """Whether a file, by its content, is a WebP of several frames."""
    with path.open("rb") as file:
        head = file.read(_HEADER + 9)
    # an extended file begins with a chunk of flags, of which bit 1 is the animation
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)


def read_animation(path: Path, sampling: Sampling) -> Frames:
    """Read frames of an animated WebP; see `attnscope.scene.read_frames`.

    Each frame is the whole canvas as it is shown, over white where it is transparent. A frame of no duration is
    never on screen.

    Raises:
        MediaError: The file is cut short or damaged, has no durations, or the window is wrong.
    """
    _refuse_cut_short(path)
    lasting = [duration for duration, _ in animation_frames(path)]
    ends = np.cumsum(lasting) / 1000  # Pillow counts milliseconds
    duration = float(ends[-1])
    if duration <= 0:
        raise MediaError(f"{path}: its {len(lasting)} frames have no durations")
    times = np.concatenate([[0.0], ends[:-1]])
    chosen, warnings = choose(times, duration, sampling, path)
    images: npt.NDArray[np.uint8] | None = None
    rows = {int(number): row for row, number in enumerate(chosen)}
    for number, (_, image) in enumerate(animation_frames(path)):
        if number not in rows:
            continue
        if images is None:
            refuse_too_many(path, len(chosen), *image.size)
            images = np.empty((len(chosen), image.height, image.width, 3), np.uint8)
        images[rows[number]] = np.asarray(on_white(image).convert("RGB"))
        if number == chosen[-1]:
            break
    assert images is not None  # `choose` never comes back empty
    return Frames(
        images=images,
        times=times[chosen],
        indices=chosen.astype(np.int32),
        width=images.shape[2],
        height=images.shape[1],
        kind="video",
        source_fps=len(lasting) / duration,
        duration=duration,
        total_frames=len(lasting),
        warnings=warnings,
    )


def animation_frames(path: Path) -> Iterator[tuple[int, Image.Image]]:
    """The milliseconds that each frame lasts, and the canvas while it is shown.

    Raises:
        MediaError: The file is damaged.
    """
    number, end = 0, 0
    try:
        with Image.open(path, formats=("WEBP",)) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                image.load()
                lasts = int(image.info["duration"])
                end += lasts
                yield lasts, image
    except Image.DecompressionBombError:
        raise MediaError(f"{path}: the image has too many pixels") from None
    except (OSError, SyntaxError, ValueError, KeyError) as error:
        where = f"the frame at {seconds(end / 1000)} s cannot be decoded" if end or number else "cannot be decoded"
        raise MediaError(f"{path}: {where} ({type(error).__name__})") from None


def _refuse_cut_short(path: Path) -> None:
    with path.open("rb") as file:
        promised = _HEADER - 4 + int.from_bytes(file.read(_HEADER)[4:8], "little")
    size = path.stat().st_size
    if size < promised:
        raise MediaError(f"{path}: the file is cut short: it has {size:,} of {promised:,} bytes")
