"""Visual prompting: speakers' boxes drawn on the frames (a baseline of Ouyang et al., CVPR 2026; drawing is ours).

They compare with it and do not say how it looks; here each speaker has a colour, a frame and a label with the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from attnscope import fonts
from attnscope.correct.base import Changed, Correction, Decoder
from attnscope.correct.params import parameter
from attnscope.correct.peers.inputs import Shown, not_shown, visible_boxes
from attnscope.correct.registry import correction

if TYPE_CHECKING:
    from attnscope.model import Prompt
    from attnscope.scene import Frames, Scene

# Okabe and Ito's colours, which colour-blind people tell apart
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
_LEAST_LABEL = 9  # pixels: letters below that cannot be read
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@correction
@dataclass(frozen=True)
class BoxesDrawn(Correction):
    """Draw the box and the name of every speaker on the frames; no attention is changed.

    A prompt must be built with `attnscope.correct.prompted`. Places do not change: the token table is that of the
    plain frames.

    Example:
        >>> marked = attnscope.correct.prompted(model, scene, [attnscope.correct.BoxesDrawn()])
        >>> bool((marked.frames.images != prompt.frames.images).any()), len(marked.tokens) == len(prompt.tokens)
        (True, True)
    """

    method: ClassVar[str] = "boxes-drawn"
    source: ClassVar[str] = "2nd"
    summary: ClassVar[str] = "draws the box and the name of every speaker on the frames (visual prompting)"

    changes: ClassVar[tuple[Changed, ...]] = ("prompt",)

    line: float = parameter(
        0.01, "Width of a line, as a fraction of the frame's height, at least one pixel.", gt=0, le=0.2
    )
    label: float = parameter(
        0.06,
        "Height of a name, as a fraction of the frame's height, at least 9 pixels; 0 for no names.",
        ge=0,
        le=0.5,
    )

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        """The same scene, and its frames with boxes.

        Raises:
            NotApplicableError: If no speaker is visible in a frame.
        """
        boxes = visible_boxes(self.method, scene, frames)
        labels = {name: _font(self.label * frames.height, name) for name in boxes.speakers} if self.label else {}
        order = list(scene.speakers)
        colours = [COLOURS[order.index(name) % len(COLOURS)] for name in boxes.speakers]
        width = max(1, round(self.line * frames.height))
        images = np.stack(
            [
                _drawn(image, xyxy, boxes.speakers, colours, width, labels)
                for image, xyxy in zip(frames.images, boxes.xyxy.swapaxes(0, 1), strict=True)
            ]
        )
        notes = [f"{self._begin} {', '.join(boxes.speakers)}"]
        if strange := [name for name, font in labels.items() if not _writes(font, name)]:
            notes.append(f"{self.method}: the labels of {', '.join(strange)} lack letters that no installed font has")
        if len(order) > len(COLOURS):
            notes.append(f"{self.method}: {len(order)} speakers share {len(COLOURS)} colours")
        return scene, replace(frames, images=images, warnings=[*frames.warnings, *notes])

    @property
    def _begin(self) -> str:
        return f"{self.method}: the frames show boxes of"

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Shown:  # noqa: ARG002
        """Check that the prompts show the boxes.

        Raises:
            RequestError: If one of them does not.
        """
        for prompt in prompts:
            if not any(told.startswith(self._begin) for told in prompt.frames.warnings):
                raise not_shown(self.method, prompt)
        said = [[told for told in prompt.frames.warnings if told.startswith(self.method)] for prompt in prompts]
        return Shown(self, [["no attention is changed", *(told.partition(": ")[2] for told in some)] for some in said])


def _drawn(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    names: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
    width: int,
    labels: Mapping[str, Any],
) -> NDArray[np.uint8]:
    """One frame [H, W, 3] with boxes [S, 4] in pixels, NaN for who is not visible; names lie over all boxes."""
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    seen = [(box, name, colour) for box, name, colour in zip(boxes, names, colours, strict=True) if box[0] == box[0]]
    for box, _, colour in seen:
        left, top, right, bottom = (round(float(edge)) for edge in box)
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=width)
    for box, name, colour in seen if labels else ():
        _write(pen, canvas.size, (float(box[0]), float(box[1])), name, colour, labels[name])
    return np.asarray(canvas)


def _write(
    pen: Any, size: tuple[int, int], corner: tuple[float, float], name: str, colour: tuple[int, int, int], font: Any
) -> None:
    """A name on a plate of the speaker's colour: above the box if there is room, else in it, and inside the frame."""
    x0, y0, x1, y1 = font.getbbox(name)
    wide, high = x1 - x0 + 4, y1 - y0 + 4
    left = max(0, min(corner[0], size[0] - wide))
    top = corner[1] - high if corner[1] >= high else min(corner[1], size[1] - high)
    pen.rectangle((left, top, left + wide - 1, top + high - 1), fill=colour)
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 128
    pen.text((left + 2 - x0, top + 2 - y0), name, fill=_WHITE if dark else _BLACK, font=font)


def _font(height: float, name: str) -> Any:
    """Pillow's own font, or where it lacks letters of a name, an installed one that has most of them."""
    from PIL import ImageFont

    size = max(_LEAST_LABEL, height)
    own = ImageFont.load_default(size)
    if _writes(own, name):
        return own
    face = fonts.face(name)
    return ImageFont.truetype(face.path, size, index=face.number)


def _writes(font: Any, name: str) -> bool:
    """Whether a font has all letters of a name; what it lacks is drawn as one and the same box."""
    missing = bytes(font.getmask("\ue000"))  # a private character: no font has it
    return all(letter.isspace() or bytes(font.getmask(letter)) != missing for letter in name)
