"""Regenerate the gallery from the embedded demo: `python -m reports.generate` (or `make gallery`)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attnscope.demo.walkthrough import demo
from reports.front import front

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "images"


def main() -> None:
    """Run the demo elsewhere, and keep its pages and the picture that the README shows."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo-out"
        made = demo(out)
        pages = {
            "demo-analysis.html": made.report,
            "demo-before-after.html": made.comparison,
        }
        for name, page in pages.items():
            text = page.read_text(encoding="utf-8").replace(str(out.parent.resolve()) + "/", "")
            (HERE / name).write_text(text, encoding="utf-8")
        front(out / "before.h5", out / "after.h5", PICTURES / "front.png")


if __name__ == "__main__":
    main()
