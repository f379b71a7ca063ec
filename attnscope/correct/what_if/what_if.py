"""What a correction would do to one layer by itself, from a capture's queries and keys: no model is run.

answers = what_if("run.h5", [SocialBias(alpha=1.0, rows="answer")])
answers.table   # layer, head, query_group, keys: before, after, change

The layer's own queries and keys are those of the plain run, and so is everything before it: for the first layer that a
correction changes this is what the corrected model does. Deeper layers would be given something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnscope.attention import AttentionCall, dense_rows, output_factor
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.capture.read.labels import ranges
from attnscope.correct.apply.binding import double_dipping
from attnscope.correct.base import Correction, Running
from attnscope.correct.what_if.numbers import LayerMaps, factors, numbers
from attnscope.correct.what_if.stored import require_qk, stored_call, stored_decoder, stored_prompt
from attnscope.errors import ModelError, RequestError
from attnscope.layers import select_layers
from attnscope.scene.mentions import asked_speakers

# ---- notes: rows that change and are not shown, outputs that are multiplied, and what corrections say of a run


class Notes:
    """Collects them, layer by layer."""

    def __init__(self) -> None:
        self.unseen, self.scaled = 0, list[int]()

    def look(self, call: AttentionCall, edited: AttentionCall, rows: Tensor) -> None:
        """Look at one layer."""
        touched = _touched(call, edited)
        touched[rows] = False
        self.unseen = max(self.unseen, int(touched.sum()))
        factor = output_factor(edited)
        if factor is not None and bool((factor != 1).any()):
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


ALONE = (
    "Each layer by itself, on the queries and keys of the plain run: what a layer passes on is not followed into "
    "deeper layers, nor to the answer."
)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class WhatIf:
    """What corrections would change in each layer by itself.

    Attributes:
        table: `metric`, `layer`, `head` (-1: mean over heads), `query_group`, `kind`, `keys`, `speaker`, `frames`,
            `before`, `after`, `change`, `n`; see `attnscope.correct.what_if.numbers`.
        records: One a correction, as a capture has them: `method`, `params`, `active` heads, `notes`; heads are chosen
            from the capture, and the notes say so.
        notes: What a reader must know, `ALONE` first.
        layers: Numbers of the layers that were looked at.
        changed: Those in which a shown row of attention is another.
        asked: The one speaker with a box whom the question names, or None.
    """

    table: pd.DataFrame
    records: list[dict[str, Any]]
    notes: list[str]
    layers: list[int]
    changed: list[int]
    asked: str | None


def what_if(
    path: str | Path,
    corrections: Sequence[Correction],
    *,
    layers: str | Sequence[int] | None = None,
    threshold: float = 0.5,
    progress: Progress | None = None,
) -> WhatIf:
    """Apply corrections to the attention of each captured layer by itself.

    Shown are the rows of the query groups (turns, speakers, question, answer position), read densely in float32 as the
    capture's own maps are. Memory is linear in the length of the prompt.

    Args:
        path: A plain capture with the `qk` reading.
        corrections: Applied in order.
        layers: Which of its layers to look at, as in `attnscope.layers.select_layers`; None for all.
        threshold: Covered fraction from which a cell counts as a speaker's.
        progress: Called with (what, done, total).

    Raises:
        RequestError: If the capture holds no queries and keys, a correction does not apply to its scene or model, or
            cannot be answered from them alone: it changes what the model is shown, or needs values or a run of it.
    """
    for one in corrections:
        if "prompt" in one.changes:
            raise RequestError(
                f"{one.method}: changes what the model is shown, and a capture holds only the queries and keys of what"
                " it was shown; run the model instead"
            )
    with open_capture(path) as cap, torch.inference_mode():
        require_qk(cap)
        chosen = select_layers(layers, cap.layers.tolist(), int(cap.model["layers"]))
        prompt = stored_prompt(cap)
        running = [one.bind([prompt], stored_decoder(cap)) for one in corrections]
        for bound, correction in zip(running, corrections, strict=True):
            bound.warnings = double_dipping(correction, [cap.scene], path)
        shown = _Shown.of(cap)
        tables, notes = [], Notes()
        for done, layer in enumerate(chosen):
            if progress is not None:
                progress("layers", done, len(chosen))
            call = stored_call(cap, layer)
            edited = _edit(call, running, [one.method for one in corrections])
            notes.look(call, edited, shown.rows)
            tables.append(_compare(cap, call, edited, shown, threshold))
        if progress is not None:
            progress("layers", len(chosen), len(chosen))
        table = pd.concat(tables, ignore_index=True)
        moved = table[(table["metric"] != "output_factor") & (table["change"].abs() > 0)]
        asked = asked_speakers(cap.scene)
        records = [_within(one.documents()[0], chosen) for one in running]
        return WhatIf(
            table=table,
            records=records,
            notes=[ALONE, *notes.sentences(), *_left_out(running, chosen)],
            layers=chosen,
            changed=sorted(int(n) for n in moved["layer"].unique()),
            asked=asked[0] if len(asked) == 1 else None,
        )


@dataclass(frozen=True)
class _Shown:
    """Rows [R] that are shown, and the weight of each in the mean of each query group of the capture [Q, R]."""

    rows: Tensor
    weights: Tensor

    @classmethod
    def of(cls, cap: Capture) -> _Shown:
        member = cap.query_member[:, : cap.prompt_length].astype(np.float32)
        rows = np.flatnonzero(member.any(0))
        weights = member[:, rows] / np.maximum(member.sum(1, keepdims=True), 1)
        return cls(torch.from_numpy(rows), torch.from_numpy(weights))

    def means(self, values: Tensor) -> NDArray[np.float64]:
        """Means [H, Q] of numbers [H, N] of all tokens."""
        member = (self.weights > 0).double()
        found: NDArray[np.float64] = (values[:, self.rows].double() @ member.T / member.sum(1).clamp(min=1)).numpy()
        return found


def _edit(call: AttentionCall, running: Sequence[Running], methods: Sequence[str]) -> AttentionCall:
    """One layer's call under corrections, as the seam would apply them."""
    for one, method in zip(running, methods, strict=True):
        edited = one(call)
        if edited.query is not call.query and call.softcap is not None:
            raise ModelError(
                f"layer {call.layer}: this model caps its attention logits (softcap {call.softcap});"
                " a bias through channels would be bent"
            )
        call = edited
        if not all(bool(part.isfinite().all()) for part in (call.query, call.key)):
            raise _needs_values(method)
    return call


