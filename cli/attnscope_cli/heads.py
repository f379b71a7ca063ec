"""`attnscope heads`: heads in order, and a heads file for corrections."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import one_of
from attnscope_cli._common import (
    print_json,
    print_lines,
    print_table,
    progress_bar,
    quiet_transformers,
    refuse_existing,
    setup_logging,
)
from attnscope_cli._options import COVERAGE, CaptureFiles, Coverage, Edges, Layers, ModelNow, OutputOptions, option

if TYPE_CHECKING:
    from attnscope.metrics.choosing.headlist import HeadList


@dataclass(frozen=True)
class KnockoutOptions:
    """Whether heads are cut, which, and how."""

    panel: ClassVar[str] = "What the answer loses without a head"
    knockout: Annotated[
        bool,
        option(
            "Run the model again, each of the heads cut by itself, and show what it does to the answer's"
            " log-probability.",
            None,
            "--knockout",
        ),
    ] = False
    heads: Annotated[
        str | None,
        option("Cut these, as layer.head (2.3,4.0) or a heads file (.json), in place of the first.", "HEADS"),
    ] = None
    edges: Edges = None
    model: ModelNow = None
    batch: Annotated[int, option("Most copies of a prompt that run together.", "N")] = 8

    def check(self) -> None:
        """Refuse options of a knockout where none is run.

        Raises:
            RequestError: Naming the first.
        """
        for name, value in {"--heads": self.heads, "--edges": self.edges, "--model": self.model}.items():
            if value is not None and not self.knockout:
                raise RequestError(f"{name} {value}: is for --knockout")


def run(
    captures: CaptureFiles,
    *,
    by: Annotated[
        str,
        option(
            "What heads are ranked by: speaker-lift, grounding-auc, cross-mass (text to video), answer-lift (on the"
            " speaker asked about), active (the published criterion of active heads) or localization.",
            "CRITERION",
            complete=one_of(_choices.CRITERIA),
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
    layers: Layers = None,
    threshold: Coverage = COVERAGE,
    out: Annotated[
        Path | None,
        option(
            "Folder for the page and heads.json; or a heads file (.json) alone, for --heads of other commands.",
            "DIR",
            "--out",
            "-o",
        ),
    ] = None,
    cutting: KnockoutOptions,
    output: OutputOptions,
) -> None:
    """Rank the heads of a model by one number, and write the best of them to a file that corrections take.

    Values are means over clips with 95 % bootstrap intervals. Beside them: how often a head is among the best of a
    clip, whether clips agree on the order (Kendall's W), and whether the other numbers would choose the same heads.

    Of models with gates on their heads' outputs it also shows how much of each passes at the answer position.

    Attention mass is not importance: --knockout cuts each head, and says what the answer loses and whether the order
    tells it.

    Example: `attnscope heads run.h5 more.h5 --by speaker-lift --top 10 -o heads/`; the published active heads are
    those of `--by active --min 5e-5 --layers 0.36-0.71 --top 100%`.
    """
    setup_logging(output.quiet)
    from attnscope.files import is_folder
    from attnscope.files.reports import PAGE
    from attnscope.metrics.choosing.headlist import check_name
    from attnscope.metrics.choosing.ranking import choose, measure
    from attnscope.report.inputs import check_options, names_of, open_all

    cutting.check()
    check_options(threshold, "max")
    folder = out if out is not None and (not out.suffix or is_folder(out)) else None
    if folder is not None:
        refuse_existing(folder / PAGE, output.force)
    elif out is not None:
        check_name(out)
        refuse_existing(out, output.force)
    with ExitStack() as stack:
        caps = open_all(captures, stack)
        names = names_of(caps)
        with progress_bar(output.quiet) as progress:
            whole = cutting.heads is not None or folder is not None
            tables = measure(caps, names, threshold, progress) if whole else None
            rank = partial(choose, caps, names, by, least=min, layers=layers, threshold=threshold, tables=tables)
            headlist = rank(top=top, progress=progress)
        every = rank(top="100%") if whole else None
    parts: dict[str, Any] = {}
    if cutting.knockout:
        from attnscope.correct.knockout.cause import only, with_effects

        quiet_transformers()
        if cutting.heads is not None and every is not None:
            headlist = only(headlist, every, cutting.heads)
        with progress_bar(output.quiet) as progress:
            headlist, parts = with_effects(
                headlist,
                names,
                model=cutting.model,
                edges=cutting.edges or "",
                batch=cutting.batch,
                progress=progress,
            )
    if folder is not None and every is not None:
        from attnscope.report.heads import heads

        summary = heads(headlist, every, folder, tables=tables, parts=parts)
        if output.json:
            print_json(summary.to_dict())
            return
        _print(headlist)
        print_lines(summary.report)
        return
    if out is not None:
        headlist.write(out)
    print_json(headlist.model_dump() | parts) if output.json else _print(headlist)


def _print(headlist: HeadList) -> None:
    by, several = headlist.criterion, headlist.clips > 1
    effects = any(head.effect is not None for head in headlist.heads)
    clips = f"{headlist.clips} clip{'s' if several else ''}"
    print_lines(f"{by.name}: {by.metric}, {'lowest' if by.lowest else 'highest'} first, {clips}")
    shares = several and any(head.top_share is not None for head in headlist.heads)
    gated = any(head.output_gate is not None for head in headlist.heads)
    columns = ["head", "value", *["95 % interval"] * several, *[f"in top {by.top}"] * shares]
    columns += [*["output gate"] * gated, *["effect"] * effects]
    values, changes = (_ranked([getattr(head, name) for head in headlist.heads]) for name in ("value", "effect"))
    rows = []
    for head, value, change in zip(headlist.heads, values, changes, strict=True):
        row = [f"{head.layer}.{head.head}", value]
        row += [_interval(head.low, head.high)] * several + [_share(head.top_share)] * shares
        row += [_number(head.output_gate)] * gated
        rows.append(row + [change] * effects)
    print_table(columns, rows)
    if headlist.agreement:
        columns = ["other criterion", "Spearman", "heads", f"shared of top {by.top}", "by chance"]
        rows = [
            [
                str(row["other"]),
                _number(row["spearman"]),
                _number(row["n"]),
                _share(row["overlap"]),
                _share(row["chance"]),
            ]
            for row in headlist.agreement
        ]
        print_table(columns, rows)
    if several:
        order = headlist.stability
        agreement = f"Kendall's W {_number(order['kendall_w'])}, mean Spearman {_number(order['spearman'])}"
        print_lines(f"agreement of {_number(order['clips'])} clips on {_number(order['heads'])} heads: {agreement}")
    for note in headlist.notes:
        print_lines(note)


def _interval(low: float | None, high: float | None) -> str:
    return _number(None) if low is None else f"{_number(low)} to {_number(high)}"


def _number(value: object) -> str:
    from attnscope.report.page.numbers import number

    return number(value) if isinstance(value, (int, float)) else "not defined"


def _ranked(values: Sequence[float | None]) -> list[str]:
    """Numbers in which an order is read: as many digits as tell neighbours apart."""
    from attnscope.report.page.numbers import ranked

    return [text if value is not None else _number(None) for text, value in zip(ranked(values), values, strict=True)]


def _share(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, (int, float)) else "not defined"
