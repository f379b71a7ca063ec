"""One file a format: what other tools write, read as parts of a scene."""

from attnscope.scene.importers import subtitles  # noqa: F401 - each format registers its importer
from attnscope.scene.importers.registry import Importer, find, importer, importers

__all__ = ["Importer", "find", "importer", "importers"]
