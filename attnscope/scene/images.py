"""Still images, and folders of numbered images that stand for a video."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from attnscope.errors import MediaError
from attnscope.files import check_regular
from attnscope.scene.frames import Frames, choose, refuse_too_many
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
Image.init()  # registers the formats
# Only these: Pillow also claims films (MPEG), fonts and documents.
_FORMATS = tuple(name for name in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF") if name in Image.OPEN)
_DIGITS = re.compile(r"(\d+)")


def is_still_image(path: Path) -> bool:
    """Whether a file is one picture, by its content. Animated GIF, PNG and WebP files are videos."""
    if path.suffix.lower() in (".mjpeg", ".mjpg"):  # pictures one after another
        return False
    try:
        with Image.open(path, formats=_FORMATS) as image:
            # MPO is a JPEG of a phone with a second picture (a depth map) behind the first
            return image.format in ("MPO", "TIFF") or getattr(image, "n_frames", 1) == 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return path.suffix.lower() in _SUFFIXES  # a damaged image: reading it says so
    except Image.DecompressionBombError:
        return True  # reading it says so


def read_image(path: Path, sampling: Sampling) -> Frames:
    """One frame at time 0.

    Raises:
        MediaError: The image cannot be read, or a window of time was asked for.
    """
    for name in ("start", "end"):
        if getattr(sampling, name) is not None:
            raise MediaError(
                f"{path}: {name}: {seconds(getattr(sampling, name))} s was given, but an image has no time"
            )
    pixels = load_image(path)
    height, width = pixels.shape[:2]
    return Frames(
        images=pixels[None],
        times=np.zeros(1),
        indices=np.zeros(1, np.int32),
        width=width,
        height=height,
        kind="image",
        source_fps=None,
        duration=None,
        total_frames=1,
    )


def read_folder(path: Path, sampling: Sampling) -> Frames:
    """Numbered images, in the order of their numbers: `f2.png` before `f10.png`.

    Raises:
        MediaError: No image, a name without a number, one number twice, sizes that differ, or an unreadable
            image.
    """
    files, warnings = numbered_images(path)
    rate = sampling.frame_rate or sampling.fps or 1.0
    duration = len(files) / rate
    chosen, fewer = choose(np.arange(len(files)) / rate, duration, sampling, path)
    first = load_image(files[chosen[0]])
    height, width = first.shape[:2]
    refuse_too_many(path, len(chosen), width, height)
    images = np.empty((len(chosen), height, width, 3), np.uint8)
    for row, number in enumerate(chosen):
        pixels = first if row == 0 else load_image(files[number])
        if pixels.shape != first.shape:
            raise MediaError(
                f"{files[number]}: is {pixels.shape[1]}x{pixels.shape[0]}, "
                f"but {files[chosen[0]].name} is {width}x{height}"
            )
        images[row] = pixels
    return Frames(
        images=images,
        times=chosen / rate,
        indices=chosen.astype(np.int32),
        width=width,
        height=height,
        kind="folder",
        source_fps=rate,
        duration=duration,
        total_frames=len(files),
        warnings=[*warnings, *fewer],
    )


def numbered_images(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder in natural order, and a warning if their numbers have gaps.

    Raises:
        MediaError: No image, a name without a number, or one number twice.
    """
    by_number: dict[tuple[object, ...], Path] = {}
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        raise MediaError(f"{folder}: cannot be read ({error.strerror})") from None
    for file in names:
        if file.suffix.lower() not in _SUFFIXES or file.name.startswith("."):
            continue
        parts = _DIGITS.split(file.stem)
        if len(parts) == 1:
            raise MediaError(f"{file}: the name holds no frame number")
        key = tuple(int(part) if i % 2 else part.lower() for i, part in enumerate(parts))
        if key in by_number:
            raise MediaError(f"{file}: has the same frame number as {by_number[key].name}")
        by_number[key] = file
    if not by_number:
        raise MediaError(f"{folder}: holds no image ({', '.join(sorted(_SUFFIXES))})")
    order = sorted(by_number, key=lambda key: [(isinstance(part, str), part) for part in key])
    return [by_number[key] for key in order], _gaps(order)


def _gaps(order: list[tuple[object, ...]]) -> list[str]:
    numbers = [key[-2] for key in order]  # the last number in the name: f12_v2.png is cut as f, 12, _v, 2, ""
    rising = [int(n) for n in numbers if isinstance(n, int)]
    missing = rising[-1] - rising[0] + 1 - len(rising)
    if missing <= 0 or any(b <= a for a, b in pairwise(rising)):
        return []
    return [f"the frame numbers leave out {missing}; times count the files, not the numbers in their names"]


def load_image(path: Path) -> npt.NDArray[np.uint8]:
    """Pixels [H, W, 3] uint8, turned upright; transparency is laid on white, 16-bit grey is scaled to 8.

    Raises:
        MediaError: It cannot be read.
    """
    check_regular(path, MediaError)
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            refuse_too_many(path, 1, *opened.size)
            _refuse_pages(path, opened)
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
                deep = np.asarray(image).astype(np.float64) * (255 / 65535)
                image = Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8))
            return np.array(on_white(image).convert("RGB"))  # a copy: what Pillow lends is read-only
    except Image.DecompressionBombError:
        raise MediaError(f"{path}: the image has too many pixels") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        reason = str(error).split("(")[0].strip() if not isinstance(error, UnidentifiedImageError) else "not an image"
        raise MediaError(f"{path}: the image cannot be read ({reason or type(error).__name__})") from None


def _refuse_pages(path: Path, image: Image.Image) -> None:
    """Pages of a TIFF are neither one picture nor a film; a smaller page is a preview.

    Raises:
        MediaError: There are several pages of one size.
    """
    if image.format != "TIFF" or getattr(image, "n_frames", 1) == 1:
        return
    size, pages = image.size, 0
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        pages += image.size == size
    image.seek(0)
    if pages > 1:
        raise MediaError(f"{path}: holds {pages} pages, and pages have no times; save them as a folder of images")


def on_white(image: Image.Image) -> Image.Image:
    """An image without transparency."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
