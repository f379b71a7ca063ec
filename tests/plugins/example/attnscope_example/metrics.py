"""A metric: the largest attention of the answer position to one key, mean over heads."""

from __future__ import annotations

from attnscope import metrics


@metrics.family(
    metrics.Metric("example_peak", "Peak", "Largest attention of the answer position to one key, mean over heads."),
    keys=(),
    needs=("maps",),
)
def example(cap):
    """One number a layer."""
    peaks = cap.maps(group="answer_position").max("key").mean("head")
    yield metrics.Part("example_peak", peaks, cap.heads, {"layer": cap.layers, "head": metrics.OVER})
