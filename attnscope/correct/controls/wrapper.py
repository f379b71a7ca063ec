"""A correction under a control: other cells, worse boxes or the lowest heads in place of its own (ours).

A control is made around a correction and changes nothing in it: where the correction asks for the cells of speakers
(`attnscope.correct.cells.find_cells`) or for heads (`attnscope.correct.heads.selection.choose`), the control answers.
In correction.json and on the command line its parameters stand among those of the correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope.correct.base import Correction, Decoder, Running
from attnscope.correct.cells import Bools, Cells, elsewhere, placed, random_note
from attnscope.correct.controls.boxes import worse_coverage
from attnscope.correct.params import parameter
from attnscope.errors import NotApplicableError, RequestError
from attnscope.vocabulary import VISUAL, Visual

if TYPE_CHECKING:
    from attnscope.model import Prompt
    from attnscope.scene import Frames, Scene

WHOSE = {
    "own": "",
    "other": "those of the next visible speaker, in the scene's order",
    "everyone": "those of all speakers",
    VISUAL: "all visual tokens",
    "random": "as many at a random place",
}


@dataclass(frozen=True)
class Controlled(Correction):
    """A correction bound under a control; to read, it has the correction's parameters as well as its own.

    Attributes:
        of: The correction.

    Example:
        >>> control = attnscope.correct.Controlled(social, whose="everyone")
        >>> with attnscope.corrected(model, scene, control) as block:
        ...     block.answer()  # drawn to everybody, the model answers as without a correction
        'Ben'
    """

    method: ClassVar[str] = "control"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "a correction with other cells, worse boxes or other heads, to compare with"

    of: Correction = parameter(declared=False)
    whose: Literal["own", "other", "everyone"] | Visual | Literal["random"] = parameter(
        "own",
        "What all rows are drawn to in place of their speaker's `own` cells: those of the `other` speaker after that"
        " one, of `everyone`, all `visual` tokens, or `random` ones: as many in every frame, moved over the grid of"
        " cells by one step, off the speaker's own where there is room.",
    )
    box_jitter: float = parameter(
        0.0,
        "Standard deviation of noise on each edge of each box in each frame, as a fraction of its width or height, as"
        " in `attnscope.metrics.jitter`. Boxes are made worse for this correction alone: metrics keep the true ones.",
        ge=0,
    )
    box_shift: float = parameter(
        0.0,
        "How far each speaker's boxes are moved, in a random direction but the same in all frames, as a fraction of"
        " their width (sideways) and height.",
        ge=0,
    )
    box_drop: float = parameter(0.0, "The probability that a speaker's box is missing in a frame.", ge=0, le=1)
    lowest: bool = parameter(
        False,
        "As many heads as the rule would choose, but the lowest-ranked of those that see the cells.",
    )
    seed: int = parameter(0, "Of the random numbers, which also depend on the clip's boxes.", ge=0)

    def __post_init__(self) -> None:
        """Check the parameters, by themselves and beside those of the correction.

        Raises:
            RequestError: If one is wrong or contradicts another, or the correction knows no controls.
        """
        of = self.of
        if of.control is None:
            raise RequestError(f"{of.method}: knows no controls, or is under one already")
        for name in ("method", "source", "summary", "changes", "about"):  # records name the correction
            object.__setattr__(self, name, getattr(of, name))
        super().__post_init__()
        if of.values().get("seed", self.seed) != self.seed:  # one seed for both
            object.__setattr__(self, "of", replace(of, **{"seed": self.seed}))
        of.refuse_control(self)

    def __getattr__(self, name: str) -> Any:
        """Read a parameter of the correction."""
        if name == "of" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.of, name)

    @classmethod
    def around(cls, correction: Correction, control: Mapping[str, Any]) -> Correction:
        """A correction under a control, or as it is where the control changes nothing.

        Raises:
            RequestError: If a parameter of the control is wrong.
        """
        seed = correction.values().get("seed", 0)
        controlled = cls(correction, **{"seed": seed, **control})
        return controlled if controlled.acts else correction

    def values(self) -> dict[str, Any]:
        """The parameters as they were given: those of the correction, then those of the control."""
        return self.of.values() | super().values()

    def unused(self) -> list[str]:
        """Parameters that play no role beside the others' values."""
        seeded = self.whose == "random" or self.worsens
        idle = [name for name in self.of.unused() if name != "seed" or not seeded]
        return idle if seeded or "seed" in idle or "seed" in self.of.values() else [*idle, "seed"]

    def show(self, scene: Scene, frames: Frames) -> tuple[Scene, Frames]:
        """What the correction shows the model."""
        return self.of.show(scene, frames)

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> Running:
        """Bind the correction under this control; arguments and errors as of its own `bind`."""
        running = self.of.bind(prompts, replace(decoder, control=self))
        running.settings = self
        return running

    # ---- what the control answers where the correction asks

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.whose != "own" or self.lowest or self.worsens

    @property
    def worsens(self) -> bool:
        """Whether boxes are worse than they are."""
        return bool(self.box_jitter or self.box_shift or self.box_drop)

    def worse(self, prompt: Prompt) -> tuple[list[NDArray[np.float32]], str]:
        """What worse boxes cover of each token, by speaker [N], and a sentence on how they were made."""
        return worse_coverage(prompt, self.box_jitter, self.box_shift, self.box_drop, self.seed)

    def exchanged(self, prompt: Prompt, cells: Cells) -> Cells:
        """The cells with others in place of each speaker's own.

        Raises:
            NotApplicableError: If there is nobody else's to draw to.
        """
        if self.whose == "own":
            return cells
        pairs = {name: self._instead(prompt, cells, name) for name in cells.boxed}
        whole = {name: pair[0] for name, pair in pairs.items()}
        note = f"in place of a speaker's own cells: {WHOSE[self.whose]}"
        if self.whose == "random":
            note += random_note(self.seed, [(whole[name], cells.targets[name]) for name in cells.boxed])
        targets = {name: pair[1] for name, pair in pairs.items()}
        return replace(cells, whole=whole, targets=targets, notes=(*cells.notes, note), instead=WHOSE[self.whose])

    def _instead(self, prompt: Prompt, cells: Cells, name: str) -> tuple[Bools, Bools]:
        """What takes the place of a speaker's cells, and the same without what is left out."""
        if self.whose == "other":
            other = cells.after(name)
            if other is None and name in cells.visible:
                raise NotApplicableError(
                    f'{prompt.scene.video}: {self.method}.whose="other": needs a speaker with a visible box beside'
                    f" {name}, and the scene has none"
                )
            return (cells.boxed[other or name], cells.targets[other or name])
        if self.whose == "everyone":
            instead = cells.all
        elif self.whose == VISUAL:
            instead = placed(prompt.tokens)
        else:
            instead = elsewhere(prompt, self.seed, name, cells.targets[name])
        return instead, instead
