"""Numbers from captures: one file for each family of metrics, one registry, tidy pandas tables, no torch.

    from attnscope import metrics
    tables = metrics.compute(cap)           # {"modality": DataFrame, "decay": ..., "speakers": ...}
    metrics.definitions()                   # what every number means and where it comes from

Attention mass is not causal importance: a head that attends somewhere need not matter there.
"""

from attnscope.metrics import answer, decay, modality, speakers
from attnscope.metrics.decay import gamma_interval
from attnscope.metrics.explain import explain
from attnscope.metrics.registry import (
    OVER,
    Metric,
    all_metrics,
    compute,
    definitions,
    get,
    metric,
    range_text,
)

all = all_metrics

__all__ = [
    "OVER",
    "Metric",
    "all",
    "all_metrics",
    "answer",
    "compute",
    "decay",
    "definitions",
    "explain",
    "gamma_interval",
    "get",
    "metric",
    "modality",
    "range_text",
    "speakers",
]
