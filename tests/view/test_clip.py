"""The clip itself is served where the user names it, whole or in parts, and only if it is the one that was shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from attnscope.errors import RequestError
from attnscope.view.api import viewing
from tests.capture.by_hand import Oracle, build
from tests.view.asking import Client

HELD = 12  # frames of the film for each that the model was shown, at 24 a second


def encode(path: Path, frames: np.ndarray) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number in range(len(frames) * HELD):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[number // HELD]), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@dataclass
class Filmed:
    """A capture and the clip that it is of."""

    oracle: Oracle
    clip: Path


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Filmed:
    folder = tmp_path_factory.mktemp("clip")
    oracle = build(folder / "run.h5", readings=("masses", "maps"))
    return Filmed(oracle, encode(folder / "clip.mp4", oracle.frames))


@pytest.fixture(scope="module")
def client(filmed: Filmed) -> Iterator[Client]:
    with viewing([filmed.oracle.path], clip=filmed.clip) as address:
        yield Client(address)


def test_the_page_is_given_its_address(client: Client, filmed: Filmed) -> None:
    assert client.ask("document").json["stages"][0]["video"] == "api/video"
    reply = client.ask("video")
    assert (reply.status, reply.headers["content-type"]) == (200, "video/mp4")
    assert reply.body == filmed.clip.read_bytes()


def test_a_player_reads_parts(client: Client, filmed: Filmed) -> None:
    whole, path = filmed.clip.read_bytes(), f"/{client.token}/api/video"
    for part, wanted in (("bytes=10-19", whole[10:20]), ("bytes=-7", whole[-7:]), ("bytes=100-", whole[100:])):
        reply = client.raw(path, headers={"Range": part})
        assert (reply.status, reply.body) == (206, wanted)
    assert client.raw(path, headers={"Range": f"bytes={len(whole)}-"}).status == 416


def test_without_it_no_clip_is_served(filmed: Filmed) -> None:
    with viewing([filmed.oracle.path]) as address:
        client = Client(address)
        assert client.ask("video").status == 404
        assert "video" not in client.ask("document").json["stages"][0]


def test_another_clip_is_refused(filmed: Filmed, tmp_path: Path) -> None:
    """Attention would be drawn on pictures that the model was never shown."""
    run, frames = filmed.oracle.path, filmed.oracle.frames
    wrong = {
        "its frames have other times": encode(tmp_path / "short.mp4", frames[:2]),
        "it is 48 x 32, that one 96 x 64": encode(tmp_path / "small.mp4", frames[:, ::2, ::2]),
        "it shows other pictures": encode(tmp_path / "other.mp4", frames[::-1]),
        "no such file": tmp_path / "missing.mp4",
    }
    for reason, clip in wrong.items():
        with pytest.raises(RequestError, match=reason) as caught, viewing([run], clip=clip):
            raise AssertionError("it started")
        assert caught.value.field == "clip"


def test_a_clip_that_changes_is_served_no_more(filmed: Filmed, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(filmed.clip.read_bytes())
    with viewing([filmed.oracle.path], clip=clip) as address:
        client = Client(address)
        assert client.ask("video").status == 200
        clip.write_bytes(b"SECRET")
        reply = client.ask("video")
        assert reply.status == 410 and b"SECRET" not in reply.body
