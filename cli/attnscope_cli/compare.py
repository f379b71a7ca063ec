"""`attnscope compare`: the before/after report of two captures of one scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import print_json, print_lines, progress_bar, refuse_existing, setup_logging
from attnscope_cli._options import OutDir, OutputOptions, ReportOptions, option


def run(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A capture (.h5).")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another capture of the same scene.")],
    out: OutDir = Path("out"),
    *,
    control: Annotated[
        Path | None,
        option("A third capture: the correction of AFTER, as strong, on other cells or heads.", "CONTROL"),
    ] = None,
    people: ReportOptions,
    output: OutputOptions,
) -> None:
    """Compare two captures of one scene: maps, differences, every metric, the answer; and a control beside them.

    Examples: `attnscope compare before.h5 after.h5 -o out/`,
    `attnscope compare before.h5 after.h5 --control control.h5 -o out/`
    """
    setup_logging(output.quiet)
    bands = people.bands()
    from attnscope.files.reports import PAGE
    from attnscope.report.compare import compare

    refuse_existing(out / PAGE, output.force)
    with progress_bar(output.quiet) as progress:
        summary = compare(
            before,
            after,
            out,
            speaker=people.speaker,
            jitter=bands,
            csv=people.csv,
            progress=progress,
            control=control,
        )
    print_json(summary.to_dict()) if output.json else print_lines(summary.report)
