"""`attnscope validate`: is a capture what its specification says?"""

from __future__ import annotations

from typing import Annotated

import typer

from attnscope_cli._common import print_json, print_lines, progress_bar
from attnscope_cli._options import CaptureFile, Json


def run(
    capture: CaptureFile,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compute every row once more from queries and keys, not a few.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a capture's structure and checksums, and that its readings agree; exits with 1 if something is wrong.

    Example: `attnscope validate run.h5`
    """
    from attnscope.capture.check.validate import validate

    with progress_bar(quiet=json) as progress:
        if progress is not None:
            progress("reading", 0, 0)  # how much there is to check is not known
        problems = [str(problem) for problem in validate(capture, deep=deep)]
    if json:
        print_json({"capture": str(capture), "valid": not problems, "problems": problems})
    else:
        print_lines("\n".join(problems) or f"{capture}: valid")
    if problems:
        raise typer.Exit(1)
