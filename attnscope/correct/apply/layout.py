"""A batch whose prompts end in different columns, brought into one where they end in the same, and its logits back.

Corrections follow prompts that are padded on the left. A collate function that pads on the right, or that puts answers
of different lengths behind prompts, gives others; their tokens are the same, only their columns are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attnscope.correct.apply.pool import Row
from attnscope.errors import RequestError
from attnscope.transformers_names import cache_in, split_logits

# One value a token: what the columns of padding hold; labels of -100 are not learned.
_FILL = {"attention_mask": 0, "mm_token_type_ids": 0, "token_type_ids": 0, "position_ids": 0, "labels": -100}


@dataclass(frozen=True)
class Layout:
    """Columns of a batch of R rows.

    Attributes:
        width: Columns N that the batch came with.
        there: [R, M] the column that each new column is taken from, -1 for padding.
        back: [R, N] the new column of each, that of any other token for padding.
        keep: Which logits the caller wants: the last ones, by their number, or those at positions; None for all.
    """

    width: int
    there: Tensor
    back: Tensor
    keep: Any

    @classmethod
    def aligned(cls, rows: Sequence[Row], width: int, keep: Any) -> Layout:
        """The layout in which all prompts end in one column."""
        longest = max(row.end - row.start for row in rows)
        total = longest + max(row.stop - row.end for row in rows)
        columns = torch.arange(total)
        there = torch.stack([columns + row.end - longest for row in rows])  # [R, M]
        start = torch.tensor([[row.start] for row in rows])
        stop = torch.tensor([[row.stop] for row in rows])
        there = torch.where((there >= start) & (there < stop), there, -1)
        old = torch.arange(width)
        back = torch.stack([old - row.end + longest for row in rows])
        return cls(width, there, back.where((old >= start) & (old < stop), longest - 1), keep)

    def move(self, inputs: dict[str, Any], padding: int) -> dict[str, Any]:
        """The inputs of the model in this layout; without a cache, which could not be continued.

        Raises:
            RequestError: If the caller wants what only its own columns give: a cache, or attention maps.
        """
        if cache_in(inputs) is not None:
            raise RequestError("under corrections a cache needs prompts that are padded on the left")
        if inputs.get("output_attentions"):
            raise RequestError("under corrections attention maps need prompts that are padded on the left")
        moved = {name: value for name, value in split_logits(inputs)[0].items() if name != "cache_position"}
        for name, fill in ({"input_ids": padding} | _FILL).items():
            value = inputs.get(name)
            if isinstance(value, Tensor) and value.shape[-2:] == (len(self.there), self.width):
                moved[name] = self._taken(value, fill)
        if isinstance(moved.get("labels"), Tensor):  # nothing predicts a row's first token
            first = (self.there >= 0).int().argmax(1, keepdim=True).to(moved["labels"].device)
            moved["labels"] = moved["labels"].scatter(1, first, -100)
        return moved | {"use_cache": False}

    def restore(self, out: Any) -> Any:
        """The model's output in the columns that it came with; padding holds values of other tokens.

        Raises:
            RequestError: If the output has no names.
        """
        if not isinstance(getattr(out, "logits", None), Tensor):
            raise RequestError("under corrections an output without names needs prompts that are padded on the left")
        logits = self._returned(out.logits)
        keep = self.keep if self.keep is not None else 0
        out.logits = logits[:, slice(-keep, None) if isinstance(keep, int) else keep]
        if getattr(out, "hidden_states", None) is not None:
            out.hidden_states = tuple(self._returned(states) for states in out.hidden_states)
        return out

    def _taken(self, value: Tensor, fill: int) -> Tensor:
        there = self.there.to(value.device)
        taken = value.gather(-1, there.clamp(min=0).expand(*value.shape[:-1], -1))
        return taken.masked_fill(there < 0, fill)

    def _returned(self, states: Tensor) -> Tensor:
        """[R, M, X] -> [R, N, X]."""
        return states.gather(1, self.back.to(states.device)[..., None].expand(-1, -1, states.shape[-1]))


def is_aligned(rows: Sequence[Row]) -> bool:
    """Whether all prompts end in one column."""
    return len({row.end for row in rows}) == 1
