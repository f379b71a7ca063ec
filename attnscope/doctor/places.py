"""Where a model's visual tokens look: its layout, or what probing finds, put to the test on frames of several forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attnscope.doctor.diagnosis import Finding, Section, reason
from attnscope.errors import AttnscopeError
from attnscope.placing import percent

if TYPE_CHECKING:
    from attnscope.model import LoadedModel
    from attnscope.model.layouts import Places
    from attnscope.model.probe import Trial
    from attnscope.scene import Frames

# Number of frames, width, height; none for an image. Landscape, portrait, odd sides.
_FORMS = ((5, 640, 360), (2, 360, 640), (1, 481, 333), (None, 640, 360), (None, 301, 703))


def places(model: LoadedModel) -> Section:
    """Repaint parts of made-up frames, and say how many tokens answer where they should.

    Args:
        model: The model.

    Returns:
        One finding for each form of frames: it fails where fewer tokens answer than a capture would accept.
    """
    findings = [_examined(model, _made_up(*form)) for form in _FORMS]
    return Section(f"Places of the visual tokens of {model.id}", tuple(findings))


def _made_up(count: int | None, width: int, height: int) -> Frames:
    from attnscope.scene import Frames

    number = count or 1
    images = np.zeros((number, height, width, 3), np.uint8)
    times, indices = np.arange(number) / 2, np.arange(number, dtype=np.int32)
    if count is None:
        return Frames(images, times, indices, width, height, "image", None, None, None)
    return Frames(images, times, indices, width, height, "video", 2.0, number / 2, number)


def _examined(model: LoadedModel, frames: Frames) -> Finding:
    from attnscope.model.layouts import LAYOUTS, layout_places
    from attnscope.model.probe import LEAST, Trial, agreement, locate

    height, width = frames.images.shape[1:3]
    name = f"{len(frames.images)} x {width} x {height}" if frames.kind == "video" else f"image {width} x {height}"
    try:
        trial = Trial(model, frames)
        known = model.family in LAYOUTS
        stated = layout_places(model, trial.processed, trial.frames, len(trial)) if known else locate(trial)
        share = float(agreement(trial, stated).mean())
        how = f"layout of {model.family}" if known else "probed"
        text = f"{len(trial):,} tokens ({how}): {percent(share)} answer to their cell"
        if known:
            text += f"; {_compared(trial, stated)}"
    except AttnscopeError as error:
        return Finding(name, "note", f"no places: {reason(error).removeprefix(f'{model.id}: ')}")
    return Finding(name, "ok" if share == 1 else "note" if share >= LEAST else "fail", text)


def _compared(trial: Trial, layout: Places) -> str:
    """How what probing finds agrees with a layout."""
    from attnscope.model.probe import locate

    try:
        probed = locate(trial)
    except AttnscopeError as error:
        return f"probing finds no places ({reason(error).removeprefix(f'{trial.loaded.id}: ')})"
    cells = ~np.isnan(layout.box[:, 0])
    size = layout.box[cells, 2:] - layout.box[cells, :2]
    distance = np.abs((probed.box - layout.box)[cells].reshape(-1, 2, 2).mean(1)) / size
    near = float((distance < 0.5).all(1).mean())
    same = float((probed.frames[cells] == layout.frames[cells]).all(1).mean())
    return f"probing finds {percent(same)} of the frames and {percent(near)} of the centres (within half a cell)"
