"""Corrections, applied through query-key channels under the model's own kernel."""

from attnscope.correct.base import Correction, Decoder, Running, catalogue, correction, corrections, make
from attnscope.correct.knockout import Knockout
from attnscope.correct.run import bind, corrected, rerun
from attnscope.correct.social_bias import SocialBias

__all__ = [
    "Correction",
    "Decoder",
    "Knockout",
    "Running",
    "SocialBias",
    "bind",
    "catalogue",
    "corrected",
    "correction",
    "corrections",
    "make",
    "rerun",
]
