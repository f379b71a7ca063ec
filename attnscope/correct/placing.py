"""Where the prompts of a left-padded batch stand in the attention calls of a run."""

from __future__ import annotations

from collections.abc import Sequence

from attnscope.attention import AttentionCall
from attnscope.errors import RequestError


class Placing:
    """Follows a run layer by layer, from the prompts to the last generated token.

    Attributes:
        padded: Length of the longest prompt.
    """

    def __init__(self, method: str, lengths: Sequence[int]) -> None:
        self.method, self.prompts, self.padded = method, len(lengths), max(lengths)
        self._total: dict[int, int] = {}  # tokens that a layer has met, padding included

    def __call__(self, call: AttentionCall) -> tuple[int, int]:
        """How often each prompt stands in the batch, and how many of its oldest tokens the keys do not hold.

        Raises:
            RequestError: If these are not the prompts, or tokens that follow them.
        """
        batch, _, length, _ = call.query.shape
        copies, rest = divmod(batch, self.prompts)
        begun = length == 1 and call.layer in self._total if call.is_decode else length >= self.padded
        if rest or not begun:
            prompts = "one prompt" if self.prompts == 1 else f"{self.prompts} prompts"
            bound = f"{self.method} was bound to {prompts} of {self.padded} tokens"
            raise RequestError(f"{bound}, and the model is given {batch} x {length}")
        self._total[call.layer] = call.past + length
        return copies, max(0, self._total[call.layer] - call.key.shape[2])
