"""What a verdict is made of, and how its sentences write names, shares and layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attnscope.files import printable
from attnscope.report.page.summary import plain

ANSWER, ATTENTION, CORRECTION, CAUSE, LIMITS = "answer", "attention", "correction", "cause", "limits"
TITLES = {
    ANSWER: "Answer",
    ATTENTION: "Where it looks",
    CORRECTION: "Correction",
    CAUSE: "Without a head",
    LIMITS: "How far this goes",
}
_LONGEST = 60  # letters of an answer in a sentence


@dataclass(frozen=True)
class Statement:
    """One thing that a verdict says.

    Attributes:
        about: `answer`, `attention`, `correction`, `cause` or `limits`.
        lead: The sentence for those who read one.
        details: More sentences.
        numbers: Sentences with numbers that the trial of the verdict has in columns, too; a page leaves them out.
    """

    about: str
    lead: str
    details: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """A heading of a word or two."""
        return TITLES[self.about]

    @property
    def text(self) -> str:
        """All its sentences."""
        return " ".join([self.lead, *self.details, *self.numbers])


@dataclass(frozen=True)
class Cell:
    """One cell of a trial: a text, and a share of which a bar is drawn.

    Attributes:
        text: What it says.
        share: Length of its bar, 0 to 1; None for no bar.
        word: `right` or `wrong`, for a mark; "" for none.
    """

    text: str
    share: float | None = None
    word: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a trial.

    Attributes:
        title: What it is of.
        cells: One for each run.
        note: More on the title; "" for nothing.
        chance: Where chance is marked on its bars; None for nowhere.
    """

    title: str
    cells: tuple[Cell, ...]
    note: str = ""
    chance: float | None = None


@dataclass(frozen=True)
class Trial:
    """The runs of a scene in columns.

    Attributes:
        columns: What each run is.
        rows: What is compared, by heading.
        note: How it is read.
    """

    columns: tuple[str, ...]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a page says first.

    Attributes:
        statements: At most one of each kind, in their order.
        trial: The same numbers of each run in columns, for a table; None where there is no verdict.
        facts: The numbers that they are made from, JSON-able.
    """

    statements: tuple[Statement, ...]
    trial: Trial | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """The statements as text."""
        return [statement.text for statement in self.statements]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        leads = [statement.lead for statement in self.statements]
        document: dict[str, Any] = plain({"leads": leads, "sentences": self.sentences, "facts": self.facts})
        return document


def quoted(text: str, longest: int = _LONGEST) -> str:
    """A text of a user or a model inside a sentence."""
    return f"“{name_of(text, longest)}”"


def name_of(text: str, longest: int = _LONGEST) -> str:
    """A person's name inside a sentence."""
    clean = " ".join(printable(text).split())
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"


def share(value: float) -> str:
    """A share in whole per cent; what is not 0 or 100 % is not written so."""
    if value != value:
        return "an unknown share"
    if 0 < value < 0.01:
        return "under 1 %"
    if 0.99 < value < 1:
        return "over 99 %"
    return f"{100 * value:.0f} %"


def band(low: float, high: float) -> str:
    """Two shares as a range; "" where there is none."""
    return "" if low != low or high != high else f"{100 * low:.0f} to {100 * high:.0f} %"


def listed(items: Sequence[str], word: str = "and") -> str:
    """A few things in a sentence: "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def layers(numbers: Sequence[int]) -> str:
    """Layers in a sentence: "layer 3", "layers 3 to 5", "layers 1 and 3 to 5"."""
    ordered, runs = sorted(set(numbers)), list[list[int]]()
    for number in ordered:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = []
    for run in runs:
        texts += [str(run[0])] if len(run) == 1 else [f"{run[0]} to {run[-1]}"] if len(run) > 2 else list(map(str, run))
    return f"layer{'s' if len(ordered) > 1 else ''} {listed(texts)}"


def count(number: int, word: str, several: str = "") -> str:
    """A number of things: "1 head", "1,024 heads"; `several` where an s does not make it many."""
    return f"{number:,} {word if number == 1 else several or word + 's'}"
