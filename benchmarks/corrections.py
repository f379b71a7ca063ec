"""Regenerate docs/corrections.md: `python -m benchmarks.corrections` (or `make bench-corrections`)."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.studies.corrections.settings import Settings
from benchmarks.studies.options import done, parsed, parser
from benchmarks.studies.settings import find_model


def main() -> int:
    """Read the options, run the steps; the exit code."""
    options = parser("corrections", __doc__)
    options.add_argument("--model", default="roundtable", help="trained on few people; heads were chosen on roundtable")
    options.add_argument(
        "--only",
        choices=("page", "gaps"),
        help="page: make the page again from its tables; gaps: measure only the gaps between modalities",
    )
    args = parsed(options)
    from benchmarks.studies.corrections import page, run  # torch reads the environment once

    def work() -> Path:
        if args.only == "page":
            return page.write(page.read(args.out), args.out)
        model = find_model("limited", args.model)
        settings = Settings((model,), args.scale, args.work, args.out, args.workers)
        return run.run_gaps(settings) if args.only == "gaps" else run.run(settings)

    return done("corrections", work)


if __name__ == "__main__":
    sys.exit(main())
