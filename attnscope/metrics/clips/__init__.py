"""Numbers of many captures: keys of clips, pooling, intervals, tests and contrasts.

about = metrics.clips.labels(captures, names)
table = metrics.clips.shared(tables["speakers"])
metrics.clips.pooled(table, about)                   # mean over clips, with intervals
metrics.clips.contrast(table, about, by="people")    # difference between groups of clips
"""

from attnscope.metrics.clips.contrasts import contrast, paired
from attnscope.metrics.clips.keys import groups, labels, shared
from attnscope.metrics.clips.pool import pooled, summarize

__all__ = ["contrast", "groups", "labels", "paired", "pooled", "shared", "summarize"]
