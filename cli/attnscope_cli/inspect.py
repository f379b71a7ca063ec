"""`attnscope inspect`: what a capture holds."""

from __future__ import annotations

from typing import Any

from attnscope.files import printable
from attnscope_cli._common import console, print_json
from attnscope_cli._options import CaptureFile, Json


def run(capture: CaptureFile, json: Json = False) -> None:
    """Show what a capture holds: shapes, sizes, model, scene, plan and self-check.

    Example: `attnscope inspect run.h5`
    """
    import attnscope
    from attnscope.capture.read.describe import describe, render

    with attnscope.open(capture) as cap:
        description = describe(cap)
    if json:
        print_json(description)
        return
    console(markup=True).print(render(_escaped(description)))


def _escaped(value: Any) -> Any:
    """A document without anything that a terminal would act on."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, (list, tuple)) else value
