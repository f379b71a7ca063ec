"""`attnscope inspect`: what a capture holds."""

from __future__ import annotations

from attnscope_cli._common import CaptureFile, Json, console, print_json


def run(capture: CaptureFile, json: Json = False) -> None:
    """Show what a capture holds: shapes, sizes, model, scene, plan and self-check.

    Example: `attnscope inspect run.h5`
    """
    from attnscope.capture.describe import describe, render

    found = describe(capture)
    if json:
        print_json(found)
        return
    console().print(render(found))
