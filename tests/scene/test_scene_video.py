"""Decoding: the right frame, upright, from every kind of file, without reading more than is needed."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from attnscope.errors import MediaError
from attnscope.scene import Frames, Sampling, Scene, read_frames
from attnscope.scene.frames import choose
from attnscope.scene.video import _Reader
from tests.scene.films import BITS, bars, film, number_in, turn

FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("h264.mp4", {}),
    ("h264.mkv", {}),
    ("h264.ts", {}),
    ("h264.flv", {}),
    ("sound.mp4", {"sound": True}),
    ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("open-gop.mp4", {"options": {"x264-params": "open-gop=1:bframes=3"}}),
    ("intra-refresh.mp4", {"options": {"x264-params": "intra-refresh=1"}}),
    ("odd-444.mp4", {"pix_fmt": "yuv444p", "size": (97, 63)}),
    ("mpeg4.mp4", {"codec": "mpeg4"}),
    ("mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
    ("mpeg2.mpg", {"codec": "mpeg2video", "fps": 25, "options": {"bf": "2"}}),
    ("grey.mkv", {"codec": "ffv1", "pix_fmt": "gray", "size": (97, 63)}),
    ("grey10.mkv", {"codec": "ffv1", "pix_fmt": "gray10le"}),
    ("ten-bit-odd.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le", "size": (61, 37)}),
    ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "bgra"}),
    (
        "ten-bit.mp4",
        {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
    ),
    ("vp8-hidden-frames.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    ("vp9.webm", {"codec": "libvpx-vp9"}),
    ("mjpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ("animated.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    ("raw.h264", {"fps": 10}),
    ("raw.hevc", {"codec": "libx265", "fps": 12, "options": {"x265-params": "log-level=none"}}),
    ("raw.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "fps": 25}),
]


def shown(frames: Frames) -> list[int]:
    return [number_in(image) for image in frames.images]


@pytest.mark.parametrize(("name", "how"), FORMATS, ids=[name for name, _ in FORMATS])
def test_every_format_gives_the_frames_that_were_asked_for(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    if how.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"this PyAV has no {how['codec']}")
    path = film(tmp_path / name, frames=60, **how)
    fps = how.get("fps", 10)
    frames = read_frames(path, Sampling(frames=8))
    expected = ((np.arange(8) + 0.5) * 60 / 8).astype(int)
    assert shown(frames) == expected.tolist() == frames.indices.tolist()
    assert frames.times == pytest.approx(expected / fps, abs=1e-3)
    assert (frames.width, frames.height) == how.get("size", (96, 64))
    assert frames.images.shape == (8, frames.height, frames.width, 3)
    assert frames.images.dtype == np.uint8
    assert frames.kind == "video"
    assert frames.total_frames == 60
    assert frames.source_fps == pytest.approx(fps, rel=0.01)
    assert frames.duration == pytest.approx(60 / fps, abs=2e-3)
    assumed = ["the stream does not say how many frames a second it has; 25 are assumed"]
    assert frames.warnings == (assumed if name == "raw.mjpeg" else [])


def test_fps_starts_at_the_window_and_stops_before_its_end(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=100)
    frames = read_frames(path, Sampling(fps=2, start=2.0, end=5.0))
    assert shown(frames) == [20, 25, 30, 35, 40, 45]
    # a window between two frames shows the one that is on screen
    assert shown(read_frames(path, Sampling(frames=3, start=5.03, end=5.07))) == [50]


def test_uniform_frames_are_the_centres_of_equal_slices(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=100)
    assert shown(read_frames(path, Sampling(frames=1))) == [50]
    assert shown(read_frames(path, Sampling(frames=4, start=2, end=6))) == [25, 35, 45, 55]
    assert shown(read_frames(path, Sampling(frames=100))) == list(range(100))
    assert shown(read_frames(path)) == [6, 18, 31, 43, 56, 68, 81, 93]


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_variable_frame_rate_goes_by_the_clock(tmp_path: Path, name: str) -> None:
    # hundredths of a second: four quick frames, a pause, three quick ones, two pauses
    pts = [0, 1, 2, 3, 50, 51, 52, 90, 200, 201]
    path = film(tmp_path / name, frames=10, pts=pts, time_base=Fraction(1, 100))
    frames = read_frames(path, Sampling(frames=10))
    assert frames.times == pytest.approx([0.03, 0.52, 0.90, 2.00])
    assert shown(frames) == frames.indices.tolist() == [3, 6, 7, 8]
    assert frames.warnings == ["10 frames were asked for, 4 used: no frame is taken twice"]
    every = read_frames(path, Sampling(fps=100))
    assert every.times == pytest.approx([p / 100 for p in pts])
    assert shown(every) == list(range(10))


def test_time_starts_at_the_first_picture(tmp_path: Path) -> None:
    # the sound begins at 0, the picture 1.5 s later
    path = film(tmp_path / "late.mp4", frames=20, pts=[15 + n for n in range(20)], sound=True)
    frames = read_frames(path, Sampling(fps=10))
    assert frames.times == pytest.approx(np.arange(20) / 10)
    assert frames.duration == pytest.approx(2.0)
    assert frames.warnings == ["the picture starts 1.5 s after the sound; times count from the first picture"]


# What a player shows of a stored frame with a white top left corner: the corner that is white then.
TURNS = {
    "90 clockwise": ((0, 1, -1, 0), "top right"),
    "180": ((-1, 0, 0, -1), "bottom right"),
    "270 clockwise": ((0, -1, 1, 0), "bottom left"),
    "mirrored": ((-1, 0, 0, 1), "top right"),
    "upside down": ((1, 0, 0, -1), "bottom left"),
    "none": ((1, 0, 0, 1), "top left"),
}


@pytest.mark.parametrize("name", ["title.mp4", "title.mkv", "title.flv"])
def test_metadata_that_is_not_utf8_does_not_stop_a_film(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, frames=10)
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"L\xff\xfef"))
    assert shown(read_frames(path, Sampling(frames=2))) == [2, 7]


@pytest.mark.parametrize("name", TURNS)
def test_rotation_metadata_is_applied(tmp_path: Path, name: str) -> None:
    matrix, corner = TURNS[name]
    path = tmp_path / "phone.mp4"
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = 255
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    turn(path, matrix)
    frames = read_frames(path, Sampling(frames=1))
    turned = "90" in name or "270" in name
    assert (frames.width, frames.height) == ((64, 96) if turned else (96, 64))
    half_h, half_w = frames.height // 2, frames.width // 2
    corners = {
        "top left": frames.images[0, :half_h, :half_w],
        "top right": frames.images[0, :half_h, half_w:],
        "bottom left": frames.images[0, half_h:, :half_w],
        "bottom right": frames.images[0, half_h:, half_w:],
    }
    assert {where for where, pixels in corners.items() if pixels.mean() > 200} == {corner}
    assert sum(pixels.mean() < 50 for pixels in corners.values()) == 3


def test_an_edit_list_that_trims_the_film_is_followed(tmp_path: Path) -> None:
    path = film(tmp_path / "trimmed.mp4", frames=100)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") // 2).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    frames = read_frames(path, Sampling(frames=5))
    assert shown(frames) == [5, 15, 25, 35, 45]
    assert frames.total_frames == 50


def test_non_square_pixels_are_told(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(bars(0, 96, 64), format="rgb24")))
        out.mux(stream.encode(None))
    assert "pixels are not square (4:3); frames are used as stored" in read_frames(path).warnings


@pytest.mark.parametrize("gop", [1, 12, 250])
def test_only_what_is_needed_is_decoded(tmp_path: Path, gop: int) -> None:
    path = film(tmp_path / "long.mp4", codec="mpeg4", frames=1200, gop=gop, size=(64, 48))
    reader = _Reader(path)
    timeline = reader.scan()
    chosen, _ = choose(timeline.times, timeline.duration, Sampling(frames=8), path)
    assert [number_in(reader.pixels(timeline, int(n))) for n in chosen] == chosen.tolist()
    # at most a group of pictures for each frame, and the frames that threads decode ahead
    needed = sum(int(n) % gop + 1 for n in chosen)
    assert reader.decoded <= needed + 8 * 16
    reader.close()


def test_close_frames_are_decoded_in_one_run(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=200, gop=250)
    reader = _Reader(path)
    timeline = reader.scan()
    for number in range(100, 160, 2):
        assert number_in(reader.pixels(timeline, number)) == number
    assert reader.decoded <= 160 + 16
    reader.close()


PEAK = """
import resource, sys
from pathlib import Path
from attnscope.scene import Sampling, read_frames
frames = read_frames(Path(sys.argv[1]), Sampling(frames=8))
assert len(frames.images) == 8
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.alone
def test_memory_does_not_grow_with_the_length_of_the_film(tmp_path: Path) -> None:
    assert BITS >= 12  # 3200 frames have different numbers

    def peak_kib(frames: int) -> int:
        path = film(tmp_path / f"{frames}.mp4", codec="mpeg4", frames=frames, gop=50, size=(320, 240))
        run = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        return int(run.stdout)

    short, long = peak_kib(100), peak_kib(3200)  # all of the long film is 700 MiB of pixels
    assert long - short < 16 * 1024


