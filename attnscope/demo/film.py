"""Write pictures as a video file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt


def write_film(path: Path, images: list[npt.NDArray[np.uint8]], fps: int) -> None:
    """Write frames [H, W, 3] as H.264 where this PyAV has it, else as MPEG-4."""
    import av

    height, width = images[0].shape[:2]
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w") as out:
        options = {"crf": "16"} if codec == "libx264" else {"q:v": "2"}
        stream = cast(Any, out.add_stream(codec, rate=fps, options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
