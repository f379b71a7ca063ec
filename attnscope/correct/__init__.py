"""Corrections, applied under the model's own kernel: one file each, a registry, and their use around any code."""

from attnscope.correct.apply.binding import bind
from attnscope.correct.apply.binding import check_applies as check_applies  # not public
from attnscope.correct.apply.block import Corrected, corrected
from attnscope.correct.apply.prompts import prompted
from attnscope.correct.apply.rerun import rerun
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.correct.controls import Controlled
from attnscope.correct.heads.selection import HeadRule
from attnscope.correct.knockout.knockout import Knockout
from attnscope.correct.moda import ModaAdapter, ModaAlign, ModaCalibrate, ModaMask, ModaPseudo, diagnose
from attnscope.correct.params import parameter
from attnscope.correct.peers.adaptvis import AdaptVis
from attnscope.correct.peers.boxes_described import BoxesDescribed
from attnscope.correct.peers.boxes_drawn import BoxesDrawn
from attnscope.correct.peers.pai import Pai
from attnscope.correct.peers.temperature import Temperature
from attnscope.correct.peers.vaf import Vaf
from attnscope.correct.peers.var import Var
from attnscope.correct.recipe import read as read_corrections
from attnscope.correct.recipe import write as write_corrections
from attnscope.correct.registry import catalogue, correction, corrections, make, schema
from attnscope.correct.request import requested as requested  # not public: for the command line
from attnscope.correct.social.bias import SocialBias

BoxesTold = BoxesDescribed  # the name of before

__all__ = [
    "AdaptVis",
    "BoxesDescribed",
    "BoxesDrawn",
    "Controlled",
    "Corrected",
    "Correction",
    "Decoder",
    "HeadRule",
    "Knockout",
    "ModaAdapter",
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
    "corrected",
    "correction",
    "corrections",
    "diagnose",
    "make",
    "parameter",
    "prompted",
    "read_corrections",
    "rerun",
    "schema",
    "write_corrections",
]
