"""A batch whose prompts end in different columns, brought into one where they end in the same, and its logits back.

Corrections follow prompts that are padded on the left. A collate function that pads on the right, or that puts answers
of different lengths behind prompts, gives others; their tokens are the same, only their columns are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.correct.apply.lookup import Row
from attnscope.errors import RequestError
from attnscope.transformers_names import cache_in, split_logits

if TYPE_CHECKING:
    from attnscope.model import Prompt

_IGNORED = -100  # label of a token that the loss is not about


@dataclass(frozen=True)
class Realignment:
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
    def aligned(cls, rows: Sequence[Row], width: int, keep: Any) -> Realignment:
        """The realignment after which all prompts end in one column."""
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

    def move(self, inputs: dict[str, Any], padding: int, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """The inputs of the model, realigned; without a cache, which could not be continued.

        An input that the prompts have too is per token if it is so in them; another one (labels, positions) by its
        shape, [R, N] or [k, R, N].

        Args:
            inputs: What the model is given.
            padding: Id of the padding token.
            prompts: Those that stand in the rows.

        Raises:
            RequestError: If the caller wants what only its own columns give: a cache, or attention maps; or an input
                has one value for each token and another shape.
        """
        if cache_in(inputs) is not None:
            raise RequestError("under corrections a cache needs prompts that are padded on the left")
        if inputs.get("output_attentions"):
            raise RequestError("under corrections attention maps need prompts that are padded on the left")
        moved = {name: value for name, value in split_logits(inputs)[0].items() if name != "cache_position"}
        media = {name for prompt in prompts for name in prompt.inputs if name not in prompt.token_inputs}
        columns = (len(self.there), self.width)
        for name, value in moved.items():
            if name in media or not isinstance(value, Tensor):
                continue
            if value.dim() in (2, 3) and value.shape[-2:] == columns:
                moved[name] = self._taken(value, {"input_ids": padding, "labels": _IGNORED}.get(name, 0))
            elif value.shape[:2] == columns or any(name in prompt.token_inputs for prompt in prompts):
                shape = " x ".join(map(str, value.shape))
                raise RequestError(f"under corrections {name} of {shape} needs prompts that are padded on the left")
        if isinstance(moved.get("labels"), Tensor):  # nothing predicts a row's first token
            first = (self.there >= 0).int().argmax(1, keepdim=True).to(moved["labels"].device)
            moved["labels"] = moved["labels"].scatter(1, first, _IGNORED)
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
