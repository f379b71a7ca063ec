"""`attnscope export`: evaluations and questions as other harnesses have them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import one_of
from attnscope_cli._common import print_json, print_lines, setup_logging
from attnscope_cli._options import TEMPLATE, OutDir, OutputOptions, Template, Videos, option

_TASK = "lmms-eval-task"


def run(
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="lmms-eval: its logs, from the folder of an evaluation; lmms-eval-task: a task, from questions.",
            autocompletion=one_of(_choices.EXPORTS),
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The folder of `attnscope eval`; or a manifest.")],
    out: OutDir = Path("exported"),
    *,
    task: Annotated[str, option("What the task is called.", "NAME")] = "attnscope",
    videos: Videos = None,
    template: Template = TEMPLATE,
    whole_clips: Annotated[
        bool,
        option(
            "Show the whole clip to a question about a part of it, which is refused otherwise.", None, "--whole-clips"
        ),
    ] = False,
    output: OutputOptions,
) -> None:
    """Write an evaluation as lmms-eval logs one, or questions as a task that lmms-eval runs.

    `lmms-eval` writes DATE_results.json and DATE_samples_TASK.jsonl for each condition. `lmms-eval-task` writes a
    folder for `python -m lmms_eval --include_path DIR --tasks NAME`. `docs/eval.md` says what is what.

    Example: `attnscope export lmms-eval eval-out/ -o logs/`
    """
    setup_logging(output.quiet)
    if format not in _choices.EXPORTS:
        raise RequestError(f"{format}: is not one of {', '.join(_choices.EXPORTS)}")
    if format != _TASK:
        for name, is_given in (
            ("--videos", videos is not None),
            ("--whole-clips", whole_clips),
            ("--template", template != TEMPLATE),
        ):
            if is_given:
                raise RequestError(f"{name}: is for {_TASK} alone")
    from attnscope.evaluate import export_logs, export_task

    if format == _TASK:
        questions = export_task(
            source, out, task=task, videos=videos, template=template, whole_clips=whole_clips, force=output.force
        )
        if output.json:
            print_json({"out": str(out), "questions": questions})
        else:
            print_lines(f"{out}: questions {questions:,}")
        return
    files = export_logs(source, out, task=task, force=output.force)
    if output.json:
        print_json({"out": str(out), "files": [str(path) for path in files]})
    else:
        print_lines("\n".join(map(str, files)))
