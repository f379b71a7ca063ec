"""When two names are one: the only place that compares names of speakers.

A name is cleaned where it enters a scene: invisible characters go, white space folds to single spaces, and the rest is
composed (NFC). Two names are one if their keys are equal. A key leaves out joiners and variation selectors too, which
Persian, Indic scripts and emoji need for their looks, and has one hyphen and one apostrophe. Letter case tells names
apart (rules: ours).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from itertools import combinations

# They shape their neighbours: kept inside a name, left out of its key.
_SHAPING = frozenset([0x200C, 0x200D, *range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
# Nothing is drawn for these either, though Unicode does not call them format characters: the grapheme joiner, the
# Hangul fillers, the Khmer inherent vowels and the blank Braille pattern.
_BLANK = frozenset([0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0])
# Signs that look alike and are typed for one another: hyphens, and the apostrophes of word processors.
_ALIKE = {0x2010: "-", 0x2011: "-", 0x2018: "'", 0x2019: "'", 0x02BC: "'"}
_LOOSE_JOINER = re.compile(r"(?<!\S)[\u200c\u200d]+|[\u200c\u200d]+(?!\S)")
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_CLOSE = 0.8  # of difflib's ratio: one letter of five
# Letters of other scripts that are drawn like Latin ones, and digits that are drawn like letters.
_DRAWN_ALIKE = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd"
    "I1|0",
    "ABEKMHOPCTYXIJSaeopcyxijsABEZHIKMNOPTYXovlllO",
)


def without_format(text: str) -> str:
    """Text without the characters that only direct how it is drawn: direction marks, soft hyphens, byte order marks."""
    return "".join(c for c in text if ord(c) in _SHAPING or not _is_invisible(c))


def clean_name(name: str) -> str:
    """A name as the model and all tables show it; "" if nothing of it can be seen."""
    folded = _LOOSE_JOINER.sub("", " ".join(without_format(name).split()))
    return unicodedata.normalize("NFC", folded) if name_key(folded) else ""


def name_key(name: str) -> str:
    r"""What two spellings of one name have in common.

    Examples:
        >>> name_key("\u202aZoe\u0301\u00a0M.\u202c") == name_key("Zoé M.")
        True
    """
    seen = "".join(c for c in name if ord(c) not in _SHAPING and not _is_invisible(c))
    return unicodedata.normalize("NFC", " ".join(seen.split())).translate(_ALIKE)


def find_name(name: str, names: Iterable[str]) -> str | None:
    """The one of some names that equals another; None if none does."""
    key = name_key(name)
    return next((other for other in names if name_key(other) == key), None)


def same_but_for_case(name: str, names: Iterable[str]) -> list[str]:
    """Those of some names that differ from another in nothing but letter case."""
    return [other for other in names if name_key(other) != name_key(name) and equal_but_for_case(name, other)]


def equal_but_for_case(name: str, other: str) -> bool:
    """Whether two texts are one name or answer, letter case aside."""
    return name_key(name).casefold() == name_key(other).casefold()


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """The name that somebody probably meant; None if none is near, or several are equally near.

    Near is: equal but for letter case; or also for accents, punctuation and words in brackets; or one letter off.
    """
    others = [other for other in names if name_key(other) != name_key(name)]
    near = same_but_for_case(name, others)
    bare = {other: _bare(other) for other in others}
    if not near and _bare(name):
        near = [other for other in others if bare[other] == _bare(name)]
    if not near and _bare(name):
        close = difflib.get_close_matches(_bare(name), bare.values(), n=1, cutoff=_CLOSE)
        near = [other for other in others if [bare[other]] == close]
    return near[0] if len(near) == 1 else None


def alike_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that a reader may take for one.

    They are near (`nearest_name`), or are drawn alike in other scripts. Names that differ in their numbers alone
    (SPEAKER_00 and SPEAKER_01, Player 1 and Player 2) are meant to differ.

    Examples:
        >>> alike_names(["Ann", "Anna", "Ben", "\u0410nn", "Player 1", "Player 2"])
        [('Ann', 'Anna'), ('Ann', 'Аnn'), ('Anna', 'Аnn')]
    """
    return [(a, b) for a, b in combinations(names, 2) if _alike(a, b)]


def _alike(name: str, other: str) -> bool:
    drawn = name.translate(_DRAWN_ALIKE), other.translate(_DRAWN_ALIKE)
    if re.findall(r"\d+", name) != re.findall(r"\d+", other):
        return drawn[0] == drawn[1]
    return drawn[0] == drawn[1] or nearest_name(drawn[0], [drawn[1]]) is not None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of an error about an unknown name: `; did you mean "Ann"?`, or nothing."""
    near = nearest_name(name, names)
    return f'; did you mean "{near}"?' if near else ""


def name_characters(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Text as keys are written, white space as it is, and where in the text each of its characters stands.

    Returns:
        The text, and for each character the first and one past the last character of the original.
    """
    clusters: list[tuple[str, int, int]] = []
    for at, character in enumerate(text):
        if ord(character) in _SHAPING or _is_invisible(character):
            continue
        if clusters and _composes(clusters[-1][0], character):
            clusters[-1] = (clusters[-1][0] + character, clusters[-1][1], at + 1)
        else:
            clusters.append((character, at, at + 1))
    composed = [(unicodedata.normalize("NFC", written), (start, end)) for written, start, end in clusters]
    return "".join(c for c, _ in composed).translate(_ALIKE), [span for c, span in composed for _ in c]


def is_word_character(character: str) -> bool:
    """Whether a character is part of a word: a letter, a digit, an underscore, or a mark on one of these."""
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or ord(character) in _BLANK


def _composes(before: str, character: str) -> bool:
    if unicodedata.combining(character):
        return True
    apart = unicodedata.normalize("NFC", before) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", before + character) != apart


def _bare(name: str) -> str:
    """Letters and digits without case, accents, and what stands in brackets."""
    letters = unicodedata.normalize("NFKD", _ASIDE.sub("", name_key(name))).casefold()
    return "".join(c for c in letters if is_word_character(c) and not unicodedata.combining(c) and c != "_")
