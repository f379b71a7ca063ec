"""`attnscope validate`: is a capture what its specification says?"""

from __future__ import annotations

import typer

from attnscope_cli._common import CaptureFile, Json, print_json, print_lines, progress_bar


def run(capture: CaptureFile, json: Json = False) -> None:
    """Check a capture's structure, checksums and conservation of mass; exits with 1 if something is wrong.

    Example: `attnscope validate run.h5`
    """
    from attnscope.capture.validate import validate

    with progress_bar(quiet=json) as progress:
        if progress is not None:
            progress("reading", 0, 0)  # how much there is to check is not known
        problems = [str(problem) for problem in validate(capture)]
    if json:
        print_json({"capture": str(capture), "valid": not problems, "problems": problems})
    else:
        print_lines("\n".join(problems) or f"{capture}: valid")
    if problems:
        raise typer.Exit(1)
