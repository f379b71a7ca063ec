"""The report of one or more captures: tables, figures and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope import metrics
from attnscope.capture.reader import Capture
from attnscope.metrics.decay import across_captures
from attnscope.metrics.headline import headline
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
    by: str | None = None,
    jitter: Mapping[str, Any] | None = None,
    style: str = "paper",
    caption: str = "",
) -> Summary:
    """Measure captures and write tables (CSV, parquet), figures (PNG, SVG), `report.html` and `summary.json`.

    Args:
        paths: one capture, or several of one model (their numbers are then also averaged).
        out: folder to write into; made if it does not exist.
        speaker: whose attention is drawn over the frames; by default the first with words and a box.
        threshold: covered fraction from which a visual token counts as a speaker's.
        denominator: of the gap between self and cross attention: `max`, `sum` or `self`.
        by: with several captures, a field of the scenes (or `speakers`, how many have a box, or `correction`) whose
            labels are compared.
        jitter: options of `attnscope.metrics.jitter`: numbers that depend on boxes get a band from disturbed boxes.
        style: of figures: `paper` or `slides`.
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
        about = metrics.pool.labels(caps, names)
        if by is not None:
            metrics.pool.groups(about, by)  # an unknown field is refused before any work
        tables = compute_tables(caps, names, threshold, jitter)
        output = Output(Path(out))
        write_tables(output, caps, names, tables, about, by)
        with styled(style):
            sections = _sections(output, caps, names, tables, about, speaker, denominator)
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


def write_tables(
    output: Output,
    caps: Sequence[Capture],
    names: Sequence[str],
    tables: Tables,
    about: pd.DataFrame,
    by: str | None = None,
) -> None:
    """Write the tables of all families, all as one, what many captures say together, the options, the definitions."""
    for family, table in tables.items():
        output.table(family, table)
    output.table("metrics", metrics.long(tables))
    if len(caps) > 1:
        for name, table in metrics.pool.summarize(tables, about, by).items():
            output.table(name, table)
    answers = [options(cap).assign(capture=name) for name, cap in zip(names, caps, strict=True)]
    output.table("options", pd.concat(answers, ignore_index=True))
    if len(intervals := gamma_intervals(tables)):
        output.table("decay_intervals", intervals)
    output.table("definitions", metrics.definitions())


def gamma_intervals(tables: Tables) -> pd.DataFrame:
    """Gamma with a bootstrap interval over captures; no rows for a single capture, which has no spread."""
    columns = ["link", "sinks", "gamma", "low", "high", "captures"]
    if "modality" not in tables or tables["modality"]["capture"].nunique() < 2:
        return pd.DataFrame(columns=pd.Index(columns))
    found = across_captures(tables["modality"])
    return found[found["metric"] == "decay_gamma"].rename(columns={"value": "gamma", "n": "captures"})[columns]


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
    about: pd.DataFrame,
    speaker: str | None,
    denominator: str,
) -> list[dict[str, Any]]:
    """Figures by heading; headings without a figure say that there is none (the notes say why)."""
    return [
        {
            "title": "Speakers",
            "lead": "Do the words of a speaker attend to the pixels of that speaker?",
            "pictures": panels.speaker_panels(output, tables, about),
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
            "pictures": panels.modality_panels(output, tables, denominator, about),
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
