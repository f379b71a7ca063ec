"""The report of a what-if: what a correction would change in each layer by itself, answered from a capture alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.capture.read.capture import open as open_capture
from attnscope.correct.base import Correction
from attnscope.correct.what_if.numbers import ALL_VISUAL
from attnscope.correct.what_if.what_if import ALONE, Progress, WhatIf
from attnscope.correct.what_if.what_if import what_if as compute
from attnscope.metrics.registry import OVER
from attnscope.report.figures.heads import grid, heads_change
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.style import styled
from attnscope.report.page import provenance
from attnscope.report.page.captures import capture_page
from attnscope.report.page.numbers import ranked
from attnscope.report.page.output import Output
from attnscope.report.page.page import Page
from attnscope.report.page.section import Section
from attnscope.report.page.staging import Draft, draft
from attnscope.report.page.summary import Summary, records
from attnscope.vocabulary import ANSWER_POSITION

KIND = "what-if"
MOST_ROWS = 12  # of the table of heads that change most


def what_if(
    path: str | Path,
    corrections: Sequence[Correction],
    out: str | Path,
    *,
    layers: str | Sequence[int] | None = None,
    threshold: float = 0.5,
    csv: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Answer what corrections would change in each layer, and write a table, a figure, a page and JSON.

    Args:
        path: A plain capture with the `qk` reading.
        corrections: Applied in order.
        out: Folder to write into; made if it does not exist.
        layers: Which of the captured layers to look at; None for all.
        threshold: Covered fraction from which a cell counts as a speaker's.
        csv: Also write tables of more than 30,000 rows (`attnscope.metrics.export.CSV_ROWS`) as CSV.
        progress: Called with (what, done, total).

    Raises:
        RequestError: As `attnscope.correct.what_if.what_if.what_if`, or if the folder cannot be used.
        RunError: If the output cannot be written.
    """
    with draft(Path(out)) as report, styled():
        report.output.csv = csv
        result = compute(path, corrections, layers=layers, threshold=threshold, progress=progress)
        return _write(result, corrections, path, report)


def views(result: WhatIf) -> dict[str, pd.DataFrame]:
    """The numbers worth a map of layer and head, by their name: only those that are defined, the main one first.

    The main number is the first that changes: where the answer looks, if the answer position is one of the rows that
    change, else where the words of speakers look.
    """
    table = result.table
    heads = table[table["head"] != OVER]
    answer = heads[(heads["kind"] == ANSWER_POSITION) & (heads["metric"] == "lift")]
    consistency = heads[heads["metric"] == "speaker_consistency_lift"]
    candidates = {
        f"Answer's lift on {result.asked}": answer[answer["speaker"] == result.asked],
        "Speaker consistency over chance, live frames": consistency[consistency["frames"] == "live"],
        "Speaker consistency over chance, all frames": consistency[consistency["frames"] == "all"],
        "Answer's lift on visual tokens": answer[answer["keys"] == ALL_VISUAL],
        "Mean factor on the answer's output": heads[
            (heads["kind"] == ANSWER_POSITION) & (heads["metric"] == "output_factor")
        ],
    }
    defined = {name: rows for name, rows in candidates.items() if rows["after"].notna().any()}
    return dict(sorted(defined.items(), key=lambda item: not item[1]["change"].abs().gt(0).any()))


def brief(summary: Summary) -> tuple[list[str], list[str], list[list[str]]]:
    """What a terminal shows: lines on the heads, then columns and rows of those that would change most."""
    main, lines = summary.numbers["main"], []
    for record in summary.numbers["corrections"]:
        heads = [(layer, head) for layer, own in record["active"] for head in own]
        where = provenance.heads_in_words(heads, heads=0) if heads else "no head"
        lines.append(f"{record['method']}: acts in {where}")
    outcome = "heads that would change most" if main["most_changed"] else "no change"
    lines.append(f"{main['number'] or 'No number is defined'}: {outcome}")
    most = main["most_changed"]
    columns = {when: [row[when] for row in most] for when in ("before", "after", "change")}
    texts = [ranked(values, change=when == "change") for when, values in columns.items()]
    rows = [[str(row["layer"]), str(row["head"]), *of_row] for row, *of_row in zip(most, *texts, strict=True)]
    return lines, ["layer", "head", "before", "after", "change"], rows


def _write(result: WhatIf, corrections: Sequence[Correction], path: str | Path, report: Draft) -> Summary:
    numbers = views(result)
    report.output.table("what_if", result.table)
    main = next(iter(numbers), "")
    most = _most(numbers[main]) if main else []
    layers = _by_layer(result, main, numbers)
    with open_capture(path) as cap:
        learn_scenes([cap.scene])
        page = Page(
            "what_if.html.j2",
            title=f"What if: {' + '.join(correction.method for correction in corrections)}",
            notes=result.notes,
            sections=[_by_head(report.output, result, dict(list(numbers.items())[:2]))],
            captures=[capture_page(cap, "plain")],
            parts={
                "model": provenance.model_name(cap),
                "alone": ALONE,
                "question": cap.scene.question,
                "records": provenance.described(result.records, cap),
                "main": main,
                "layers": layers,
                "most": most,
            },
        )
    document = {
        "kind": KIND,
        "capture": str(path),
        "corrections": result.records,
        "layers": result.layers,
        "changed_layers": result.changed,
        "main": {"number": main, "by_layer": layers, "most_changed": most},
    }
    return page.write(report, document)


def _by_head(output: Output, result: WhatIf, numbers: dict[str, pd.DataFrame]) -> Section:
    """Maps before, after and of the change, one scale before and after."""
    section = Section("By layer and head", output=output, table="what_if")
    active = [(int(n), int(h)) for record in result.records for n, heads in record["active"] for h in heads]
    for place, (name, rows) in enumerate(numbers.items(), start=1):
        maps = [grid(rows.assign(value=rows[when])) for when in ("before", "after")]
        unit = "lift over chance" if "consistency" in name else "factor" if "factor" in name else "× uniform attention"
        figure = heads_change(*maps, title=name, unit=unit, center=1.0, active=active)
        section.draw(f"what_if_{place}", figure, name, f"{name} of each head, layer by layer. {ALONE}")
    return section


def _by_layer(result: WhatIf, main: str, numbers: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """The main number of each layer, mean over heads, with how many heads act there."""
    if not main:
        return []
    keys = ["metric", "query_group", "keys", "frames"]
    means = result.table[result.table["head"] == OVER].merge(numbers[main][keys].drop_duplicates(), on=keys)
    acting: dict[int, set[int]] = {}
    for record in result.records:
        for layer, heads in record["active"]:
            acting.setdefault(int(layer), set()).update(heads)
    rows = records(means[["layer", "before", "after", "change"]])
    return [row | {"heads": len(acting.get(row["layer"], ()))} for row in rows]


def _most(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Heads whose number changes most."""
    changed = rows[rows["change"].abs() > 0]
    order = changed["change"].abs().sort_values(ascending=False).index[:MOST_ROWS]
    return records(changed.loc[order, ["layer", "head", "before", "after", "change"]])
