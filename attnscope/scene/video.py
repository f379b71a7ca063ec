"""Reading chosen frames of a video with PyAV.

Two passes. The first reads packets without decoding them: it tells the true time of every frame, where the
keyframes are and whether the file is whole, for a few bytes a frame. The second decodes only from the
keyframe before each wanted frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError, InvalidDataError
from av.sidedata.sidedata import Type as SideDataType

from attnscope.errors import MediaError
from attnscope.scene.frames import Frames, choose, refuse_too_many
from attnscope.scene.models import Sampling
from attnscope.scene.problems import seconds
from attnscope.scene.timeline import (
    Timeline,
    build_timeline,
    declared_rate,
    is_hidden,
    is_packed,
    mean_rate,
    promised_duration,
    refuse_cut_short,
)
from attnscope.versions import check as check_versions

# Within this many frames it is quicker to decode on than to seek.
_NEAR = 12
# FFmpeg draws any text file as a film of a terminal; nobody means that.
_TEXT_ART = {"ansi", "bintext", "xbin", "idf"}
# Streams without a container; they hold no times, so FFmpeg takes 25 frames a second unless an option says otherwise.
_RAW = {"h264", "hevc", "vvc", "obu", "mjpeg", "cavsvideo", "vc1", "dirac"}
_ORDERED = {"mpeg1video", "mpeg2video", "mpeg4"}
# A title that is not UTF-8 must not stop a film: PyAV before 19 is asked for this, later ones need no asking.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
_PLAYER_LAG = 0.1  # a picture that starts this many seconds after the sound is worth a warning


def _threads() -> str:
    """How decoders use threads: whole frames ahead, where nobody has turned PyAV's log on.

    A thread that decodes ahead waits for the interpreter's lock to write to the log, and the thread that frees the
    decoder holds it: both would wait for ever. torchvision 0.24 turns the log on when it is imported; 0.29 does not.
    """
    return "AUTO" if av.logging.get_level() is None else "SLICE"


def read_video(path: Path, sampling: Sampling) -> Frames:
    """Read frames of a video file; see `attnscope.scene.read_frames`.

    Raises:
        MediaError: Not a video, no picture in it, cut short, a wanted frame that does not decode, or a wrong
            window.
    """
    check_versions("av")
    reader = _Reader(path)
    try:
        timeline = reader.scan()
        refuse_cut_short(path, timeline, sampling)
        chosen, warnings = choose(timeline.times, timeline.duration, sampling, path)
        images: npt.NDArray[np.uint8] | None = None
        for row, number in enumerate(chosen):
            pixels = reader.pixels(timeline, int(number))
            if images is None:
                refuse_too_many(path, len(chosen), pixels.shape[1], pixels.shape[0])
                images = np.empty((len(chosen), *pixels.shape), np.uint8)
            if pixels.shape != images.shape[1:]:
                raise MediaError(
                    f"{path}: the frame size changes from {images.shape[2]}x{images.shape[1]} to "
                    f"{pixels.shape[1]}x{pixels.shape[0]} at {seconds(timeline.times[number])} s"
                )
            images[row] = pixels
        warnings += reader.warnings(timeline)
        fps = mean_rate(timeline, float(declared_rate(reader.stream)))
    except FFmpegError as error:
        raise MediaError(f"{path}: the video cannot be decoded ({error.strerror})") from None
    finally:
        reader.close()
    assert images is not None  # `choose` never comes back empty
    return Frames(
        images=images,
        times=timeline.times[chosen],
        indices=chosen.astype(np.int32),
        width=images.shape[2],
        height=images.shape[1],
        kind="video",
        source_fps=fps,
        duration=timeline.duration,
        total_frames=len(timeline.pts),
        warnings=warnings,
    )


def video_timeline(path: Path) -> Timeline:
    """When every frame of a whole video is shown, without decoding it.

    Raises:
        MediaError: Not a video, no picture in it, or cut short.
    """
    check_versions("av")
    reader = _Reader(path)
    try:
        timeline = reader.scan()
    except FFmpegError as error:
        raise MediaError(f"{path}: the video cannot be decoded ({error.strerror})") from None
    finally:
        reader.close()
    refuse_cut_short(path, timeline, Sampling())
    return timeline


def video_frames(path: Path, numbers: Sequence[int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames of a video one at a time, upright RGB [H, W, 3] uint8.

    Args:
        path: A video.
        numbers: Which, from 0; increasing.

    Raises:
        MediaError: One of them does not decode.
    """
    reader = _Reader(path)
    try:
        timeline = reader.scan()
        for number in numbers:
            yield reader.pixels(timeline, int(number))
    except FFmpegError as error:
        raise MediaError(f"{path}: the video cannot be decoded ({error.strerror})") from None
    finally:
        reader.close()


