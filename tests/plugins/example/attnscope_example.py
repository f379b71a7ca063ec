"""A plugin: a correction, a metric, a model family and a transcript format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from attnscope import metrics
from attnscope.capture import Capture
from attnscope.correct import Correction, Decoder, Running, correction, parameter
from attnscope.model import Layout, Prompt, View, layout
from attnscope.scene import Frames, SpeechRecord, importer


@correction
@dataclass(frozen=True)
class Soften(Correction):
    """Divide the logits of every head by a temperature."""

    method: ClassVar[str] = "soften"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "divides the logits of every head by a temperature"

    by: float = parameter(2.0, "The temperature; above 1 flattens attention.", "ours", gt=0)

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Softening:
        """Prepare for a batch of prompts."""
        heads = dict.fromkeys(decoder.layers, range(decoder.heads))
        return Softening(self, [self.record(heads, [f"logits are divided by {self.by:g}"]) for _ in prompts])


class Softening(Running):
    """The correction at work: it is called with every attention call, and returns the call to make in its place."""

    def __init__(self, settings: Soften, records: list[dict[str, Any]]) -> None:
        self.settings, self._records = settings, records

    def __call__(self, call: Any) -> Any:
        """Edit one call; queries and keys are [batch, heads, tokens, width]."""
        return call.widened(call.query / self.settings.by, call.key)

    def records(self) -> list[dict[str, Any]]:
        """What was done to each prompt."""
        return self._records


@metrics.family(
    metrics.Metric(
        "entropy_range",
        "Range of entropies",
        "Largest less smallest entropy of attention over the heads of a layer, at the answer position.",
        unit="nat",
        range=(0, None),
    ),
    keys=(),
    needs=("stats",),
)
def entropies(cap: Capture) -> Iterator[metrics.Part]:
    """How differently the heads of a layer spread their attention."""
    entropy = cap.stat("entropy").sel(query=cap.prompt_length - 1).values  # [L, H]
    yield metrics.Part("entropy_range", np.ptp(entropy, axis=1), cap.heads, {"layer": cap.layers})


@layout
class GlmOcrLayout(Layout):
    """Frames are resized to whole cells, row by row; a token of a video covers two frames."""

    family = "glm_ocr"
    models = "GLM-OCR"
    video = "28 pixel cell of the resized frame"
    image = "28 pixel cell of the resized image"
    frames_per_token = 2
    min_frames = 2
    labelled = True  # by the time behind each frame's tokens
    label_style = "after"

    def views(self, model: Any, processor: Any, inputs: Mapping[str, Any], frames: Frames) -> list[View]:
        """One grid for each step of time."""
        kind = "video" if "video_grid_thw" in inputs else "image"
        steps, rows, cols = inputs[f"{kind}_grid_thw"][0].tolist()
        merge, last = processor.image_processor.merge_size, len(frames.images) - 1
        source = (0.0, 0.0, frames.width, frames.height)
        return [
            View.even(rows // merge, cols // merge, source, first=min(2 * step, last), last=min(2 * step + 1, last))
            for step in range(steps)
        ]


@importer(name="timed-lines", suffixes=(".lines",), yields=("turns",), summary="lines of START END SPEAKER WORDS")
def read_lines(path: Path) -> Iterator[SpeechRecord]:
    """Read one turn a line; a ValueError refuses the file."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            start, end, speaker, words = line.split(maxsplit=3)
            yield SpeechRecord(
                where=f"line {number}", start=float(start), end=float(end), speaker=speaker, text=words.strip()
            )
