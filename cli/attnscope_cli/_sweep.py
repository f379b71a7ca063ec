"""`--sweep` and `--what-if` of `attnscope correct`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from attnscope_cli._common import (
    print_json,
    print_lines,
    print_table,
    progress_bar,
    quiet_transformers,
    refuse_existing,
)
from attnscope_cli._options import OutputOptions, option

if TYPE_CHECKING:
    from attnscope.correct import Correction

Sweeps = Annotated[
    list[str] | None,
    option(
        "Run every value of a parameter, KEY=VALUE,VALUE,... (METHOD.KEY where several corrections have it; values"
        " that hold commas are separated by semicolons), and draw dose and response; repeatable: every value with"
        " every other, at most 200 settings.",
        "KEY=VALUES",
        "--sweep",
    ),
]
WhatIf = Annotated[
    bool,
    option(
        "Do not run the model: say what would change in each layer by itself, from the queries and keys of a capture"
        " (--plan qk); deeper layers are not followed.",
        None,
        "--what-if",
    ),
]


def run_sweep(
    before: Path,
    out: Path,
    steps: Sequence[tuple[str, Mapping[str, Any]] | Correction],
    sweeps: Sequence[str],
    *,
    model: str | None,
    csv: bool,
    output: OutputOptions,
) -> None:
    """Run a sweep, print its small table and where its page is.

    Args:
        before: A plain capture.
        out: Folder of the results.
        steps: Method and given parameters of each correction, None for what is not given; or corrections of a file.
        sweeps: As given to `--sweep`.
        model: Where the model is now.
        csv: Write tables of any size as CSV too.
        output: How the results are written and printed.
    """
    from attnscope.files.reports import PAGE
    from attnscope.report.sweep import brief, sweep

    refuse_existing(out / PAGE, output.force)
    quiet_transformers()
    with progress_bar(output.quiet) as progress:
        summary = sweep(before, steps, sweeps, out, model=model, csv=csv, progress=progress)
    if output.json:
        print_json(summary.to_dict())
        return
    print_table(*brief(summary))
    print_lines(summary.report)


def run_what_if(
    before: Path, out: Path, corrections: Sequence[Correction], *, csv: bool, output: OutputOptions
) -> None:
    """Answer a what-if, print the heads that would change most and where its page is; arguments as of `run_sweep`."""
    from attnscope.files.reports import PAGE
    from attnscope.report.what_if import brief, what_if

    refuse_existing(out / PAGE, output.force)
    with progress_bar(output.quiet) as progress:
        summary = what_if(before, corrections, out, csv=csv, progress=progress)
    if output.json:
        print_json(summary.to_dict())
        return
    lines, columns, rows = brief(summary)
    print_lines(*lines)
    if rows:
        print_table(columns, rows)
    print_lines(summary.report)
