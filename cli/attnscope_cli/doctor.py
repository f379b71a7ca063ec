"""`attnscope doctor`: does this installation do what attnscope relies on?"""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from attnscope.files import printable
from attnscope_cli import _choices
from attnscope_cli._common import console, print_json, print_lines, quiet_transformers, setup_logging
from attnscope_cli._options import Json

if TYPE_CHECKING:
    from attnscope.doctor import Section

_WIDEST = 100
_STYLES = {"ok": "", "note": "yellow", "fail": "bold red", "absent": "dim"}


def run(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A model to examine too: a folder, a hub name, or an embedded model.",
            autocompletion=_choices.model,
        ),
    ] = None,
    places: Annotated[
        bool,
        typer.Option(
            "--places",
            help="Also put the places of the visual tokens of MODEL to the test: parts of made-up frames of several"
            " sizes are repainted, and the tokens that lie there have to answer.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Check versions, devices, attention kernels and what attnscope assumes about transformers, by running them.

    Begin a bug report with its output. With MODEL it also says what attnscope can do with that model: which layers it
    reaches, whether visual tokens have a place, and which corrections would be refused and why. Exits with 1 if
    something does not hold.

    Examples: `attnscope doctor`, `attnscope doctor path/to/Qwen2.5-VL-7B-Instruct --places`
    """
    from attnscope.doctor import Diagnosis, sections

    setup_logging(quiet=True)
    _silence()
    made = []
    for section in sections(model, places=places):
        made.append(section)
        if not json:
            _print(section)
    diagnosis = Diagnosis(tuple(made))
    if json:
        print_json(diagnosis.to_dict())
    else:
        print_lines(f"\n{diagnosis.summary()}")
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _silence() -> None:
    """Keep other packages' remarks out of the report; it has to run where they are broken."""
    logging.getLogger("torch").setLevel(logging.ERROR)
    with suppress(Exception):
        quiet_transformers()


def _print(section: Section) -> None:
    from rich.text import Text

    from attnscope.doctor.diagnosis import MARKS, PLAIN_MARKS

    try:
        "".join(MARKS.values()).encode(sys.stdout.encoding or "ascii")
        marks = MARKS
    except UnicodeEncodeError:
        marks = PLAIN_MARKS
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    out = console()
    out.print()
    for state, line in section.lines(width, marks):
        out.print(Text(printable(line), style="bold" if state is None else _STYLES[state]), soft_wrap=True)
