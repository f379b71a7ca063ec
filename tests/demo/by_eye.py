"""Answers read from a picture alone: who sits where, whose mouth opens, where arms point, what is held and lies there.

Nothing here looks at the turns of a clip or at the library's own answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby

from attnscope.demo.cast import CUPS, FRAMES, NAMES, SLOT, THINGS, Person, Picture

COUNTS = ("zero", "one", "two", "three", "four", "five", "six")
ORDINALS = {"first": 0, "second": 1, "third": 2}


def one(picture: Picture, name: str) -> Person:
    """The person of that name."""
    (found,) = (person for person in picture.people if NAMES[person.who] == name)
    return found


def spoken_frames(person: Person) -> list[int]:
    """Frames of the slots in which the mouth opens."""
    slots = [range(start, start + SLOT) for start in range(0, FRAMES, SLOT)]
    return [frame for slot in slots if any(person.mouth[f] for f in slot) for frame in slot]


def speaker(picture: Picture, ordinal: str | None) -> Person:
    """Who speaks first, second or third: slots with one open mouth each, one after another."""
    if len(picture.people) == 1:
        return picture.people[0]
    order = []
    for frame in range(0, FRAMES, SLOT):
        (speaking,) = (person for person in picture.people if frame in spoken_frames(person))
        order.append(speaking)
    turns = [person for person, _ in groupby(order)]
    assert ordinal is not None or len(turns) == 1
    return turns[ORDINALS[ordinal or "first"]]


def pointed_at(picture: Picture, person: Person, frames: list[int]) -> set[str]:
    """Names of those in the seats that a person points at in some frames."""
    by_seat = {other.seat: NAMES[other.who] for other in picture.people}
    return {by_seat[person.points_at[frame]] for frame in frames if person.points_at[frame] >= 0}


def _addressed(picture: Picture, person: Person) -> set[str]:
    return pointed_at(picture, person, spoken_frames(person))


READINGS: dict[str, Callable[..., set[str]]] = {
    r"Who is the (?:(\w+) )?speaker\?": lambda seen, which: {NAMES[speaker(seen, which).who]},
    r"Who is the (?:(\w+) )?speaker talking to\?": lambda seen, which: _addressed(seen, speaker(seen, which)),
    r"Who is (\w+) talking to\?": lambda seen, name: _addressed(seen, one(seen, name)),
    r'Who does (\w+) mean by "(?:they|\[someone\])"\?': lambda seen, name: _addressed(seen, one(seen, name)),
    r"Who does (\w+) point at\?": lambda seen, name: pointed_at(seen, one(seen, name), list(range(FRAMES))),
    r"What colour is the cup of (\w+)\?": lambda seen, name: {CUPS[one(seen, name).cup]},
    r"How many people are there\?": lambda seen: {COUNTS[len(seen.people)]},
    r"What colour is the (\w+)\?": lambda seen, kind: {CUPS[t.colour] for t in seen.things if THINGS[t.kind] == kind},
    r"Which thing is (\w+)\?": lambda seen, colour: {THINGS[t.kind] for t in seen.things if CUPS[t.colour] == colour},
}


def right_answers(picture: Picture, question: str) -> set[str]:
    """All answers to a question that the picture bears out."""
    (read,) = (found for form in READINGS if (found := re.fullmatch(form, question)))
    return READINGS[read.re.pattern](picture, *read.groups())


def evidence(picture: Picture, question: str) -> str:
    """Name of the person or thing that one must look at, "" for no single one."""
    if found := re.fullmatch(r"Who is the (?:(\w+) )?speaker(?: talking to)?\?", question):
        return NAMES[speaker(picture, found[1]).who]
    shown = [*(NAMES[p.who] for p in picture.people), *(THINGS[t.kind] for t in picture.things)]
    named = [word for word in re.findall(r"\w+", question) if word in shown]
    if named:
        return named[0]
    if found := re.fullmatch(r"Which thing is (\w+)\?", question):
        return next(THINGS[t.kind] for t in picture.things if CUPS[t.colour] == found[1])
    return ""
