"""Options that the benchmarks on the embedded models share, and what both do around a run."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from attnscope.errors import AttnscopeError
from benchmarks.studies.settings import Settings


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark.

    Args:
        name: Name of the module in `benchmarks`, which is also that of the page.
        about: What it does.
    """
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    options.add_argument("--scale", type=float, default=1.0, help="factor on the number of questions")
    options.add_argument("--work", type=Path, default=Path("benchmark-out"), help="scenes and results; options again")
    options.add_argument("--out", type=Path, default=Path("docs"), help=f"folder of {name}.md, images/ and data/")
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    return options


def parsed(options: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, checked, and the environment of the processes."""
    args = options.parse_args()
    if args.scale <= 0 or args.workers < 1:
        options.error("--scale and --workers must be positive")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes; torch reads it once, when it is imported
    logging.getLogger("attnscope").setLevel(logging.ERROR)
    return args


def command(name: str, settings: Settings, only: str = "") -> str:
    """What somebody types to make a page, or a part of it, again."""
    only = f" --only {only}" if only else ""
    scaled = "" if settings.scale == 1 else f" --scale {settings.scale:g}"
    return f"python -m benchmarks.{name}{only}{scaled}"


def tell(text: str) -> None:
    """Say what the run is doing, on stderr."""
    print(text, file=sys.stderr, flush=True)


def done(name: str, run: Callable[[], Path]) -> int:
    """Run it and print where its page is; the exit code."""
    try:
        print(run())
    except AttnscopeError as error:
        print(f"benchmarks.{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0
