"""`attnscope view`: look at captures in a browser, or edit a scene there."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope_cli._common import print_json, print_lines, setup_logging
from attnscope_cli._editor import EditorOptions
from attnscope_cli._options import Json, Quiet, SamplingOptions, option


def run(
    captures: Annotated[list[Path] | None, typer.Argument(metavar="CAPTURE", help="Captures (.h5).")] = None,
    *,
    editor: EditorOptions,
    frames: SamplingOptions,
    port: Annotated[int, option("Port of 127.0.0.1; 0 takes a free one.", "PORT")] = 0,
    browser: Annotated[
        bool, option("Open the page in the browser; its address is printed either way.", None, "--browser/--no-browser")
    ] = True,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Look at captures in a browser: any query token of any head, over the frames; or edit a scene there.

    The page is served to this machine alone (127.0.0.1), under an address that holds a random token. Captures with `qk`
    show the exact attention of every token in every head; nothing is written. With --scene or --video the page is the
    scene editor: boxes are drawn on the frames, people named, turns given to people and the question typed. It saves to
    the file of --save and writes nothing else. Ctrl-C ends it.

    Example: `attnscope view before.h5 after.h5`, or `attnscope view --video clip.mp4 --save scene.json`
    """
    setup_logging(quiet)
    from attnscope.view.extra import SERVER, need

    need("view", "view", SERVER)
    if editor.is_wanted(bool(captures)):
        _edit(editor, frames, port, browser, json)
    elif not captures:
        raise RequestError("view: give captures (.h5) to look at, or --scene or --video for the scene editor")
    elif frames != SamplingOptions():
        raise RequestError("view: --frames, --fps, --start and --end are of the scene editor, not of captures")
    else:
        from attnscope.view.api import viewing

        with viewing(captures, port, editor.video) as address:
            _wait({"address": address, "captures": [str(path) for path in captures]}, browser, json)


def _edit(editor: EditorOptions, frames: SamplingOptions, port: int, browser: bool, json: bool) -> None:
    """Serve the scene editor until the user ends it."""
    opened = editor.open(frames)
    from attnscope.view.editor import METHODS, routes
    from attnscope.view.serve import running

    with running(routes(opened), port, METHODS) as address:
        logging.getLogger("attnscope").info("The scene is saved to %s", opened.draft.target)
        _wait({"address": address, "save": str(opened.draft.target)}, browser, json)


def _wait(page: dict[str, Any], browser: bool, json: bool) -> None:
    """Say where the page is, open it, and wait for the user's Ctrl-C."""
    from attnscope.view.serve import open_browser, wait_for_ctrl_c

    print_json(page) if json else print_lines(page["address"])
    sys.stdout.flush()  # a program that reads the address waits for it
    if browser and not open_browser(page["address"]):
        logging.getLogger("attnscope").info("No browser was opened; open the address in one on this machine.")
    logging.getLogger("attnscope").info("Ctrl-C ends the viewer.")
    wait_for_ctrl_c()
