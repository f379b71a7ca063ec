"""How a prompt's visual tokens got their places, or why they have none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from attnscope.vocabulary import LAYOUT, NOWHERE, PLACINGS, has_cell

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.vocabulary import Columns


@dataclass(frozen=True)
class Placing:
    """How the visual tokens of a prompt got their places.

    Attributes:
        how: One of `attnscope.vocabulary.PLACINGS`.
        verified: Share of the tokens tried, from 0 to 1, that changed with the pixels of their cell and with no
            others; None if none was tried.
        reason: Why there are no places, in words that a sentence can begin with; "" where there are.

    Example:
        >>> attnscope.model.Placing("probed", verified=1.0).words("qwen3_vl", 1196)
        'probed (100 % of 1,196 tokens answer to their cell)'
    """

    how: str
    verified: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what no prompt can have.

        Raises:
            ValueError: If `how` is unknown, `verified` is no share, or the reason does not go with `how`.
        """
        if self.how not in PLACINGS:
            raise ValueError(f"how='{self.how}' is none of {', '.join(PLACINGS)}")
        if self.verified is not None and (self.how == NOWHERE or not 0 <= self.verified <= 1):
            raise ValueError(f"verified={self.verified} is no share of tokens that have a cell")
        if (self.how == NOWHERE) != bool(self.reason):
            raise ValueError(f"how='{self.how}' with the reason '{self.reason}': only tokens without places have one")

    def words(self, family: str, count: int) -> str:
        """The placing as the end of a sentence that begins with "placed".

        Args:
            family: Name of the model's layout, for tokens that one placed.
            count: How many visual tokens have a cell.
        """
        if self.how == NOWHERE:
            return f"nowhere: {self.reason}"
        by = self.how
        if self.how == LAYOUT:
            by = "by a layout" if family == "unknown" else f"by the layout of {family}"
        if self.verified is None:
            return by
        return f"{by} ({percent(self.verified)} of {count:,} tokens answer to their cell)"

    def to_dict(self) -> dict[str, Any]:
        """As in a capture: `how`, `verified` and `reason`."""
        return asdict(self)


def percent(share: float) -> str:
    """A share from 0 to 1 in words, rounded down: "100 %" stands for all of them alone."""
    return f"{math.floor(100 * share + 1e-9)} %"


def stated_placing(prompt: Mapping[str, Any]) -> Placing | None:
    """What a capture's `/prompt` states; None if it is of a version before 1.3, which states nothing.

    Raises:
        ValueError: If it states what no prompt can have.
    """
    stated = prompt.get("placing")
    return None if stated is None else Placing(str(stated.get("how")), stated.get("verified"), stated.get("reason", ""))


def placing_of(tokens: pd.DataFrame | Columns, family: str) -> Placing:
    """The placing of tokens of which none is stated, as in captures before version 1.3.

    Args:
        tokens: A token table, or the columns of it.
        family: The model's family, to be named where there are no places.
    """
    return Placing(LAYOUT) if has_cell(tokens).any() else Placing(NOWHERE, reason=no_layout(family))


def no_layout(family: str) -> str:
    """The reason of a family that no layout places."""
    return f"family {family} has no layout"
