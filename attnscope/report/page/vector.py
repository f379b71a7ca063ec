"""A figure as it stands inside a page: its SVG, on no ground of its own, with colours for light and for dark pages.

The file beside the page is the figure on white, exact. What stands in the page is made from it: paper and ink follow
the reader's choice of light or dark, the colours of lines have a twin that is seen on dark ground, and photographs are
packed smaller. Colours of maps stay as they are, since a scale and a caption name them.
"""

from __future__ import annotations

import base64
import io
import re

from PIL import Image, features

from attnscope.report.figures.style import DARK

PAPER = {"--paper": ("#ffffff", "#14181c"), "--ink": ("#000000", "#e6eaee")}  # as in page/templates/report.css
QUALITY = 82  # of photographs
_LEAST = 6_000  # bytes of a picture that is worth packing
_FONTS = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans'"  # alike in width, so that texts keep their room
_PICTURE = re.compile(r'(xlink:href|href)="data:image/png;base64,\s*([^"]+)"')
_GROUND = re.compile(r'(<g id="(?:figure|axes)_\d+">\s*<g id="patch_\d+">\s*<path d="[^"]*" style="fill: )#ffffff')
_SPINE = re.compile(r"(stroke: )#000000(; stroke-width: [\d.]+; stroke-linejoin: miter; stroke-linecap: square)")
_TICK = re.compile(r'(style="stroke: )#000000(; stroke-width: [\d.]+")')
_HOLLOW = re.compile(r"fill: #ffffff(; stroke: #(?!000000))")
_COLOR = re.compile(r"((?:stroke|fill): )(#[0-9a-f]{6})")
_MAP = re.compile(r'<g id="QuadMesh_\d+">.*?</g>', re.S)
_OUTER_SPACE = re.compile(r"\n\s*")


def page_svg(svg: str) -> str:
    """What a page shows of a figure.

    Args:
        svg: As matplotlib wrote it, with texts as texts.

    Returns:
        An SVG that needs nothing else and says by itself what it looks like on a dark page.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = _GROUND.sub(r"\1none", body)
    body = _SPINE.sub(r"\1var(--ink)\2", body)
    body = _TICK.sub(r"\1var(--ink)\2", body)
    body = _HOLLOW.sub(r"fill: var(--paper)\1", body)
    body = _PICTURE.sub(_packed, body)
    body = _with_twins(body)
    body = body.replace("'DejaVu Sans'", _FONTS)
    body = body.replace('<text style="', '<text style="fill: var(--ink); ')  # a colour that follows wins
    body = body.replace("*{stroke-linejoin: round; stroke-linecap: butt}", _style(body), 1)
    return _OUTER_SPACE.sub("\n", body)


def as_uri(svg: str) -> str:
    """An SVG as the address of a picture."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _style(body: str) -> str:
    """The style of the figure, with every colour variable that it uses, light and dark."""
    used = {f"--c{light[1:]}": (light, dark) for light, dark in DARK.items() if f"--c{light[1:]})" in body}
    pairs = PAPER | used
    light, dark = (";".join(f"{name}:{pair[n]}" for name, pair in pairs.items()) for n in (0, 1))
    return (
        f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        "*{stroke-linejoin:round;stroke-linecap:butt}"
    )


def _with_twins(body: str) -> str:
    """Colours that have a twin for dark pages, as variables; those of maps stay."""
    pieces, last = [], 0
    for cells in _MAP.finditer(body):
        pieces += [_COLOR.sub(_twin, body[last : cells.start()]), cells[0]]
        last = cells.end()
    return "".join([*pieces, _COLOR.sub(_twin, body[last:])])


def _twin(found: re.Match[str]) -> str:
    return f"{found[1]}var(--c{found[2][1:]})" if found[2] in DARK else found[0]


def _packed(found: re.Match[str]) -> str:
    """A picture inside a figure: a photograph packed smaller, a small map as it is."""
    data = base64.b64decode(found[2])
    if len(data) < _LEAST or not features.check("webp"):
        return found[0]
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "WEBP", quality=QUALITY, method=4)
    return f'{found[1]}="data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"'
