"""`attnscope correct`: repeat a capture under a correction, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import one_of
from attnscope_cli._common import (
    print_json,
    print_lines,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)
from attnscope_cli._options import CorrectionOptions, ModelNow, OutDir, OutputOptions, ReportOptions, Verify, option
from attnscope_cli._sweep import Sweeps, WhatIf, run_sweep, run_what_if

_DEFAULT = "social-bias"


def run(
    before: Annotated[Path, typer.Argument(metavar="CAPTURE", help="A plain capture (.h5).")],
    out: OutDir = Path("out"),
    *,
    corrections: CorrectionOptions,
    control: Annotated[
        str | None,
        option(
            "Also run a control, and show it beside the correction: the same strength on other cells (wrong-speaker,"
            " all-boxes, all-visual-tokens, random-box) or in other heads (lowest-g-heads).",
            "NAME",
            complete=one_of(_choices.CONTROLS),
        ),
    ] = None,
    sweep: Sweeps = None,
    what_if: WhatIf = False,
    model: ModelNow = None,
    people: ReportOptions,
    verify: Verify = True,
    output: OutputOptions,
) -> None:
    """Repeat a capture under corrections and write after.h5, correction.json and a before/after report.

    The model, the scene and the frames are those of the capture; nothing is trained. Without --method and --correction
    the correction is social-bias. The corrections in correction.json can be applied to other captures with
    --correction. With --control there is also control.h5, and the report has three columns.

    Examples: `attnscope correct run.h5 --method social-bias --alpha 1 -o out/`,
    `attnscope correct run.h5 --method social-bias --rows answer --control wrong-speaker -o out/`,
    `attnscope correct run.h5 --sweep alpha=0.25,0.5,1,2,4 --sweep topk=1,4,16 -o out/`,
    `attnscope correct run.h5 --what-if -o out/`
    """
    setup_logging(output.quiet)
    if sweep and what_if:
        raise RequestError("--what-if: does not run the model, and --sweep does; give one of the two")
    bands = people.bands()
    for name, given in (("--jitter", bands), ("--speaker", people.speaker), ("--control", control)):
        if given and (sweep or what_if):
            raise RequestError(f"{name}: is of the before/after report; --sweep and --what-if write none")
    from attnscope.capture import open as open_capture
    from attnscope.correct.apply.rerun import correction_file, rerun_each
    from attnscope.correct.controls import control as control_of
    from attnscope.files.folders import claimed
    from attnscope.files.reports import PAGE
    from attnscope.report.compare import compare
    from attnscope.report.inputs import subject

    captures = [out / f"{name}.h5" for name in (("after",) if control is None else ("after", "control"))]
    written = [*captures, *map(correction_file, captures), out / PAGE]
    for path in () if sweep or what_if else written:
        refuse_existing(path, output.force)

    if sweep:
        run_sweep(before, out, corrections.steps(_DEFAULT), sweep, model=model, csv=people.csv, output=output)
        return
    chosen = corrections.corrections(_DEFAULT)
    if what_if:
        run_what_if(before, out, chosen, csv=people.csv, output=output)
        return
    runs = dict(zip(captures, [chosen] if control is None else [chosen, control_of(chosen, control)], strict=True))
    with open_capture(before) as cap:
        subject(cap, people.speaker)  # an unknown speaker is refused before the model runs
    quiet_transformers()
    with claimed(out):  # the capture and the report are one output
        with progress_bar(output.quiet) as progress:
            for capture in rerun_each(before, runs, model=model, verify=verify, progress=progress):
                capture.close()
        with progress_bar(output.quiet) as progress:
            summary = compare(
                before,
                captures[0],
                out,
                speaker=people.speaker,
                jitter=bands,
                csv=people.csv,
                progress=progress,
                control=captures[1] if control else None,
            )
    print_json(summary.to_dict()) if output.json else print_lines(summary.report)
