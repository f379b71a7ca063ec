"""`attnscope analyze`: tables, figures and a report from captures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import Json, OutDir, Quiet, print_json, setup_logging


def run(
    captures: Annotated[list[Path], typer.Argument(help="Captures (.h5).")],
    out: OutDir = Path("out"),
    speaker: Annotated[str | None, typer.Option(help="Whose attention is laid over the frames; the first with words and a box if not given.")] = None,
    threshold: Annotated[float, typer.Option(help="Part of a visual token that a speaker's box must cover.")] = 0.5,
    denominator: Annotated[str, typer.Option(help="Denominator of the modality gap: max, sum or self.")] = "max",
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
