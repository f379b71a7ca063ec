"""The parts of one analysis in a process of its own: seconds and CPU seconds of each. Prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attnscope
from attnscope import metrics
from attnscope.metrics.jitter import compute_banded
from attnscope.report.analyze import sections, write_tables
from attnscope.report.figures.style import styled
from attnscope.report.inputs import Analysis
from attnscope.report.page.output import Output


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("capture", type=Path)
    parts: dict[str, tuple[float, float]] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun, cpu = time.perf_counter(), _cpu()
        yield
        parts[name] = time.perf_counter() - begun, _cpu() - cpu

    with attnscope.open(parser.parse_args().capture) as cap, tempfile.TemporaryDirectory() as folder:
        with timed("metrics"):
            tables = metrics.compute(cap)
        named = {family: table.assign(capture="run") for family, table in tables.items()}
        output, about = Output(Path(folder)), metrics.clips.labels([cap], ["run"])
        with timed("tables"):
            write_tables(output, [cap], ["run"], named, about)
        with timed("figures"), styled("paper"):
            sections(Analysis(output, [cap], ["run"], named, about))
        rows = sum(len(table) for table in tables.values())
        with timed("metrics with the bands of `--jitter 10%`"):
            compute_banded(cap)
        for family in ("grounding", "speakers", "pairs", "answer", "heads", "sinks"):
            with timed(f"of the metrics, {family} alone"):  # each reads the maps anew, which together they do once
                metrics.compute(cap, [m.name for m in metrics.all_metrics() if m.family == family])
    print(json.dumps({"parts": parts, "rows": rows}))


def _cpu() -> float:
    """CPU seconds of this process, and of those that it has started and that have ended."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system


if __name__ == "__main__":
    main()
