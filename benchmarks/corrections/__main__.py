"""Regenerate docs/corrections.md: `python -m benchmarks.corrections` (or `make bench-corrections`)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from attnscope.errors import AttnscopeError
from benchmarks.corrections.settings import Settings
from benchmarks.roundtable.settings import find_model


def main() -> int:
    """Read the options, run the steps; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corrections", description=__doc__)
    parser.add_argument("--model", default="roundtable", help="trained on few people; heads were chosen on roundtable")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of questions")
    parser.add_argument("--work", type=Path, default=Path("benchmark-out"), help="scenes and results; found again")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of corrections.md, images/ and data/")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    args = parser.parse_args()
    if args.scale <= 0 or args.workers < 1:
        parser.error("--scale and --workers must be positive")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    logging.getLogger("attnscope").setLevel(logging.ERROR)
    from benchmarks.corrections.run import run  # torch reads the environment once

    try:
        model = find_model("limited", args.model)
        print(run(Settings((model,), args.scale, args.work, args.out, args.workers)))
    except AttnscopeError as error:
        print(f"benchmarks.corrections: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
