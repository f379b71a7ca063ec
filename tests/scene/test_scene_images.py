"""Still images and folders of numbered frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnscope.scene import Sampling, Scene, read_frames, read_scene_frames
from tests.scene.films import bars, number_in


def folder_of(path: Path, numbers: range, name: str = "frame_{}.png", size: tuple[int, int] = (96, 64)) -> Path:
    path.mkdir(exist_ok=True)
    for number in numbers:
        Image.fromarray(bars(number, *size)).save(path / name.format(number))
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_an_image_is_one_frame_at_time_zero(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd.{suffix}"
    Image.fromarray(bars(1234, 97, 63)).save(path)
    frames = read_frames(path)
    assert number_in(frames.images[0]) == 1234
    assert frames.images.shape == (1, 63, 97, 3)
    assert (frames.times.tolist(), frames.indices.tolist(), frames.kind) == ([0.0], [0], "image")
    assert (frames.duration, frames.source_fps, frames.total_frames) == (None, None, 1)


def test_image_modes_become_rgb(tmp_path: Path) -> None:
    grey16 = np.linspace(0, 65535, 96 * 64).reshape(64, 96).astype(np.uint16)
    Image.fromarray(grey16).save(tmp_path / "deep.png")
    deep = read_frames(tmp_path / "deep.png").images[0]
    assert np.abs(deep[..., 0].astype(int) - grey16 // 257).max() <= 1
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert (read_frames(tmp_path / "clear.png").images == 255).all()
    Image.new("CMYK", (8, 8)).save(tmp_path / "print.jpg")
    assert read_frames(tmp_path / "print.jpg").images.shape == (1, 8, 8, 3)
    Image.new("1", (8, 8), 1).save(tmp_path / "bits.png")
    assert (read_frames(tmp_path / "bits.png").images == 255).all()


def test_orientation_of_a_phone_is_applied(tmp_path: Path) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = 255
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image.save(tmp_path / "phone.jpg", exif=exif)
    frames = read_frames(tmp_path / "phone.jpg")
    assert (frames.width, frames.height) == (64, 96)
    assert frames.images[0, :48, 32:].mean() > 250
    assert frames.images[0, :48, :32].mean() < 5


def test_a_folder_is_sorted_by_number_and_counts_a_frame_a_second(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", range(1, 21))  # frame_2 comes before frame_10
    (folder / "scene.json").write_text("{}")
    (folder / ".frame_99.png").write_text("hidden")
    frames = read_frames(folder, Sampling(frames=4))
    assert [number_in(image) for image in frames.images] == [3, 8, 13, 18]
    assert frames.indices.tolist() == frames.times.tolist() == [2, 7, 12, 17]
    assert (frames.kind, frames.source_fps, frames.duration) == ("folder", 1.0, 20.0)
    assert frames.warnings == []


def test_the_time_base_of_a_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", range(12))
    # fps alone is the rate of the folder: every frame
    every = read_frames(folder, Sampling(fps=4))
    assert every.indices.tolist() == list(range(12))
    assert every.times == pytest.approx(np.arange(12) / 4)
    # beside a frame rate it samples, like with a video
    some = read_frames(folder, Sampling(fps=2, frame_rate=4))
    assert some.indices.tolist() == [0, 2, 4, 6, 8, 10]
    assert some.duration == 3.0
    window = read_frames(folder, Sampling(frames=2, start=1, end=2, frame_rate=4))
    assert window.times.tolist() == [1.25, 1.75]
    # a scene may state it
    scene = Scene(video=folder, frame_rate=4)
    assert read_scene_frames(scene, Sampling(frames=3)).times.tolist() == [0.5, 1.5, 2.5]
    assert read_scene_frames(scene, Sampling(frames=3, frame_rate=12)).duration == 1.0


def test_gaps_in_the_numbers_are_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", range(0, 30, 3), "cam2_{:05d}.jpg")
    frames = read_frames(folder, Sampling(frames=2))
    assert frames.warnings == ["the frame numbers leave out 18; times count the files, not the numbers in their names"]