class OpenVideo:
    """A video that stays open, for one who looks at any of its frames in any order.

    Attributes:
        timeline: When every frame is shown.
        lead: Seconds from the beginning of the file to the first picture, if it has sound; players count from there.
    """

    def __init__(self, path: Path) -> None:
        """Open a video and read its packets.

        Raises:
            MediaError: Not a video, or no picture in it.
        """
        check_versions("av")
        self._reader = _Reader(path)
        try:
            self.timeline = self._reader.scan()
            self.lead = self._reader.lead(self.timeline)
        except FFmpegError as error:
            self._reader.close()
            raise MediaError(f"{path}: the video cannot be decoded ({error.strerror})") from None

    def frame(self, number: int) -> npt.NDArray[np.uint8]:
        """A frame, upright RGB [H, W, 3] uint8.

        Raises:
            MediaError: It does not decode.
        """
        try:
            self._reader.rewind(number)
            return self._reader.pixels(self.timeline, number)
        except FFmpegError as error:
            raise MediaError(f"{self._reader.path}: the video cannot be decoded ({error.strerror})") from None

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


class _Reader:
    """One open video: scanned once, then asked for frames in increasing order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.decoded = 0  # frames decoded so far; the tests hold this against what was asked for
        self._options: dict[str, str] = {}  # of the demuxer
        self._at = -1  # number of the frame decoded last
        self._unseen = 0  # frames before the first that can be decoded
        self._key_at: dict[int | None, int] = {}  # where keyframes stand in the file, and their pts
        self._open()

    def _open(self) -> None:
        try:
            # An absolute path cannot be taken for a protocol. From a local file FFmpeg opens local files
            # only, so a playlist cannot reach the network; the option for it crashes PyAV before 18.
            self.container = av.open(str(self.path.absolute()), options=self._options, **LENIENT)
        except (FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise MediaError(f"{self.path}: not a video or image that can be read, or cut short ({reason})") from None
        streams = [s for s in self.container.streams.video if not _is_cover(s)]
        if not streams:
            self._refuse("no video stream in it")
        self.stream = _main_stream(streams)
        if self.stream.codec_context is None:
            self._refuse("no decoder for its video stream")
        if self.stream.codec_context.name in _TEXT_ART:
            self._refuse("not a video or image that can be read (it is text)")
        rate = self._own_rate()
        if rate and rate != self.stream.average_rate and not self._options:
            self._options = {"framerate": str(rate)}
            self._reopen()
            return
        self.stream.thread_type = _threads()
        self._frames = self._decode()

    def _own_rate(self) -> Fraction | None:
        """Frames a second that a stream without a container states in its own header."""
        rate = self.stream.codec_context.framerate if self.container.format.name in _RAW else None
        return Fraction(rate) if rate else None

    def _refuse(self, why: str) -> NoReturn:
        self.container.close()
        raise MediaError(f"{self.path}: {why}")

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def scan(self) -> Timeline:
        """Read the packets. Raw streams carry no times there: those are decoded once, for the times."""
        pts: list[int | None] = []
        keys: list[int] = []
        durations: list[int] = []
        slots: list[int | None] = []
        broken = packed = False
        try:
            for packet in self.container.demux(self.stream):
                if packet.size == 0 or packet.is_discard or is_hidden(self.stream, packet):
                    continue
                if packet.is_corrupt:
                    broken = True
                    break
                pts.append(packet.pts)
                slots.append(packet.dts)
                packed = packed or is_packed(self.stream, packet)
                durations.append(packet.duration or 0)
                if packet.is_keyframe and packet.pts is not None:
                    keys.append(packet.pts)
                    self._key_at[packet.pos] = packet.pts
        except (InvalidDataError, EOFError):
            broken = True
        if packed or self._guesses_times():
            return self._scan_in_order(pts, keys, slots, durations, broken)
        if any(p is None for p in pts) or len(set(pts)) != len(pts):
            return self._scan_by_decoding(broken)
        self._reopen()
        known = [p for p in pts if p is not None]
        return self._from_first_picture(build_timeline(self.path, self.stream, known, keys, durations, broken))

    def _from_first_picture(self, timeline: Timeline) -> Timeline:
        """Leave out what comes before the first keyframe, if the file begins between two and nothing can show it."""
        if not len(timeline.keys) or timeline.keys[0] == timeline.pts[0]:
            return timeline
        first = next((frame.pts for frame in self._frames if not frame.is_corrupt), None)
        self._reopen()
        if first != timeline.keys[0]:  # what comes before it can be decoded, or there is damage: asking for it says so
            return timeline
        self._unseen = int(np.searchsorted(timeline.pts, first))
        promised = timeline.promised and timeline.promised - timeline.times[self._unseen]
        return replace(timeline, pts=timeline.pts[self._unseen :], promised=promised)

    def _scan_by_decoding(self, broken: bool) -> Timeline:
        self._reopen()
        pts = [frame.pts for frame in self._frames]
        self._reopen()
        if any(p is None for p in pts) or any(b <= a for a, b in pairwise(pts)):
            tick, claim = 1 / declared_rate(self.stream), promised_duration(self.stream)
            return Timeline(np.arange(len(pts)), np.empty(0, np.int64), tick, 1, claim, broken, counted=True)
        return build_timeline(self.path, self.stream, pts, [], [], broken)

    def _guesses_times(self) -> bool:
        """AVI stores no display times. FFmpeg works them out for MPEG-2 and MPEG-4, not for newer codecs."""
        context = self.stream.codec_context
        return self.container.format.name == "avi" and context.has_b_frames and context.name not in _ORDERED

    def _scan_in_order(
        self,
        pts: list[int | None],
        keys: list[int],
        slots: list[int | None],
        durations: list[int],
        broken: bool,
    ) -> Timeline:
        """Frames come out of the decoder in the order in which they are shown, and each packet is one place in time.

        Raises:
            MediaError: There are not as many frames as packets.
        """
        self._reopen()
        displayed = [frame.pts for frame in self._frames]
        self._reopen()
        if displayed == sorted(p for p in pts if p is not None):
            return build_timeline(self.path, self.stream, displayed, keys, durations, broken)
        # decoding times rise with the packets; a file without them has display times, in another order
        places: list[Sequence[int | None]] = [slots, sorted(p for p in pts if p is not None)]
        known = next((p for p in map(_rising, places) if len(p) == len(displayed) == len(slots)), None)
        if known is None:
            self._refuse(
                f"its {len(slots):,} packets hold {len(displayed):,} frames, so the times of these are not known; "
                "convert the video to another format"
            )
        return replace(build_timeline(self.path, self.stream, known, [], [], broken), counted=True)

    def pixels(self, timeline: Timeline, number: int) -> npt.NDArray[np.uint8]:
        """Decode one frame, seeking if that is nearer; upright RGB [H, W, 3] uint8."""
        self._seek_near(timeline, number)
        frame = self._find(timeline, number)
        if frame is None or frame.is_corrupt:
            # The seek landed late (poor index), or where decoding cannot begin (an open group of pictures).
            self._reopen()
            frame = self._find(timeline, number)
        if frame is None or frame.is_corrupt:
            raise MediaError(f"{self.path}: the frame at {seconds(timeline.times[number])} s cannot be decoded")
        return _upright(frame)

    def lead(self, timeline: Timeline) -> float | None:
        """Seconds by which the sound or picture that comes first is ahead of the first picture; None without sound."""
        if not self.container.streams.audio:
            return None
        start = (self.container.start_time or 0) / av.time_base
        return 0.0 if timeline.counted else max(float(int(timeline.pts[0]) * timeline.tick) - start, 0.0)

    def rewind(self, number: int) -> None:
        """Begin anew where a frame that is wanted lies behind, for decoders only go on."""
        if number <= self._at:
            self._reopen()

    def _seek_near(self, timeline: Timeline, number: int) -> None:
        """Go to the last keyframe before a frame, if it is well ahead of where the decoder stands."""
        before = timeline.keys[timeline.keys <= timeline.pts[number]]
        if len(before) and int(np.searchsorted(timeline.pts, before[-1])) - self._at > _NEAR:
            self.container.seek(int(before[-1]), stream=self.stream)
            self._frames, self._at = self._decode(from_key=True), -1

    def _find(self, timeline: Timeline, number: int) -> Any:
        """Decode on until the frame comes up; None if it does not."""
        for frame in self._frames:
            if timeline.counted:
                self._at += 1
            elif frame.pts is not None:
                self._at = int(np.searchsorted(timeline.pts, frame.pts))
            if self._at >= number:
                return frame if self._at == number else None
        return None

    def _decode(self, from_key: bool = False) -> Iterator[Any]:
        """Frames from where the file stands. A broadcast may begin with packets that do not decode.

        Args:
            from_key: After a seek: pass over what comes before a keyframe, for decoders that begin elsewhere give
                frames the times of others. Give no frame at all if that keyframe has another time than in the
                scan: program streams work times out from those of the packets before.
        """
        started = False
        for packet in self.container.demux(self.stream):
            if from_key and packet.size and not packet.is_keyframe:
                continue
            if from_key and self._key_at.get(packet.pos) != packet.pts:
                return
            from_key = False
            try:
                frames = packet.decode()
            except InvalidDataError:
                if started:
                    raise MediaError(f"{self.path}: the video is damaged ({_where(packet)})") from None
                continue
            for frame in frames:
                started = True
                self.decoded += 1
                yield frame

    def _reopen(self) -> None:
        self.container.close()
        self._at = -1
        self._open()

    def warnings(self, timeline: Timeline) -> list[str]:
        """What is unusual about this file."""
        notes = []
        starts = [
            float(s.start_time * s.time_base)
            for s in self.container.streams.audio
            if s.start_time is not None and s.time_base
        ]
        lag = float(int(timeline.pts[0]) * timeline.tick) - min(starts, default=np.inf)
        if not timeline.counted and lag > _PLAYER_LAG:
            notes.append(f"the picture starts {seconds(lag)} s after the sound; times count from the first picture")
        if self.container.format.name == "avi" and timeline.counted and len(np.unique(np.diff(timeline.pts))) > 1:
            notes.append("AVI stores no display times; beside the gaps in this file they may be off by a few frames")
        if self.container.format.name in _RAW and not self._own_rate():
            rate = seconds(float(declared_rate(self.stream)))
            notes.append(f"the stream does not say how many frames a second it has; {rate} are assumed")
        if self._unseen:
            notes.append(
                f"the file begins between two keyframes: {self._unseen} frames cannot be decoded, and times count from "
                "the first that can"
            )
        shape = self.stream.sample_aspect_ratio
        if shape and shape != 1:
            notes.append(f"pixels are not square ({shape.numerator}:{shape.denominator}); frames are used as stored")
        return notes


def _is_cover(stream: Any) -> bool:
    """The cover picture of a song is stored as a video stream."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _main_stream(streams: Sequence[Any]) -> Any:
    """The first stream, but for a single picture beside a film: an animated AVIF has both, the picture first."""
    first = streams[0]
    films = [s for s in streams[1:] if s.frames > 1 and (s.width, s.height) == (first.width, first.height)]
    return films[0] if first.frames == 1 and films else first


