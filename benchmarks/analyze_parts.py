"""The parts of one analysis in a process of its own: seconds and CPU seconds of each family of metrics. Prints JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attnscope
from attnscope import metrics
from attnscope.metrics.registry import FAMILIES
from attnscope.report.analyze import write_tables
from attnscope.report.page.output import Output


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("capture", type=Path)
    parts: dict[str, tuple[float, float]] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun, cpu = time.perf_counter(), time.process_time()
        yield
        parts[name] = time.perf_counter() - begun, time.process_time() - cpu

    tables = {}
    with attnscope.open(parser.parse_args().capture) as cap, tempfile.TemporaryDirectory() as folder:
        for family in FAMILIES:
            with timed(family):  # the first that needs a reading pays for it
                tables |= metrics.compute(cap, [m.name for m in metrics.all_metrics() if m.family == family])
        named = {family: table.assign(capture="run") for family, table in tables.items()}
        with timed("tables"):
            write_tables(Output(Path(folder)), [cap], ["run"], named, metrics.clips.labels([cap], ["run"]))
        rows = sum(len(table) for table in tables.values())
        with timed("jitter"):
            metrics.jitter(cap, tables=tables)
    print(json.dumps({"parts": parts, "rows": rows}))


if __name__ == "__main__":
    main()
