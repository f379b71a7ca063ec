"""Regenerate the gallery from the embedded demo: `python -m reports.generate` (or `make gallery`)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from attnscope.demo.walkthrough import demo

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "images"
CHOSEN = {
    "answer_change.png": "after-report/figures/answer_overlay_most_changed_change.png",
}


def main() -> None:
    """Run the demo elsewhere, and keep its pages and the picture that the README shows."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo-out"
        made = demo(out)
        pages = {
            "demo-analysis.html": made.report,
            "demo-before-after.html": made.comparison,
            "demo-control.html": made.control,
        }
        for name, page in pages.items():
            text = page.read_text(encoding="utf-8").replace(str(out.parent.resolve()) + "/", "")
            (HERE / name).write_text(text, encoding="utf-8")
        for name, source in CHOSEN.items():
            shutil.copyfile(out / source, PICTURES / name)


if __name__ == "__main__":
    main()
