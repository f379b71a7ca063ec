"""`attnscope methods`: every metric, correction and importer, with its definition and where it comes from."""

from __future__ import annotations

from typing import Any

from attnscope_cli._common import print_entries, print_json, setup_logging
from attnscope_cli._options import Json


def run(json: Json = False) -> None:
    """List metrics, corrections and importers of scenes with their definitions, sources, ranges and chance levels.

    Sources: paper (published), code (released code), 2nd (read in a secondary summary), ours.

    Example: `attnscope methods`
    """
    from attnscope import metrics
    from attnscope.correct import catalogue, schema
    from attnscope.scene.importers.speech.transcripts import IMPORTERS

    setup_logging(quiet=False)  # for warnings of plugins
    found: dict[str, Any] = {
        "metrics": metrics.definitions().to_dict(orient="records"),
        "corrections": [entry | {"schema": schema(entry["method"])} for entry in catalogue()],
        "importers": [
            {"name": name, "reads": ", ".join(i.suffixes), "gives": ", ".join(i.yields)}
            | {"plugin": IMPORTERS.plugin(name)}
            for name, i in IMPORTERS.items()
        ],
    }
    if json:
        print_json(found)
        return
    for m in found["metrics"]:
        facts = f"source: {m['source']}; unit: {m['unit']}; range: {m['range']}; chance: {m['chance'] or 'none'}"
        print_entries([(f"{m['metric']}  ({m['family']}: {m['title']}{_plugin(m)})", [str(m["definition"]), facts])])
    for c in found["corrections"]:
        named = [f"{field['name']}={field['default']}: {field['meaning']}" for field in c["fields"]]
        named += [f"{field['name']}={field['default']} (control): {field['meaning']}" for field in c["controls"]]
        print_entries([(f"{c['method']}  (correction{_plugin(c)})", [c["summary"], f"source: {c['source']}", *named])])
    for i in found["importers"]:
        print_entries([(f"{i['name']}  (importer{_plugin(i)})", [f"reads {i['reads']}, gives {i['gives']}"])])


def _plugin(entry: dict[str, Any]) -> str:
    return f"; of the plugin {entry['plugin']}" if entry["plugin"] else ""
