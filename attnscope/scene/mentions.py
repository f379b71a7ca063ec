"""Whom a question names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attnscope.scene.names import is_word_character, name_characters, name_key

if TYPE_CHECKING:
    from attnscope.scene.models import Scene


def mentions(scene: Scene) -> list[tuple[int, int, str]]:
    """Where the question writes a speaker's name as whole words, with its upper and lower case.

    Returns:
        First and one past the last character in `scene.question`, and the name as the scene spells it. Of "Ann" and
        "Ann Lee" the longer counts where both would fit.
    """
    names = {name_key(name): name for name in scene.speaker_names if name_key(name)}
    longest_first = sorted(names, key=len, reverse=True)
    written = "|".join(r"\s+".join(map(re.escape, key.split())) for key in longest_first)
    if not written or scene.question is None:
        return []
    text, places = name_characters(scene.question)
    return [
        (places[match.start()][0], places[match.end() - 1][1], names[name_key(match.group())])
        for match in re.finditer(rf"(?<!\w)(?:{written})(?!\w)", text)
        if not is_word_character(text[match.end() : match.end() + 1] or " ")  # a mark of another letter goes on
    ]


def asked_speakers(scene: Scene) -> list[str]:
    """The speakers with a box whom the question names, each once, in the question's order."""
    return list(dict.fromkeys(name for _, _, name in mentions(scene) if name in scene.speakers))


def next_visible(name: str, visible: Mapping[str, bool]) -> str | None:
    """The next visible speaker after another, in the order of the keys and around its end; None if there is none."""
    names = list(visible)
    turned = names[names.index(name) + 1 :] + names[: names.index(name)]
    return next((other for other in turned if visible[other]), None)
