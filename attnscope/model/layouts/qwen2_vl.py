"""Qwen2-VL: 28 pixel cells, no text between frames."""

from __future__ import annotations

from attnscope.model.layouts.qwen import QwenLayout


class Qwen2VLLayout(QwenLayout):
    """Qwen2-VL: 28 pixel cells, no text between frames."""
