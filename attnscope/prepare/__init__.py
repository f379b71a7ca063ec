"""A scene for a clip with nothing: shots, people, speech and a first guess who speaks, proposed and to be edited."""

from attnscope.prepare.run import Prepared, prepare_scene

__all__ = ["Prepared", "prepare_scene"]
