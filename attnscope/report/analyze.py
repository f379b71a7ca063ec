"""The report of one or more captures: tables, figures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope import metrics
from attnscope.capture.reader import Capture
from attnscope.metrics.decay import gamma_interval, links
from attnscope.metrics.headline import across, headline
from attnscope.report import answer_panels, panels, provenance
from attnscope.report.answers import answer_text, options
from attnscope.report.html import render
from attnscope.report.inputs import Tables, check_options, compute_tables, names_of, open_all, subject
from attnscope.report.output import Output
from attnscope.report.style import styled
from attnscope.report.summary import Summary, records


def analyze(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    speaker: str | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    caption: str = "",
) -> Summary:
    """Measure captures and write tables (CSV, parquet), figures (PNG, SVG), `report.html` and `summary.json`.

    Args:
        paths: one capture, or several of one model (their numbers are then also averaged).
        out: folder to write into; made if it does not exist.
        speaker: whose attention is drawn over the frames; by default the first with words and a box.
        threshold: covered fraction from which a visual token counts as a speaker's.
        denominator: of the gap between self and cross attention: `max`, `sum` or `self`.
        caption: a sentence that readers must see first, under the title.

    Returns:
        Where everything is, the headline numbers, and notes on what is not defined and why.

    Raises:
        RequestError: for an option out of range, an unknown speaker, captures that cannot be averaged.
        FormatError: if a file is not a complete capture.
        RunError: if the output cannot be written.
    """
    check_options(threshold, denominator)
    with ExitStack() as stack:
        caps = open_all([paths] if isinstance(paths, str | Path) else list(paths), stack)
        for cap in caps:
            subject(cap, speaker)  # an unknown speaker is refused before any work
        names = names_of(caps)
        tables = compute_tables(caps, names, threshold)
        output = Output(Path(out))
        write_tables(output, caps, names, tables)
        with styled():
            sections = _sections(output, caps, names, tables, speaker, denominator)
        notes = _notes(caps, names, threshold)
        numbers = headline(tables, denominator)
        pages = [capture_page(cap, name) for cap, name in zip(caps, names, strict=True)]
        page = render(
            "analyze.html.j2",
            title=f"Attention of {provenance.model_name(caps[0])}",
            numbers=records(numbers),
            intervals=records(gamma_intervals(tables)),
            notes=notes,
            caption=caption,
            sections=sections,
            captures=pages,
            settings={"covered-fraction threshold": f"{threshold:g}", "gap denominator": denominator},
        )
        report = output.text("report.html", page)
        summary = Summary(
            report=report,
            tables=output.tables,
            figures=output.figures,
            numbers={
                "captures": [str(cap.path) for cap in caps],
                "settings": {"speaker": speaker, "threshold": threshold, "denominator": denominator},
                "headline": records(numbers),
                "answers": {page["name"]: {"answer": page["answer"], "options": page["options"]} for page in pages},
            },
            notes=notes,
        )
        output.json("summary.json", summary.to_dict())
        return summary


def write_tables(output: Output, caps: Sequence[Capture], names: Sequence[str], tables: Tables) -> None:
    """Write the tables of all families, of the options, the averages over captures and the definitions."""
    for family, table in tables.items():
        output.table(family, table)
        if len(caps) > 1:
            output.table(f"{family}_across", across(table))
    answers = [options(cap).assign(capture=name) for name, cap in zip(names, caps, strict=True)]
    output.table("options", pd.concat(answers, ignore_index=True))
    if len(intervals := gamma_intervals(tables)):
        output.table("decay_intervals", intervals)
    output.table("definitions", metrics.definitions())


def gamma_intervals(tables: Tables) -> pd.DataFrame:
    """Gamma with a bootstrap interval over captures; no rows for a single capture, which has no spread."""
    columns = pd.Index(["link", "sinks", "gamma", "low", "high", "captures"])
    if "modality" not in tables or tables["modality"]["capture"].nunique() < 2:
        return pd.DataFrame(columns=columns)
    curves: dict[tuple[str, str], list[Any]] = {}
    numbers: dict[tuple[str, str], Any] = {}
    for _, table in tables["modality"].groupby("capture", sort=False):
        for name, sinks, layers, alpha in links(table):
            curves.setdefault((name, sinks), []).append(alpha)
            numbers[name, sinks] = layers
    rows = [(*key, *gamma_interval(numbers[key], alphas), len(alphas)) for key, alphas in curves.items()]
    return pd.DataFrame(rows, columns=columns)


def capture_page(cap: Capture, name: str) -> dict[str, Any]:
    """What the page says about one capture: answer, options, provenance, self-check, warnings."""
    word, checks = provenance.checks(cap)
    return {
        "name": name,
        "question": cap.scene.question,
        "expected": cap.scene.answer,
        "answer": answer_text(cap),
        "options": records(options(cap)),
        "provenance": provenance.provenance(cap),
        "check": word,
        "checks": checks,
        "corrections": provenance.corrections(cap),
        "warnings": provenance.warnings(cap),
    }


def _sections(
    output: Output,
    caps: Sequence[Capture],
    names: Sequence[str],
    tables: Tables,
    speaker: str | None,
    denominator: str,
) -> list[dict[str, Any]]:
    """Figures by heading; headings without a figure say that there is none (the notes say why)."""
    return [
        {
            "title": "Speakers",
            "lead": "Do the words of a speaker attend to the pixels of that speaker?",
            "pictures": panels.speaker_panels(output, tables),
        },
        {
            "title": answer_panels.TITLE,
            "lead": answer_panels.LEAD,
            "pictures": answer_panels.answer_panels(output, caps, names, tables),
        },
        {
            "title": "Attention on the frames",
            "lead": "Where the attention falls in the picture, in the order of time.",
            "pictures": panels.overlay_panels(output, caps, names, tables, speaker),
        },
        {
            "title": "Within and between modalities",
            "lead": (
                "How much attention stays within text or video, how much crosses over, and how that changes with depth."
            ),
            "pictures": panels.modality_panels(output, tables, denominator),
        },
    ]


def _notes(caps: Sequence[Capture], names: Sequence[str], threshold: float) -> list[str]:
    """Why numbers are missing, each sentence once."""
    notes: dict[str, list[str]] = {}
    for name, cap in zip(names, caps, strict=True):
        failed = ["The self-check FAILED: do not trust these numbers."] if cap.check.get("passed") is False else []
        for note in [*failed, *metrics.explain(cap, threshold=threshold)]:
            notes.setdefault(note, []).append(name)
    if len(caps) == 1:
        return list(notes)
    out = [note if len(who) == len(caps) else f"{', '.join(who)}: {note}" for note, who in notes.items()]
    if len(caps) > panels.MOST_OVERLAYS:
        out.append(f"Frames are shown for the first {panels.MOST_OVERLAYS} of {len(caps)} captures.")
    return out
