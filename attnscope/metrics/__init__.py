"""Numbers from captures: one file for each family of metrics, one registry, tidy pandas tables, no torch.

    from attnscope import metrics
    tables = metrics.compute(cap)           # {"modality": DataFrame, "decay": ..., "speakers": ...}
    metrics.definitions()                   # what every number means and where it comes from

Attention mass is not causal importance: a head that attends somewhere need not matter there.
"""

from collections.abc import Callable
from functools import partial

import pandas as pd

from attnscope.metrics import (  # noqa: F401 - each family registers its metrics
    answer,
    balance,
    clips,
    decay,
    grounding,
    heads,
    modality,
    pairs,
    rank,
    rollout,
    sinks,
    speakers,
)
from attnscope.metrics.explain import explain
from attnscope.metrics.export import long, write
from attnscope.metrics.families import family
from attnscope.metrics.jitter import jitter, jitter_change
from attnscope.metrics.registry import (
    OVER,
    Metric,
    all_metrics,
    compute,
    definitions,
    get,
    metric,
    one,
)
from attnscope.metrics.segments import gamma_interval
from attnscope.metrics.tables import Part, table_of

all = all_metrics


def __getattr__(name: str) -> Callable[..., pd.DataFrame]:
    """Every metric is a function of a capture: `metrics.speaker_consistency(cap, threshold=0.5)`."""
    if name.startswith("_") or name not in {m.name for m in all_metrics()}:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return partial(one, name)


__all__ = [
    "OVER",
    "Metric",
    "Part",
    "all_metrics",
    "clips",
    "compute",
    "definitions",
    "explain",
    "family",
    "gamma_interval",
    "get",
    "jitter",
    "jitter_change",
    "long",
    "metric",
    "one",
    "table_of",
    "write",
]
