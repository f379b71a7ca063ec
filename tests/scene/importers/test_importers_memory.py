"""Importers hold a piece of a file at a time: ten times the records take no more memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from attnscope.scene.importers import boxes as boxes
from attnscope.scene.importers import speech as speech
from attnscope.scene.importers.registry import IMPORTERS

FEW, MANY = 2_000, 20_000


def cvat(count: int) -> Iterator[str]:
    box = '<box frame="{}" outside="0" keyframe="1" xtl="1" ytl="2" xbr="3" ybr="4"><attribute name="a">b</attribute>'
    yield '<annotations><track id="0" label="Ada">'
    yield from (f"{box.format(n)}</box>" for n in range(count))
    yield "</track></annotations>"


def coco(count: int) -> Iterator[str]:
    yield '{"videos": [{"id": 1, "name": "a.mp4"}], "images": ['
    yield ",".join(f'{{"id": {n}, "video_id": 1, "frame_id": {n}}}' for n in range(count))
    yield '], "annotations": ['
    yield ",".join(f'{{"id": {n}, "image_id": {n}, "track_id": 1, "bbox": [1, 2, 3, 4]}}' for n in range(count))
    yield "]}"


def mot(count: int) -> Iterator[str]:
    yield from (f"{n + 1},1,10,20,30,40,1,1,1\n" for n in range(count))


def rttm(count: int) -> Iterator[str]:
    yield from (f"SPEAKER a 1 {n} 1.5 <NA> <NA> Ada <NA> <NA>\n" for n in range(count))


def whisperx(count: int) -> Iterator[str]:
    word = '{"word": "yes", "start": 1, "end": 2}'
    yield '{"segments": ['
    yield ",".join(f'{{"start": {n}, "end": {n + 1}, "text": "yes", "words": [{word}]}}' for n in range(count))
    yield "]}"


def textgrid(count: int) -> Iterator[str]:
    yield f'"ooTextFile"\n"TextGrid"\n0 1\n<exists>\n1\n"IntervalTier" "Ada" 0 1 {count}\n'
    yield from (f'{n} {n + 1} "yes"\n' for n in range(count))


def elan(count: int) -> Iterator[str]:
    yield "<ANNOTATION_DOCUMENT><TIME_ORDER>"
    yield from (f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{n}"/>' for n in range(count + 1))
    yield '</TIME_ORDER><TIER TIER_ID="Ada">'
    for n in range(count):
        yield f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="ts{n}" '
        yield f'TIME_SLOT_REF2="ts{n + 1}">'
        yield "<ANNOTATION_VALUE>yes</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    yield "</TIER></ANNOTATION_DOCUMENT>"


@pytest.mark.slow
@pytest.mark.parametrize("write", [cvat, coco, mot, rttm, whisperx, textgrid, elan], ids=lambda write: write.__name__)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, write: object) -> None:
    assert callable(write)
    peaks = []
    for count in (FEW, FEW, MANY):  # the first pays for what is imported and cached
        path = tmp_path / f"{count}.x"
        path.write_text("".join(write(count)))
        gc.collect()
        tracemalloc.start()
        records = sum(1 for _ in IMPORTERS[write.__name__](path))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert records >= count
    assert peaks[2] - peaks[1] < 256 * 1024, f"{peaks[2] - peaks[1]:,} bytes for {MANY - FEW:,} records more"
