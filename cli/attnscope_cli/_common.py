"""What every command shares: logs and progress on stderr, data on stdout."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope.files import exists, locked, printable, printable_json
from attnscope.transformers_names import only_errors

if TYPE_CHECKING:
    from rich.console import Console


def option(
    help: str,
    metavar: str | None = None,
    panel: str | None = None,
    *names: str,
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """A typer option; without `names` it is called as its parameter. `complete` says what TAB offers."""
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel, autocompletion=complete)


Json = Annotated[bool, option("Print JSON on stdout.", None, None, "--json")]
Quiet = Annotated[bool, option("Print errors only.", None, None, "--quiet", "-q")]
Force = Annotated[bool, option("Replace what is already there.", None, None, "--force", "-f")]
OutDir = Annotated[Path, option("Folder for the results; made if it is not there.", "DIR", None, "--out", "-o")]
Speaker = Annotated[
    str | None,
    option("Whose attention is laid over the frames; the first with words and a box if not given.", "NAME"),
]
Jitter = Annotated[
    str | None,
    option("Error bands from boxes whose edges are moved at random: 10% of their size, or 10px.", "AMOUNT"),
]
Verify = Annotated[
    bool, option("Run once more without recording and compare the logits.", None, None, "--verify/--no-verify")
]
CaptureFile = Annotated[Path, typer.Argument(metavar="CAPTURE", help="A capture (.h5).")]

Progress = Callable[[str, int, int], None]


def setup_logging(quiet: bool) -> None:
    """Lines of the library on stderr; transformers speaks only of errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    logger = logging.getLogger("attnscope")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.ERROR if quiet else logging.INFO)
    logger.propagate = False


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return printable(f"{mark}{record.getMessage()}", lines=False)


def quiet_transformers() -> None:
    """Hide loading bars and advice of transformers: attnscope says what matters in its own words."""
    only_errors()
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # warns of the code of torchao


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress | None]:
    """A bar on stderr, if a person is looking."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None)  # a total of 0 is not known
            bar.update(tasks[what], completed=done, total=total or None)

        yield update


def jitter_options(text: str | None) -> dict[str, Any] | None:
    """Options of `attnscope.metrics.jitter` from "10%" or "10px"; None if nothing is given.

    Raises:
        RequestError: If the text is neither.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|px)", text.strip())
    if found is None:
        raise RequestError(f'--jitter "{text}": is neither a share like 10% nor a number of pixels like 10px')
    number = float(found[1])
    if found[2] == "%" and number > 100:
        raise RequestError(f'--jitter "{text}": is more than 100% of a box')
    return {"amount": number / 100, "unit": "box"} if found[2] == "%" else {"amount": number, "unit": "px"}


def print_lines(*lines: object) -> None:
    """Lines on stdout; what a terminal would act on is shown as an escape."""
    for line in lines:
        print(printable(str(line)))


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(printable_json(document))


def refuse_existing(path: Path, force: bool) -> None:
    """Never replace a result by accident.

    Raises:
        RequestError: If it exists and `--force` was not given.
    """
    if exists(path) and not force:
        raise RequestError(f"{path}: already exists; pass --force to replace it")


@contextmanager
def output_file(path: Path, force: bool) -> Iterator[None]:
    """Hold an output file against other processes while a command works on it.

    Raises:
        BusyError: If another process is writing it: said before a model is loaded.
        RequestError: If no file can be written there, or another process has written it meanwhile.
    """
    from attnscope.capture.file.writer import check_target

    check_target(path)
    with locked(path):
        refuse_existing(path, force)
        yield


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table for people on stdout; the first column is never broken."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(printable(column), no_wrap=number == 0)
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    console().print(table)


def print_entries(entries: list[tuple[str, list[str]]]) -> None:
    """Names with indented paragraphs under them on stdout, for text too long for a table."""
    from rich.padding import Padding
    from rich.text import Text

    out = console()
    for name, paragraphs in entries:
        out.print(Text(printable(name), style="bold"))
        for paragraph in paragraphs:
            out.print(Padding(Text(printable(paragraph)), (0, 0, 0, 4)))


def console(*, markup: bool = False) -> Console:
    """Stdout as wide as the terminal; where it is a file or a pipe, 100 columns. Text from outside is not `markup`."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=markup, emoji=False)
