"""Places by proof: where visual tokens look is found, and what a layout says of it is checked, by repainting pixels.

While the tower runs, every token outside of the decoder keeps to itself (`isolation`), made-up frames are repainted in
part (`trial`), and the tokens that answer are those that look there: `locate` finds the places of a family that nobody
has written down, `verify` puts any places to the test.
"""

from __future__ import annotations

from attnscope.model.probe.isolation import decoder_input, isolated
from attnscope.model.probe.locate import locate
from attnscope.model.probe.places import LEAST, probed_places, verified_share
from attnscope.model.probe.trial import Trial
from attnscope.model.probe.verify import agreement

__all__ = [
    "LEAST",
    "Trial",
    "agreement",
    "decoder_input",
    "isolated",
    "locate",
    "probed_places",
    "verified_share",
]
