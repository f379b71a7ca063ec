"""How places were found: what a placing may say, and how it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from attnscope.model import Blank, Placing, View, build_prompt, load
from attnscope.model.layouts import place
from attnscope.placing import placing_of
from attnscope.scene import Scene
from tests.model.test_places import frames

WORDS = {
    "by the layout of qwen3_vl": Placing("layout"),
    "by the layout of qwen3_vl (99 % of 1,196 tokens answer to their cell)": Placing("layout", 0.9991),
    "probed (100 % of 1,196 tokens answer to their cell)": Placing("probed", 1.0),
    "probed (29 % of 1,196 tokens answer to their cell)": Placing("probed", 0.29),
    "nowhere: every token answers to every pixel": Placing("none", reason="every token answers to every pixel"),
}


@pytest.mark.parametrize("words", WORDS)
def test_a_placing_in_words(words: str) -> None:
    assert WORDS[words].words("qwen3_vl", 1196) == words


BAD = {
    "how='guessed' is none of layout, probed, none": {"how": "guessed"},
    "verified=1.5 is no share": {"how": "probed", "verified": 1.5},
    "verified=1.0 is no share of tokens that have a cell": {"how": "none", "verified": 1.0, "reason": "x"},
    "how='none' with the reason ''": {"how": "none"},
    "how='layout' with the reason 'x'": {"how": "layout", "reason": "x"},
}


@pytest.mark.parametrize("message", BAD)
def test_what_no_prompt_can_have_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Placing(**BAD[message])


def test_a_prompt_of_a_layout_says_so_and_cannot_say_otherwise(checkpoint: Callable[[str], Path]) -> None:
    loaded = load(checkpoint("qwen3_vl"), dtype="float32", device="cpu")
    prompt = build_prompt(loaded, Scene(video=Path("clip.mp4")), frames(333, 517, 1))
    assert prompt.placing == Placing("layout")
    assert prompt.unplaced == ""
    cells = int(prompt.tokens["x0"].notna().sum())
    with pytest.raises(ValueError, match=f"{cells} visual tokens have a cell, but placing is "):
        replace(prompt, placing=Placing("none", reason="nobody knows"))
    nowhere = prompt.tokens.assign(x0=float("nan"))
    with pytest.raises(ValueError, match="0 visual tokens have a cell, but placing is "):
        replace(prompt, tokens=nowhere)


@pytest.mark.parametrize(
    ("x0", "expected"),
    [
        ([float("nan"), 0.0], Placing("layout")),
        ([0.0, float("nan")], Placing("none", reason="family some_vl has no layout")),
    ],
)
def test_tokens_without_a_stated_placing(x0: list[float], expected: Placing) -> None:
    """Only visual tokens count."""
    table = pd.DataFrame({"modality": ["text", "visual"], "x0": x0})
    assert placing_of(table, "some_vl") == expected


def test_notes_of_cells_stand_at_their_tokens() -> None:
    shown = frames(64, 48, 1)
    plain = View.even(2, 2, (0, 0, 64, 48))
    noted = replace(plain, newline=True, note=["", "dim", "", "cut"])
    assert place([plain], shown).note is None
    assert place([plain, Blank(), noted], shown).note == [*[""] * 5, "", "dim", "", "", "cut", ""]
    with pytest.raises(ValueError, match="cannot reshape array of size 3"):
        place([replace(plain, note=["", "", ""])], shown)
