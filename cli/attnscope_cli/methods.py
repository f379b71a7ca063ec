"""`attnscope methods`: every metric and correction, with its definition and where it comes from."""

from __future__ import annotations

from attnscope_cli._common import Json, print_json, print_table


def run(json: Json = False) -> None:
    """List metrics and corrections with their definitions, sources, ranges and chance levels.

    Example: `attnscope methods`
    """
    from attnscope import metrics
    from attnscope.correct import catalogue

    found = {"metrics": metrics.definitions().to_dict(orient="records"), "corrections": catalogue()}
    if json:
        print_json(found)
        return
    columns = ["metric", "definition", "source", "unit", "range", "chance"]
    print_table("Metrics", columns, [[str(m[c]) for c in columns] for m in found["metrics"]])
    columns = ["method", "summary", "source", "parameters"]
    print_table("Corrections", columns, [[str(c[k]) for k in columns] for c in found["corrections"]])
