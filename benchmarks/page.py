"""benchmarks/README.md in parts: each command rewrites its own, and leaves the others as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).with_name("README.md")


def write_part(title: str, lines: Sequence[str], page: Path = PAGE) -> Path:
    """Replace the part of the page under a heading of the second level, or put it at the end.

    Args:
        title: of the part.
        lines: what stands under it.
        page: the page; it is there.

    Returns:
        The page.
    """
    part = "\n".join([f"## {title}", "", *lines, ""])
    before, *parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    own = [number for number, text in enumerate(parts) if text.startswith(f"## {title}\n")]
    parts[own[0] if own else len(parts) :] = [part, *parts[own[0] + 1 :]] if own else [part]
    page.write_text("\n".join(text.rstrip("\n") + "\n" for text in (before, *parts)), encoding="utf-8")
    return page
