"""Files of cameras and converters that readers took wrongly or not at all."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, features

from attnscope.errors import MediaError
from attnscope.scene import Sampling, read_frames


def picture(number: int) -> Image.Image:
    """64 x 32, red by its number, with a white corner at the top left."""
    image = Image.new("RGB", (64, 32), (40 * number, 0, 200))
    image.paste((255, 255, 255), (0, 0, 16, 16))
    return image


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [(1, (64, 32), "top left"), (2, (64, 32), "top right"), (6, (32, 64), "top right")],
)
def test_motion_jpeg_of_a_camera_holds_exif(
    tmp_path: Path, orientation: int, size: tuple[int, int], corner: str
) -> None:
    """FFmpeg hands the Exif on with each frame, and PyAV has no name for it."""
    path = tmp_path / "camera.avi"
    exif = Image.Exif()
    exif[0x0112] = orientation
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuvj420p"
        for number in range(5):
            content = io.BytesIO()
            picture(number).save(content, "JPEG", exif=exif, quality=95)
            packet = av.Packet(content.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 10), stream
            container.mux(packet)
    frames = read_frames(path, Sampling(frames=5))
    assert frames.times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    if orientation != 1 and (frames.width, frames.height) == (64, 32) and corner_of(frames.images[4]) == "top left":
        pytest.skip("this FFmpeg does not turn frames by their Exif")
    assert (frames.width, frames.height) == size
    assert corner_of(frames.images[4]) == corner
    assert frames.images[4][-4:, 4:28, 0].mean() == pytest.approx(160, abs=6)


def corner_of(image: np.ndarray) -> str:
    """The corner that is white."""
    corners = {"top left": image[:8, :8], "top right": image[:8, -8:], "bottom left": image[-8:, :8]}
    return max(corners, key=lambda name: corners[name].mean())


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_an_animated_avif_is_a_film(tmp_path: Path) -> None:
    """It holds a picture as its first stream and the film as its second."""
    path = tmp_path / "a.avif"
    images = [picture(number) for number in range(6)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, quality=90)
    frames = read_frames(path, Sampling(frames=6))
    assert frames.times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    reds = [image[-4:, 4:28, 0].mean() for image in frames.images]
    assert reds == pytest.approx([0, 40, 80, 120, 160, 200], abs=8)


def test_pages_are_no_film(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    images = [picture(number) for number in range(3)]
    images[0].save(path, save_all=True, append_images=images[1:])
    with pytest.raises(MediaError) as caught:
        read_frames(path)
    assert str(caught.value) == f"{path}: holds 3 pages, and pages have no times; save them as a folder of images"
    images[0].save(path, save_all=True, append_images=[images[1].resize((16, 8))])  # a preview
    assert read_frames(path).images.shape == (1, 32, 64, 3)