def _needs_values(method: str) -> RequestError:
    return RequestError(
        f"{method}: needs the values of a layer, and a capture holds its queries and keys alone; run the model instead"
    )


def _compare(cap: Capture, call: AttentionCall, edited: AttentionCall, shown: _Shown, threshold: float) -> pd.DataFrame:
    """Numbers of one layer before and after."""
    before = _maps(call, shown)
    same = edited.query is call.query and edited.key is call.key and not edited.row_edits
    after = before if same else _maps(edited, shown)
    if not np.isfinite(after).all():
        raise _needs_values("a correction")
    one, two = (numbers(LayerMaps(cap, call.layer, maps), threshold) for maps in (before, after))
    changed = output_factor(edited)
    if changed is not None:
        plain = torch.ones_like(changed)
        parts = [factors(cap, call.layer, shown.means(factor[0])) for factor in (plain, changed)]
        one, two = pd.concat([one, parts[0]]), pd.concat([two, parts[1]])
    table = one.rename(columns={"value": "before"}).reset_index(drop=True)
    table["after"] = two["value"].to_numpy()
    table["change"] = table["after"] - table["before"]
    return table[[*(c for c in table if c != "n"), "n"]]


def _maps(call: AttentionCall, shown: _Shown) -> NDArray[np.float32]:
    """Mean attention of each query group to every key of the prompt, [H, Q, N], the reduction of a capture's maps."""
    total = call.query.new_zeros(call.query.shape[1], len(shown.weights), call.key.shape[2], dtype=torch.float32)
    start = 0
    for part, _, attention, _ in dense_rows(call, 0, shown.rows):
        stop = start + len(part)
        total += shown.weights[:, start:stop] @ attention
        start = stop
    found: NDArray[np.float32] = total.numpy()
    return found


def _within(record: dict[str, Any], layers: Sequence[int]) -> dict[str, Any]:
    """A record with the active heads of the layers that were looked at alone."""
    return record | {"active": [[layer, heads] for layer, heads in record["active"] if layer in layers]}


def _left_out(running: Sequence[Running], layers: Sequence[int]) -> list[str]:
    """A sentence on layers in which a correction acts and that were not looked at."""
    acts = {layer for one in running for layer, heads in one.record()["active"] if heads}
    missing = sorted(acts - set(layers))
    return [f"The corrections also act in layers {ranges(missing)}, which were not looked at."] if missing else []
