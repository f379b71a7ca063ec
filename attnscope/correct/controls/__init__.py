"""Controls: a correction with other cells, worse boxes or other heads, and which of them belong beside a result."""

from attnscope.correct.controls.beside import EVERY_LAYER, LOWEST_G, controls, left_out
from attnscope.correct.controls.wrapper import Controlled

__all__ = ["EVERY_LAYER", "LOWEST_G", "Controlled", "controls", "left_out"]
