"""Regenerate docs/roundtable.md: `python -m benchmarks.roundtable` (or `make benchmark`)."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.studies.options import done, parsed, parser
from benchmarks.studies.settings import Settings, find_model


def main() -> int:
    """Read the options, run the steps; the exit code."""
    options, models = parser("roundtable", __doc__), ["roundtable", "roundtable-full"]
    options.add_argument(
        "--models", nargs=2, default=models, metavar=("FEW", "MANY"), help="trained on few, on many people"
    )
    options.add_argument(
        "--only",
        choices=("page", "contrast"),
        help="page: make the page again from its tables; contrast: measure only where the plain models look",
    )
    args = parsed(options)
    from benchmarks.studies.roundtable import page, run  # torch reads the environment once

    def work() -> Path:
        if args.only == "page":
            return page.write(page.read(args.out), args.out)
        limited, full = (find_model(*pair) for pair in zip(("limited", "full"), args.models, strict=True))
        settings = Settings((limited, full), args.scale, args.work, args.out, args.workers)
        return run.run_contrast(settings) if args.only == "contrast" else run.run(settings)

    return done("roundtable", work)


if __name__ == "__main__":
    sys.exit(main())
