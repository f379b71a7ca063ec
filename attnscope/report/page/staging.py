"""Reports are whole: nothing of one is in the output folder before all of it is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.errors import RunError
from attnscope.files import reason, unfinished_folder
from attnscope.files.folders import claimed, unusable_folder
from attnscope.files.reports import DOCUMENT, PAGE, PARTS, report_files
from attnscope.report.page.output import Output
from attnscope.report.page.summary import Summary

logger = logging.getLogger("attnscope")


@dataclass(frozen=True)
class Draft:
    """A report on its way into a folder.

    Attributes:
        output: Where it is written meanwhile.
        folder: Where it will be.
        page: Name of its page.
        document: Name of its JSON.
    """

    output: Output
    folder: Path
    page: str
    document: str

    def final(self, path: Path) -> Path:
        """Where a file that was written will be."""
        return self.folder / path.relative_to(self.output.folder)

    def summary(self, numbers: Mapping[str, Any], notes: Sequence[str]) -> Summary:
        """What a report hands back: where its page and what was written so far will be, with its numbers and notes."""
        tables, figures = (list(map(self.final, paths)) for paths in (self.output.tables, self.output.figures))
        return Summary(self.folder / self.page, tables, figures, dict(numbers), list(notes))


@contextmanager
def draft(folder: Path, page: str = PAGE, document: str = DOCUMENT) -> Iterator[Draft]:
    """Write a report into a folder, file by whole file, once the block has ended well; else leave nothing.

    A report with the same page that is there already is replaced as a whole: tables and figures that it wrote and the
    new one does not are taken away. Files that it did not write stay.

    Args:
        folder: Made if it does not exist, before the block: a folder that cannot be written to is refused at once.
        page: Name of the report's page, the file that is put there last.
        document: Name of its JSON, which lists its tables and figures.

    No other process writes into the folder meanwhile, and what killed ones left unfinished is removed.

    Raises:
        BusyError: If another process is writing a report there.
        RequestError: If the folder cannot be made.
        RunError: If a file cannot be put there.
    """
    with ExitStack() as stack:
        stack.enter_context(claimed(folder))
        try:
            part = stack.enter_context(unfinished_folder(folder))
        except OSError as error:
            raise unusable_folder(folder, error) from None
        try:
            report = Draft(Output(part), folder, page, document)
            yield report
            _put(report, part, report_files(folder, page, document))
            if written := report.output.tables_in_words():
                logger.info("%s: %s", folder / PARTS[0], written)
        except RunError as error:  # it names the file as the user knows it
            raise RunError(str(error).replace(str(part), str(folder))) from error


def _put(report: Draft, part: Path, earlier: Sequence[Path]) -> None:
    """Put what was written where it belongs, in place of what an earlier report left.

    Raises:
        RunError: If a file cannot be put there.
    """
    written = sorted((p for p in part.rglob("*") if p.is_file()), key=lambda p: p.name == report.page)
    targets = [report.final(path) for path in written]
    target = report.folder
    try:
        for target in earlier:  # its page first: what is interrupted from here on cannot be taken for a report
            if target.name == report.page or target not in targets:
                target.unlink()
        for path, target in zip(written, targets, strict=True):
            target.parent.mkdir(exist_ok=True)
            path.replace(target)
    except OSError as error:
        raise RunError(f"{target}: cannot be written: {reason(error)}") from None
