"""Which tokens of a prompt an edit of rows is about, and where they stand on the axes of a call.

Sets of tokens have N + 1 entries for a prompt of N tokens: the last stands for every later token, whether appended or
generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnscope.attention import AttentionCall
from attnscope.correct.placing import Placing
from attnscope.vocabulary import ANSWER, TEXT, is_visual

if TYPE_CHECKING:
    from attnscope.model import Prompt

Bools = NDArray[np.bool_]
ROWS = {
    ANSWER: "the answer position and all later tokens",
    TEXT: "the text after the first visual token and all later tokens",
    "all": "all tokens",
}


@dataclass(frozen=True)
class Tokens:
    """The tokens of one prompt that an edit is about.

    Attributes:
        length: N.
        rows: [N + 1] boolean, whose rows are edited.
        keys: [G, N + 1] boolean, sets of keys.
    """

    length: int
    rows: Tensor
    keys: Tensor

    @classmethod
    def of(cls, prompt: Prompt, rows: str, *keys: Bools) -> Tokens:
        """Rows by a word of `ROWS`, and sets of keys [N + 1]."""
        sets = np.stack(keys) if keys else np.zeros((0, len(prompt.tokens) + 1), dtype=bool)
        return cls(len(prompt.tokens), torch.from_numpy(_rows(prompt, rows)), torch.from_numpy(sets))

    def nowhere(self) -> Tokens:
        """The same with no row to edit."""
        return replace(self, rows=torch.zeros_like(self.rows))

    def to(self, device: torch.device) -> Tokens:
        """The same on another device."""
        return replace(self, rows=self.rows.to(device), keys=self.keys.to(device))


@dataclass(frozen=True)
class Place:
    """Where the tokens of a sample stand in one call.

    Attributes:
        number: Index of its prompt.
        own: Whether it is the first copy of its prompt in a prefill, of which a record tells.
        rows: [R] the rows that are edited, along the query axis, increasing.
        keys: [G, Nk] the sets of keys.
        shift: Place of the prompt's first token on the key axis; negative if a sliding cache has dropped it.
    """

    number: int
    own: bool
    rows: Tensor
    keys: Tensor
    shift: int


class Places:
    """Finds the tokens of a left-padded batch of prompts in the calls of a run.

    Args:
        placing: Follows the prompts.
        tokens: One a prompt.
    """

    def __init__(self, placing: Placing, tokens: Sequence[Tokens]) -> None:
        self.tokens = list(tokens)
        self._placing = placing
        self._moved: dict[torch.device, list[Tokens]] = {}

    def __call__(self, call: AttentionCall) -> list[Place]:
        """One place a sample of the batch.

        Raises:
            RequestError: If these are not the prompts, or tokens that follow them.
        """
        copies, first = self._placing(call)
        device, n_queries, n_keys = call.query.device, call.query.shape[2], call.key.shape[2]
        if device not in self._moved:
            self._moved[device] = [one.to(device) for one in self.tokens]
        found = []
        for number, one in enumerate(self._moved[device]):
            pad = self._placing.padded - one.length
            rows = one.rows[-1:] if call.is_decode else on_axis(one.rows, n_queries, pad)
            keys = on_axis(one.keys, n_keys, pad - first)
            for copy in range(copies):
                own = copy == 0 and not call.is_decode
                found.append(Place(number, own, rows.nonzero()[:, 0], keys, pad - first))
        return found


def on_axis(values: Tensor, positions: int, shift: int) -> Tensor:
    """Entries of a prompt's tokens on an axis of a call; False for padding.

    Args:
        values: [..., N + 1] boolean.
        positions: Length of the axis.
        shift: Place of the first token on it.
    """
    own = torch.arange(positions, device=values.device) - shift
    return values[..., own.clamp(0, values.shape[-1] - 1)] & (own >= 0)


def image_keys(prompt: Prompt) -> Bools:
    """[N + 1] the visual tokens."""
    return np.append(is_visual(prompt.tokens), False)


def keys_before_image(prompt: Prompt) -> Bools:
    """[N + 1] what stands before the first visual token: system message and opening tokens of the chat template."""
    return np.arange(len(prompt.tokens) + 1) < image_keys(prompt).argmax()


def _rows(prompt: Prompt, rows: str) -> Bools:
    position = np.arange(len(prompt.tokens) + 1)
    if rows == ANSWER:  # the last position of the prompt predicts the first token of the answer
        return np.asarray(position >= len(prompt.tokens) - 1)
    if rows == TEXT:
        visual = image_keys(prompt)
        return np.asarray((position > visual.argmax()) & ~visual)
    return np.ones(len(position), dtype=bool)
