"""MODA: duplex attention alignment and modular mask (Zhang et al., ICML 2025), training-free and trainable."""

from attnscope.correct.moda.adapter import ModaAdapter
from attnscope.correct.moda.align import ModaAlign
from attnscope.correct.moda.calibrate import ModaCalibrate
from attnscope.correct.moda.diagnose import diagnose
from attnscope.correct.moda.mask import ModaMask
from attnscope.correct.moda.pseudo import ModaPseudo

__all__ = ["ModaAdapter", "ModaAlign", "ModaCalibrate", "ModaMask", "ModaPseudo", "diagnose"]
