"""When the frames of a video are shown, told by its packets without decoding them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.errors import MediaError
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds

_MPEG4_FRAME = b"\0\0\1\xb6"  # the start code of a frame
_ROUNDING = 0.1  # seconds by which the duration in a header may be off


@dataclass(frozen=True)
class Timeline:
    """What the packets tell. Presentation times (pts) are in units of the stream's time base."""

    pts: npt.NDArray[np.int64]  # [n], increasing
    keys: npt.NDArray[np.int64]  # [k], pts of the keyframes, increasing; empty = decode from the beginning
    tick: Fraction  # seconds of one unit
    last: int  # units that the last frame lasts
    promised: float | None  # seconds that the file's header claims
    broken: bool  # reading stopped at an error
    counted: bool = False  # decoded frames do not say their times: the first one is frame 0, and so on

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds [n] from the first frame."""
        units = (self.pts - self.pts[0]) * self.tick.numerator
        times: npt.NDArray[np.float64] = units / self.tick.denominator
        return times

    @property
    def duration(self) -> float:
        """Seconds to the end of the last frame."""
        return float((int(self.pts[-1] - self.pts[0]) + self.last) * self.tick)


def build_timeline(
    path: Path, stream: Any, pts: list[int], keys: list[int], durations: list[int], broken: bool
) -> Timeline:
    """Order what was read.

    Args:
        path: Named in errors.
        stream: The PyAV stream.
        pts: Display times of every frame, in the order of the file.
        keys: Pts of the keyframes; empty if the stream cannot be seeked by time.
        durations: Durations of every frame, 0 = unknown; empty if none is known.
        broken: Whether reading stopped at an error.

    Raises:
        MediaError: There is no frame.
    """
    if not pts:
        raise MediaError(f"{path}: the video stream holds no frame that can be read")
    tick = Fraction(stream.time_base or 1)
    order = np.argsort(np.asarray(pts, np.int64))
    times = np.asarray(pts, np.int64)[order]
    last = durations[order[-1]] if durations else 0
    if last <= 0:
        gaps = np.diff(times)
        last = round(float(np.median(gaps)) if len(gaps) else 1 / (declared_rate(stream) * tick))
    return Timeline(times, np.unique(np.asarray(keys, np.int64)), tick, last, promised_duration(stream), broken)


def declared_rate(stream: Any) -> Fraction:
    """Frames a second by the header; 25 where it does not say, as FFmpeg assumes."""
    return Fraction(stream.average_rate or 25)


def promised_duration(stream: Any) -> float | None:
    """How long the stream is by the header; Matroska keeps it as text, other formats as a number."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    try:
        hours, minutes, rest = stream.metadata.get("DURATION", "").split(":")
        end = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    except ValueError:
        return None
    return end - float((stream.start_time or 0) * (stream.time_base or 1))


def is_packed(stream: Any, packet: Any) -> bool:
    """Whether a packet of MPEG-4 (DivX, Xvid) holds two frames; a packet without a frame then stands in for the second.

    Readers of such files guess times that are out of order, for the frames as for the packets.
    """
    return stream.codec_context.name == "mpeg4" and bytes(packet).count(_MPEG4_FRAME) > 1


def is_hidden(stream: Any, packet: Any) -> bool:
    """VP8 has packets that are never shown: bit 4 of the first byte of a frame is `show_frame`."""
    return stream.codec_context.name in ("vp8", "libvpx") and not bytes(packet)[0] & 0x10


def refuse_cut_short(path: Path, timeline: Timeline, sampling: Sampling) -> None:
    """Refuse a file that ends early, unless the window ends before that.

    Raises:
        MediaError: How much can be read.
    """
    if sampling.end is not None and sampling.end <= timeline.duration:
        return
    gap = float(np.max(np.diff(timeline.times), initial=0.0))
    promised = timeline.promised or 0.0
    missing = promised - timeline.duration > max(_ROUNDING, 1.5 * gap)
    if timeline.broken or missing:
        whole = f" of {seconds(promised)} s" if missing else ""
        raise MediaError(
            f"{path}: the file is cut short: {seconds(timeline.duration)} s{whole} can be read; give an end inside that"
        )


def mean_rate(timeline: Timeline, declared: float) -> float:
    """Mean frames a second: exact from the header if the times agree with it, else from the times."""
    measured = len(timeline.pts) / timeline.duration
    return declared if abs(declared - measured) < 0.005 * measured else measured
