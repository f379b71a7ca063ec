"""Walking through a clip frame by frame, and its sound on the time of its pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from attnscope.errors import MediaError
from attnscope.scene import Sampling, read_frames
from attnscope.scene.sound import read_sound
from attnscope.scene.walk import open_walk
from tests.scene.films import bars, film, number_in, turn
from tests.scene.packed import packed_film

RATE = 8000


def test_a_walk_shows_every_frame_at_its_time(tmp_path: Path) -> None:
    pts = [0, 1, 2, 10, 11, 30]
    clip = film(tmp_path / "clip.mp4", frames=6, pts=pts, time_base=Fraction(1, 10))
    walk = open_walk(clip)
    seen = list(walk.frames())
    assert [number_in(pixels) for _, _, pixels in seen] == [number for number, _, _ in seen] == [0, 1, 2, 3, 4, 5]
    assert [time for _, time, _ in seen] == pytest.approx([p / 10 for p in pts])
    assert walk.duration == read_frames(clip).duration
    assert walk.at([0.05, 0.15, 0.16, 0.9, 99.0]) == [0, 1, 2, 5]


def test_only_the_wanted_frames_are_shown_and_they_are_those_of_read_frames(tmp_path: Path) -> None:
    clip = packed_film(tmp_path / "packed.avi", 60, between=2)
    frames = read_frames(clip, Sampling(frames=7))
    walk = open_walk(clip)
    seen = list(walk.frames(frames.indices.tolist()))
    assert [time for _, time, _ in seen] == frames.times.tolist()
    assert all(np.array_equal(pixels, image) for (_, _, pixels), image in zip(seen, frames.images, strict=True))


def test_frames_of_a_walk_are_upright(tmp_path: Path) -> None:
    turn(film(tmp_path / "clip.mp4", frames=3), (0, 1, -1, 0))
    shapes = {pixels.shape for _, _, pixels in open_walk(tmp_path / "clip.mp4").frames()}
    assert shapes == {read_frames(tmp_path / "clip.mp4").images.shape[1:]} == {(96, 64, 3)}


def test_images_folders_and_animations_are_walked_through(tmp_path: Path) -> None:
    pictures = [Image.fromarray(bars(number, 96, 64)) for number in range(4)]
    pictures[3].save(tmp_path / "one.png")
    image = open_walk(tmp_path / "one.png")
    assert (image.kind, image.duration, image.end) == ("image", None, 0.0)
    assert [(number, time, number_in(pixels)) for number, time, pixels in image.frames()] == [(0, 0.0, 3)]
    (tmp_path / "folder").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "folder" / f"f{number}.png")
    folder = open_walk(tmp_path / "folder", frame_rate=2.0)
    assert [(time, number_in(pixels)) for _, time, pixels in folder.frames([1, 3])] == [(0.5, 1), (1.5, 3)]
    assert folder.duration == 2.0
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=250, lossless=True)
    animation = open_walk(tmp_path / "a.webp")
    assert [(time, number_in(pixels)) for _, time, pixels in animation.frames([0, 2])] == [(0.0, 0), (0.5, 2)]


@pytest.mark.parametrize("name", ["missing.mp4", "empty.mp4", "text.mp4"])
def test_what_is_no_clip_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("Ada: hello")
    with pytest.raises(MediaError, match=name):
        open_walk(tmp_path / name)


# ---- sound


def clicks(times: list[float], seconds: float) -> npt.NDArray[np.float32]:
    """Silence with short tones at some times."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    for time in times:
        at = round(time * RATE)
        sound[at : at + 80] = 0.8 * np.sin(np.arange(80) * 0.7)
    return sound


def spoken(
    path: Path,
    sounds: list[tuple[float, npt.NDArray[np.float32]]],
    picture: float = 0.0,
    codec: str = "pcm_s16le",
) -> Path:
    """A film of 3 s whose pictures begin at `picture`, with pieces of sound that begin at some times."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = out.add_stream(codec, rate=RATE)
        audio.layout = "mono"
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(bars(number, 96, 64), format="rgb24")
            frame.pts, frame.time_base = number + round(picture * 10), Fraction(1, 10)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for start, samples in sounds:
            data = (samples * 32767).astype(np.int16)[None]
            piece = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = RATE, round(start * RATE), Fraction(1, RATE)
            out.mux(audio.encode(piece))
        out.mux(audio.encode(None))
    return path


def heard(path: Path, broken: int = 0) -> list[float]:
    """When the clicks of a film's sound are."""
    sound = read_sound(open_walk(path), RATE)
    assert sound is not None and sound.samples.dtype == np.float32 and sound.broken == broken
    loud = np.flatnonzero(np.abs(sound.samples) > 0.3) / RATE
    return [float(t) for t in loud[np.diff(loud, prepend=-1.0) > 0.1]]


@pytest.mark.parametrize(
    ("picture", "start", "expected"),
    [(0.0, 0.0, [0.5, 2.0]), (0.5, 0.0, [0.0, 1.5]), (0.0, 0.7, [1.2, 2.7]), (1.0, 0.7, [0.2, 1.7])],
)
def test_sound_counts_from_the_first_picture(
    tmp_path: Path, picture: float, start: float, expected: list[float]
) -> None:
    path = spoken(tmp_path / "clip.mkv", [(start, clicks([0.5, 2.0], 2.5))], picture)
    assert heard(path) == pytest.approx(expected, abs=0.003)


def test_a_gap_in_the_sound_is_silence(tmp_path: Path) -> None:
    path = spoken(tmp_path / "clip.mkv", [(0.0, clicks([0.2], 0.5)), (1.5, clicks([0.3], 1.0))])
    assert heard(path) == pytest.approx([0.2, 1.8], abs=0.003)


def test_a_clip_without_sound_has_none(tmp_path: Path) -> None:
    assert read_sound(open_walk(film(tmp_path / "silent.mp4")), RATE) is None
    Image.fromarray(bars(1, 96, 64)).save(tmp_path / "one.png")
    assert read_sound(open_walk(tmp_path / "one.png"), RATE) is None


def test_packets_that_do_not_decode_are_counted_and_silent(tmp_path: Path) -> None:
    path = spoken(tmp_path / "clip.mkv", [(0.0, clicks([0.5, 1.3, 2.0], 2.5))], codec="flac")
    with av.open(str(path)) as container:
        packets = [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(audio=0) if p.size]
    _, packet = max((start, packet) for start, packet in packets if start <= 1.3)
    path.write_bytes(path.read_bytes().replace(packet, b"\0" * len(packet)))
    assert heard(path, broken=1) == pytest.approx([0.5, 2.0], abs=0.003)
