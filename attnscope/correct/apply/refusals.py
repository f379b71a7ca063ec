"""What of a request can be refused from a capture alone, before a model or a video is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from attnscope.capture.read.capture import open as open_capture
from attnscope.correct.apply.binding import PostponedError, postpone
from attnscope.correct.base import Correction
from attnscope.correct.what_if.stored import stored_decoder, stored_prompt
from attnscope.scene import Frames

if TYPE_CHECKING:
    from attnscope.capture.read.capture import Capture


def refuse_early(path: str | Path, several: Iterable[Sequence[Correction]]) -> None:
    """Bind corrections to the prompt that a capture holds, as far as that goes without a model.

    Args:
        path: A plain capture.
        several: Corrections that are to be applied in order, each sequence to the plain prompt.

    Raises:
        RequestError: If a correction does not apply to the scene, its tokens or the model.
    """
    with open_capture(path) as cap, torch.no_grad():
        decoder, prompt = replace(stored_decoder(cap), scout=postpone), stored_prompt(cap)
        for corrections in several:
            scene, frames = cap.scene, _frames(cap)
            for one in corrections:
                if "prompt" in one.changes:  # it changes the prompt, and is bound to the changed one
                    scene, frames = one.show(scene, frames)
                elif scene is cap.scene:  # the text is that of the capture
                    try:
                        one.bind([prompt], decoder)
                    except PostponedError:
                        continue


def _frames(cap: Capture) -> Frames:
    """The frames of a capture as those of a scene, for what draws on them."""
    stored = cap.frames
    return Frames(
        images=stored.images,
        times=stored.times,
        indices=stored.indices,
        width=stored.width,
        height=stored.height,
        kind=stored.kind,  # type: ignore[arg-type]
        source_fps=None,
        duration=None,
        total_frames=None,
    )
