"""Which tokens of a prompt are cut from which keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnscope.correct import params as parameters
from attnscope.correct.notes import HOW_BOXES, require_places
from attnscope.errors import Argument, NotApplicableError, RequestError
from attnscope.metrics.people.density import cells_at, live_frames
from attnscope.scene.mentions import asked_speakers
from attnscope.scene.names import did_you_mean, find_name
from attnscope.scene.problems import show
from attnscope.vocabulary import ANSWER, COVERED, QUESTION, TEXT, VISUAL, covered_speakers, group_name

if TYPE_CHECKING:
    from attnscope.model import Prompt

Bools = NDArray[np.bool_]
EVERY = "all"
QUERIES = (ANSWER, QUESTION, "utterances", TEXT, VISUAL)
KEYS = (VISUAL, TEXT, QUESTION, "utterances", "speakers", "asked", "own")


@dataclass(frozen=True)
class Cut:
    """What is cut in one prompt of N tokens; entry N of a last axis stands for every later token.

    Attributes:
        length: N.
        row: [N + 1] the row of `keys` that a position is cut from, -1 for none.
        keys: [G, N + 1] boolean, sets of keys; [1, 0] where a whole output is cut.
    """

    length: int
    row: Tensor
    keys: Tensor

    def to(self, device: torch.device) -> Cut:
        """The same on another device."""
        return replace(self, row=self.row.to(device), keys=self.keys.to(device))


def parse(edges: str, method: str = "") -> list[tuple[str, str]]:
    """The pairs (queries, keys) of "answer:visual,Ann:own". Messages name the parameter of `method`.

    Raises:
        RequestError: If the text is not pairs.
    """

    def wrong(why: str) -> RequestError:
        return parameters.wrong(method, "edges", edges, why)

    found = []
    for part in edges.split(",") if edges else []:
        queries, colon, keys = (word.strip() for word in part.partition(":"))
        if not (queries and colon and keys):
            raise wrong(f"{show(part.strip())} is not QUERIES:KEYS, like answer:visual")
        if keys == "own" and queries in QUERIES and queries != "utterances":
            raise wrong(f'"own" is for the words of speakers, and "{queries}" are not')
        found.append((queries, keys))
    return found


def cut_rows(prompt: Prompt, rows: str) -> Cut:
    """The tokens whose whole output is cut: "all", or as queries of edges, comma-separated.

    Raises:
        RequestError: If there are no such tokens, or a word means nothing.
    """
    n, groups = len(prompt.tokens), _Groups(prompt, 1.0, Argument("rows", rows))
    chosen = np.full(n + 1, rows == EVERY)
    for word in [] if rows == EVERY else rows.split(","):
        chosen |= groups.queries(word.strip())
    return Cut(n, torch.from_numpy(chosen.astype(np.int64) - 1), torch.zeros(1, 0, dtype=torch.bool))


def cut_edges(prompt: Prompt, edges: Sequence[tuple[str, str]], coverage: float) -> Cut:
    """The pairs that edges cut; where several meet in a row, all of their keys are.

    Raises:
        RequestError: If an edge has no queries or no keys in this prompt, or a word means nothing.
    """
    pieces: list[tuple[Bools, Bools]] = []
    for queries, keys in edges:
        groups = _Groups(prompt, coverage, Argument("edges", f"{queries}:{keys}"))
        rows = groups.queries(queries)
        pieces += groups.own(rows) if keys == "own" else [(rows, groups.keys(keys))]
    among = np.stack([rows for rows, _ in pieces])  # [P, N + 1]
    kinds, kind = np.unique(among, axis=1, return_inverse=True)  # [P, K] the different sets of pieces, [N + 1]
    sets = kinds.T.astype(np.int64) @ np.stack([keys for _, keys in pieces]).astype(np.int64) > 0  # [K, N + 1]
    used = kinds.any(0)  # positions that no edge is about are one kind too
    number = np.where(used, np.cumsum(used) - 1, -1)
    return Cut(len(prompt.tokens), torch.from_numpy(number[kind.reshape(-1)]), torch.from_numpy(sets[used]))


@dataclass(frozen=True)
class _Groups:
    """Sets of tokens of a prompt by the words that name them; `given` is the argument that messages name."""

    prompt: Prompt
    coverage: float
    given: Argument

    def queries(self, word: str) -> Bools:
        """Tokens [N + 1] whose rows a word means; a speaker's name: the tokens of that speaker's turns."""
        tokens = self.prompt.tokens
        if word == ANSWER:  # the last position of the prompt predicts the first token of the answer
            return np.arange(len(tokens) + 1) >= len(tokens) - 1
        if word in QUERIES:
            return self._tokens(word)
        name = self._known(word, self.prompt.scene.speaker_names, QUERIES)
        return self._some(f"words of {name}", (tokens["speaker"] == name).to_numpy(), later=False)

    def keys(self, word: str) -> Bools:
        """Tokens [N + 1] that a word means as keys; a speaker's name: the cells of that speaker in all frames."""
        if word in QUERIES and word in KEYS:
            return self._tokens(word)
        boxed = self._cells()
        if word == "speakers":
            return self._some(word, np.logical_or.reduce(list(boxed.values())), later=False)
        name = self._known(self._asked() if word == "asked" else word, list(boxed), KEYS)
        return self._some(f"cells of {name}", boxed[name], later=False)

    def own(self, rows: Bools) -> list[tuple[Bools, Bools]]:
        """For each turn with rows and cells: its rows, and its speaker's cells in the frames where it is live (2nd)."""
        tokens, boxed, found = self.prompt.tokens, self._cells(), list[tuple[Bools, Bools]]()
        turn = np.append(tokens["turn"].to_numpy(), -1)
        for number, said in enumerate(self.prompt.scene.transcript):
            spoken = rows & (turn == number)
            if said.speaker in boxed and spoken.any():
                live = live_frames(said.start, said.end, np.asarray(self.prompt.frames.times))
                cells = boxed[said.speaker] & cells_at(tokens, live)
                if cells.any():
                    found.append((spoken, np.append(cells, False)))
        if not found:
            raise self._nothing("turns whose speaker has a box over visual tokens")
        return found

    def _tokens(self, word: str) -> Bools:
        tokens = self.prompt.tokens
        if word == QUESTION:
            found = tokens["role"] == QUESTION
        elif word == "utterances":
            found = (tokens["turn"] >= 0) & (tokens["speaker"] != "")
        else:
            found = tokens["modality"] == word
        return self._some(word, found.to_numpy(bool), later=word == TEXT)

    def _some(self, what: str, tokens: Bools, *, later: bool) -> Bools:
        if not tokens.any():
            raise self._nothing(what)
        return np.append(tokens, later)

    def _cells(self) -> dict[str, Bools]:
        """Cells of each speaker with a box, [N]."""
        tokens = self.prompt.tokens
        names = covered_speakers(tokens)
        if not names:
            raise self._nothing(f"speakers with boxes; {HOW_BOXES}")
        require_places(f"knockout: {self.given}", self.prompt)
        return {n: np.nan_to_num(tokens[group_name(COVERED, n)].to_numpy()) >= self.coverage for n in names}

    def _asked(self) -> str:
        names = asked_speakers(self.prompt.scene)
        if len(names) != 1:
            raise self._nothing("one speaker with a box whom the question names")
        return names[0]

    def _known(self, name: str, names: Sequence[str], groups: Sequence[str]) -> str:
        """A name as the scene spells it."""
        same = find_name(name, names)
        if same is None:
            known = ", ".join([*groups, *names]) + did_you_mean(name, [*groups, *names])
            raise RequestError(f"{self.prompt.scene.video}: ", self.given, f": {show(name)}: choose from {known}")
        return same

    def _nothing(self, what: str) -> NotApplicableError:
        return NotApplicableError(f"{self.prompt.scene.video}: ", self.given, f": the prompt has no {what}")
