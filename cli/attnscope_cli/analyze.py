"""`attnscope analyze`: tables, figures and a report from captures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import Json, OutDir, Quiet, Speaker, option, print_json, setup_logging


def run(
    captures: Annotated[list[Path], typer.Argument(metavar="CAPTURE", help="Captures (.h5) of one model.")],
    out: OutDir = Path("out"),
    speaker: Speaker = None,
    threshold: Annotated[
        float, option("Fraction (0 to 1) of a visual token that a speaker's box must cover.", "FRACTION")
    ] = 0.5,
    denominator: Annotated[str, option("Denominator of the modality gap: max, sum or self.", "NAME")] = "max",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure captures: self- and cross-modal attention, decay with depth, speaker consistency.

    Example: `attnscope analyze run.h5 -o out/`
    """
    setup_logging(quiet)
    from attnscope.report.analyze import analyze

    summary = analyze(captures, out, speaker=speaker, threshold=threshold, denominator=denominator)
    print_json(summary.to_dict()) if json else print(summary.report)
