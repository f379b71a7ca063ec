"""Times that count from the sound or from the file become times of the pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from attnscope.scene import BoxRecord, Scene, SpeechRecord, Word, import_scenes
from attnscope.scene.importers.registry import IMPORTERS
from attnscope.scene.joining.origins import moved, origin


def test_what_begins_before_the_picture_and_goes_on_begins_with_it() -> None:
    words = (Word(text="a", start=0.0, end=0.5), Word(text="b", start=0.75, end=1.25), Word(text="c"))
    record = SpeechRecord(where="1", text="a b c", start=0.0, end=2.0, words=words)
    after = moved(record, -1.0)
    assert (after.start, after.end) == (0.0, 1.0)
    assert [(word.start, word.end) for word in after.words] == [(0.0, 0.0), (0.0, 0.25), (None, None)]
    before = moved(SpeechRecord(where="2", start=0.25, end=0.5), -1.0)
    assert (before.start, before.end) == (-0.75, -0.5)  # its turn is left out
    box = BoxRecord(where="3", name="Ada", xyxy=(0, 0, 1, 1), units="fraction", time=1.0)
    assert moved(box, -1.0 - 1e-9).time == 0.0
    assert moved(box, 0.5).time == 1.5
    assert moved(record, 0.0) is record


@pytest.mark.parametrize(
    ("counts_from", "sound", "zero"),
    [
        ("picture", -0.8, 0.0),
        ("sound", -0.8, -0.8),
        ("sound", 0.3, 0.3),
        ("file", -0.8, -0.8),
        ("file", 0.3, 0.0),
        ("sound", None, 0.0),
    ],
)
def test_where_the_zero_of_a_format_is(counts_from: str, sound: float | None, zero: float) -> None:
    importer = replace(IMPORTERS["rttm"], counts_from=counts_from)  # type: ignore[arg-type]
    assert origin(importer, sound) == zero


def test_an_import_moves_what_counts_from_the_sound_and_says_so(here: Path) -> None:
    """The picture of this film begins a second after its sound."""
    late_picture(here / "clip.mp4")
    (here / "who.rttm").write_text("SPEAKER clip 1 1.5 1.0 <NA> <NA> Ada <NA> <NA>\n", encoding="utf-8")
    cue = "1\n00:00:01,600 --> 00:00:02,000\nHello.\n"
    (here / "talk.srt").write_text(cue, encoding="utf-8")
    (here / "gt.txt").write_text("1,1,10,10,30,40,1,-1,-1,-1\n", encoding="utf-8")
    sources: dict[str, Any] = {"boxes": "mot:gt.txt", "turns": "who.rttm", "words": "talk.srt", "video": "clip.mp4"}
    imported = import_scenes("out", **sources)
    (name,) = Path("out/scenes").iterdir()
    (turn,) = json.loads(name.read_text("utf-8"))["transcript"]
    assert (turn["speaker"], turn["start"], turn["end"]) == ("Ada", pytest.approx(0.6), pytest.approx(1.0))
    said = [note for note in imported.notes if "count from" in note]
    end = ", 1.000 s before the first picture: they are moved by that"
    assert said == [
        f"times of rttm count from the beginning of the sound{end}",
        f"times of subtitles count from the beginning of the file{end}",
    ]
    import_scenes("kept", shift=False, **sources)
    scene = Scene.from_files("clip.mp4", "talk.srt")
    assert (scene.transcript[0].start, scene.transcript[0].end) == (pytest.approx(0.6), pytest.approx(1.0))
    assert scene.notes == said[1:]
    (turn,) = json.loads(Path("kept/scenes", name.name).read_text("utf-8"))["transcript"]
    assert (turn["start"], turn["end"]) == (1.6, 2.0)


def late_picture(path: Path) -> None:
    """Three seconds of silence, and two seconds of pictures from 1 s on."""
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("mpeg4", rate=10), out.add_stream("aac", rate=16000)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio.layout = "mono"
        for number in range(47):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 16000, number * 1024, Fraction(1, 16000)
            out.mux(audio.encode(sound))
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40 + number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 10 + number, Fraction(1, 10)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
