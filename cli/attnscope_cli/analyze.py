"""`attnscope analyze`: tables, figures and a report from captures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from attnscope_cli import _choices
from attnscope_cli._choices import one_of
from attnscope_cli._common import print_json, print_lines, progress_bar, refuse_existing, setup_logging
from attnscope_cli._options import COVERAGE, CaptureFiles, Coverage, OutDir, OutputOptions, ReportOptions, option


def run(
    captures: CaptureFiles,
    out: OutDir = Path("out"),
    *,
    people: ReportOptions,
    threshold: Coverage = COVERAGE,
    denominator: Annotated[
        str,
        option("Denominator of the modality gap: max, sum or self.", "NAME", complete=one_of(_choices.DENOMINATORS)),
    ] = "max",
    by: Annotated[
        str | None,
        option(
            "Compare several captures by this field of their scenes, by speakers, or by correction.",
            "FIELD",
            complete=one_of(_choices.CAPTURE_FIELDS),
        ),
    ] = None,
    style: Annotated[str, option("Of figures: paper or slides.", "NAME", complete=one_of(_choices.STYLES))] = "paper",
    films: Annotated[
        bool,
        option("Also write the attention over the moving clip as mp4 and GIF; slow, seconds a clip.", None, "--films"),
    ] = False,
    output: OutputOptions,
) -> None:
    """Measure captures: self- and cross-modal attention, decay with depth, sinks and rank, speaker consistency.

    Examples: `attnscope analyze run.h5 -o out/`, `attnscope analyze runs/*.h5 --by people -o out/`
    """
    setup_logging(output.quiet)
    from attnscope.files.reports import PAGE
    from attnscope.report.analyze import analyze

    refuse_existing(out / PAGE, output.force)
    bands = people.bands()
    with progress_bar(output.quiet) as progress:
        summary = analyze(
            captures,
            out,
            speaker=people.speaker,
            threshold=threshold,
            denominator=denominator,
            by=by,
            jitter=bands,
            style=style,
            films=films,
            csv=people.csv,
            progress=progress,
        )
    print_json(summary.to_dict()) if output.json else print_lines(summary.report)
