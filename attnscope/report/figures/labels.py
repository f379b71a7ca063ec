"""What figures write in place of texts that they cannot show: long names, and letters that no installed font has.

Everything that is written otherwise is remembered for as long as a report is made, and the report says it.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from attnscope import fonts
from attnscope.files import printable

if TYPE_CHECKING:
    from attnscope.scene import Scene

logger = logging.getLogger("attnscope")
LONGEST = 24  # letters of a name in a figure
UNSHAPED = "this matplotlib does not join or order the letters of their script (3.11 and later do)"
NO_FONT = "no installed font has their letters (the Noto fonts have those of every script)"


@dataclass
class Lettering:
    """What one report writes otherwise.

    Attributes:
        names: Short forms of long names.
        stand_ins: Marks such as [1] for runs of letters that cannot be drawn, with the reason.
    """

    names: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[str, tuple[str, str]] = field(default_factory=dict)

    def learn(self, names: Iterable[str]) -> None:
        """Give every long name a short form of its own: cut in the middle, since names differ at either end.

        A name of several lines gets one line.
        """
        for name in (unicodedata.normalize("NFC", name) for name in names):
            text = printable(name, lines=False)
            if name in self.names or (text == name and len(name) <= LONGEST):
                continue
            short = middle(text, LONGEST)
            same = sum(other.partition(" (")[0] == short for other in self.names.values())
            self.names[name] = f"{short} ({same + 1})" if same else short
        self.names = dict(sorted(self.names.items(), key=lambda item: -len(item[0])))  # no name hides a longer one

    def written(self, text: str) -> str:
        """A text as figures write it."""
        text = unicodedata.normalize("NFC", text)
        for name, short in self.names.items():
            text = text.replace(name, short)
        return self._drawable(printable(text).replace("\t", " "))

    def notes(self) -> list[str]:
        """What a page says of its figures, a sentence each."""
        cut = {short: printable(name, lines=False) for name, short in self.names.items() if "…" in short}
        sentences = [f"“{short}” is {name}." for short, name in cut.items()]
        return sentences + [f"{mark} stands for “{run}”: {why}." for run, (mark, why) in self.stand_ins.items()]

    def joined(self, other: Lettering) -> bool:
        """Take over what other figures of the same report write otherwise.

        Returns:
            False, with nothing taken over, if both write a text in two ways, or two texts alike.
        """
        names, stand_ins = self.names | other.names, self.stand_ins | other.stand_ins
        if names != other.names | self.names or stand_ins != other.stand_ins | self.stand_ins:
            return False
        marks = [mark for mark, _ in stand_ins.values()]
        if len(set(marks)) < len(marks) or len(set(names.values())) < len(names):
            return False
        self.names = dict(sorted(names.items(), key=lambda item: -len(item[0])))
        self.stand_ins = stand_ins
        return True

    def warn(self) -> None:
        """Say on the log what could not be drawn, all in one line."""
        if self.stand_ins:
            marks = ", ".join(f"{mark} for {run}" for run, (mark, _) in self.stand_ins.items())
            reasons = "; ".join(dict.fromkeys(why for _, why in self.stand_ins.values()))
            logger.warning("figures write %s: %s", marks, reasons)

    def _drawable(self, text: str) -> str:
        _, missing = fonts.choose(text)
        shaping = fonts.has_shaping()
        out, run = list[str](), ""
        for letter in [*text, "\0"]:
            lost = letter in missing or (not shaping and fonts.needs_shaping(letter))
            if lost or (run and (unicodedata.combining(letter) or fonts.is_mark(letter)) and letter != "\n"):
                run += letter
                continue
            if run:
                kept = run.rstrip()
                why = NO_FONT if missing & set(kept) else UNSHAPED
                mark, _ = self.stand_ins.setdefault(kept, (f"[{len(self.stand_ins) + 1}]", why))
                out += [mark, run[len(kept) :]]
                run = ""
            if not (fonts.is_mark(letter) and not letter.isspace()):  # a joiner alone would be drawn as a box
                out.append(letter)
        return "".join(out[:-1])


_IN_FORCE: ContextVar[Lettering | None] = ContextVar("lettering", default=None)


@contextmanager
def lettering() -> Iterator[Lettering]:
    """One report, or one figure outside of any: inside, all figures write a text alike."""
    active = _IN_FORCE.get()
    if active is not None:
        yield active
        return
    active = Lettering()
    token = _IN_FORCE.set(active)
    try:
        yield active
        active.warn()
    finally:
        _IN_FORCE.reset(token)


def current() -> Lettering:
    """That of the report that is being made; outside of any a new one."""
    return _IN_FORCE.get() or Lettering()


def learn_scenes(scenes: Iterable[Scene]) -> None:
    """Learn the names of everybody in scenes, and the options of their questions, which titles show too."""
    for scene in scenes:
        names = [*scene.speakers, *(turn.speaker for turn in scene.transcript), *scene.options, scene.answer]
        current().learn(dict.fromkeys(name for name in names if name is not None))


def middle(text: str, longest: int) -> str:
    """A text of at most a number of letters, cut in the middle and never before a combining mark."""
    if len(text) <= longest:
        return text
    half = longest // 2
    end = text[-half:]
    while end and (unicodedata.combining(end[0]) or fonts.is_mark(end[0])):
        end = end[1:]
    return f"{text[: longest - 1 - half]}…{end}"


def letters(text: str) -> int:
    """Width of a text in Latin letters: Chinese, Japanese and Korean ones are twice as wide, marks have none."""
    return sum(2 if east_asian_width(c) in "WF" else not combining(c) for c in text)
