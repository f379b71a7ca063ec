"""Does this installation do what attnscope relies on? The first thing a bug report contains.

Everything is checked by doing it: packages are imported, kernels are compared with a dense softmax, the embedded model
is captured and corrected, and each assumption about the insides of transformers is tried. A check that cannot run says
why, so that a broken or missing package is named and the rest of the report is still there.

>>> from attnscope.doctor import examine
>>> diagnosis = examine()
>>> diagnosis.healthy
True
"""

from attnscope.doctor.diagnosis import Diagnosis, Finding, Section
from attnscope.doctor.examine import examine, sections

__all__ = ["Diagnosis", "Finding", "Section", "examine", "sections"]
