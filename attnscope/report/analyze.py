"""The report of one or more captures: tables, figures and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope import metrics
from attnscope.capture.read.capture import Capture
from attnscope.metrics.clips.keys import labels, several_groups
from attnscope.metrics.clips.pool import summarize
from attnscope.metrics.clips.resample import FEWEST
from attnscope.metrics.decay import across_captures
from attnscope.metrics.headline import headline
from attnscope.progress import Progress
from attnscope.report.figures.labels import learn_scenes
from attnscope.report.figures.style import check_style, styled
from attnscope.report.inputs import (
    Analysis,
    Tables,
    check_options,
    compute_tables,
    names_of,
    open_all,
    refuse_twice,
    subject,
)
from attnscope.report.page import provenance
from attnscope.report.page.captures import capture_page, notes, options, placing
from attnscope.report.page.drawing import Maker, draw_sections
from attnscope.report.page.output import Output
from attnscope.report.page.page import Page
from attnscope.report.page.section import Section
from attnscope.report.page.staging import Draft, draft
from attnscope.report.page.summary import Summary, records
from attnscope.report.page.words import stage_page
from attnscope.report.sections import answer, frames, modality, speakers
from attnscope.report.sections.groups import compare_groups
from attnscope.report.sections.panels import MOST_OVERLAYS
from attnscope.report.verdict import of_capture, of_captures
from attnscope.report.viewer.document import view_document
from attnscope.report.viewer.embedding import embed, room


def analyze(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    speaker: str | None = None,
    threshold: float = 0.5,
    denominator: str = "max",
    by: str | None = None,
    jitter: Mapping[str, Any] | None = None,
    style: str = "paper",
    films: bool = False,
    csv: bool = False,
    caption: str = "",
    progress: Progress | None = None,
) -> Summary:
    """Measure captures and write tables (parquet, small ones also CSV), figures (PNG, SVG), a page and JSON.

    Everything is put there at the end: what is interrupted leaves the folder as it was.

    Args:
        paths: One capture, or several of one model (their numbers are then also averaged over clips).
        out: Folder to write into; made if it does not exist.
        speaker: Whose attention is drawn over the frames; by default the first with words and a box.
        threshold: Covered fraction from which a visual token counts as a speaker's.
        denominator: Denominator of the gap between self and cross attention: `max`, `sum` or `self`.
        by: With several captures, a field of the scenes (or `speakers`, how many have a box, or `correction`) whose
            labels are compared.
        jitter: Options of `attnscope.metrics.jitter`: numbers that depend on boxes get a band from disturbed boxes.
        style: Style of figures: `paper` or `slides`.
        films: Also write the attention over the moving clip as mp4 and GIF, for the captures whose frames are shown;
            takes seconds a clip.
        csv: Also write tables of more than 30,000 rows (`attnscope.metrics.export.CSV_ROWS`) as CSV.
        caption: A sentence that readers must see first, under the title.
        progress: Called with (what, done, total); a total of 0 is not known.

    Returns:
        Where everything is, the headline numbers, and notes on what is not defined and why.

    Raises:
        RequestError: For an option out of range, an unknown speaker, captures that cannot be averaged or compared.
        FormatError: If a file is not a complete capture.
        RunError: If the output cannot be written.

    Example:
        >>> summary = attnscope.report.analyze("run.h5", "out", speaker="Dan")
        >>> summary.report.name, sorted(path.name for path in summary.figures)[0]
        ('report.html', 'answer_lift.png')
    """
    check_options(threshold, denominator)
    check_style(style)
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    refuse_twice(paths)
    with ExitStack() as stack:
        caps = open_all(paths, stack)
        for cap in caps:
            subject(cap, speaker)  # an unknown speaker is refused before any work
        names = names_of(caps)
        about = labels(caps, names)
        if by is not None:
            several_groups(about, by)
        options: dict[str, Any] = {"speaker": speaker, "threshold": threshold, "denominator": denominator, "by": by}
        options |= {"jitter": None if jitter is None else dict(jitter), "style": style, "films": films}
        with draft(Path(out)) as report, styled(style):
            report.output.progress, report.output.csv = progress, csv
            learn_scenes([cap.scene for cap in caps])
            tables = compute_tables(caps, names, threshold, options["jitter"], progress)
            analysis = Analysis(report.output, caps, names, tables, about, speaker, denominator, films)
            return _write(report, analysis, options, caption)


def _write(report: Draft, analysis: Analysis, settings: Mapping[str, Any], caption: str) -> Summary:
    """Write tables, figures and the page."""
    caps, names, about, output = analysis.caps, analysis.names, analysis.about, analysis.output
    numbers = headline(analysis.tables, analysis.denominator, about)
    groups = None if settings["by"] is None else compare_groups(analysis, settings["by"])
    several, threshold = len(caps) > 1, settings["threshold"]
    verdict = of_captures(caps, names, analysis.tables) if several else of_capture(caps[0], threshold=threshold)
    pages = [capture_page(cap, name) for cap, name in zip(caps, names, strict=True)]

    def tables() -> None:
        write_tables(output, caps, names, analysis.tables, about, settings["by"])
        output.table("headline", numbers)

    parts = sections(analysis, tables)
    page = Page(
        "analyze.html.j2",
        title=f"Attention of {provenance.model_name(caps[0])}",
        notes=notes(caps, names, threshold),
        sections=parts,
        captures=pages,
        caption=caption,
        viewer=embed(_document(analysis, parts, verdict.facts)),
        parts={
            "verdict": verdict,
            "stages": [
                {"name": name, **stage_page(cap)} for name, cap in zip(names[:MOST_OVERLAYS], caps, strict=False)
            ],
            "numbers": records(numbers),
            "clips": int(about["clip"].nunique()),
            "interval": _interval(about, settings["jitter"]),
            "groups": None if groups is None else groups.page(),
            "settings": _settings_in_words(settings, several=several),
        },
    )
    document = {
        "kind": "analysis",
        "verdict": verdict.to_dict(),
        "captures": [str(cap.path) for cap in caps],
        "settings": dict(settings),
        "headline": records(numbers),
        "answers": {own["name"]: {"answer": own["answer"], "options": own["options"]} for own in pages},
        "placing": {name: cap.placing.to_dict() for cap, name in zip(caps, names, strict=True)},
    }
    return page.write(report, document if groups is None else document | {"groups": groups.to_dict()})


def sections(analysis: Analysis, meanwhile: Callable[[], None] = lambda: None) -> list[Section]:
    """Figures by heading; headings without a figure say that there is none (the notes say why).

    Args:
        analysis: What they are of.
        meanwhile: Other work, done while another process draws some of them.
    """
    parts = ((speakers, True), (answer, False), (frames, False), (modality, True))
    makers = [Maker(partial(part.of_captures, analysis), from_tables) for part, from_tables in parts]
    return draw_sections(analysis.output, makers, meanwhile)


def _document(analysis: Analysis, parts: Sequence[Section], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the viewer shows: the first captures, as the frames of the page."""
    caps, names = analysis.caps[:MOST_OVERLAYS], analysis.names[:MOST_OVERLAYS]
    own = [{family: table[table["capture"] == name] for family, table in analysis.tables.items()} for name in names]
    figures = [picture for part in parts for picture in part.pictures]
    return view_document(caps, own, names if len(names) > 1 else [""], budget=room(figures), facts=facts)


