"""`attnscope compare`: the before/after report of two captures of one scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import Json, OutDir, Quiet, Speaker, option, print_json, setup_logging
from attnscope_cli.analyze import _amount as amount


def run(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A capture (.h5).")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another capture of the same scene.")],
    out: OutDir = Path("out"),
    speaker: Speaker = None,
    jitter: Annotated[
        str | None,
        option("Bands from boxes whose edges are moved at random: 10% of their size, or 10px.", "AMOUNT"),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare two captures of one scene: maps, differences, every metric, the answer.

    Example: `attnscope compare before.h5 after.h5 -o out/`
    """
    setup_logging(quiet)
    from attnscope.report.compare import compare

    summary = compare(before, after, out, speaker=speaker, jitter=None if jitter is None else amount(jitter))
    print_json(summary.to_dict()) if json else print(summary.report)
