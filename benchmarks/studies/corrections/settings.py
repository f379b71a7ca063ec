"""What one run does: smaller than `benchmarks.roundtable`, since many more corrections are tried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.studies.conditions import Head
from benchmarks.studies.heads import choose, pairs
from benchmarks.studies.settings import NAMED
from benchmarks.studies.settings import Settings as RoundTable

HARM = ("cup", "colour", "thing")  # questions about things, or about what belongs to a person
ASKED = (*NAMED, *HARM)
FOUND = Path(__file__).parents[3] / "docs" / "data"  # where `make benchmark` writes what it chose


@dataclass(frozen=True)
class Settings(RoundTable):
    """All that decides the numbers; attributes as in `benchmarks.studies.settings.Settings`, with one model."""

    @property
    def per_cell(self) -> int:
        """Most questions of a task that names a person and a number of people, on test clips."""
        return self._scaled(60)

    @property
    def dose_per_cell(self) -> int:
        """Most questions of a task of `HARM` and a number of people, on test clips."""
        return self._scaled(25)

    @property
    def calibration_per_cell(self) -> int:
        """Most questions of a task and a number of people on calibration clips, where doses are chosen."""
        return self._scaled(30)

    @property
    def gap_clips(self) -> int:
        """Clips on which the gap between modalities is measured."""
        return self._scaled(42)


@dataclass(frozen=True)
class Chosen:
    """What `make benchmark` chose on calibration clips.

    Attributes:
        alpha: Strength.
        heads: The highest-ranked heads.
        lowest: As many of the lowest-ranked.
    """

    alpha: float
    heads: tuple[Head, ...]
    lowest: tuple[Head, ...]


def chosen(folder: Path = FOUND) -> Chosen:
    """Choose heads and strength from the tables of docs/roundtable.md, by its rule."""
    count, alpha = choose(pd.read_csv(folder / "roundtable-calibration.csv"))
    ranked = pairs(pd.read_csv(folder / "roundtable-heads.csv"))
    return Chosen(alpha, tuple(ranked[:count]), tuple(ranked[-count:]))
