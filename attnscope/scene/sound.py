"""The sound of a clip, on the time of its pictures: sample 0 is heard when the first frame is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from attnscope.errors import MediaError
from attnscope.scene.problems import seconds
from attnscope.scene.video import LENIENT
from attnscope.scene.walk import Walk

_GAP = 0.05  # seconds by which the sound may be late before silence is put in: rounding of packets is less


@dataclass(frozen=True)
class Sound:
    """The sound of a clip.

    Attributes:
        samples: Float32 [n] from -1 to 1; the first is heard when the first frame is shown.
        broken: How many packets do not decode; there is silence in their place.
    """

    samples: npt.NDArray[np.float32]
    broken: int


def read_sound(walk: Walk, rate: int) -> Sound | None:
    """The first stream of sound of a clip, mixed to one channel.

    Sound before the first frame is cut off, and sound that begins later has silence before it. Where the file has a
    gap, there is silence. All is held in memory: 4 bytes a sample, 230 MB an hour at 16,000 Hz.

    Args:
        walk: The clip.
        rate: Samples a second.

    Returns:
        The sound; None if the clip has none.

    Raises:
        MediaError: The sound is damaged.
    """
    if walk.kind != "video":
        return None
    try:
        with av.open(str(walk.path.absolute()), **LENIENT) as container:
            if not container.streams.audio or container.streams.audio[0].codec_context is None:
                return None
            return _decoded(container, container.streams.audio[0], walk, rate)
    except (FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MediaError(f"{walk.path}: the sound cannot be decoded ({reason})") from None


def sound_start(walk: Walk) -> float | None:
    """When the sound begins, in seconds from the first frame; below 0 if it begins before. None if there is no sound.

    Tools that hear the sound alone count from there.

    Raises:
        MediaError: The clip cannot be read.
    """
    if walk.kind != "video":
        return None
    try:
        with av.open(str(walk.path.absolute()), **LENIENT) as container:
            stream = container.streams.audio[0] if container.streams.audio else None
            if stream is None or stream.start_time is None or not stream.time_base:
                return None
            return float(stream.start_time * stream.time_base) - walk.clock
    except (FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MediaError(f"{walk.path}: the sound cannot be read ({reason})") from None


def _decoded(container: Any, stream: Any, walk: Walk, rate: int) -> Sound:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    parts: list[npt.NDArray[np.float32]] = []
    have = 0  # samples in `parts`, the first of which is at the first frame
    broken: list[FFmpegError] = []
    for frame in _frames(container, stream, broken):
        if frame.pts is not None and frame.time_base is not None:
            at = round((float(frame.pts * frame.time_base) - walk.clock) * rate)
            if at - have > _GAP * rate:
                _refuse_endless(walk, at / rate)
                parts.append(np.zeros(at - have, np.float32))
                have = at
            elif not parts and at < 0:
                have = at  # what is negative is cut off at the end
        for piece in resampler.resample(frame):
            parts.append(piece.to_ndarray()[0].astype(np.float32))
            have += len(parts[-1])
    for piece in resampler.resample(None):
        parts.append(piece.to_ndarray()[0].astype(np.float32))
        have += len(parts[-1])
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return Sound(samples[max(0, len(samples) - max(0, have)) :], len(broken))


def _frames(container: Any, stream: Any, broken: list[FFmpegError]) -> Iterator[Any]:
    """Frames of sound. Packets that do not decode are passed over, as players do, and their errors are listed.

    Raises:
        FFmpegError: None decodes.
    """
    count = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except FFmpegError as error:
            broken.append(error)
            continue
        count += len(frames)
        yield from frames
    if broken and not count:
        raise broken[0]


def _refuse_endless(walk: Walk, at: float) -> None:
    """A wrong time of one packet must not ask for the memory of a year of silence."""
    if at > walk.end + 60:
        raise MediaError(f"{walk.path}: its sound goes on at {seconds(at)} s, and the picture ends at {walk.end:.3f} s")
