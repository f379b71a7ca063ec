"""Regenerate the gallery from the embedded demo: `python -m reports.generate` (or `make gallery`)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from attnscope.demo.run import demo

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "images"
CHOSEN = {
    "overlay.png": "analysis/figures/overlay_best_head.png",
    "overlay_change.png": "comparison/figures/overlay_mean_change.png",
    "consistency_change.png": "comparison/figures/speaker_consistency_live_change.png",
    "links.png": "analysis/figures/links.png",
}


def main() -> None:
    """Run the demo elsewhere, and keep its two pages and a few pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo-out"
        made = demo(out)
        for page, name in ((made.report, "demo-analysis.html"), (made.comparison, "demo-before-after.html")):
            text = page.read_text(encoding="utf-8").replace(str(out.parent.resolve()) + "/", "")
            (HERE / name).write_text(text, encoding="utf-8")
        for name, source in CHOSEN.items():
            shutil.copyfile(out / source, PICTURES / name)


if __name__ == "__main__":
    main()
