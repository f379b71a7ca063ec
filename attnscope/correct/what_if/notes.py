"""What the rows that a what-if shows do not show: other rows that change, and outputs that are multiplied.

And what corrections say of a run, which a what-if is not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from attnscope.attention import AttentionCall
from attnscope.capture._select import ranges

# What the selection of heads says where it looks at the plain model, and what is true where it looks at a capture.
RUN = "chosen in a run of the plain prompt, which costs one more prefill"
STORED = "chosen from the queries and keys of the capture"


def without_a_run(record: dict[str, Any]) -> dict[str, Any]:
    """A correction's record whose notes speak of the capture instead of a run of the model."""
    return record | {"notes": [note.replace(RUN, STORED) for note in record["notes"]]}


class Notes:
    """Collects them, layer by layer."""

    def __init__(self) -> None:
        self.unseen, self.scaled = 0, list[int]()

    def look(self, call: AttentionCall, edited: AttentionCall, rows: Tensor) -> None:
        """Look at one layer."""
        touched = _touched(call, edited)
        touched[rows] = False
        self.unseen = max(self.unseen, int(touched.sum()))
        if edited.factor is not None and bool((edited.factor != 1).any()):
            self.scaled.append(call.layer)

    def sentences(self) -> list[str]:
        """In words."""
        found = []
        if self.unseen:
            found.append(
                f"Attention of up to {self.unseen} other tokens (visual ones, the template) is changed in a layer too,"
                " and not shown."
            )
        if self.scaled:
            found.append(
                f"Outputs of heads are multiplied (output_factor) in layers {ranges(self.scaled)}, which leaves rows of"
                " attention as they are."
            )
        return found


def _touched(call: AttentionCall, edited: AttentionCall) -> Tensor:
    """Which rows [N] of attention an edit may have changed: all of them, if it changed the keys themselves."""
    n, width = call.query.shape[2], call.query.shape[3]
    if not torch.equal(edited.key[..., :width], call.key):
        return torch.ones(n, dtype=torch.bool)
    query = edited.query[0]
    touched = (query[..., :width] != call.query[0]).any(-1).any(0) | (query[..., width:] != 0).any(-1).any(0)
    touched[edited.edited_rows(0)] = True
    return touched
