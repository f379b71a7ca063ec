"""Output gates of the heads, recorded beside their attention: a head that attends and is shut shows as such."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from attnscope.capture.read.labels import ranges
from attnscope.capture.record.arrays import Datasets
from attnscope.capture.record.recorder import SampleRecorder

NAME = "stats/output_gate"


class GateRecorder:
    """Writes what `attnscope.attention.gated` reads: the prompt's rows of a layer first, then one row a pass.

    Args:
        samples: The recorders, one a sample.
    """

    def __init__(self, samples: Sequence[SampleRecorder]) -> None:
        self.samples = [(recorder.sample, recorder.index, recorder.datasets) for recorder in samples]
        self.seen: set[int] = set()
        self.unknown: set[int] = set()  # layers in which something else stands before the output projection

    def __call__(self, layer: int, gate: Tensor | None, explained: Tensor) -> None:
        """Record the gate [B, N, H] of one pass of a layer where it explains what its output projection receives."""
        for sample, index, datasets in self.samples:
            if layer not in self.seen:
                self._prompt(layer, sample, index.to(explained.device), datasets, gate, explained)
            elif gate is not None and layer not in self.unknown:
                row = gate[sample].masked_fill(~explained[sample, :, None], torch.nan)
                datasets.append(NAME, layer, row.T)
        self.seen.add(layer)

    def _prompt(
        self, layer: int, sample: int, index: Tensor, datasets: Datasets, gate: Tensor | None, explained: Tensor
    ) -> None:
        if not bool(explained[sample, index].all()):
            self.unknown.add(layer)
        elif gate is not None:
            datasets.put(NAME, layer, gate[sample, index].T)

    def warnings(self) -> list[str]:
        """What a reader of the capture must know: layers whose heads' outputs are changed in an unknown way."""
        if not self.unknown:
            return []
        layers = f"layer{'s' if len(self.unknown) > 1 else ''} {ranges(self.unknown)}"
        return [
            f"{layers}: the model changes the heads' outputs before its output projection"
            " in a way that attnscope does not know; attention is exact, but a head that attends may be shut"
        ]
