"""What stands in a line of a manifest, and what in the scene file that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnscope.scene.models import SceneFields

MANIFEST, SCENES = "manifest.jsonl", "scenes"
TABLES = (".csv", ".tsv", ".parquet")  # read as manifests
SUFFIXES = (".jsonl", *TABLES)
# Fields of a scene that may differ between questions about it, and stand in a line
ASKED = ("question", "options", "answer", "fields", "window")
KEYS = ("id", "scene", "question_id", *ASKED)


def shared(scene: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a scene that all questions about it have in common, in the order of docs/scene.md."""
    return {name: scene[name] for name in SceneFields.model_fields if name in scene and name not in ASKED}


def asked(scene: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a scene that stand in a line, without those that say nothing."""
    return {name: scene[name] for name in ASKED if scene.get(name) not in (None, [], {}, ())}
