"""`attnscope analyze`: tables, figures and a report from captures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import (
    Force,
    Jitter,
    Json,
    OutDir,
    Quiet,
    Speaker,
    jitter_options,
    option,
    print_json,
    print_lines,
    progress_bar,
    refuse_existing,
    setup_logging,
)


def run(
    captures: Annotated[list[Path], typer.Argument(metavar="CAPTURE", help="Captures (.h5) of one model.")],
    out: OutDir = Path("out"),
    speaker: Speaker = None,
    threshold: Annotated[
        float, option("Fraction (0 to 1) of a visual token that a speaker's box must cover.", "FRACTION")
    ] = 0.5,
    denominator: Annotated[str, option("Denominator of the modality gap: max, sum or self.", "NAME")] = "max",
    by: Annotated[
        str | None,
        option("Compare several captures by this field of their scenes, by speakers, or by correction.", "FIELD"),
    ] = None,
    jitter: Jitter = None,
    style: Annotated[str, option("Of figures: paper or slides.", "NAME")] = "paper",
    films: Annotated[
        bool,
        option(
            "Also write the attention over the moving clip as mp4 and GIF; slow, seconds a clip.", None, None, "--films"
        ),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure captures: self- and cross-modal attention, decay with depth, sinks and rank, speaker consistency.

    Examples: `attnscope analyze run.h5 -o out/`, `attnscope analyze runs/*.h5 --by people -o out/`
    """
    setup_logging(quiet)
    from attnscope.report.analyze import PAGE, analyze

    refuse_existing(out / PAGE, force)
    bands = jitter_options(jitter)
    with progress_bar(quiet) as progress:
        summary = analyze(
            captures,
            out,
            speaker=speaker,
            threshold=threshold,
            denominator=denominator,
            by=by,
            jitter=bands,
            style=style,
            films=films,
            progress=progress,
        )
    print_json(summary.to_dict()) if json else print_lines(summary.report)
