"""Cut heads, or edges between groups of tokens, and see what the answer loses (ours).

Attention mass says where a head looks, not whether it matters there. A cut does: the output of a head becomes 0, or
the tokens of one group no longer see those of another, and everything after that layer is computed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from attnscope.correct.base import Changed, Correction, Decoder
from attnscope.correct.heads import fixed
from attnscope.correct.knockout.edges import EVERY, Cut, cut_edges, cut_rows, parse
from attnscope.correct.knockout.running import RunningKnockout
from attnscope.correct.params import parameter
from attnscope.correct.registry import correction
from attnscope.errors import RequestError
from attnscope.metrics.choosing.headlist import HeadList
from attnscope.scene.problems import show

if TYPE_CHECKING:
    from attnscope.model import Prompt


@correction
@dataclass(frozen=True)
class Knockout(Correction):
    """Cut heads, or edges between groups of tokens.

    Example:
        >>> edit = attnscope.correct.Knockout(edges="answer:visual")
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -2.6
    """

    method: ClassVar[str] = "knockout"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = "cuts heads, or the attention of some tokens to others, to see what the answer loses"

    changes: ClassVar[tuple[Changed, ...]] = ("keys", "outputs")

    heads: str | HeadList = fixed.heads_parameter(
        "Heads that are cut, `2.3,4.0` for head 3 of layer 2 and head 0 of layer 4, or a heads file (.json), which only"
        " its own model takes. Empty: every head, which needs `edges`."
    )
    edges: str = parameter(
        "",
        "Pairs that are cut, QUERIES:KEYS, comma-separated, as in `answer:visual,utterances:own`; the attention of a"
        " row goes to the keys that are left, in proportion. Queries: `answer` (the last position of the prompt, which"
        " predicts the first answer token, and every later one), `question`, `utterances` (turns with a speaker),"
        " `text` (also generated), `visual`, or a speaker's name (that speaker's turns). Keys: `visual`, `text` (also"
        " generated), `question`, `utterances`, and in all frames `speakers` (cells of all speakers), `asked` (of the"
        " one speaker whom the question names) or a speaker's name (that speaker's cells); or `own`, the cells of the"
        " turn's speaker in the frames where it is live. These words win over a speaker of that name. Empty: the whole"
        " output of the heads is 0.",
    )
    rows: str = parameter(
        EVERY, "Without edges, the tokens whose output is 0: `all`, or words as for the queries, comma-separated."
    )
    coverage: float = parameter(0.5, "Fraction of a cell that a box must cover.", gt=0, le=1)

    def __post_init__(self) -> None:
        """Check ranges, and read the heads file."""
        super().__post_init__()
        if not parse(self.edges, self.method) and not fixed.parse(self.heads):
            raise RequestError(f"{self.method} needs heads, edges or both: it does not cut every head")
        if self.edges and self.rows != EVERY:
            raise self.wrong("rows", f"edges={show(self.edges)} says which rows are cut")

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningKnockout:
        """Find the heads and the tokens that are cut.

        Raises:
            RequestError: If the model has no such head, or a prompt lacks tokens that are to be cut.
        """
        chosen = fixed.heads_of(self.heads, decoder) or every_head(decoder)
        cuts = [cut_in(prompt, self.edges, self.rows, self.coverage) for prompt in prompts]
        return RunningKnockout(self, cuts, [chosen] * len(cuts), fixed.foreign(self.heads, decoder))


def every_head(decoder: Decoder) -> dict[int, list[int]]:
    """All heads of a model, by layer."""
    return {layer: list(range(decoder.heads)) for layer in decoder.layers}


def cut_in(prompt: Prompt, edges: str, rows: str, coverage: float) -> Cut:
    """What is cut in a prompt; arguments as the fields of `Knockout`.

    Raises:
        RequestError: If the prompt lacks tokens that are to be cut.
    """
    return cut_edges(prompt, parse(edges), coverage) if edges else cut_rows(prompt, rows)
