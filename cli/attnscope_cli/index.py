"""`attnscope index`: one page that lists the reports below a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import print_json, print_lines, setup_logging
from attnscope_cli._options import OutputOptions


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with reports in it or below it.")] = Path(),
    *,
    output: OutputOptions,
) -> None:
    """List all reports below a folder on one page, DIR/index.html, with question, answer and verdict of each.

    Reports are what analyze, compare, correct, eval, heads and preview write. The page needs no script and no network;
    its links lead to the reports beside it.

    Example: `attnscope index demo-out/`
    """
    setup_logging(output.quiet)
    from attnscope.report.index import index

    facts = index(folder, force=output.force)
    print_json(facts) if output.json else print_lines(facts["page"])
