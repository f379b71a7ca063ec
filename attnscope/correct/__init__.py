"""Corrections, applied under the model's own kernel: one file each, a registry, and their use around any code."""

from attnscope.correct.adaptvis import AdaptVis
from attnscope.correct.base import Correction, Decoder, Running, catalogue, correction, corrections, make
from attnscope.correct.bound import bind, check_applies
from attnscope.correct.boxes_drawn import BoxesDrawn
from attnscope.correct.boxes_told import BoxesTold
from attnscope.correct.knockout import Knockout
from attnscope.correct.moda import ModaAlign, ModaCalibrate, ModaMask, ModaPseudo
from attnscope.correct.pai import Pai
from attnscope.correct.prompted import prompted
from attnscope.correct.recipe import read as read_corrections
from attnscope.correct.recipe import write as write_corrections
from attnscope.correct.request import requested
from attnscope.correct.run import rerun
from attnscope.correct.social_bias import SocialBias
from attnscope.correct.temperature import Temperature
from attnscope.correct.vaf import Vaf
from attnscope.correct.var import Var
from attnscope.correct.within import Corrected, corrected

__all__ = [
    "AdaptVis",
    "BoxesDrawn",
    "BoxesTold",
    "Corrected",
    "Correction",
    "Decoder",
    "Knockout",
    "ModaAlign",
    "ModaCalibrate",
    "ModaMask",
    "ModaPseudo",
    "Pai",
    "Running",
    "SocialBias",
    "Temperature",
    "Vaf",
    "Var",
    "bind",
    "catalogue",
    "check_applies",
    "corrected",
    "correction",
    "corrections",
    "make",
    "prompted",
    "read_corrections",
    "requested",
    "rerun",
    "write_corrections",
]
