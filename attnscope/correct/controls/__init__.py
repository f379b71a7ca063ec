"""Controls: a correction with other cells, worse boxes or other heads, and which of them belong beside a result."""

from attnscope.correct.controls.beside import ELSEWHERE, EVERY_LAYER, LOWEST_G, control, controls, left_out, slug
from attnscope.correct.controls.wrapper import Controlled

__all__ = ["ELSEWHERE", "EVERY_LAYER", "LOWEST_G", "Controlled", "control", "controls", "left_out", "slug"]
