"""Qwen3-VL: 32 pixel cells, and a time stamp ("<0.5 seconds>") before the tokens of each temporal step."""

from __future__ import annotations

from attnscope.model.layouts.qwen import QwenLayout


class Qwen3VLLayout(QwenLayout):
    """As the other Qwen-VL families, with time stamps; its resize needs a whole temporal step of frames."""

    min_frames = 2
    labelled = True
