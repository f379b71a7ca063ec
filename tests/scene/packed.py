"""MPEG-4 films as DivX and Xvid wrote them: two frames in one packet, and one without a frame in the other's place."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av

from tests.scene.films import bars

SIZE, FPS = (96, 64), 10
_FRAME, _NOTHING = b"\0\0\1\xb6", b"\0\0\1\xb6\x5f\x01\x9b\x7f"  # the start of a frame; a frame that is not coded
_BIDIRECTIONAL = 2


def packed_film(path: Path, frames: int, *, between: int, lost: int | None = None) -> Path:
    """Write a film whose frames carry their numbers.

    Args:
        path: an .avi or .mkv file.
        frames: how many.
        between: B-frames between two others; the first shares a packet with the frame after them.
        lost: a packet that is left out, if any.
    """
    packets = [re.sub(rb"\x00\x00\x01\xb2Lavc[\d.]+", _user_data, packet) for packet in _encoded(frames, between)]
    packets = _packed(packets)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, data in enumerate(packets):
            if number == lost:
                data = _NOTHING
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts = packet.dts = number
            packet.is_keyframe = _kind(data) == 0
            out.mux(packet)
    return path


def _user_data(_: re.Match[bytes]) -> bytes:
    return b"\0\0\1\xb2DivX503b1393p"  # p: packed


def _kind(data: bytes) -> int:
    """0 intra, 1 predicted, 2 bidirectional."""
    return data[data.index(_FRAME) + len(_FRAME)] >> 6


def _encoded(frames: int, between: int) -> list[bytes]:
    context = av.CodecContext.create("mpeg4", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = SIZE
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, FPS), Fraction(FPS)
    context.gop_size, context.max_b_frames = 12, between
    packets = []
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(bars(number, *SIZE), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets + [bytes(packet) for packet in context.encode(None)]


def _packed(packets: list[bytes]) -> list[bytes]:
    out: list[bytes] = []
    waiting = list(packets)
    while waiting:
        first = waiting.pop(0)
        if not waiting or _kind(waiting[0]) != _BIDIRECTIONAL:
            out.append(first)
            continue
        out.append(first + waiting.pop(0))
        while waiting and _kind(waiting[0]) == _BIDIRECTIONAL:
            out.append(waiting.pop(0))
        out.append(_NOTHING)
    return out
