"""What a terminal would act on is shown as an escape; everything else is shown as it is."""

from __future__ import annotations

import json

import pytest

from attnscope.files import printable, printable_json

PLAIN = "Zoë 李雷 é नेहा میخواهم 👩‍👩‍👧 a\\b 100 %"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mAda\x1b[0m", r"\x1b[31mAda\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\x08c\x7f", r"a\rb\x08c\x7f"),
        ("abc\u202edef\u2066g\u200f", r"abc\u202edef\u2066g\u200f"),
        ("x\ud800y\u2028z", r"x\ud800y\u2028z"),
        ("tag\U000e0041", r"tag\U000e0041"),
        (PLAIN, PLAIN),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_printable(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_one_entry_is_one_line() -> None:
    assert printable("a\nb\tc", lines=False) == r"a\nb\tc"


def test_json_reads_back_as_it_was() -> None:
    document = {"a\x1b": ["\x7f\x9b\u202e\ud800", PLAIN, "\U000e0041", {"n": 1}]}
    text = printable_json(document)
    assert json.loads(text) == document and PLAIN.replace("\\", "\\\\") in text
    assert printable(text) == text
