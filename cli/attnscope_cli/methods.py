"""`attnscope methods`: every metric, correction and importer, with its definition and where it comes from."""

from __future__ import annotations

from typing import Any

from attnscope_cli._common import print_entries, print_json
from attnscope_cli._options import Json


def run(json: Json = False) -> None:
    """List metrics, corrections and importers of scenes with their definitions, sources, ranges and chance levels.

    Sources: paper (published), code (released code), 2nd (read in a secondary summary), ours.

    Example: `attnscope methods`
    """
    from attnscope import metrics
    from attnscope.correct import catalogue, schema
    from attnscope.scene.importers import importers

    found: dict[str, Any] = {
        "metrics": metrics.definitions().to_dict(orient="records"),
        "corrections": [entry | {"schema": schema(entry["method"])} for entry in catalogue()],
        "importers": [{"name": i.name, "reads": i.reads, "gives": i.gives} for i in importers().values()],
    }
    if json:
        print_json(found)
        return
    for m in found["metrics"]:
        facts = f"source: {m['source']}; unit: {m['unit']}; range: {m['range']}; chance: {m['chance'] or 'none'}"
        print_entries([(f"{m['metric']}  ({m['family']}: {m['title']})", [str(m["definition"]), facts])])
    for c in found["corrections"]:
        named = [f"{field['name']}={field['default']}: {field['meaning']}" for field in c["fields"]]
        named += [f"{field['name']}={field['default']} (control): {field['meaning']}" for field in c["controls"]]
        print_entries([(f"{c['method']}  (correction)", [c["summary"], f"source: {c['source']}", *named])])
    for i in found["importers"]:
        print_entries([(f"{i['name']}  (importer)", [f"reads {i['reads']}, gives {i['gives']}"])])
