"""`attnscope view`: look at captures in a browser."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from attnscope_cli._common import print_json, print_lines, setup_logging
from attnscope_cli._options import Json, Quiet, option


def run(
    captures: Annotated[list[Path], typer.Argument(metavar="CAPTURE", help="Captures (.h5).")],
    video: Annotated[
        Path | None, option("The clip that the model was shown, to be played with its sound under the overlay.", "FILE")
    ] = None,
    port: Annotated[int, option("Port of 127.0.0.1; 0 takes a free one.", "PORT")] = 0,
    browser: Annotated[
        bool, option("Open the page in the browser; its address is printed either way.", None, "--browser/--no-browser")
    ] = True,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Look at captures in a browser: any query token of any head, over the frames.

    The page is served to this machine alone (127.0.0.1), under an address that holds a random token. Nothing is
    written. Captures with `qk` show the exact attention of every token in every head. Ctrl-C ends it.

    Example: `attnscope view before.h5 after.h5`
    """
    setup_logging(quiet)
    from attnscope.view.extra import SERVER, need

    need("view", "view", SERVER)
    from attnscope.view.api import viewing
    from attnscope.view.serve import open_browser, wait_for_ctrl_c

    with viewing(captures, port, video) as address:
        print_json({"address": address, "captures": [str(path) for path in captures]}) if json else print_lines(address)
        sys.stdout.flush()  # a program that reads the address waits for it
        if browser and not open_browser(address):
            logging.getLogger("attnscope").info("No browser was opened; open the address in one on this machine.")
        logging.getLogger("attnscope").info("Ctrl-C ends the viewer.")
        wait_for_ctrl_c()
