"""Times that count from the sound or from the file become times of the pictures."""

from __future__ import annotations

import pytest

from attnscope.scene import BoxRecord, SpeechRecord, Word
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
    class Counting:
        pass

    importer = Counting()
    importer.counts_from = counts_from  # type: ignore[attr-defined]
    assert origin(importer, sound) == zero  # type: ignore[arg-type]
