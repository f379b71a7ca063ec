"""What every command shares: logs and progress on stderr, data on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.errors import RequestError
from attnscope.files import exists, locked, printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console


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
    from attnscope.transformers_names import only_errors

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
