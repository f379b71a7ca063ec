"""`attnscope demo-scenes`: round-table clips with questions, as ordinary files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import one_of
from attnscope_cli._common import print_json, print_lines, progress_bar, setup_logging
from attnscope_cli._options import Json, PerTask, Quiet, Tasks, option

_PEOPLE = "0-6"


def run(
    out: Annotated[Path, option("Folder for the clips; must be new or empty.", "DIR", "--out", "-o")],
    n: Annotated[
        int,
        option(
            "Clips, each with one question of every task that it allows; with --per-task, the most clips to try.",
            "N",
            "--n",
        ),
    ] = 200,
    seed: Annotated[int, option("Of everything that is drawn.", "N")] = 0,
    split: Annotated[
        str,
        option(
            "Seat combinations: train, calibration or test; they share none.", "NAME", complete=one_of(_choices.SPLITS)
        ),
    ] = "test",
    people: Annotated[
        str, option("Numbers of people (3, 2-5 or 1,4), dealt in turn; 0 is things alone.", "NUMBERS")
    ] = _PEOPLE,
    tasks: Tasks = None,
    per_task: PerTask = None,
    layout: Annotated[
        str,
        option(
            "scenes: what `attnscope eval` reads; tvqa: a folder of TVQA+, which `attnscope import` reads.",
            "LAYOUT",
            "--as",
            complete=one_of(_choices.LAYOUTS),
        ),
    ] = "scenes",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write round-table clips, their scene files with questions, and a manifest for `attnscope eval`.

    With `--as tvqa` the same clips, of five people each, are written as TVQA+ is published: to try an import without
    the real data.

    Example: `attnscope demo-scenes -o scenes/ --n 200 --seed 0`
    """
    setup_logging(quiet)
    from attnscope.demo.scenes import write_scenes
    from attnscope.demo.tvqa import PEOPLE, write_tvqa

    if layout not in _choices.LAYOUTS:
        raise RequestError(f'--as "{layout}": choose from {", ".join(_choices.LAYOUTS)}')
    how: dict[str, Any] = {"count": n, "seed": seed, "split": split, "per_task": per_task}
    how |= {} if tasks is None else {"tasks": [task.strip() for task in tasks.split(",")]}
    with progress_bar(quiet) as progress:
        if layout == "scenes":
            kind, written = "manifest", write_scenes(out, **how, people=_numbers(people), progress=progress)
        else:
            if people not in (_PEOPLE, str(PEOPLE)):
                raise RequestError(f"--people {people}: clips of TVQA+ have {PEOPLE} people, for it has five answers")
            kind, written = "folder", write_tvqa(out, **how, progress=progress)
    print_json({kind: str(written)}) if json else print_lines(written)


def _numbers(text: str) -> list[int]:
    """The numbers that "0-3,6" names, as they come.

    Raises:
        RequestError: If the text is anything else.
    """
    from attnscope.demo.scenes import check_people

    numbers: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and int(high) < int(low)):
            raise RequestError(f'--people "{text}": "{part.strip()}" is neither a number nor a range like 2-5')
        check_people(int(high or low))  # before a range is made of it
        numbers += range(int(low), int(high or low) + 1)
    return numbers
