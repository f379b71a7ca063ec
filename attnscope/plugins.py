"""Packages outside that add corrections, metrics, layouts of model families and importers of scenes.

A package names its modules in the entry-point group `attnscope.plugins`, one a kind:

    [project.entry-points."attnscope.plugins"]
    corrections = "my_package.corrections"
    metrics = "my_package.metrics"

Importing such a module registers what it adds. It is imported when something of its kind is first looked up, so that a
command that only reads captures waits for no plugin of corrections. docs/plugins.md has an example of every kind.
"""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points

logger = logging.getLogger("attnscope")

GROUP = "attnscope.plugins"
KINDS = ("corrections", "metrics", "layouts", "importers")
_loaded: set[str] = set()


def find_plugins(kind: str) -> None:
    """Import the plugins of a kind, once a process; one that fails is named in a warning and left out.

    Args:
        kind: One of `KINDS`.
    """
    if kind in _loaded:
        return
    points = entry_points(group=GROUP)
    if not _loaded:
        for point in points:
            if point.name not in KINDS:
                logger.warning("plugin %s: adds %s, which is none of %s", _named(point), point.name, ", ".join(KINDS))
    _loaded.add(kind)  # before the import: a plugin looks up what it builds on
    for point in points:
        if point.name == kind:
            try:
                point.load()
            except Exception as error:
                why = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
                logger.warning("plugin %s: does not load, and is left out: %s", _named(point), why)


def _named(point: EntryPoint) -> str:
    """A plugin as messages name it: its package and module."""
    return f"{point.dist.name} ({point.value})" if point.dist is not None else point.value
