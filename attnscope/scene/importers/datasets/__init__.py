"""Data sets of the field: their questions with everything that a scene holds, by each data set's own protocol."""

from attnscope.scene.importers.datasets import (  # noqa: F401 - registers them
    av_speakerbench,
    friends_mmc,
    mmsi,
    online_mmsi,
    table,
    tvqa,
    werewolf,
)
