"""Names in brackets before words: `[SPEAKER_00] words`, `(Ada) words`.

The same brackets hold what is heard or how it is said, `[door closes]`, `(laughs) Oh no!`, so a bracket before words is
a name only where the file gives evidence (rules: ours). One of these is needed:

- it is a diariser's label: `SPEAKER_00`, `spk 1`, `Player3`;
- it is a known name, letter case aside: one that the boxes or the caller give, or one that the file itself writes with
  a colon or as a voice span;
- the file labels its lines so: at least half of all cues begin with a bracket before words, and two or more different
  ones do so twice or more, look like names, never stand alone, and are no words for sounds, manners and places
  (`Laughs`, `Excitedly`, `On TV`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from attnscope.scene.names import clean_name, is_word_character, name_key

_PAIRS = {
    "[": "]",
    "(": ")",
    "\u3010": "\u3011",
    "\uff08": "\uff09",
    "\uff3b": "\uff3d",
}  # the last three are full-width
_LONGEST = 60
_DIARISER = re.compile(r"(?:speaker|spk|player|person|voice|spkr)[ _-]?[0-9]{1,4}", re.IGNORECASE)
# What captions write in brackets about sounds and voices, in any form of the word ("laughs", "laughing").
_SOUNDS = re.compile(
    r"(?:music|song|s[iu]ng|laugh|chuckl|giggl|snicker|applaus|applaud|clap|cheer|sigh|gasp|groan|moan|grunt|cough|sob|cr(?:y|ies)"
    r"|weep|scream|shriek|shout|yell|whisper|mutter|mumbl|murmur|sniff|scoff|snor|pant|exhal|inhal|breath|clear|stammer"
    r"|stutter|whistl|whimper|hum|beep|nois|static|ring|knock|bleep|speak|narrat|silence|pause|inaudibl|indistinct"
    r"|unintelligibl|foreign|crosstalk|chatter|door|phone|horn|bark|click|thud|crash|bang|explosion|footstep|engine"
    r"|thunder|wind|rain|bell)(?:s|es|ed|e|ing|ling|ter|ly|able|er|es)?",
    re.IGNORECASE,
)
_MANNERS = frozenset(
    (
        *("both", "all", "together", "continues", "angry", "sad", "happy", "nervous", "excited", "upset", "confused"),
        *("surprised", "shocked", "scared", "afraid", "annoyed", "worried", "sarcastic", "tired", "drunk", "calm"),
        *("quiet", "soft", "loud", "muffled", "distant", "distorted", "slurred", "hushed", "high-pitched", "mimicking"),
        *("imitating", "reading", "thinking", "whispered", "recorded", "accented", "sarcasm"),
    )
)
# Where a voice comes from begins with one of these: "On TV", "In French", "Over radio".
PLACES = frozenset(("on", "in", "over", "from", "through", "with", "to", "into", "at", "via", "off", "as"))
_NAMES_IN_LY = frozenset(
    (
        *(
            "sally",
            "molly",
            "holly",
            "polly",
            "lilly",
            "billy",
            "kelly",
            "emily",
            "beverly",
            "kimberly",
            "nelly",
            "willy",
        ),
        *("carly", "dolly", "shelly", "wally", "milly", "tilly", "reilly", "connolly", "donnelly", "o'reilly"),
    )
)
_MOST_WORDS = 4
_SHARE = 0.5
_LEAST = 2


def bracketed(line: str) -> tuple[str, str] | None:
    """What stands in the bracket that a line begins with, and what follows it; None without a bracket."""
    close = _PAIRS.get(line[:1])
    end = line.find(close) if close else -1
    inside = line[1:end]
    if end < 2 or len(inside) > _LONGEST or line[0] in inside:
        return None
    return inside, line[end + 1 :].lstrip()


def key(name: str) -> str:
    """What spellings of one name have in common, letter case aside."""
    return name_key(name).casefold()


def labels(
    cues: Iterable[list[str]], certain: Callable[[str], str | None], known: Collection[str] = ()
) -> frozenset[str]:
    """The texts in brackets that are names in this file.

    Args:
        cues: The lines of each cue, without markup.
        certain: The name that a line gives by its colon, if it gives one.
        known: Names that are known otherwise: of boxes, of voice spans, from the caller.

    Returns:
        Their keys; see `key`.
    """
    names = {key(name) for name in known}
    before: Counter[str] = Counter()  # brackets with words behind them
    spelt: dict[str, str] = {}
    alone: set[str] = set()
    total = 0
    for lines in cues:
        total += bool(lines)
        for at, line in enumerate(lines):
            name = certain(line)
            if name is not None:
                names.add(key(name))
            found = bracketed(line)
            if name is not None or found is None:
                continue
            if not found[1]:
                alone.add(key(found[0]))
            elif at == 0:
                before[key(found[0])] += 1
            spelt.setdefault(key(found[0]), found[0])
    usual = {
        text for text, count in before.items() if count >= _LEAST and text not in alone and _may_be_a_name(spelt[text])
    }
    if len(usual) < _LEAST or sum(before.values()) < _SHARE * total:
        usual = set()
    return frozenset(text for text in spelt if text in names or text in usual or _DIARISER.fullmatch(text))


def _may_be_a_name(text: str) -> bool:
    """One to four words, the first not in lower case, none of them a word for a sound."""
    words = clean_name(text).split()
    return (
        1 <= len(words) <= _MOST_WORDS
        and words[0][0].isalpha()
        and not words[0][0].islower()
        and words[0].casefold() not in PLACES
        and not any(_is_manner(word.strip(".,!?").casefold()) for word in words)
        and all(is_word_character(c) or c in ".'\u2019&-#" for word in words for c in word)
    )


def _is_manner(word: str) -> bool:
    """Whether a word says what is heard or how something is said; adverbs in -ly do."""
    in_ly = len(word) > 4 and word.endswith("ly") and word not in _NAMES_IN_LY
    return bool(_SOUNDS.fullmatch(word)) or word in _MANNERS or in_ly


def is_mark_of_sound(text: str) -> bool:
    """Whether what stands in brackets alone says what is heard: `BLANK_AUDIO`, `upbeat music`; any of its words."""
    words = [word.strip(".,!?").casefold() for word in re.split(r"[\s_]+", text.strip())]
    return len(words) <= _MOST_WORDS and ("blank" in words or any(_SOUNDS.fullmatch(word) for word in words))
