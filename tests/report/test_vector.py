"""Figures inside pages: on no ground of their own, with ink that follows the page, and maps that keep their colours."""

from __future__ import annotations

import base64
import io
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from PIL import Image

from attnscope.report.figures import Grid, heads_map
from attnscope.report.figures.frames.shading import COLORS
from attnscope.report.figures.style import CHANGE, CYCLE, DARK, DIVERGING, ON_MAP, SEQUENTIAL, new_figure, styled
from attnscope.report.page.vector import page_svg


def written(figure) -> str:
    buffer = io.StringIO()
    with styled():
        FigureCanvasSVG(figure).print_svg(buffer)
    return buffer.getvalue()


def contrast(color: str, other: str) -> float:
    """The ratio of two colours' luminances, as WCAG defines it."""
    lights = []
    for text in (color, other):
        parts = [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        line = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("name", [SEQUENTIAL, DIVERGING, CHANGE, COLORS])
def test_no_colour_of_a_map_has_another_on_dark_pages(name):
    """Scales and captions name the colours of maps."""
    cells = {to_hex(color) for color in mpl.colormaps[name](np.linspace(0, 1, 256))}
    assert not cells & {*DARK, *DARK.values()}


@pytest.mark.parametrize("color", CYCLE)
def test_lines_and_names_are_seen_on_dark_pages(color):
    assert contrast(DARK[color.lower()], "#14181c") > 4.5
    assert len(set(DARK.values()) & {DARK[other.lower()] for other in CYCLE}) == len(CYCLE)  # all of them differ


def test_paper_and_ink_follow_the_page():
    with styled():
        figure = new_figure(3, 2)
        ax = figure.subplots()
        ax.plot([0, 1], [2, 3], color=CYCLE[0], label="one")
        ax.set_title("A title")
    svg = page_svg(written(figure))
    assert "<metadata" not in svg and "<!DOCTYPE" not in svg and "http:" not in svg.replace("http://www.w3.org", "")
    grounds = re.findall(r'<g id="(?:figure|axes)_1">\s*<g id="patch_\d+">\s*<path d="[^"]*" style="([^"]*)"', svg)
    assert grounds == ["fill: none", "fill: none"]
    assert "stroke: #000000" not in svg  # spines and ticks
    assert f"--c{CYCLE[0][1:].lower()}:{CYCLE[0].lower()}" in svg and f"stroke: var(--c{CYCLE[0][1:].lower()})" in svg
    assert re.search(r'<text style="fill: var\(--ink\);[^"]*"[^>]*>A title<', svg)
    dark = svg[svg.index("prefers-color-scheme:dark") :]
    assert "--ink:#e6eaee" in dark and f"--c{CYCLE[0][1:].lower()}:{DARK[CYCLE[0].lower()]}" in dark


def test_cells_and_letters_on_them_stay():
    with styled():
        ax = heads_map(Grid(np.array([[1.0, 2.0]]), [0], [0, 1]), title="A map", unit="one", center=1.0)
        ax.text(0.5, 0.5, "1", color=ON_MAP)
    plain = written(ax.figure)
    svg = page_svg(plain)
    cells = [
        re.findall(r"fill: (#\w+)", text[text.index('id="QuadMesh_1"') :].split("</g>")[0]) for text in (plain, svg)
    ]
    assert len(cells[0]) == 2 and cells[0] == cells[1]
    assert re.search(rf'<text style="[^"]*fill: {ON_MAP}"[^>]*>1<', svg)  # what is said last counts


def test_photographs_are_packed():
    with styled():
        figure = new_figure(3, 2)
        ax = figure.subplots()
        ax.imshow(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    plain = written(figure)
    svg = page_svg(plain)
    (uri,) = re.findall(r'href="(data:image/[^"]+)"', svg)
    assert uri.startswith("data:image/webp;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).width > 100
    assert len(svg) < len(plain) / 1.5
