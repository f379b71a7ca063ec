"""The frames that a capture keeps, decoded only when they are asked for."""

from __future__ import annotations

import io
from functools import cached_property

import numpy as np
import numpy.typing as npt

from attnscope.capture.file.nodes import Store
from attnscope.errors import RequestError

MAX_IMAGE = 1 << 26  # pixels of one image: 8192 x 8192
MAX_PIXELS = 1 << 30  # of all images at once, which are 3 GiB


class StoredFrames:
    """What was shown to the model.

    Attributes:
        kind: `video`, `image` or `folder`.
        width: Width of the source, in pixels.
        height: Height of the source, in pixels.
        times: Float64 [F], seconds in the source.
        indices: Int32 [F], numbers of the frames in the source.
    """

    def __init__(self, store: Store) -> None:
        store.node("/frames", "frames")
        self._store = store
        self.kind = store.text("/frames", "kind")
        self.width = store.whole("/frames", "width")
        self.height = store.whole("/frames", "height")
        self.times: npt.NDArray[np.float64] = store.read("/frames/time", dims=["row"])
        self.indices: npt.NDArray[np.int32] = store.read("/frames/index", dims=["row"])

    def __len__(self) -> int:
        return len(self.times)

    def jpeg(self, row: int) -> bytes:
        """One frame as the JPEG file that is stored.

        Args:
            row: Which of the sampled frames.

        Raises:
            RequestError: If there is no such frame.
            FormatError: If it is missing or damaged.
        """
        if not 0 <= row < len(self):
            raise RequestError(f"{self._store.path}: frame {row} is out of range; frames are 0-{len(self) - 1}")
        return self._store.bytes("/frames/jpeg", row)

    @cached_property
    def images(self) -> npt.NDArray[np.uint8]:
        """All frames, uint8 [F, h, w, 3]; h and w may be smaller than those of the source.

        Raises:
            FormatError: If an image cannot be decoded, they differ in size, or have more than `MAX_PIXELS` together.
        """
        images: npt.NDArray[np.uint8] = np.zeros((0, self.height, self.width, 3), np.uint8)
        for row in range(len(self)):
            image = self.image(row)
            if not row:
                if image.shape[0] * image.shape[1] * len(self) > MAX_PIXELS:
                    raise self._store.error("/frames/jpeg", f"the images have more than {MAX_PIXELS} pixels together")
                images = np.empty((len(self), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise self._store.error("/frames/jpeg", f"image {row} is {image.shape}, the first {images.shape[1:]}")
            images[row] = image
        return images

    def image(self, row: int) -> npt.NDArray[np.uint8]:
        """One frame, uint8 [h, w, 3].

        Args:
            row: Which of the sampled frames.

        Raises:
            RequestError: If there is no such frame.
            FormatError: If the image cannot be decoded.
        """
        from PIL import Image

        data = self.jpeg(row)
        try:
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                if image.width > self.width or image.height > self.height or image.width * image.height > MAX_IMAGE:
                    what = f"image {row} is {image.width} x {image.height}, the source {self.width} x {self.height}"
                    raise self._store.error("/frames/jpeg", what)
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise self._store.error("/frames/jpeg", f"image {row} is not a readable JPEG ({error})") from error
