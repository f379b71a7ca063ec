"""`attnscope eval`: accuracy on questions with options, plain and under a correction."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from attnscope.errors import RequestError
from attnscope_cli._choices import model as complete_model
from attnscope_cli._common import (
    Force,
    Json,
    OutDir,
    Quiet,
    option,
    print_json,
    print_lines,
    print_table,
    progress_bar,
    quiet_transformers,
    setup_logging,
)
from attnscope_cli._correction import (
    Alpha,
    Correct,
    Edges,
    Heads,
    Layers,
    Negative,
    Recipe,
    Rows,
    Set,
    Strength,
    Threshold,
    Toward,
)
from attnscope_cli.capture import (
    Adapter,
    Attn,
    Device,
    DeviceMap,
    Dtype,
    End,
    Fps,
    FrameCount,
    NewTokens,
    Quantize,
    RemoteCode,
    Revision,
    Start,
    Template,
)


def run(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Questions (.jsonl), or a folder with a manifest.jsonl.")
    ],
    model: Annotated[
        str, option("Checkpoint folder, name on the model hub, or roundtable.", "MODEL", complete=complete_model)
    ],
    out: OutDir = Path("eval-out"),
    score: Annotated[
        str, option("logprob: the likeliest option; generate: the greedy answer, if it is an option.", "RULE")
    ] = "logprob",
    max_new_tokens: NewTokens = 16,
    by: Annotated[
        str | None,
        option("Fields of the scenes that group the tables, comma-separated; task,people if not given.", "FIELDS"),
    ] = None,
    tasks: Annotated[
        str | None, option("Only questions of these tasks, comma-separated; all if not given.", "TASKS")
    ] = None,
    per_task: Annotated[int | None, option("Exactly N questions of each task, the first of the manifest.", "N")] = None,
    limit: Annotated[int | None, option("Only the first of these questions.", "N")] = None,
    batch: Annotated[int, option("Most questions that run together.", "N")] = 16,
    correct: Correct = None,
    correction: Recipe = None,
    set: Set = None,
    alpha: Alpha = None,
    threshold: Threshold = None,
    layers: Layers = None,
    negative: Negative = None,
    rows: Rows = None,
    toward: Toward = None,
    heads: Heads = None,
    edges: Edges = None,
    strength: Strength = None,
    controls: Annotated[
        bool,
        option("Also score the controls of the correction: wrong speaker, all boxes, random box, lowest-g heads, ..."),
    ] = False,
    template: Template = "{speaker}: {text}",
    frames: FrameCount = None,
    fps: Fps = None,
    start: Start = None,
    end: End = None,
    dtype: Dtype = "auto",
    device: Device = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    attn: Attn = None,
    adapter: Adapter = None,
    quantize: Quantize = None,
    trust_remote_code: RemoteCode = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score a model on a manifest of questions with options, plain, under a correction, and under its controls.

    Writes samples.jsonl (every question), accuracy.csv, comparison.csv and accuracy.json. The same command run again
    goes on where it was stopped. Intervals are 95 % bootstrap intervals over clips.

    The example's setting was chosen on other clips and helps `roundtable` in crowds; the same rows with the published
    rule for heads and strength do harm (docs/roundtable.md has both).

    Example: `attnscope eval scenes/manifest.jsonl --model roundtable --correct social-bias --rows answer
    --strength constant --alpha 8 --heads 2.0,2.1,2.2,2.3,2.4,2.5,2.6,2.7`
    """
    setup_logging(quiet)
    from attnscope.correct import requested
    from attnscope.evaluate import evaluate
    from attnscope.evaluate.result import MOST
    from attnscope.metrics.clips.resample import FEWEST
    from attnscope.model import load
    from attnscope.scene import Sampling

    given = {"alpha": alpha, "threshold": threshold, "layers": layers, "negative": negative}
    given |= {"rows": rows, "toward": toward, "heads": heads, "edges": edges, "strength": strength}
    corrections = requested(correct or [], given, set or (), file=correction)
    if controls and not corrections:
        raise RequestError("--controls: are those of a correction; give one with --correct or --correction")
    quiet_transformers()
    with progress_bar(quiet) as progress:
        found = evaluate(
            partial(
                load,
                model,
                dtype=dtype,
                device=device,
                device_map=device_map,
                revision=revision,
                attn=attn,
                adapter=adapter,
                quantize=quantize,
                trust_remote_code=trust_remote_code,
            ),
            manifest,
            out,
            corrections,
            controls=controls,
            batch=batch,
            by=None if by is None else [name.strip() for name in by.split(",") if name.strip()],
            sampling=Sampling(frames=frames, fps=fps, start=start, end=end),
            rule=score,
            max_new_tokens=max_new_tokens,
            template=template,
            tasks=None if tasks is None else [task.strip() for task in tasks.split(",") if task.strip()],
            per_task=per_task,
            limit=limit,
            force=force,
            progress=progress,
        )
    if json:
        print_json(found.to_dict())
        return
    document = found.to_dict()
    print_table(*_table(document))
    if any(row["low"] is None for row in document["accuracy"]):
        print_lines(f"no interval over fewer than {FEWEST} clips")
    if found.not_applied:
        of = f"{found.not_applied} of {len(found.samples)} questions"
        print_lines(f"the correction did not apply to {of}; these count as unchanged")
        for row in document["reasons"][:MOST]:
            print_lines(f"  {row['questions']}: {row['reason']}")
        if len(document["reasons"]) > MOST:
            print_lines(f"  and {len(document['reasons']) - MOST} other reasons; samples.jsonl has each")
    if controls:
        print_table(*_controls(document))
        for why, names in _alike(document["controls_left_out"]).items():
            print_lines(f"left out, {', '.join(names)}: {why}")
    print_lines(out)


def _alike(left_out: dict[str, str]) -> dict[str, list[str]]:
    """Controls that are left out, by reason."""
    found: dict[str, list[str]] = {}
    for name, why in left_out.items():
        found.setdefault(why, []).append(name)
    return found


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
    if not row["applied"]:
        return ["not applied", "", ""]
    return [_share(row, "difference", "+"), f"{max(row['p'], row['p_clips']):.3g}", row["verdict"]]


def _share(row: dict[str, Any], name: str = "accuracy", sign: str = "") -> str:
    ends = "" if row["low"] is None else f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return f"{100 * row[name]:{sign}.1f}{ends}"
