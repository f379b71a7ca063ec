"""`attnscope methods`: every metric and correction, with its definition and where it comes from."""

from __future__ import annotations

from typing import Any

from attnscope_cli._common import print_entries, print_json
from attnscope_cli._options import Json


def run(json: Json = False) -> None:
    """List metrics and corrections with their definitions, sources, ranges and chance levels.

    Sources: paper (published), code (released code), 2nd (read in a secondary summary), ours.

    Example: `attnscope methods`
    """
    from attnscope import metrics
    from attnscope.correct import catalogue

    found: dict[str, Any] = {"metrics": metrics.definitions().to_dict(orient="records"), "corrections": catalogue()}
    if json:
        print_json(found)
        return
    for m in found["metrics"]:
        facts = f"source: {m['source']}; unit: {m['unit']}; range: {m['range']}; chance: {m['chance'] or 'none'}"
        print_entries([(f"{m['metric']}  ({m['family']}: {m['title']})", [str(m["definition"]), facts])])
    for c in found["corrections"]:
        named = [f"{field['name']}={field['default']}: {field['meaning']}" for field in c["fields"]]
        print_entries([(f"{c['method']}  (correction)", [c["summary"], f"source: {c['source']}", *named])])
