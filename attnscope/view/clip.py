"""The clip itself, played under the overlay: where the user names it, and only if it is what the model was shown."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from attnscope.capture.read.capture import Capture
from attnscope.errors import MediaError, RequestError
from attnscope.files import printable
from attnscope.view.captures import file_state

CLOSE = 0.05  # s by which the time of a frame may differ
ALIKE = 24.0  # of 255, mean difference of a stored picture and the clip's: JPEG and scaling make less than 10


class Clip:
    """A video file that the page may play.

    Args:
        path: The file.
        captures: What is shown; all of one video.

    Raises:
        RequestError: If it is not what the models were shown, or what they were shown is no single video.
        MediaError: If it cannot be read.
    """

    address = "api/video"

    def __init__(self, path: Path, captures: list[Capture]) -> None:
        self._path, self._known = path, file_state(path)
        if not path.is_file():  # a pipe or a device has no end
            raise RequestError.of("clip", path, "no such file" if self._known is None else "not a regular file")
        for cap in captures:
            problem = _difference(path, cap)
            if problem:
                raise RequestError.of("clip", path, problem)
        self._type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    async def answer(self, _request: Request) -> Response:
        """The file, or the part of it that a player asks for (Range)."""
        if file_state(self._path) != self._known:
            reason = f"{self._path.name}: was changed since it was opened; end the viewer and start it again"
            return JSONResponse({"reason": printable(reason, lines=False)}, 410)
        return FileResponse(self._path, media_type=self._type)


def _difference(path: Path, cap: Capture) -> str:
    """Why a clip is not what a capture's model was shown; "" if it is."""
    from attnscope.scene.video import video_frames, video_timeline

    frames, name = cap.frames, cap.path.name
    if frames.kind != "video" or cap.scene_dict.get("further"):
        return f"{name} is not of a single video"
    try:
        times = video_timeline(path).times
        rows = sorted({0, len(frames) // 2, len(frames) - 1})
        numbers = [int(frames.indices[row]) for row in rows]
        if max(numbers) >= len(times) or not np.allclose(times[numbers], frames.times[rows], rtol=0, atol=CLOSE):
            return f"is not the video of {name}: its frames have other times"
        for row, pixels in zip(rows, video_frames(path, numbers), strict=True):
            if pixels.shape[:2] != (frames.height, frames.width):
                size = f"{pixels.shape[1]} x {pixels.shape[0]}"
                return f"is not the video of {name}: it is {size}, that one {frames.width} x {frames.height}"
            if _distance(pixels, frames.image(row)) > ALIKE:
                return f"is not the video of {name}: it shows other pictures"
    except MediaError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


def _distance(pixels: NDArray[np.uint8], stored: NDArray[np.uint8]) -> float:
    """Mean difference of two pictures, at the size of the stored one."""
    from PIL import Image

    height, width = stored.shape[:2]
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    return float(np.abs(small.astype(np.float32) - stored.astype(np.float32)).mean())
