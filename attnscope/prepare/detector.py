"""People by a detector that the user names: any object detection model of transformers whose classes hold a person.

Nothing is downloaded unless the name is one of the model hub and not a folder (`PekingU/rtdetr_v2_r18vd`, for example).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.errors import ModelError
from attnscope.prepare.extra import named
from attnscope.prepare.parts import Detection

LEAST = 0.5


class NamedDetector:
    """Finds people with a model of transformers.

    Attributes:
        made_by: The model, and the version of transformers.
    """

    def __init__(self, model: str, least: float = LEAST) -> None:
        """Load the model.

        Args:
            model: Folder of a checkpoint, or its name on the model hub.
            least: Score from which something is a person, 0 to 1.

        Raises:
            ModelError: If it cannot be loaded, or knows no class `person`.
        """
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        try:
            self._processor: Any = AutoImageProcessor.from_pretrained(model)
            self._model: Any = AutoModelForObjectDetection.from_pretrained(model).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{model}: cannot be loaded as an object detector: {reason}") from None
        classes = {int(number): str(name) for number, name in self._model.config.id2label.items()}
        self._people = {number for number, name in classes.items() if name.casefold() in ("person", "people")}
        if not self._people:
            shown = ", ".join(list(classes.values())[:5])
            raise ModelError(f"{model}: has no class person; its classes are {shown}, ...")
        self.made_by = f"{model} through {named('transformers')}"
        self.settings = {"least_score": least}
        self._least = least

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> list[Detection]:
        """People in a frame [H, W, 3], RGB."""
        import torch

        height, width = pixels.shape[:2]
        inputs = self._processor(images=pixels, return_tensors="pt")
        with torch.inference_mode():
            outputs = self._model(**inputs)
        (found,) = self._processor.post_process_object_detection(
            outputs, threshold=self._least, target_sizes=torch.tensor([(height, width)])
        )
        detections = []
        for box, label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True):
            left, top, right, bottom = (float(edge) for edge in box)
            left, right = max(0.0, left), min(float(width), right)
            top, bottom = max(0.0, top), min(float(height), bottom)
            if int(label) in self._people and right - left >= 1 and bottom - top >= 1:
                detections.append(Detection((left, top, right, bottom), float(score)))
        return detections