def test_a_film_cut_short_can_be_read_up_to_the_cut(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", frames=100, container_options={"movflags": "faststart"})
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(MediaError, match=r"cut\.mp4: the file is cut short: .* s of 10 s can be read"):
        read_frames(cut)
    assert shown(read_frames(cut, Sampling(frames=4, end=2.0))) == [2, 7, 12, 17]


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.webm", "cut.avi"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_cut_file_never_passes_for_a_whole_one(tmp_path: Path, name: str, share: float) -> None:
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(name[4:], "libx264")
    path = film(tmp_path / name, codec=codec, frames=100, size=(160, 120))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError) as caught:
        read_frames(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))


def test_damage_in_the_middle_is_an_error_and_never_another_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=100, size=(160, 120), options={"crf": "10"})
    data = bytearray(path.read_bytes())
    spots = np.random.default_rng(0).integers(len(data) // 3, len(data) // 2, 40)
    for spot in spots:
        data[spot] ^= 0xFF
    path.write_bytes(bytes(data))
    try:
        frames = read_frames(path, Sampling(fps=10))
    except MediaError as error:
        assert "\n" not in str(error)
    else:
        assert shown(frames) == frames.indices.tolist()


def test_more_pixels_than_memory_holds_are_refused(tmp_path: Path) -> None:
    from attnscope.scene.frames import refuse_too_many

    refuse_too_many(tmp_path, 100, 1920, 1080)
    with pytest.raises(MediaError, match=r"1000 frames of 1920x1080 are 5\.8 GiB of pixels, the limit is 4 GiB"):
        refuse_too_many(tmp_path, 1000, 1920, 1080)


def test_sought_frames_are_those_of_reading_from_the_start(stage: Path) -> None:
    video = Scene.read(stage).video
    with av.open(str(video)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for sampling in (Sampling(frames=5), Sampling(fps=1.7), Sampling(frames=3, start=1.0, end=1.5)):
        frames = read_frames(video, sampling)
        assert frames.total_frames == len(every)
        assert frames.source_fps is not None
        assert frames.times == pytest.approx(frames.indices / frames.source_fps, abs=2e-3)
        for image, index in zip(frames.images, frames.indices, strict=True):
            assert (image == every[index]).all()


@pytest.mark.parametrize(("level", "threads"), [(None, "AUTO"), (av.logging.ERROR, "SLICE")])
def test_no_thread_decodes_ahead_where_the_log_of_pyav_is_on(tmp_path: Path, level: int | None, threads: str) -> None:
    path = film(tmp_path / "a.mp4", frames=10)
    before = av.logging.get_level()
    av.logging.set_level(level)
    try:
        reader = _Reader(path)
        assert reader.stream.codec_context.thread_type.name == threads
        reader.close()
        assert shown(read_frames(path, Sampling(frames=2))) == [2, 7]
    finally:
        av.logging.set_level(before)
