"""Videos whose times or frames are easily taken wrongly, against a decoding of every frame."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from attnscope.errors import MediaError
from attnscope.scene import Frames, Sampling, read_frames
from tests.scene.films import film, number_in
from tests.scene.packed import packed_film


def windows(end: float) -> list[Sampling]:
    """All frames of 60, eight of them, and random windows, which are sought."""
    dice = random.Random(0)
    starts = [dice.uniform(0, end * 0.8) for _ in range(10)]
    few = [Sampling(frames=dice.randint(1, 5), start=at, end=at + dice.uniform(0.1, end * 0.19)) for at in starts]
    return [Sampling(frames=60), Sampling(frames=8), *few]


def assert_numbered(frames: Frames, times: npt.NDArray[np.float64]) -> None:
    assert [number_in(image) for image in frames.images] == frames.indices.tolist()
    assert frames.times == pytest.approx(times[frames.indices], abs=2e-3)


OPEN = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:scenecut=0"}
FILMS: list[tuple[str, dict[str, Any]]] = [
    ("open-group.mp4", {"options": OPEN}),
    ("open-group.ts", {"options": OPEN}),
    ("program-stream.mpg", {"codec": "mpeg2video", "fps": 25, "options": {"bf": "2"}}),
    ("intra-only.mpg", {"codec": "mpeg2video", "fps": 25, "gop": 1}),
    ("interlaced.ts", {"codec": "mpeg2video", "fps": 25, "options": {"bf": "2", "flags": "+ilme+ildct"}}),
    ("no-display-times.avi", {"options": {"bf": "3"}}),
    ("mpeg4.mkv", {"codec": "mpeg4", "options": {"bf": "2"}}),
    ("gaps.avi", {"codec": "mpeg4", "pts": [n * 2 + (n > 20) * 7 for n in range(60)]}),
    ("before-zero.mkv", {"pts": [n - 5 for n in range(60)]}),
    ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("negative-offsets.mp4", {"container_options": {"movflags": "negative_cts_offsets"}}),
]


@pytest.mark.parametrize(("name", "how"), FILMS, ids=[name for name, _ in FILMS])
def test_every_frame_is_the_one_of_its_time(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    path = film(tmp_path / name, frames=60, **how)
    pts = np.array(how.get("pts", range(60)))
    times = (pts - pts[0]) / how.get("fps", 10)
    for sampling in windows(float(times[-1])):
        frames = read_frames(path, sampling)
        assert_numbered(frames, times)
    assert frames.total_frames == 60
    assert frames.warnings == []


@pytest.mark.parametrize("name", ["open-group.ts", "interlaced.ts"])
def test_a_recording_that_begins_between_two_keyframes(tmp_path: Path, name: str) -> None:
    how = dict(FILMS)[name]
    path = film(tmp_path / name, frames=60, **how)
    data, size = path.read_bytes(), 188  # bytes of a transport packet
    path.write_bytes(data[len(data) // size // 3 * size :])
    with av.open(str(path)) as container:
        seen = [number_in(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    frames = read_frames(path, Sampling(frames=len(seen)))
    assert [number_in(image) for image in frames.images] == seen == list(range(seen[0], 60))
    assert frames.times == pytest.approx(np.arange(len(seen)) / how.get("fps", 10), abs=2e-3)
    assert frames.total_frames == len(seen)
    assert len(frames.warnings) == 1
    assert "the file begins between two keyframes" in frames.warnings[0]
    late = read_frames(path, Sampling(frames=2, start=0.5, end=0.9))
    assert [number_in(image) - seen[0] for image in late.images] == late.indices.tolist()


def test_an_edit_list_that_begins_between_two_keyframes(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=60, options={"bf": "2"})
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base
    assert tick is not None
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # the length of the edit, then where in the stream it begins
    length, begin = (int.from_bytes(data[at + k : at + k + 4], "big") for k in (0, 4))
    data[at : at + 8] = (length * 43 // 60).to_bytes(4, "big") + (begin + int(1.7 / tick)).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    for sampling in windows(4.2):
        frames = read_frames(path, sampling)
        assert [number_in(image) for image in frames.images] == (frames.indices + 17).tolist()
        assert frames.times == pytest.approx(frames.indices / 10, abs=2e-3)
    assert frames.total_frames == 43


@pytest.mark.parametrize("between", [1, 2])
@pytest.mark.parametrize("name", ["divx.avi", "divx.mkv"])
def test_two_frames_in_one_packet(tmp_path: Path, name: str, between: int) -> None:
    path = packed_film(tmp_path / name, 60, between=between)
    with av.open(str(path)) as container:  # the clip is what it is meant to be: times out of order
        pts = [frame.pts for frame in container.decode(video=0)]
    assert len(pts) == 60
    assert pts != sorted(p for p in pts if p is not None)
    for sampling in windows(5.9):
        frames = read_frames(path, sampling)
        assert_numbered(frames, np.arange(60) / 10)
    assert frames.total_frames == 60
    assert frames.duration == pytest.approx(6)
    assert frames.warnings == []


def test_packets_and_frames_that_do_not_match_are_refused(tmp_path: Path) -> None:
    path = packed_film(tmp_path / "a.avi", 60, between=1, lost=31)
    with pytest.raises(MediaError, match=r"a\.avi: its 60 packets hold 5\d frames, so the times of these"):
        read_frames(path)


DURATIONS = [100, 40, 300, 250, 70, 500, 20, 30]
SAVED: list[tuple[str, dict[str, Any]]] = [
    ("a.webp", {"lossless": True, "minimize_size": False}),
    ("a.webp", {"quality": 60, "kmin": 0, "kmax": 0}),
    ("a.webp", {"lossless": True, "allow_mixed": True, "minimize_size": True}),
    ("a.gif", {"disposal": 1}),
    ("a.gif", {"disposal": 2}),
    ("a.png", {"disposal": 0, "blend": 0}),
    ("a.png", {"disposal": 1, "blend": 1}),
]


def drawings(ground: Literal["solid", "clear"]) -> list[Image.Image]:
    images = []
    for number in range(len(DURATIONS)):
        image = Image.new("RGBA", (96, 64), (30, 30, 30, 255) if ground == "solid" else (0, 0, 0, 0))
        ImageDraw.Draw(image).rectangle((number * 8, 10, number * 8 + 20, 40), fill=(200, number * 20, 50, 255))
        images.append(image)
    return images


def by_pillow(path: Path) -> tuple[list[npt.NDArray[np.uint8]], list[float]]:
    """Every frame of an animation over white, and when it begins, in seconds."""
    images, times = [], [0.0]
    with Image.open(path) as opened:
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            opened.load()
            times.append(times[-1] + float(opened.info["duration"]) / 1000)
            shown = opened.convert("RGBA")
            images.append(np.asarray(Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown))[..., :3])
    return images, times


@pytest.mark.parametrize("ground", ["solid", "clear"])
@pytest.mark.parametrize(("name", "how"), SAVED)
def test_animations(tmp_path: Path, name: str, how: dict[str, Any], ground: Literal["solid", "clear"]) -> None:
    path, images = tmp_path / name, drawings(ground)
    images[0].save(path, save_all=True, append_images=images[1:], duration=DURATIONS, **how)
    expected, times = by_pillow(path)
    frames = read_frames(path, Sampling(fps=100))
    assert frames.kind == "video"
    assert frames.indices.tolist() == list(range(8))
    assert frames.total_frames == 8
    assert frames.times == pytest.approx(times[:-1])
    assert frames.duration == pytest.approx(times[-1])
    for image, right in zip(frames.images, expected, strict=True):
        assert (image == right).all()
    some = read_frames(path, Sampling(frames=3, start=0.2, end=1.0))
    assert (some.images == frames.images[some.indices]).all()
    assert some.times == pytest.approx(frames.times[some.indices])


def test_a_frame_of_no_duration_is_never_on_screen(tmp_path: Path) -> None:
    path, images = tmp_path / "a.webp", drawings("solid")[:3]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 0, 100], lossless=True)
    frames = read_frames(path, Sampling(fps=100))
    assert frames.indices.tolist() == [0, 2]
    assert frames.times == pytest.approx([0, 0.1])
    images[0].save(path, save_all=True, append_images=images[1:], duration=0, lossless=True)
    with pytest.raises(MediaError, match="its 3 frames have no durations"):
        read_frames(path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_an_animation_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path, images = tmp_path / "a.webp", drawings("solid")
    images[0].save(path, save_all=True, append_images=images[1:], duration=DURATIONS)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError) as caught:
        read_frames(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
