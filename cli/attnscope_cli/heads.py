"""`attnscope heads`: heads in order, and a heads file for corrections."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnscope_cli._common import Force, Json, Quiet, option, print_json, print_table, refuse_existing, setup_logging

if TYPE_CHECKING:
    from attnscope.metrics.headlist import HeadList


def run(
    captures: Annotated[list[Path], typer.Argument(metavar="CAPTURE", help="Captures (.h5) of one model.")],
    by: Annotated[
        str,
        option(
            "What heads are ranked by: speaker-lift, grounding-auc, cross-mass (text to video), answer-lift (on the"
            " speaker asked about), active (the published criterion of active heads) or localization.",
            "CRITERION",
        ),
    ] = "speaker-lift",
    top: Annotated[str, option("How many heads: a number, or a share of them (9%).", "N")] = "10",
    min: Annotated[
        float | None,
        option(
            "Only heads above this value; for localization, of the answer's mass on the video, in place of its elbow.",
            "NUMBER",
        ),
    ] = None,
    layers: Annotated[
        str | None, option("Numbers (10-19) or a range of depth (0.36-0.71); all if not given.", "LAYERS")
    ] = None,
    threshold: Annotated[
        float, option("Fraction (0 to 1) of a visual token that a speaker's box must cover.", "FRACTION")
    ] = 0.5,
    out: Annotated[
        Path | None, option("Heads file (.json) to write, for --heads of other commands.", "FILE", None, "--out", "-o")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Rank the heads of a model by one number, and write the best of them to a file that corrections take.

    Values are means over clips with 95 % bootstrap intervals. Beside them: how often a head is among the best of a
    clip, whether clips agree on the order (Kendall's W), and whether the other numbers would choose the same heads.

    Example: `attnscope heads run.h5 more.h5 --by speaker-lift --top 10 -o heads.json`
    """
    setup_logging(quiet)
    from attnscope.metrics.choose import choose
    from attnscope.metrics.headlist import check_name
    from attnscope.report.inputs import check_options, names_of, open_all

    check_options(threshold, "max")
    if out is not None:
        check_name(out)
        refuse_existing(out, force)
    with ExitStack() as stack:
        caps = open_all(captures, stack)
        found = choose(caps, names_of(caps), by, top=top, least=min, layers=layers, threshold=threshold)
    if out is not None:
        found.write(out)
    print_json(found.model_dump()) if json else _print(found)


def _print(found: HeadList) -> None:
    by, several = found.criterion, found.clips > 1
    effects = any(head.effect is not None for head in found.heads)
    clips = f"{found.clips} clip{'s' if several else ''}"
    print(f"{by.name}: {by.metric}, {'lowest' if by.lowest else 'highest'} first, {clips}")
    columns = ["head", "value", *(["95 % interval", f"in top {by.top}"] if several else []), *(["effect"] * effects)]
    rows = []
    for head in found.heads:
        row = [f"{head.layer}.{head.head}", _number(head.value)]
        if several:
            row += [f"{_number(head.low)} to {_number(head.high)}", _share(head.top_share)]
        rows.append(row + [_number(head.effect)] * effects)
    print_table(columns, rows)
    if found.agreement:
        columns = ["other criterion", "Spearman", "heads", f"shared of top {by.top}", "by chance"]
        rows = [
            [
                str(row["other"]),
                _number(row["spearman"]),
                _number(row["n"]),
                _share(row["overlap"]),
                _share(row["chance"]),
            ]
            for row in found.agreement
        ]
        print_table(columns, rows)
    if several:
        order = found.stability
        said = f"Kendall's W {_number(order['kendall_w'])}, mean Spearman {_number(order['spearman'])}"
        print(f"agreement of {_number(order['clips'])} clips on {_number(order['heads'])} heads: {said}")
    for note in found.notes:
        print(note)


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else "not defined"


def _share(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, (int, float)) else "not defined"
