"""Where a model looks while it answers: attention to the box of what the question asks about, read at the seam.

The metrics answer_mass and answer_lift of a capture are the same numbers (`check_against_captures`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, allowed_pairs, dense_rows
from attnscope.capture.plan import Plan
from attnscope.capture.run import capture_prompts
from attnscope.correct import SocialBias, bind
from attnscope.errors import RequestError
from attnscope.metrics import OVER
from attnscope.metrics.answer import answer
from attnscope.model import LoadedModel, Prompt

# The tokens of the name in the question and the answer position, and the cells of the one that is named: as the product
# finds them for these rows.
_ASKED = SocialBias(rows="question,answer")


class Looks:
    """A reader of the seam (`attnscope.attention.Reader`).

    Args:
        model: The model.
        prompts: A left-padded batch, in its order.
    """

    def __init__(self, model: LoadedModel, prompts: Sequence[Prompt]) -> None:
        self.drawn = [_drawn(model, prompt) for prompt in prompts]
        self.matched = [
            None if d is None else one_a_unit(p, d.cells[d.answer]) for p, d in zip(prompts, self.drawn, strict=True)
        ]
        self.padded = max(len(prompt.tokens) for prompt in prompts)
        self._mass: list[dict[int, Tensor]] = [{} for _ in prompts]  # by layer [H, R]
        self._lift: list[dict[int, Tensor]] = [{} for _ in prompts]
        self._matched: list[dict[int, Tensor]] = [{} for _ in prompts]

    def channels(self, _call: AttentionCall) -> None:
        """A few dense rows are all that is read."""

    def read(self, call: AttentionCall, _readings: Tensor | None) -> None:
        """Read the rows of one layer; what runs after the prompt, such as long options, is not looked at."""
        if call.query.shape[2] != self.padded or call.layer in next((m for m in self._mass if m), {}):
            return
        for number, subject in enumerate(self.drawn):
            if subject is None:
                continue
            place = self.padded - subject.length
            cells = subject.cells[subject.answer].nonzero()[:, 0] + place
            rows = subject.rows + place
            some = self.matched[number] + place
            parts = [
                torch.stack([part[..., cells].sum(-1), part[..., some].sum(-1)])
                for _, _, part, _ in dense_rows(call, number, rows)
            ]
            mass, matched = torch.cat(parts, 2)  # each [H, R]
            allowed = allowed_pairs(call, number, rows).sum(1)
            self._mass[number][call.layer] = mass
            self._lift[number][call.layer] = mass * allowed / len(cells)
            self._matched[number][call.layer] = matched * allowed / len(some)

    def readings(self) -> list[dict[str, Any] | None]:
        """For each prompt, None where the question names nobody who is seen; else:

        cells: how many visual tokens the box covers by half; for "answer" (the answer position) and "name" (mean over
        the tokens of the name in the question) the attention mass on them, its lift over uniform attention, and
        "matched", the lift of the one cell of each temporal unit that is nearest to the middle of the box, [L, H].
        """
        return [
            None if subject is None else self._numbers(number, int(subject.cells[subject.answer].sum()))
            for number, subject in enumerate(self.drawn)
        ]

    def _numbers(self, number: int, cells: int) -> dict[str, Any]:
        numbers: dict[str, Any] = {"cells": cells}
        read = {"mass": self._mass, "lift": self._lift, "matched": self._matched}
        for what, by_layer in ((what, several[number]) for what, several in read.items()):
            values = torch.stack([by_layer[layer] for layer in sorted(by_layer)])  # [L, H, R], the answer last
            for rows, part in (("answer", values[..., -1]), ("name", values[..., :-1].mean(-1))):
                numbers[f"{rows} {what}"] = [[float(f"{x:.6g}") for x in heads] for heads in part.tolist()]
        return numbers


def one_a_unit(prompt: Prompt, cells: Tensor) -> Tensor:
    """Of the cells of a box, one in each temporal unit, so that boxes of any size are compared over as many cells.

    Args:
        prompt: The prompt.
        cells: [N] boolean, the tokens that the box covers.

    Returns:
        Positions: in each unit of frames the cell nearest to the mean place of the unit's cells; of equal ones the
        first.
    """
    own = prompt.tokens.iloc[cells.nonzero()[:, 0].tolist()]
    x, y = (own["x0"] + own["x1"]) / 2, (own["y0"] + own["y1"]) / 2
    unit = own["frame_first"]
    far = np.hypot(x - x.groupby(unit).transform("mean"), y - y.groupby(unit).transform("mean")).round(6)
    nearest = [int(np.flatnonzero(cells.numpy())[rows[np.argmin(far.to_numpy()[rows])]]) for rows in _rows(unit)]
    return torch.tensor(nearest)


def _rows(unit: pd.Series) -> list[np.ndarray]:
    return [np.flatnonzero((unit == value).to_numpy()) for value in sorted(unit.unique())]


def _drawn(model: LoadedModel, prompt: Prompt) -> Any:
    try:
        return bind(model, prompt, [_ASKED])[0].targets[0]  # type: ignore[attr-defined]
    except RequestError:
        return None


def check_against_captures(model: LoadedModel, prompts: Sequence[Prompt], looks: Sequence[dict[str, Any]]) -> float:
    """Largest difference from the metrics answer_mass and answer_lift of captures of the same questions.

    Args:
        model: The model.
        prompts: Prompts of questions that name somebody.
        looks: What `found` gave for them.
    """
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{number}.h5" for number in range(len(prompts))]
        plan = Plan.parse("maps")
        captures = capture_prompts(model, prompts, outs, plan=plan, max_new_tokens=1, verify=False)
        for cap, look in zip(captures, looks, strict=True):
            with cap:
                table = answer(cap)
            of_heads = table[table["asked"] & (table["layer"] != OVER) & (table["head"] != OVER)]
            for what in ("mass", "lift"):
                rows = of_heads[of_heads["metric"] == f"answer_{what}"].sort_values(["layer", "head"])
                read = np.asarray(look[f"answer {what}"]).ravel()
                worst = max(worst, float(np.abs(rows["value"].to_numpy(float) - read).max()))
    return worst
