"""Numbers of many captures: keys of clips, pooling, intervals, tests and contrasts.

about = metrics.clips.labels(captures, names)
table = metrics.clips.shared(tables["speakers"])
metrics.clips.pooled(table, about)                   # mean over clips, with intervals
metrics.clips.over_clips(table, about)               # the same of what a figure draws, one capture or many
metrics.clips.contrast(table, about, by="people")    # difference between groups of clips
"""

from attnscope.metrics.clips.contrasts import contrast, paired
from attnscope.metrics.clips.curves import (
    answer_shares,
    attention_scores,
    by_layer,
    fit_means,
    layer_means,
    over_clips,
    rows_of,
)
from attnscope.metrics.clips.keys import groups, labels, shared
from attnscope.metrics.clips.pool import pooled, summarize

__all__ = [
    "answer_shares",
    "attention_scores",
    "by_layer",
    "contrast",
    "fit_means",
    "groups",
    "labels",
    "layer_means",
    "over_clips",
    "paired",
    "pooled",
    "rows_of",
    "shared",
    "summarize",
]
