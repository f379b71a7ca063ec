"""Which tokens of a prompt are drawn to which cells: the turns of speakers, names in the question, the answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnscope.correct.base import counted
from attnscope.errors import NotApplicableError
from attnscope.metrics.density import cells_at, live_frames
from attnscope.scene.mentions import asked_speakers, mentions
from attnscope.scene.problems import show

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.model import Prompt
    from attnscope.scene import Scene

Bools = NDArray[np.bool_]
ROWS = ("utterances", "question", "answer")
TOWARD = ("asked", "other", "everyone", "visual")


@dataclass(frozen=True)
class Drawn:
    """The tokens of one prompt of N tokens that a bias is about.

    Attributes:
        length: N.
        rows: [R] their positions, increasing.
        group: [R] the row of `cells` that each is drawn to, -1 for none (the speaker has no visible box).
        cells: [G, N] boolean, sets of visual tokens; equal sets are there once.
        answer: The row of `cells` that every position after the prompt is drawn to, -1 for none.
        visual: [V] positions of the cells of all speakers.
        told: What is drawn where, in words.
    """

    length: int
    rows: Tensor
    group: Tensor
    cells: Tensor
    answer: int
    visual: Tensor
    told: str

    def to(self, device: torch.device) -> Drawn:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("rows", "group", "cells", "visual")}
        return replace(self, **moved)


@dataclass
class _Sets:
    """Sets of cells, numbered as they come, equal ones once."""

    sets: list[Bools] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, cells: Bools) -> int:
        if cells.tobytes() not in self.numbers:
            self.numbers[cells.tobytes()] = len(self.sets)
            self.sets.append(cells)
        return self.numbers[cells.tobytes()]


def draw(prompt: Prompt, kinds: Collection[str], toward: str, coverage: float) -> Drawn:
    """Find the tokens of a prompt and the cells that each is drawn to.

    Args:
        prompt: The prompt.
        kinds: Some of `ROWS`.
        toward: Whose cells the answer is drawn to: one of `TOWARD`, or a speaker's name.
        coverage: Fraction of a cell that a box must cover.

    Raises:
        NotApplicableError: If the scene has no boxes, or there is nothing to do for one of the kinds.
    """
    boxed = {
        str(column).removeprefix("covered:"): np.nan_to_num(prompt.tokens[column].to_numpy()) >= coverage
        for column in prompt.tokens
        if str(column).startswith("covered:")
    }
    if not boxed:
        raise NotApplicableError(f"{prompt.scene.video}: social-bias needs speakers with boxes, and the scene has none")
    sets, group, told, answer = _Sets(), dict[int, int](), list[str](), -1
    if "utterances" in kinds:
        group |= _utterances(prompt, boxed, sets)
        told.append("the prompt's utterance tokens")
    if "question" in kinds:
        named = _question(prompt, boxed, sets)
        group |= named
        told.append(f"{counted(len(named), 'token')} of names in the question")
    if "answer" in kinds:
        who, cells = _toward(prompt, boxed, toward)
        answer = group[len(prompt.tokens) - 1] = sets.number(cells)
        told.append(f"the answer (drawn to {who})")
    rows = sorted(group)
    return Drawn(
        length=len(prompt.tokens),
        rows=torch.tensor(rows),
        group=torch.tensor([group[row] for row in rows]),
        cells=torch.from_numpy(np.stack(sets.sets)),
        answer=answer,
        visual=torch.from_numpy(np.flatnonzero(np.logical_or.reduce(list(boxed.values())))),
        told=", ".join(told),
    )


def _utterances(prompt: Prompt, boxed: dict[str, Bools], sets: _Sets) -> dict[int, int]:
    """Tokens of turns with a speaker (2nd: the set U), each drawn to its speaker where the turn is live."""
    tokens = prompt.tokens
    of_turn: dict[int, int] = {}
    for number, said in enumerate(prompt.scene.transcript):
        if said.speaker not in boxed:
            continue
        frames = live_frames(said.start, said.end, np.asarray(prompt.frames.times))
        target = boxed[said.speaker] & cells_at(tokens, frames)
        if target.any():
            of_turn[number] = sets.number(target)
    if not of_turn:
        raise NotApplicableError(
            f"{prompt.scene.video}: social-bias needs a speaker with words and a box covering visual tokens,"
            " and the scene has none"
        )
    turn = tokens["turn"].to_numpy()
    spoken = np.flatnonzero((turn >= 0) & (tokens["speaker"] != "").to_numpy())
    return {int(row): of_turn.get(int(turn[row]), -1) for row in spoken}


def _question(prompt: Prompt, boxed: dict[str, Bools], sets: _Sets) -> dict[int, int]:
    """Tokens of the question that write the name of a visible speaker, each drawn to that speaker (ours)."""
    tokens, found = prompt.tokens, dict[int, int]()
    asked = tokens[tokens["role"] == "question"]
    names = [(a, b, name) for a, b, name in mentions(prompt.scene) if name in boxed and boxed[name].any()]
    if not names:
        raise NotApplicableError(
            f"{prompt.scene.video}: --rows question needs a question that names a speaker with a visible box,"
            f" and {_asked(prompt.scene, 'none')}"
        )
    begin = prompt.text.index(str(prompt.scene.question), int(asked["char_start"].min()))
    for start, end, name in names:
        touched = (asked["char_start"] < begin + end) & (asked["char_end"] > begin + start)
        found |= dict.fromkeys(map(int, asked["position"][touched]), sets.number(boxed[name]))
    return found


def _toward(prompt: Prompt, boxed: dict[str, Bools], toward: str) -> tuple[str, Bools]:
    """Who the answer is drawn to, and that one's cells in all frames (ours: a mention without a time)."""
    scene = prompt.scene
    visible = [name for name, cells in boxed.items() if cells.any()]
    if not visible:
        raise NotApplicableError(
            f"{scene.video}: social-bias draws the answer to cells of speakers, and no box covers one"
        )
    if toward == "everyone":
        return "everyone", np.asarray(np.logical_or.reduce(list(boxed.values())))
    if toward == "visual":
        return "all visual tokens", _placed(prompt.tokens)
    name = _named(scene) if toward in TOWARD else toward
    if toward == "other":
        names = list(boxed)
        after = names[names.index(name) + 1 :] + names[: names.index(name)]
        others = [other for other in after if other in visible]
        if not others:
            raise NotApplicableError(
                f"{scene.video}: --toward other needs a speaker with a visible box beside {name},"
                " and the scene has none"
            )
        name = others[0]
    if name not in boxed:
        raise NotApplicableError(
            f"{scene.video}: --toward {show(name)}: is no speaker with a box;"
            f" choose from {', '.join(boxed)}, or {', '.join(TOWARD)}"
        )
    if name not in visible:
        raise NotApplicableError(
            f"{scene.video}: the answer is to be drawn to {name}, whose box covers no visual token"
        )
    return name, boxed[name]


def _named(scene: Scene) -> str:
    """The one speaker with a box whom the question names.

    Raises:
        NotApplicableError: If it names nobody or several.
    """
    names = asked_speakers(scene)
    if len(names) != 1:
        raise NotApplicableError(
            f"{scene.video}: {_asked(scene, ' and '.join(names) or 'no speaker with a box')};"
            " say whose cells the answer is drawn to with --toward NAME"
        )
    return names[0]


def _asked(scene: Scene, named: str) -> str:
    if scene.question is None:
        return "the scene has no question"
    return f"the question {show(scene.question)} names {named}"


def _placed(tokens: pd.DataFrame) -> Bools:
    """Visual tokens that stand for a rectangle of the frame."""
    return np.asarray((tokens["modality"] == "visual") & tokens["x0"].notna(), dtype=bool)
