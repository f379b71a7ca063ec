"""`attnscope demo`: the whole path on an embedded model, offline."""

from __future__ import annotations

from pathlib import Path

from attnscope_cli._common import print_json, print_lines, progress_bar, quiet_transformers, setup_logging
from attnscope_cli._options import Json, OutDir, Quiet


def run(out: OutDir = Path("demo-out"), quiet: Quiet = False, json: Json = False) -> None:
    """Ask the embedded model about a crowded clip, show why it errs, correct it, and run a control; offline.

    Example: `attnscope demo -o demo-out/`
    """
    setup_logging(quiet)
    quiet_transformers()
    from attnscope.demo.walkthrough import demo

    with progress_bar(quiet) as progress:
        result = demo(out, progress=progress)
    if json:
        print_json(result.to_dict())
    else:
        print_lines(result.describe())
