"""A capture as a notebook shows it: the scene, the answer, where the answer looks, and the tree of the file.

The overlay is drawn in SVG over the stored JPEG, so that it needs neither matplotlib nor torch.
"""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from attnscope.capture.read.describe import nodes, size_text
from attnscope.scene import scene_boxes
from attnscope.vocabulary import ANSWER_POSITION

if TYPE_CHECKING:
    from attnscope.capture.read.capture import Capture
    from attnscope.scene import Frames

COLOUR, OUTLINE = "#e8590c", "#1864ab"
FAINTEST = 1.0  # cells at or below this multiple of the mean stay clear
_WIDTH = 480  # pixels on the page
_STYLE = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;max-width:640px"


def html(cap: Capture) -> str:
    """The capture as HTML that needs nothing else, no script and no network.

    Args:
        cap: An open capture.

    Returns:
        A `div` with the file, the scene, the answer, one overlay (where maps and places exist), and the tree.

    Raises:
        FormatError: If the file is damaged.
    """
    return f'<div style="{_STYLE}">{_table(cap)}{overlay(cap)}{_tree(cap)}</div>'


def overlay(cap: Capture) -> str:
    """The frame that the answer position attends to most, its cells coloured; "" without maps or placed tokens."""
    cells = cap.tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float64)  # [P, 4]
    first, last = (cap.tokens[name].to_numpy(np.int64) for name in ("frame_first", "frame_last"))
    placed = np.isfinite(cells).all(1) & (first >= 0)
    if not cap.has("maps") or not placed.any() or ANSWER_POSITION not in cap.query_groups["name"].tolist():
        return ""
    attention = cap.maps(group=ANSWER_POSITION).mean(("layer", "head")).to_numpy().astype(np.float64)  # [P]
    level = attention[placed].mean()
    if not level > 0:
        return ""
    lift = attention / level
    mass = [lift[placed & (first <= frame) & (frame <= last)].sum() for frame in range(len(cap.frames))]
    frame = int(np.argmax(mass))
    here = np.flatnonzero(placed & (first <= frame) & (frame <= last))
    top = max(float(lift[here].max()), 2 * FAINTEST)
    shapes = [_cell(cells[token], float(lift[token]), top) for token in here if lift[token] > FAINTEST]
    shapes += _boxes(cap, frame)
    width, height = cap.frames.width, cap.frames.height
    data = base64.b64encode(cap.frames.jpeg(frame)).decode()
    picture = (
        f'<svg viewBox="0 0 {width} {height}" width="{_WIDTH}" style="max-width:100%" role="img" '
        f'aria-label="Frame {frame} with the attention of the answer position">'
        f'<image href="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" style="filter:grayscale(1)"/>{"".join(shapes)}</svg>'
    )
    caption = (
        f"Attention of the answer position on frame {frame} ({cap.frames.times[frame]:.1f} s), mean over "
        f"{len(cap.layers)} layers and {cap.heads} heads. Cells that receive more are stronger in colour: "
        f"the strongest has {float(lift[here].max()):.1f} times the mean of all visual tokens, and cells below the "
        "mean are clear. Attention mass is not causal importance."
    )
    return f'<figure style="margin:8px 0">{picture}<figcaption>{caption}</figcaption></figure>'


def _cell(cell: npt.NDArray[np.float64], lift: float, top: float) -> str:
    x0, y0, x1, y1 = cell
    strength = 0.15 + 0.6 * (lift - FAINTEST) / (top - FAINTEST)
    size = f'x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}"'
    return f'<rect {size} fill="{COLOUR}" fill-opacity="{strength:.2f}"><title>{lift:.2f} × the mean</title></rect>'


def _boxes(cap: Capture, frame: int) -> list[str]:
    """Outlines of the speakers who are visible, with their names."""
    boxes = scene_boxes(cap.scene, cast("Frames", cap.frames))  # times, width and height are all that it reads
    line = max(1.0, cap.frames.width / 240)
    shapes = []
    for name, (x0, y0, x1, y1) in zip(boxes.speakers, boxes.xyxy[:, frame].astype(float), strict=True):
        if np.isfinite(x0):
            size = f'x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}"'
            shapes.append(f'<rect {size} fill="none" stroke="{OUTLINE}" stroke-width="{line:g}"/>')
            text = f'x="{x0 + 2 * line:g}" y="{y0 + 9 * line:g}" font-size="{8 * line:g}" fill="{OUTLINE}"'
            shapes.append(f'<text {text} stroke="white" stroke-width="{line / 2:g}" paint-order="stroke">')
            shapes[-1] += f"{escape(name)}</text>"
    return shapes


def _table(cap: Capture) -> str:
    scene, answer = cap.scene, cap.answer
    rows = [
        ("capture", f"{cap.path.name}, {size_text(cap.path.stat().st_size)}: {', '.join(cap.readings)}"),
        ("model", f"{cap.model.get('id')}, {len(cap.layers)} layers × {cap.heads} heads, {cap.model.get('dtype')}"),
        ("scene", f"{Path(str(scene.video)).name}, {len(cap.frames)} frames, {len(scene.transcript)} turns"),
        ("speakers", ", ".join(scene.speakers) or "none has a box"),
        ("positions", f"{cap.prompt_length} of the prompt, {len(cap.tokens) - cap.prompt_length} generated"),
        ("question", scene.question or "none"),
        ("answer", f"{answer.get('text')}" + (f" (expected: {scene.answer})" if scene.answer else "")),
        ("self-check", _check(cap)),
    ]
    rows += [("correction", str(record.get("method"))) for record in cap.correction]
    cell = 'style="text-align:left;vertical-align:top;padding:1px 12px 1px 0;white-space:{}"'
    head, data = cell.format("nowrap"), cell.format("normal")
    body = "".join(f"<tr><th {head}>{name}</th><td {data}>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{body}</table>"


def _check(cap: Capture) -> str:
    if not cap.check.get("verified"):
        return "not run"
    return "passed" if cap.check.get("passed") else "FAILED"


def _tree(cap: Capture) -> str:
    """Every array of the file: path, shape, dimensions, unit."""
    lines = []
    for node in nodes(cap):
        if "shape" in node:
            shape = " × ".join(str(size) for size in node["shape"]) or "scalar"
            unit = node["unit"] if node["unit"] != "1" else ""
            lines.append(f"{node['path']:32} {shape:24} {' '.join(node['dims'])} {unit}".rstrip())
    text = escape("\n".join(lines))
    return f"<details><summary>{len(lines)} arrays of the file</summary><pre>{text}</pre></details>"
