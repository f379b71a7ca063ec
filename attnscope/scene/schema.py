"""Writes docs/scene.schema.json: `python -m attnscope.scene.schema docs/scene.schema.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from attnscope.scene.scene import Scene


def write_schema(path: str | Path) -> None:
    """Write the JSON Schema of scene files."""
    text = json.dumps(Scene.json_schema(), indent=2, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schema(sys.argv[1])
