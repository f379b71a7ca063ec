"""Pictures of every page for people to look at: `make screens` writes them to screens/ (ATTNSCOPE_SCREENS)."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import SIZES, Open
from tests.browser.made import Made
from tests.browser.test_pages import QUICK, SLOW

pytestmark = pytest.mark.slow
FOLDER = Path(os.environ.get("ATTNSCOPE_SCREENS") or Path(__file__).parents[2] / "screens")


@pytest.fixture(scope="module", autouse=True)
def folder() -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    return FOLDER


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [*QUICK, *SLOW])
def test_a_page_on_a_screen(kind: str, size: str, dark: bool, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)(), size=size, dark=dark)
    shot = page.screenshot(full_page=True, path=FOLDER / f"{kind}-{size}-{'dark' if dark else 'light'}.png")
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    shares = np.bincount(pixels.ravel(), minlength=256) / pixels.size
    ground = shares[:96].sum() if dark else shares[160:].sum()
    assert ground > 0.5, "the page is not of the chosen scheme"
    assert shares.max() < 0.99, "the page is empty"


@pytest.mark.parametrize("kind", [*QUICK, *SLOW])
def test_a_page_on_paper(kind: str, made: Made, open_page: Open) -> None:
    page = open_page(getattr(made, kind)())
    paper = page.pdf(format="A4", path=FOLDER / f"{kind}.pdf", print_background=True)
    assert paper.startswith(b"%PDF")
