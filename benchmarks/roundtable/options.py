"""Options that the benchmarks on the embedded models share, and what both do around a run."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from attnscope.errors import AttnscopeError


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark.

    Args:
        name: Of the package in `benchmarks`, which is also that of the page.
        about: What it does.
    """
    found = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    found.add_argument("--scale", type=float, default=1.0, help="factor on the number of questions")
    found.add_argument("--work", type=Path, default=Path("benchmark-out"), help="scenes and results; found again")
    found.add_argument("--out", type=Path, default=Path("docs"), help=f"folder of {name}.md, images/ and data/")
    found.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    return found


def parsed(found: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, checked, and the environment of the processes."""
    args = found.parse_args()
    if args.scale <= 0 or args.workers < 1:
        found.error("--scale and --workers must be positive")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes; torch reads it once, when it is imported
    logging.getLogger("attnscope").setLevel(logging.ERROR)
    return args


def done(name: str, run: Callable[[], Path]) -> int:
    """Run it and print where its page is; the exit code."""
    try:
        print(run())
    except AttnscopeError as error:
        print(f"benchmarks.{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0
