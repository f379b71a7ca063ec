"""Regenerate docs/roundtable.md: `python -m benchmarks.roundtable` (or `make benchmark`)."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.roundtable.options import done, parsed, parser
from benchmarks.roundtable.settings import Settings, find_model


def main() -> int:
    """Read the options, run the steps; the exit code."""
    options, models = parser("roundtable", __doc__), ["roundtable", "roundtable-full"]
    options.add_argument(
        "--models", nargs=2, default=models, metavar=("FEW", "MANY"), help="trained on few, on many people"
    )
    args = parsed(options)
    from benchmarks.roundtable.run import run  # torch reads the environment once

    def work() -> Path:
        limited, full = (find_model(*pair) for pair in zip(("limited", "full"), args.models, strict=True))
        return run(Settings((limited, full), args.scale, args.work, args.out, args.workers))

    return done("roundtable", work)


if __name__ == "__main__":
    sys.exit(main())
