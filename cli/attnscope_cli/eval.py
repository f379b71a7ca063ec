"""`attnscope eval`: accuracy on questions with options, plain and under a correction."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import list_of, one_of
from attnscope_cli._common import print_json, print_lines, print_table, progress_bar, quiet_transformers, setup_logging
from attnscope_cli._options import (
    MODEL,
    CorrectionOptions,
    LoadingOptions,
    OutDir,
    OutputOptions,
    PerTask,
    PromptOptions,
    SamplingOptions,
    Tasks,
    Videos,
    option,
)

if TYPE_CHECKING:
    from attnscope.evaluate import Evaluation


def run(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="Questions: .jsonl, a folder with a manifest.jsonl, a table (.csv, .tsv, .parquet), or a dataset.",
        ),
    ],
    out: OutDir = Path("eval-out"),
    *,
    model: Annotated[str, option(MODEL, "MODEL", complete=_choices.model)],
    score: Annotated[
        str,
        option(
            "logprob: the likeliest option; generate: the greedy answer, if it is an option.",
            "RULE",
            complete=one_of(_choices.SCORES),
        ),
    ] = "logprob",
    prompt: PromptOptions,
    videos: Videos = None,
    by: Annotated[
        str | None,
        option(
            "Fields of the scenes that group the tables, comma-separated; task,people if not given.",
            "FIELDS",
            complete=list_of(_choices.FIELDS),
        ),
    ] = None,
    tasks: Tasks = None,
    per_task: PerTask = None,
    limit: Annotated[int | None, option("Only the first of these questions.", "N")] = None,
    batch: Annotated[int, option("Most questions that run together.", "N")] = 16,
    corrections: CorrectionOptions,
    correct: Annotated[
        list[str] | None,
        option("The old name of --method.", "NAME", hidden=True, complete=one_of(_choices.METHODS)),
    ] = None,
    controls: Annotated[
        bool,
        option("Also score the controls of the correction: wrong speaker, all boxes, random box, lowest-g heads, ..."),
    ] = False,
    frames: SamplingOptions,
    loading: LoadingOptions,
    output: OutputOptions,
) -> None:
    """Score a model on a manifest of questions with options, plain, under a correction, and under its controls.

    Writes report.html and report.json, samples.jsonl (every question), accuracy.csv and comparison.csv. The same
    command run again goes on where it was stopped. Intervals are 95 % bootstrap intervals over clips.

    The example's setting was chosen on other clips and helps `roundtable` in crowds; the same rows with the published
    rule for heads and strength do harm (docs/roundtable.md has both).

    Example: `attnscope eval scenes/manifest.jsonl --model roundtable --method social-bias --rows answer
    --strength constant --alpha 8 --heads 2.0,2.1,2.2,2.3,2.4,2.5,2.6,2.7`
    """
    setup_logging(output.quiet)
    from attnscope.evaluate import evaluate
    from attnscope.report.evaluation import evaluation

    chosen = replace(corrections, method=[*(corrections.method or ()), *(correct or ())]).corrections()
    if controls and not chosen:
        raise RequestError("--controls: are those of a correction; give one with --method or --correction")
    quiet_transformers()
    with progress_bar(output.quiet) as progress:
        result = evaluate(
            loading.loader(model),
            manifest,
            out,
            chosen,
            controls=controls,
            videos=videos,
            batch=batch,
            by=None if by is None else _words(by),
            sampling=frames.sampling(),
            rule=score,
            **asdict(prompt),
            tasks=None if tasks is None else _words(tasks),
            per_task=per_task,
            limit=limit,
            force=output.force,
            progress=progress,
        )
    summary = evaluation(result)
    if output.json:
        print_json(summary.to_dict())
    else:
        _print(result.to_dict(), result, controls)
        print_lines(summary.report)


def _words(text: str) -> list[str]:
    """The words of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _print(document: dict[str, Any], result: Evaluation, controls: bool) -> None:
    """Tables for people, and what they do not show."""
    from attnscope.evaluate.result import MOST
    from attnscope.metrics.clips.resample import FEWEST

    print_table(*_table(document))
    if any(row["low"] is None for row in document["accuracy"]):
        print_lines(f"no interval over fewer than {FEWEST} clips")
    if result.not_applied:
        of = f"{result.not_applied} of {len(result.samples)} questions"
        print_lines(f"the correction did not apply to {of}; these count as unchanged")
        for row in document["reasons"][:MOST]:
            print_lines(f"  {row['questions']}: {row['reason']}")
        if len(document["reasons"]) > MOST:
            print_lines(f"  and {len(document['reasons']) - MOST} other reasons; samples.jsonl has each")
    if controls:
        print_table(*_controls(document))
        for why, names in _alike(document["controls_left_out"]).items():
            print_lines(f"left out, {', '.join(names)}: {why}")


def _alike(left_out: dict[str, str]) -> dict[str, list[str]]:
    """Controls that are left out, by reason."""
    alike: dict[str, list[str]] = {}
    for name, why in left_out.items():
        alike.setdefault(why, []).append(name)
    return alike


def _table(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: one row a group, numbers in percent with the ends of their interval."""
    groups = [str(name) for name in document["accuracy"][0]]
    groups = groups[: groups.index("condition")]
    columns = [*groups, "n", "clips", "accuracy %", "chance %"]
    plain, corrected = (
        [row for row in document["accuracy"] if row["condition"] == name] for name in ("plain", "corrected")
    )
    rows = [
        [*(str(row[g]) for g in [*groups, "n", "clips"]), _share(row), f"{row['chance']:.1%}"[:-1]] for row in plain
    ]
    if "no_option" in document["accuracy"][0]:
        columns.append("no option")
        rows = [[*row, str(of["no_option"])] for row, of in zip(rows, plain, strict=True)]
    if corrected:
        columns += ["corrected %", "difference", "p", "verdict"]
        gains = [row for row in document["comparison"] if row["condition"] == "corrected"]
        compared = zip(rows, corrected, gains, strict=True)
        rows = [[*row, _share(after), *_gain(gain)] for row, after, gain in compared]
    return columns, rows


def _controls(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: the correction and each of its controls on all questions."""
    accuracy = {row["condition"]: row for row in reversed(document["accuracy"])}  # the first group is all questions
    gains = {row["condition"]: row for row in reversed(document["comparison"])}
    columns = ["condition", "n", "clips", "applied", "accuracy %", "difference", "p", "verdict"]
    rows = [
        [
            name,
            *(str(gains[name][column]) for column in ("n", "clips", "applied")),
            _share(accuracy[name]),
            *_gain(gains[name]),
        ]
        for name in ("corrected", *(f"control: {name}" for name in document["controls"]))
    ]
    return columns, rows


def _gain(row: dict[str, Any]) -> list[str]:
    """Difference, the larger p and verdict; none where the correction applied to no question: nothing was compared."""
    from attnscope.report.page.numbers import number

    if not row["applied"]:
        return ["not applied", "", ""]
    return [_share(row, "difference", change=True), number(max(row["p"], row["p_clips"])), row["verdict"]]


def _share(row: dict[str, Any], name: str = "accuracy", *, change: bool = False) -> str:
    from attnscope.report.page.numbers import in_percent

    return in_percent(row, name, change=change)
