"""Finding known prompts in a batch that any code gives to the model: by their token ids, in any order and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attnscope.correct.apply.pixels import Shown
from attnscope.errors import RequestError

if TYPE_CHECKING:
    from attnscope.model import Prompt

Ints = NDArray[np.int64]
_LISTED = 8  # prompts whose lengths a message lists


@dataclass(frozen=True)
class Row:
    """Where a prompt stands in one row of a batch.

    Attributes:
        number: Its number in the pool.
        start: Column of its first token.
        end: Column after its last token.
        stop: Column after the last token that follows it (an answer, say); what comes later is padding.
    """

    number: int
    start: int
    end: int
    stop: int


class Pool:
    """Prompts that may be met in any order, each any number of times.

    Attributes:
        prompts: The prompts.
        ids: One a prompt, [N] its token ids.
        lookalikes: How many rows of the last batch had the tokens of a prompt, and other pixels.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self.prompts = list(prompts)
        self.ids = [prompt.inputs["input_ids"][0].cpu().numpy().astype(np.int64) for prompt in prompts]
        self.lookalikes = 0
        self._by_length: dict[int, dict[bytes, list[int]]] = {}
        for number, ids in enumerate(self.ids):
            self._by_length.setdefault(len(ids), {}).setdefault(ids.tobytes(), []).append(number)
        self._lengths = sorted(self._by_length, reverse=True)

    def find(self, inputs: Mapping[str, Any], shown: Shown) -> list[Row | None]:
        """The prompt of each row of a batch, None for one that is not in the pool.

        A row is what the attention mask leaves of it: a prompt of the pool, and perhaps more tokens after it. Prompts
        of the same tokens are told apart by their pixels, and if these are the same too, by their order. Pixels that
        are far from those of a prompt are none of it.

        Args:
            inputs: What the model is given; `input_ids` [R, N].
            shown: Its pixels.

        Raises:
            RequestError: If two prompts cannot be told apart.
        """
        ids: Ints = inputs["input_ids"].detach().cpu().numpy().astype(np.int64)
        found = [self._begins(row, span) for row, span in zip(ids, _spans(ids, inputs), strict=True)]
        numbers = self._one_each([one[0] if one else [] for one in found], shown)
        self.lookalikes = sum(number is None and one is not None for number, one in zip(numbers, found, strict=True))
        return [
            Row(number, one[1], one[1] + len(self.ids[number]), one[2]) if one and number is not None else None
            for number, one in zip(numbers, found, strict=True)
        ]

    def __str__(self) -> str:
        """The prompts in the words of a message."""
        lengths = [len(ids) for ids in self.ids]
        if len(lengths) == 1:
            return f"one prompt of {lengths[0]} tokens"
        if len(lengths) > _LISTED:
            return f"{len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens"
        return f"{len(lengths)} prompts of {', '.join(map(str, lengths))} tokens"

    def _begins(self, row: Ints, span: tuple[int, int] | None) -> tuple[list[int], int, int] | None:
        """Numbers of the longest prompts that a row [N] may begin with, and where its tokens start and stop."""
        if span is not None:
            start, stop = span
            for length in self._lengths:
                several = self._by_length[length].get(row[start : min(start + length, stop)].tobytes())
                if several is not None:
                    return several, start, stop
            return None
        for length in self._lengths:  # a mask that says nothing of padding: from the left, or up to the end
            for start in sorted({0, len(row) - length}, reverse=True):
                several = self._by_length[length].get(row[start : start + length].tobytes()) if start >= 0 else None
                if several is not None:
                    return several, start, len(row)
        return None

    def _one_each(self, candidates: Sequence[list[int]], shown: Shown) -> list[int | None]:
        """One prompt for each row, None where the pixels are those of no candidate."""
        if not all(candidates):  # of a row that is not known one does not know how many pixels are its own
            return [several[0] if several else None for several in candidates]
        each = max(len(candidates) // (shown.rows or len(candidates)), 1)
        chosen, before = list[list[int]](), dict[str, int]()
        for row, several in enumerate(candidates):
            if row % each:
                chosen.append(chosen[-1])
                continue
            exactly = len(several) > 1
            chosen.append([n for n in several if shown.fits(self.prompts[n], before, exactly=exactly)])
            for name, part in Shown.of(self.prompts[(chosen[-1] or several)[0]].inputs).pixels.items():
                before[name] = before.get(name, 0) + len(part)
        copies, rest = divmod(len(candidates), len(self.prompts))
        in_order = [row // copies for row in range(len(candidates))] if copies and not rest else None
        if in_order and all(number in fit for number, fit in zip(in_order, chosen, strict=True)):
            return list(in_order)
        return [self._same(fit) if fit else None for fit in chosen]

    def _same(self, several: list[int]) -> int:
        """The first of prompts, if they are alike in all that a correction may read."""
        one = self.prompts[several[0]]
        for number in several[1:]:
            other = self.prompts[number]
            if other.scene != one.scene or list(other.frames.times) != list(one.frames.times):
                raise RequestError(
                    f"prompts {several[0]} and {number} have the same tokens and cannot be told apart by their frames;"
                    " give the model all prompts in their order, or bind them one at a time"
                )
        return several[0]


def _spans(ids: Ints, inputs: Mapping[str, Any]) -> list[tuple[int, int] | None]:
    """Columns [start, stop) that the attention mask leaves of each row; None where it does not say.

    A row whose tokens do not stand together holds no prompt: its span is empty.
    """
    mask = inputs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.shape != ids.shape:
        return [None] * len(ids)
    seen = mask.detach().cpu().numpy() != 0
    found: list[tuple[int, int] | None] = []
    for row in seen:
        places = np.flatnonzero(row)
        together = len(places) > 0 and int(places[-1] - places[0]) == len(places) - 1
        found.append((int(places[0]), int(places[-1]) + 1) if together else (0, 0))
    return found
