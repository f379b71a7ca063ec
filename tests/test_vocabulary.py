"""One home for the words: it is light, agrees with itself, and no other module spells them out."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import attnscope
from attnscope import vocabulary as words

LIBRARY = Path(attnscope.__file__).parent


def test_the_vocabulary_imports_nothing_heavy() -> None:
    code = (
        "import sys; import attnscope.vocabulary;"
        "heavy = {'numpy', 'pandas', 'h5py', 'torch', 'pydantic'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_modalities_are_an_open_ordered_set() -> None:
    of = lambda *names: words.modalities_of(pd.DataFrame({"modality": names}))  # noqa: E731
    assert of("special", "visual", "text") == ("text", "visual", "special")
    assert of("visual", "visual") == ("text", "visual", "special")  # these three are in every capture
    assert of("touch", "special", "audio", "visual") == ("text", "visual", "special", "touch", "audio")
    assert words.media(("text", "visual", "special", "audio")) == ("visual", "audio")


def test_roles_and_hidden_groups_follow_the_modalities() -> None:
    known = ("text", "visual", "special")
    assert words.roles(known) == ("system", "template", "visual", "transcript", "history", "question", "answer")
    assert words.roles((*known, "audio"))[2:4] == ("visual", "audio")
    assert words.hidden_groups(known) == ("all", "text", "visual")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("visual:Ann", ("visual", "Ann")),
        ("turn:0", ("turn", 0)),
        ("question", ("question",)),
        ("text:a:b", ("text", "a:b")),
    ],
)
def test_names_of_groups(name: str, parts: tuple[object, ...]) -> None:
    assert words.group_name(*parts) == name  # type: ignore[arg-type]


def test_speakers_of_a_token_table() -> None:
    assert words.covered_speakers(["text", "covered:Ann", "covered:A:B/50%"]) == ["Ann", "A:B/50%"]


def test_no_module_spells_out_a_modality() -> None:
    """A string that is a modality and nothing else stands in the vocabulary alone."""
    spelled = []
    for path in sorted(LIBRARY.rglob("*.py")):
        if path != LIBRARY / "vocabulary.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and node.value == words.VISUAL:
                    spelled.append(f"{path.relative_to(LIBRARY)}:{node.lineno}")
    fields = [place for place in spelled if place.startswith("correct/social/rows.py")]  # a field of a class there
    assert spelled == fields and len(fields) <= 1
