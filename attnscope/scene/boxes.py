"""Where every speaker is in every sampled frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from attnscope.scene.findings import Finding, counts_of, texts
from attnscope.scene.frames import Frames
from attnscope.scene.models import Segment, Speaker
from attnscope.scene.scene import Scene


@dataclass(frozen=True)
class Boxes:
    """Speaker boxes in the sampled frames.

    Attributes:
        xyxy: float32 [S, F, 4], left, top, right, bottom in pixels of the upright source frame, clipped to
            it; NaN where the speaker is not visible.
        speakers: Names [S], in the order of the scene.
        findings: One for each kind of trouble, with counts.

    Example:
        >>> boxes = attnscope.scene.scene_boxes(scene, frames)
        >>> boxes.xyxy[boxes.speakers.index("Dan"), 0].round().tolist()
        [260.0, 323.0, 370.0, 453.0]
    """

    xyxy: npt.NDArray[np.float32]
    speakers: list[str]
    findings: list[Finding] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """The sentences of the findings."""
        return texts(self.findings)


def scene_boxes(scene: Scene, frames: Frames) -> Boxes:
    """Interpolate the scene's boxes at the times of the frames, and clip them to the frame.

    A box that reaches outside the frame is clipped, one that lies outside altogether is not visible; both are
    counted in a warning that names the speakers (rule: ours).

    Args:
        scene: Speakers with segments and keyframes, in pixels or fractions of the frame.
        frames: Sampled frames.

    Returns:
        Boxes of S speakers in F frames.

    Example:
        >>> boxes = attnscope.scene.scene_boxes(scene, frames)
        >>> boxes.speakers, boxes.xyxy.shape
        (['Eva', 'Cleo', 'Ada', 'Dan', 'Ben'], (5, 8, 4))
    """
    names = list(scene.speakers)
    raw = np.full((len(names), len(frames.times), 4), np.nan)  # [S, F, 4]
    for row, name in enumerate(names):
        raw[row] = boxes_at(scene.speakers[name], frames.times)
    size = np.array([frames.width, frames.height] * 2, np.float64)
    if scene.box_units == "fraction":
        raw *= size
    clipped = np.clip(raw, 0, size)  # NaN stays NaN
    visible = ~np.isnan(raw[..., 0])
    outside = visible & ((clipped[..., 2] <= clipped[..., 0]) | (clipped[..., 3] <= clipped[..., 1]))
    reaching = visible & ~outside & np.any(clipped != raw, axis=-1)
    clipped[outside] = np.nan
    frame = f"{frames.width}x{frames.height} frame"
    total = f"of {int(visible.sum())} speaker boxes"
    findings = []
    if reaching.any():
        text = f"{int(reaching.sum())} {total} reach outside the {frame} and are clipped ({_who(names, reaching)})"
        findings.append(_finding("box_clipped", text, names, reaching))
    if outside.any():
        text = f"{int(outside.sum())} {total} lie outside the {frame} and count as not visible ({_who(names, outside)})"
        findings.append(_finding("box_outside", text, names, outside))
    if names and not (visible & ~outside).any():
        findings.append(Finding("speaker_not_seen", "no speaker is visible in any sampled frame", tuple(names)))
    return Boxes(clipped.astype(np.float32), names, findings)


def boxes_at(speaker: Speaker, times: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Boxes of one speaker at some times, in the scene's units, not clipped.

    A speaker is visible for start <= t < end of a segment (at start alone if both are equal). Between two
    keyframes each coordinate is interpolated linearly, before the first and after the last the nearest is
    held.

    Args:
        speaker: Segments with keyframes.
        times: Seconds [T].

    Returns:
        Xyxy [T, 4], NaN where not visible.

    Example:
        >>> attnscope.scene.boxes_at(scene.speakers["Dan"], [0.0, 9.0]).round().tolist()
        [[260.0, 323.0, 370.0, 453.0], [nan, nan, nan, nan]]
    """
    moments = np.atleast_1d(np.asarray(times, np.float64))
    corners = np.full((len(moments), 4), np.nan)
    for segment in speaker.segments:
        inside = (segment.start <= moments) & ((moments < segment.end) | (moments == segment.start))
        corners[inside] = _interpolate(segment, moments[inside])
    return corners


def _interpolate(segment: Segment, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    at = [keyframe.t for keyframe in segment.keyframes]
    boxes = np.array([keyframe.xyxy for keyframe in segment.keyframes])  # [K, 4]
    return np.stack([np.interp(times, at, boxes[:, side]) for side in range(4)], axis=-1)


def _who(names: list[str], hit: npt.NDArray[np.bool_]) -> str:
    return counts_of({name: int(n) for name, n in zip(names, hit.sum(axis=1), strict=True)})


def _finding(kind: str, text: str, names: list[str], hit: npt.NDArray[np.bool_]) -> Finding:
    """A finding about some boxes, [S, F]."""
    people = tuple(name for name, own in zip(names, hit, strict=True) if own.any())
    return Finding(kind, text, people, frames=tuple(int(f) for f in np.flatnonzero(hit.any(axis=0))))
