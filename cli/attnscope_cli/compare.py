"""`attnscope compare`: the before/after report of two captures of one scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import print_json, print_lines, progress_bar, refuse_existing, setup_logging
from attnscope_cli._options import OutDir, OutputOptions, ReportOptions


def run(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A capture (.h5).")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another capture of the same scene.")],
    out: OutDir = Path("out"),
    *,
    people: ReportOptions,
    output: OutputOptions,
) -> None:
    """Compare two captures of one scene: maps, differences, every metric, the answer.

    Example: `attnscope compare before.h5 after.h5 -o out/`
    """
    setup_logging(output.quiet)
    bands = people.bands()
    from attnscope.report.compare import compare
    from attnscope.report.page.staging import PAGE

    refuse_existing(out / PAGE, output.force)
    with progress_bar(output.quiet) as progress:
        summary = compare(before, after, out, speaker=people.speaker, jitter=bands, csv=people.csv, progress=progress)
    print_json(summary.to_dict()) if output.json else print_lines(summary.report)
