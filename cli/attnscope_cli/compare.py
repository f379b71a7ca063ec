"""`attnscope compare`: the before/after report of two captures of one scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import Jitter, Json, OutDir, Quiet, Speaker, jitter_options, print_json, setup_logging


def run(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A capture (.h5).")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another capture of the same scene.")],
    out: OutDir = Path("out"),
    speaker: Speaker = None,
    jitter: Jitter = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare two captures of one scene: maps, differences, every metric, the answer.

    Example: `attnscope compare before.h5 after.h5 -o out/`
    """
    setup_logging(quiet)
    from attnscope.report.compare import compare

    summary = compare(before, after, out, speaker=speaker, jitter=jitter_options(jitter))
    print_json(summary.to_dict()) if json else print(summary.report)
