"""What is asked about a clip: the tasks of the social benchmark, each answered by one word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attnscope.demo.cast import CUPS, NAMES, THINGS
from attnscope.demo.script import Clip, Turn

NUMBERS = ("one", "two", "three", "four", "five", "six")
_ORDINALS = ("first", "second", "third")

# Task, what it asks, and where it comes from: three tasks of MMSI (Lee et al., CVPR 2024), the others ours.
TASKS = {
    "target": "speaking target identification: whom a named speaker addresses",
    "target-hidden": "the same with the speaker hidden: the transcript has no names",
    "pronoun": "pronoun coreference: whom a named speaker means by they",
    "mention": "mentioned player prediction: whose name a named speaker leaves out",
    "speaks": "who speaks, from a transcript without names",
    "pointing": "at whom a named person points",
    "cup": "attribute of a person: the colour of a named person's cup",
    "count": "how many people there are",
    "colour": "attribute of a thing: its colour",
    "thing": "which thing has a colour",
}
SOCIAL = ("target", "target-hidden", "pronoun", "mention", "speaks", "pointing")


@dataclass(frozen=True)
class Question:
    """One question with its options.

    Attributes:
        task: Key of TASKS.
        text: The question.
        options: In no particular order.
        answer: The right one.
        about: Person or thing whose box holds the evidence, "" for none; for analysis, never shown.
    """

    task: str
    text: str
    options: tuple[str, ...]
    answer: str
    about: str = ""


def questions(clip: Clip) -> list[Question]:
    """Everything that can be asked about a clip and has one answer."""
    return [*_of_turns(clip), *_of_people(clip), *_of_things(clip)]


def _of_turns(clip: Clip) -> Iterator[Question]:
    people = clip.people
    names = tuple(person.name for person in people)
    if clip.named:
        speakers = [turn.speaker for turn in clip.turns]
        for turn in clip.turns:
            if turn.kind and speakers.count(turn.speaker) == 1:
                yield _named(turn, names)
        return
    for number, turn in enumerate(clip.turns):
        which = f"{_ORDINALS[number]} speaker" if len(clip.turns) > 1 else "speaker"
        about = names[turn.speaker]
        yield Question("speaks", f"Who is the {which}?", names, about, about)
        if turn.kind == "you":
            yield Question("target-hidden", f"Who is the {which} talking to?", names, names[turn.target], about)


def _named(turn: Turn, names: tuple[str, ...]) -> Question:
    name, answer = names[turn.speaker], names[turn.target]
    if turn.kind == "you":
        return Question("target", f"Who is {name} talking to?", names, answer, name)
    task = "pronoun" if turn.kind == "they" else "mention"
    return Question(task, f'Who does {name} mean by "{turn.kind}"?', names, answer, name)


def _of_people(clip: Clip) -> Iterator[Question]:
    people = clip.people
    names = tuple(person.name for person in people)
    by_seat = {person.seat: person.name for person in people}
    for person in people:
        yield Question("cup", f"What colour is the cup of {person.name}?", CUPS, CUPS[person.cup], person.name)
        seats = {seat for seat in person.points_at if seat >= 0}
        if len(seats) == 1:
            answer = by_seat[seats.pop()]
            yield Question("pointing", f"Who does {person.name} point at?", names, answer, person.name)
    if people:
        yield Question("count", "How many people are there?", NUMBERS, NUMBERS[len(people) - 1])


def _of_things(clip: Clip) -> Iterator[Question]:
    for thing in clip.picture.things:
        kind, colour = THINGS[thing.kind], CUPS[thing.colour]
        yield Question("colour", f"What colour is the {kind}?", CUPS, colour, kind)
        yield Question("thing", f"Which thing is {colour}?", THINGS, kind, kind)


def shown_options(question: Question, rng: np.random.Generator) -> tuple[str, ...]:
    """The options in random order; a lone name gets the company of two who are not there."""
    options = list(question.options)
    if len(options) == 1:
        others = [name for name in NAMES if name not in options]
        options += [others[i] for i in rng.permutation(len(others))[:2]]
    return tuple(options[i] for i in rng.permutation(len(options)))
