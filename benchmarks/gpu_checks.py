"""Whether what is recorded in half precision agrees with float32 rows of the same queries and keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import attnscope
from attnscope.attention import AttentionCall, dense_rows, tapped
from attnscope.capture.record.generate import collate, generate
from attnscope.capture.run import capture_prompts
from attnscope.model import LoadedModel, Prompt

ROWS = 64  # visual queries, evenly spread


@dataclass
class Compared:
    """A reader of the seam that holds the kernel's masses of some queries against float32 rows.

    Attributes:
        member: [N, G] groups of keys.
        rows: [R] queries.
        largest: Largest difference of a mass so far.
        relative: Largest difference over the mass, of masses above 0.01.
    """

    member: Tensor
    rows: Tensor
    largest: float = 0.0
    relative: float = 0.0
    layers: list[int] = field(default_factory=list)

    def channels(self, call: AttentionCall) -> Tensor | None:
        """The groups as value channels, in the prefill."""
        return None if call.is_decode else self.member.to(call.value)[None, None]

    def read(self, call: AttentionCall, readings: Tensor | None) -> None:
        """Compare."""
        if readings is None:
            return
        self.layers.append(call.layer)
        member = self.member.to(call.query.device, torch.float32)
        for part, _, attention, _ in dense_rows(call, 0, self.rows.to(call.query.device)):
            exact = attention @ member
            apart = (readings[0, part].transpose(0, 1).float() - exact).abs()
            self.largest = max(self.largest, float(apart.max()))
            counts = exact > 0.01
            if counts.any():
                self.relative = max(self.relative, float((apart / exact)[counts].max()))


def masses_of_visual(loaded: LoadedModel, prompt: Prompt, layers: list[int]) -> Compared:
    """The kernel's masses of visual queries on the modalities, in the model's dtype, beside float32 rows."""
    modality = prompt.tokens["modality"].astype(str)
    member = torch.from_numpy(np.stack([modality == name for name in sorted(set(modality))], 1).astype(np.float32))
    visual = np.flatnonzero(modality == "visual")
    rows = torch.from_numpy(visual[np.linspace(0, len(visual) - 1, min(ROWS, len(visual))).astype(int)])
    compared = Compared(member, rows)
    inputs, _ = collate([prompt], loaded)
    with tapped(loaded.model, readers=[compared], layers=layers):
        generate(loaded, inputs, 1)
    return compared


def recorded_rows(loaded: LoadedModel, prompt: Prompt, layers: list[int], folder: Path) -> float:
    """Largest difference between recorded masses and sums of float32 rows, recomputed from recorded `qk`."""
    plan = attnscope.Plan.parse("masses,qk", layers=tuple(layers))
    largest = 0.0
    out = folder / "checked.h5"
    with capture_prompts(loaded, [prompt], [out], plan=plan, max_new_tokens=1, verify=False)[0] as cap:
        visual = (cap.tokens["modality"].astype(str) == "visual").to_numpy()
        for layer in layers:
            stored = cap.masses(layer=layer).sel(key_group="modality:visual")
            queries = stored["query"].values[:: max(1, stored.sizes["query"] // 8)]
            rows = cap.attention(layer, queries=queries)[..., : len(visual)]
            apart = np.abs(rows[..., visual].sum(-1) - stored.sel(query=queries).values)
            largest = max(largest, float(apart.max()))
    out.unlink()
    return largest