def _rising(times: Sequence[int | None]) -> list[int]:
    """The times, if all are known and each is later than the one before; else none."""
    known = [time for time in times if time is not None]
    return known if len(known) == len(times) and all(a < b for a, b in pairwise(known)) else []


def _side_data(frame: Any) -> Any:
    """The side data of a frame, also where some of it is of a kind that PyAV has no name for.

    PyAV 18 knows fewer kinds than its own FFmpeg, which hands on the Exif of a camera's Motion JPEG, for example. Such
    a kind gets a name here, once for the whole process.
    """
    if "_missing_" not in vars(SideDataType):

        def unnamed(kind: type[Any], value: object) -> Any:
            member = object.__new__(kind)
            member._name_, member._value_ = f"UNNAMED_{value}", value
            return member

        type.__setattr__(SideDataType, "_missing_", classmethod(unnamed))
    return frame.side_data


def _where(packet: Any) -> str:
    return "at an unknown time" if packet.pts is None else f"near pts {packet.pts}"


def _opaque(frame: Any) -> npt.NDArray[np.uint8]:
    """RGB pixels [H, W, 3], over white where the frame is transparent, as images are."""
    if not any(component.is_alpha for component in frame.format.components):
        plain: npt.NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
        return plain
    pixels = frame.to_ndarray(format="rgba").astype(np.uint16)
    alpha = pixels[..., 3:]
    over: npt.NDArray[np.uint8] = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return over


def _upright(frame: Any) -> npt.NDArray[np.uint8]:
    """RGB pixels [H, W, 3] turned and mirrored as the display matrix says.

    FFmpeg's matrix sends the stored pixel (p, q) to (a p + c q, b p + d q), q growing downwards. Turns by
    other than quarter circles are not applied.
    """
    pixels = _opaque(frame)
    matrix = _side_data(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.dtype(np.int32).newbyteorder(sys.byteorder))[:5]
    if a == 0 and d == 0 and b and c:
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    elif b == 0 and c == 0 and a and d:
        across, down = a, d
    else:
        return pixels
    pixels = pixels[:, ::-1] if across < 0 else pixels
    pixels = pixels[::-1] if down < 0 else pixels
    return np.ascontiguousarray(pixels)
