"""Whom a question names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attnscope.scene.names import equal_but_for_case, is_word_character, name_characters, name_key

if TYPE_CHECKING:
    from attnscope.scene.scene import Scene


# Thai, Lao, Myanmar, Khmer, Kana and Han are written without spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def mentions(scene: Scene) -> list[tuple[int, int, str]]:
    """Where the question writes a speaker's name as whole words, with its upper and lower case.

    Names of two or more letters of a script without spaces need not be words of their own.

    Returns:
        First and one past the last character in `scene.question`, and the name as the scene spells it. Of "Ann" and
        "Ann Lee" the longer counts where both would fit.
    """
    return _mentions(scene, re.NOFLAG)


def question_notes(scene: Scene) -> list[str]:
    """Says whom the question probably means, if it names nobody letter for letter."""
    meant = dict.fromkeys(name for _, _, name in _mentions(scene, re.IGNORECASE))
    if not meant or mentions(scene):
        return []
    return [f"the question names no speaker; letter case aside it names {', '.join(meant)}"]


def _mentions(scene: Scene, flags: re.RegexFlag) -> list[tuple[int, int, str]]:
    names = {name_key(name): name for name in scene.speaker_names if name_key(name)}
    longest_first = sorted(names, key=len, reverse=True)
    if not names or scene.question is None:
        return []
    text, places = name_characters(scene.question)
    mentions = []
    for match in re.finditer("|".join(map(_written, longest_first)), text, flags):
        after = text[match.end() : match.end() + 1]
        if after and is_word_character(after) and not after.isalnum():  # the mark of another letter
            continue
        key = name_key(match.group())
        name = names.get(key) or next(names[k] for k in longest_first if equal_but_for_case(k, key))
        mentions.append((places[match.start()][0], places[match.end() - 1][1], name))
    return mentions


def _written(key: str) -> str:
    """A pattern for a name as whole words."""
    words = r"\s+".join(map(re.escape, key.split()))
    first, last = (len(key) > 1 and _UNSPACED.match(edge) for edge in (key[0], key[-1]))
    return ("" if first else r"(?<!\w)") + words + ("" if last else r"(?!\w)")


def asked_speakers(scene: Scene) -> list[str]:
    """The speakers with a box whom the question names, each once, in the question's order."""
    return list(dict.fromkeys(name for _, _, name in mentions(scene) if name in scene.speakers))


def next_visible(name: str, visible: Mapping[str, bool]) -> str | None:
    """The next visible speaker after another, in the order of the keys and around its end; None if there is none."""
    names = list(visible)
    turned = names[names.index(name) + 1 :] + names[: names.index(name)]
    return next((other for other in turned if visible[other]), None)
