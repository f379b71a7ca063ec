"""Qwen2.5-VL: as Qwen2-VL, with the seconds of a temporal step told to the model apart."""

from __future__ import annotations

from attnscope.model.layouts.qwen import QwenLayout


class Qwen25VLLayout(QwenLayout):
    """Qwen2.5-VL: as Qwen2-VL, with the seconds of a temporal step told to the model apart."""
