"""Build the gallery and the pictures of the README: `make gallery` (or `python -m reports.generate`).

Pages weigh megabytes, so that git holds only small pictures of them (docs/decisions/0055). Names given on the command
line build only these cases.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from attnscope.demo.walkthrough import Demo
from reports.cases import CASES, Case, run_demo
from reports.film import VIEW, film
from reports.front import front
from tests.browser.chromium import HELP, find

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
IMAGES = HERE.parent / "docs" / "images"
SEEN = {"x": 0, "y": 0, "width": 1280, "height": 1700}  # of a page, px
WIDTH, QUALITY = 800, 72  # of its picture


def main(names: list[str]) -> None:
    """Build the cases of these names, or all and the pictures of the README."""
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        sys.exit(f"gallery: {', '.join(sorted(unknown))}: known cases are {', '.join(case.name for case in CASES)}")
    chosen = [case for case in CASES if case.name in names or not names]
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        root = Path(folder).resolve()
        made = run_demo(root / "demo-out")
        for case in chosen:
            build(case, made, root, browser)
        if not names:
            first, second = (run.path for run in made.runs[:2])
            front(first, second, IMAGES / "front.png")
            page = browser.new_context(viewport=VIEW, reduced_motion="reduce").new_page()
            page.goto(made.comparison.as_uri())
            film(page, IMAGES / "viewer.webp")
    (HERE / "README.md").write_text(index(), encoding="utf-8")


def build(case: Case, made: Demo, root: Path, browser: Browser) -> None:
    """Write a case's page and a picture of its beginning."""
    folder = root / case.name
    folder.mkdir()
    page = HERE / f"{case.name}.html"
    page.write_text(case.make(made, folder).read_text(encoding="utf-8").replace(f"{root}/", ""), encoding="utf-8")
    tab = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce").new_page()
    tab.goto(page.as_uri())
    shot = Image.open(io.BytesIO(tab.screenshot(clip=SEEN, full_page=True))).convert("RGB")
    small = shot.resize((WIDTH, round(shot.height * WIDTH / shot.width)), Image.Resampling.LANCZOS)
    small.save(PICTURES / f"{case.name}.webp", quality=QUALITY, method=6)
    tab.context.close()
    print(f"{case.name}: {page.stat().st_size:,} bytes", flush=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that the tests use."""
    binary = find()
    if binary is None:
        sys.exit(f"gallery: no Chromium; {HELP}")
    options = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=options)
        yield browser
        browser.close()


def index() -> str:
    """The page of the gallery."""
    lines = [
        "# Gallery",
        "",
        "<!-- written by `make gallery`; edit reports/generate.py and reports/cases.py -->",
        "",
        "`make gallery` writes these pages into this folder, from a model and scenes that come with attnscope. Each is "
        "one file that opens in any browser, works without a network, and can be sent to somebody. Git holds only "
        "pictures of how they begin, because a page weighs megabytes.",
        "",
        "The model, `roundtable`, is tiny and was trained on drawn scenes with at most three people, so that it fails "
        "in crowds. The scenes were chosen because they show something; [docs/roundtable.md](../docs/roundtable.md) "
        "and [docs/corrections.md](../docs/corrections.md) say how often it occurs.",
    ]
    for case in CASES:
        lines += ["", f"## {case.title}", "", f"{case.says} Page: `reports/{case.name}.html`.", ""]
        lines += [f"![The beginning of the page: {case.title}](pictures/{case.name}.webp)"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
