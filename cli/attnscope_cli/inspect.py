"""`attnscope inspect`: what a capture holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import Json, console, print_json


def run(capture: Annotated[Path, typer.Argument(help="A capture (.h5).")], json: Json = False) -> None:
    """Show what a capture holds: shapes, sizes, model, scene, plan and self-check.

    Example: `attnscope inspect run.h5`
    """
    from attnscope.capture.describe import describe, render

    found = describe(capture)
    if json:
        print_json(found)
        return
    console().print(render(found))
