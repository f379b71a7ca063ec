"""Attention over the moving clip: what is looked at, who is where, and who says what, moment by moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from textwrap import wrap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from attnscope import fonts
from attnscope.files import printable
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.figures.frames.backdrop import Backdrop, backdrop, paint
from attnscope.report.figures.frames.film import Pixels, clip_frames, moments, nearest, write_films
from attnscope.report.figures.frames.overlay import scale
from attnscope.report.figures.frames.placement import place_names
from attnscope.report.figures.frames.shading import ratio_ticks, shade
from attnscope.report.figures.labels import current, learn_scenes
from attnscope.report.figures.style import dressed, scaled
from attnscope.report.figures.turns import speaker_colors
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames

WIDTH = 640  # pixels of the picture, in the paper style
LINE = 18  # pixels that a line of the paper style takes
MARGIN = 8
INK, SOFT, PAPER = "#1c2126", "#666666", "#ffffff"


@dressed
def movie(
    cap: Capture,
    group: str,
    mp4: Path | None,
    gif: Path | None = None,
    *,
    title: str,
    speaker: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    fps: float = 12.0,
    most: int = 360,
) -> None:
    """Write the attention of a query group over the clip as a film.

    The attention of a moment is that on the sampled frame nearest to it; the boxes are those of the moment itself.
    Below run the turns, with the moments of the sampled frames, and the words that are being said.

    Args:
        cap: An open capture with the `maps` reading.
        group: Name of a query group, for example `speaker:Ann`.
        mp4: The film to write.
        gif: The same as a GIF, smaller, at about six frames a second.
        title: Over the picture.
        speaker: Whose box is drawn in full.
        layer: Number of a layer in the model; all by default.
        head: A head; all by default.
        fps: Frames a second.
        most: Frames of the film; of a longer clip fewer a second are taken.

    Raises:
        RunError: If a file cannot be written.

    Example:
        >>> from pathlib import Path
        >>> figures.overlay_movie(cap, "answer_position", Path("answer.mp4"), title="Answer", fps=4)
        >>> attnscope.scene.read_frames("answer.mp4").kind
        'video'
    """
    at, rate = moments(cap, fps, most)
    painter = _Painter(cap, backdrop(cap, speaker), cell_lift(cap, group, layer, head), title, speaker, at)
    write_films(painter.pictures(), rate, mp4, gif)


class _Painter:
    """Draws every moment onto a canvas that is drawn once."""

    def __init__(
        self,
        cap: Capture,
        on: Backdrop,
        values: NDArray[np.float64],
        title: str,
        speaker: str | None,
        at: NDArray[np.float64],
    ) -> None:
        self._cap, self._speaker, self._at = cap, speaker, at
        width, height = on.size
        self._line = round(scaled(LINE))
        learn_scenes([cap.scene])
        self._shape = round(scaled(WIDTH) * height / width), round(scaled(WIDTH))
        norm, _ = scale(on, [values])
        self._heat = [self._layer(paint(on, values, f, self._shape), norm) for f in range(len(on.times))]
        clock = cast("Frames", SimpleNamespace(times=at, width=width, height=height))
        boxes = scene_boxes(cap.scene, clock)
        to_pixels = self._shape[1] / width
        self._boxes = {name: boxes.xyxy[s].astype(np.float64) * to_pixels for s, name in enumerate(boxes.speakers)}
        self._colors = speaker_colors(cap.scene)
        speaking = {turn.speaker for turn in cap.scene.transcript if turn.start is not None}
        self._lanes = [name for name in self._colors if name in speaking]
        self._names = {name: current().written(name) for name in [*self._colors, *self._boxes]}
        self._top = self._line * len(self._title(title)) + MARGIN
        self._canvas = self._background(self._title(title), norm)

    def pictures(self) -> Iterator[Pixels]:
        """Frames [H, W, 3], one a moment."""
        sampled = np.asarray(self._cap.frames.times, dtype=np.float64)
        for number, pixels in enumerate(clip_frames(self._cap, self._at, self._shape)):
            color, strength = self._heat[nearest(sampled, float(self._at[number]))]
            mixed = pixels[..., None] * (1 - strength) + color * strength
            canvas = self._canvas.copy()
            picture = Image.fromarray(mixed.astype(np.uint8))
            self._people(ImageDraw.Draw(picture), number)
            canvas.paste(picture, (0, self._top))
            self._now(ImageDraw.Draw(canvas), float(self._at[number]))
            yield np.asarray(canvas)

    def _layer(self, heat: NDArray[np.float64], norm: LogNorm) -> tuple[NDArray[Any], NDArray[Any]]:
        """Colours [h, w, 3] and their strength [h, w, 1] of one sampled frame; none where no token shows anything."""
        color, strength = shade(heat, norm)
        return (255 * color).astype(np.float32), strength[..., None].astype(np.float32)

    def _title(self, title: str) -> list[str]:
        letters = int(self._shape[1] / (scaled(13) * 0.62))
        return [line for part in current().written(title).split("\n") for line in wrap(part, letters)]

    def _background(self, title: Sequence[str], norm: LogNorm) -> Image.Image:
        """Title, colour scale, lanes of the turns and the time axis."""
        h, w = self._shape
        below = self._line * (len(self._lanes) + 4) + 2 * MARGIN
        canvas = Image.new("RGB", (w + w % 2, (self._top + h + below + 1) // 2 * 2), PAPER)
        draw = ImageDraw.Draw(canvas)
        for row, line in enumerate(title):
            draw.text((w / 2, MARGIN / 2 + row * self._line), line, INK, _font(line, bold=row == 0), anchor="ma")
        self._scale(canvas, draw, norm)
        for row, name in enumerate(self._lanes):
            y = self._lane(row)
            text = self._names[name]
            draw.text((MARGIN, y + self._line / 2), text, INK, _font(text), anchor="lm")
            for turn in self._cap.scene.transcript:
                if turn.speaker == name and turn.start is not None:
                    ends = self._x(turn.start), max(self._x(turn.end or turn.start), self._x(turn.start) + 2)
                    draw.rectangle((ends[0], y + 2, ends[1], y + self._line - 3), self._colors[name])
        y = self._lane(len(self._lanes))
        draw.line((self._x(self._at[0]), y, self._x(self._at[-1]), y), SOFT)
        for moment in np.asarray(self._cap.frames.times, dtype=np.float64):
            draw.line((self._x(moment), y - 3, self._x(moment), y + 3), INK, 2)
        return canvas

    def _scale(self, canvas: Image.Image, draw: ImageDraw.ImageDraw, norm: LogNorm) -> None:
        """The colours, as a strip at the foot of the canvas."""
        w, y = canvas.width, canvas.height - MARGIN - self._line
        _, (least, *_, most) = ratio_ticks(norm)
        low, high = f"attention per token, times uniform:  {least}", f"{most} or more"
        x0 = MARGIN + draw.textlength(low, _font(low)) + 6
        x1 = w - MARGIN - draw.textlength(high, _font(high)) - 6
        values = np.asarray(norm.inverse(np.linspace(0, 1, int(x1 - x0))), np.float64)[None]
        color, strength = shade(values, norm)
        strip = 255 * (1 - strength[..., None] + color * strength[..., None])
        image = Image.fromarray(strip.repeat(self._line - 5, 0).astype(np.uint8))
        canvas.paste(image, (int(x0), y + 2))
        middle = (x0 + x1) / 2, y + self._line / 2
        draw.text(middle, "1", INK, _font("1"), anchor="mm")
        draw.text((MARGIN, y + self._line / 2), low, INK, _font(low), anchor="lm")
        draw.text((w - MARGIN, y + self._line / 2), high, INK, _font(high), anchor="rm")

    def _lane(self, row: int) -> int:
        return self._top + self._shape[0] + MARGIN + self._line * (row + 1)

    def _x(self, moment: float) -> float:
        """Where a moment lies along the lanes."""
        names = [self._names[name] for name in self._lanes]
        left = MARGIN * 2 + max((_font(name).getlength(name) for name in names), default=0)
        span = max(float(self._at[-1] - self._at[0]), 1e-9)
        return float(left + np.clip((moment - self._at[0]) / span, 0, 1) * (self._shape[1] - MARGIN - left))

    def _people(self, draw: ImageDraw.ImageDraw, number: int) -> None:
        """Everybody's box and name at a moment."""
        boxes = {name: b[number] for name, b in self._boxes.items() if np.isfinite(b[number]).all()}
        wide = round(scaled(2))
        for name, box in boxes.items():
            chosen = name == self._speaker
            draw.rectangle(tuple(box), outline="black", width=wide + (3 if chosen else 1))
            draw.rectangle(tuple(box), outline="white" if chosen else "#d0d0d0", width=wide if chosen else wide - 1)
        size = self._shape[1], self._shape[0]
        for name, spot in place_names(boxes, size, self._shape[1] / scaled(2.1), self._speaker, self._names).items():
            text = self._names[name]
            font = _font(text, bold=name == self._speaker)
            draw.text(spot, text, "white", font, stroke_width=2, stroke_fill="black")

    def _now(self, draw: ImageDraw.ImageDraw, moment: float) -> None:
        """The clock, the cursor on the lanes, and the words of the moment."""
        x, bottom = self._x(moment), self._lane(len(self._lanes))
        draw.line((x, self._lane(0), x, bottom + 4), "#D55E00", 2)
        draw.text((self._shape[1] - MARGIN, bottom + 5), f"{moment:.1f} s", INK, _font("0", bold=True), anchor="ra")
        words = [
            f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text
            for turn in self._cap.scene.transcript
            if turn.start is not None and turn.start <= moment <= (turn.end or turn.start)
        ]
        room = self._shape[1] - 3 * MARGIN
        text = current().written(printable(" / ".join(words), lines=False))
        font = _font(text)
        draw.text((MARGIN, self._lane(-1)), _fit(text, font, room), INK, font)


def _font(text: str, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Matplotlib's own type, which every machine that has it has; for other letters, the font that has most of them."""
    return _loaded(fonts.face(text, bold=bold), round(scaled(13)))


@cache
def _loaded(face: fonts.Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(face.path, size, index=face.number)


def _fit(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """A text cut to a width in pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"
