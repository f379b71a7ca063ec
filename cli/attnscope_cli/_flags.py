"""How the command line names what the library calls by the names of its arguments."""

from __future__ import annotations

import re

from attnscope.errors import Argument, AttnscopeError

# Every argument that an error of the library can name, and that a command can set.
FLAGS = {
    "alpha": "--alpha",
    "batch": "--batch",
    "boxes": "--boxes",
    "by": "--by",
    "clip": "--video",
    "control": "--control",
    "controls": "--controls",
    "count": "--n",
    "coverage": "--coverage",
    "cut": "--cut",
    "detector": "--detector",
    "edges": "--edges",
    "file": "--correction",
    "force": "--force",
    "format": "FORMAT",
    "fps": "--fps",
    "heads": "--heads",
    "id": "--id",
    "layers": "--layers",
    "least": "--min",
    "limit": "--limit",
    "maps_dtype": "--maps-dtype",
    "max_new_tokens": "--max-new-tokens",
    "max_size": "--max-size",
    "methods": "--method",
    "model": "--model",
    "most": "--most",
    "negative": "--negative",
    "only": "--only",
    "out": "--out",
    "people": "--people",
    "plan": "--plan",
    "port": "--port",
    "question_id": "--question-id",
    "recogniser": "--recogniser",
    "rows": "--rows",
    "rule": "--score",
    "sample": "--sample",
    "save": "--save",
    "scene": "--scene",
    "seed": "--seed",
    "settings": "--set",
    "size": "--size",
    "split": "--split",
    "strength": "--strength",
    "sweeps": "--sweep",
    "task": "--task",
    "threshold": "--threshold",
    "top": "--top",
    "toward": "--toward",
    "video": "VIDEO",
    "videos": "--videos",
    "whole_clips": "--whole-clips",
}
_PLAIN = re.compile(r"[\w.,:;%/+@=~*-]+")


def message(error: AttnscopeError) -> str:
    """The message of an error with flags in place of arguments: "--max-new-tokens 0: must be at least 1"."""
    return "".join(_spelled(part) if isinstance(part, Argument) else str(part) for part in error.args)


def _spelled(argument: Argument) -> str:
    """An argument as a user types it; what has no flag, as the library writes it."""
    flag, value = FLAGS.get(argument.name), argument.value
    if flag is None:
        return str(argument)
    if value is ... or value is True:
        return flag
    shown = argument.shown
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        shown = shown.strip('"')
    return f"{flag} {shown}"