def write_tables(
    output: Output,
    caps: Sequence[Capture],
    names: Sequence[str],
    tables: Tables,
    about: pd.DataFrame,
    by: str | None = None,
) -> None:
    """Write the tables of all families, all as one, what many captures say together, options, placing, definitions."""
    for family, table in tables.items():
        output.table(family, table)
    output.table("metrics", metrics.long(tables))
    if len(caps) > 1:
        for name, table in summarize(tables, about, by).items():
            output.table(name, table)
        if "modality" in tables:  # one fit through the curves of all clips, and a break that is searched for in all
            clips = tables["modality"].merge(about[["capture", "clip"]], on="capture")
            output.table("decay_fits", across_captures(clips, unit="clip"))
    answers = [options(cap).assign(capture=name) for name, cap in zip(names, caps, strict=True)]
    output.table("options", pd.concat(answers, ignore_index=True))
    output.table("placing", pd.DataFrame([placing(cap, name) for cap, name in zip(caps, names, strict=True)]))
    output.table("definitions", metrics.definitions())


def _interval(about: pd.DataFrame, jitter: Mapping[str, Any] | None) -> str:
    """What the intervals beside the headline numbers are; "" if there are none."""
    if about["clip"].nunique() > 1:
        return f"95 % interval over clips (from {FEWEST} on)"
    if jitter is not None and len(about) == 1:
        return f"{100 * float(jitter.get('level', 0.95)):g} % of disturbed boxes"
    return ""


def _settings_in_words(settings: Mapping[str, Any], *, several: bool) -> dict[str, str]:
    """Settings in the words of the page, without those that are off or only about looks."""
    out = {"covered-fraction threshold": f"{settings['threshold']:g}", "gap denominator": str(settings["denominator"])}
    if settings["by"] is not None:
        out["compared by"] = str(settings["by"])
    if settings["jitter"] is not None:
        bands = " (bands: in the tables, one a capture)" if several else ""
        out["boxes disturbed with"] = ", ".join(f"{name} {value}" for name, value in settings["jitter"].items()) + bands
    return out
