"""Which tokens of a prompt are drawn to which cells: the turns of speakers, names in the question, the answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attnscope.correct.cells import Bools, Cells, find_cells
from attnscope.correct.notes import Caution, counted
from attnscope.correct.social.toward import names_whom, target
from attnscope.errors import Argument, NotApplicableError
from attnscope.metrics.people.density import cells_at, live_frames
from attnscope.scene.mentions import mentions
from attnscope.vocabulary import ANSWER, QUESTION

if TYPE_CHECKING:
    from attnscope.correct.controls.wrapper import Controlled
    from attnscope.correct.social.bias import SocialBias
    from attnscope.model import Prompt
    from attnscope.scene import Turn

ROWS = ("utterances", QUESTION, ANSWER)


@dataclass(frozen=True)
class Targets:
    """What a bias draws to what in one prompt of N tokens.

    Attributes:
        length: N.
        rows: [R] their positions, increasing.
        group: [R] the row of `cells` that each is drawn to, -1 for none (the speaker has no visible box).
        cells: [G, N] boolean, sets of visual tokens; equal sets are there once.
        answer: The row of `cells` that every position after the prompt is drawn to, -1 for none.
        visual: [V] positions of the cells of all speakers.
        where: The tokens that are drawn, in words.
        notes: What else a user should know, one sentence each.
    """

    length: int
    rows: Tensor
    group: Tensor
    cells: Tensor
    answer: int
    visual: Tensor
    where: str
    notes: tuple[str, ...]

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("rows", "group", "cells", "visual")}
        return replace(self, **moved)


@dataclass
class _Sets:
    """Sets of cells, numbered as they come, equal ones once; and what they were before any were left out."""

    sets: list[Bools] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)
    whole: list[Bools] = field(default_factory=list)

    def number(self, cells: Bools, whole: Bools) -> int:
        self.whole.append(whole)
        if not cells.any():
            return -1
        if cells.tobytes() not in self.numbers:
            self.numbers[cells.tobytes()] = len(self.sets)
            self.sets.append(cells)
        return self.numbers[cells.tobytes()]


def draw(prompt: Prompt, settings: SocialBias, control: Controlled | None = None) -> Targets:
    """Find the tokens of a prompt and the cells that each is drawn to, under a control if there is one.

    Raises:
        NotApplicableError: If the scene has no boxes, or there is nothing to do for one of the kinds of rows.
    """
    cells = find_cells(prompt, settings.method, settings.coverage, overlap=settings.overlap, control=control)
    sets, group, where, answer = _Sets(), dict[int, int](), list[str](), -1
    notes = list(cells.notes)
    if "utterances" in settings.kinds:
        group |= _utterances(prompt, cells, settings.window, sets)
        where.append("the prompt's utterance tokens")
        lost = sum(number < 0 for number in group.values())
        if lost:
            cells_of = f"{lost / len(group):.1%} of {len(group)} utterance tokens have no cell of their speaker"
            notes.append(Caution(f"{cells_of} to be drawn to while they are said"))
    if QUESTION in settings.kinds:
        named = _question(prompt, cells, sets)
        group |= named
        where.append(f"{counted(len(named), 'token')} of names in the question")
    if ANSWER in settings.kinds:
        who, own, whole = target(prompt, cells, settings)
        answer = group[len(prompt.tokens) - 1] = sets.number(own, whole)
        where.append(f"the answer (drawn to {who})")
    rows = sorted(group)
    return Targets(
        length=len(prompt.tokens),
        rows=torch.tensor(rows),
        group=torch.tensor([group[row] for row in rows]),
        cells=torch.from_numpy(np.stack(sets.sets)),
        answer=answer,
        visual=torch.from_numpy(np.flatnonzero(cells.all)),
        where=", ".join(where),
        notes=(*notes, *_overlaps(sets, cells, settings.overlap)),
    )


def _overlaps(sets: _Sets, cells: Cells, overlap: str) -> list[str]:
    """How many of the cells that rows are drawn to are in several boxes."""
    wanted = np.logical_or.reduce(sets.whole)
    both = int((wanted & cells.shared).sum())
    if not both:
        return []
    effect = "left out" if overlap == "none" else "drawn to for each of them"
    share = f"{both / wanted.sum():.1%} of {wanted.sum()} target cells"
    return [f"{share} are in the boxes of several speakers ({effect})"]


def _utterances(prompt: Prompt, cells: Cells, window: float, sets: _Sets) -> dict[int, int]:
    """Tokens of turns with a speaker (2nd: the set U), each drawn to its speaker where the turn is live."""
    tokens, times = prompt.tokens, np.asarray(prompt.frames.times)
    of_turn: dict[int, int] = {}
    for number, spoken in enumerate(prompt.scene.transcript):
        if spoken.speaker not in cells.boxed:
            continue
        live = cells_at(tokens, live_frames(*_widened(spoken, window), times))
        of_turn[number] = sets.number(cells.targets[spoken.speaker] & live, cells.whole[spoken.speaker] & live)
    if max(of_turn.values(), default=-1) < 0:
        raise NotApplicableError(
            f"{prompt.scene.video}: social-bias needs a speaker with words and a box covering visual tokens,"
            " and the scene has none"
        )
    turn = tokens["turn"].to_numpy()
    words = np.flatnonzero((turn >= 0) & (tokens["speaker"] != "").to_numpy())
    return {int(row): of_turn.get(int(turn[row]), -1) for row in words}


def _widened(turn: Turn, window: float) -> tuple[float | None, float | None]:
    known = [t for t in (turn.start, turn.end) if t is not None]
    return (min(known) - window, max(known) + window) if known else (None, None)


def _question(prompt: Prompt, cells: Cells, sets: _Sets) -> dict[int, int]:
    """Tokens of the question that write the name of a visible speaker, each drawn to that speaker (ours)."""
    tokens, groups = prompt.tokens, dict[int, int]()
    asked = tokens[tokens["role"] == QUESTION]
    targets = cells.targets
    names = [(a, b, name) for a, b, name in mentions(prompt.scene) if name in targets and targets[name].any()]
    if not names:
        raise NotApplicableError(
            f"{prompt.scene.video}: ",
            Argument("rows", QUESTION),
            f" needs a question that names a speaker with a visible box, and {names_whom(prompt.scene, 'none')}",
        )
    begin = prompt.text.index(str(prompt.scene.question), int(asked["char_start"].min()))
    for start, end, name in names:
        inside = (asked["char_start"] < begin + end) & (asked["char_end"] > begin + start)
        groups |= dict.fromkeys(map(int, asked["position"][inside]), sets.number(targets[name], cells.whole[name]))
    return groups
