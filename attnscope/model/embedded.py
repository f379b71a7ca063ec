"""Models that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from attnscope.families import EMBEDDED

_FOLDER = Path(__file__).parent.parent / "demo" / "models"


def embedded_folder(name: str) -> Path | None:
    """The checkpoint folder of an embedded model, None for any other name; "./roundtable" is a folder of one's own."""
    return _FOLDER / name if name in EMBEDDED else None
