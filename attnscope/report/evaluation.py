"""The page of an evaluation: accuracies with intervals, a correction beside its controls, and what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from attnscope.metrics.clips.resample import FEWEST
from attnscope.metrics.clips.verdict import LESS, MORE, NO_INTERVAL, NO_TEST, NOTHING
from attnscope.report.figures.accuracy import accuracies, differences
from attnscope.report.figures.style import styled
from attnscope.report.page.numbers import number, percent_interval, points_interval
from attnscope.report.page.page import Page
from attnscope.report.page.provenance import described
from attnscope.report.page.section import Section
from attnscope.report.page.staging import draft
from attnscope.report.page.summary import Summary, plain, records
from attnscope.report.verdict.statements import ANSWER, CORRECTION, LIMITS, Statement, Verdict, count

if TYPE_CHECKING:
    from attnscope.evaluate import Evaluation

PLAIN, CORRECTED = "plain", "corrected"
SAID = {  # by verdict
    MORE: "The correction helps",
    LESS: "The correction hurts",
    NOTHING: "The correction shows no difference",
    NO_INTERVAL: "Whether the correction helps cannot be said of so few clips",
    NO_TEST: "The correction could not be tested",
}
MOST_CHANGED = 200  # questions whose answer changed that a page lists
MOST_GROUPS = 30  # groups in the figure


def evaluation(result: Evaluation, *, csv: bool = False) -> Summary:
    """Write the page of an evaluation, `report.html`, into its folder, with figures and tables.

    Args:
        result: The evaluation (`attnscope.evaluate.evaluate`, or read back).
        csv: Also write tables of more than 30,000 rows as CSV.

    Returns:
        Where everything is, and the numbers: those of `result.to_dict()`.

    Raises:
        RequestError: If the folder cannot be used.
        RunError: If a file cannot be written.

    Example:
        >>> result = attnscope.evaluate.evaluate(model, "manifest.jsonl", "scored", [social])
        >>> attnscope.report.evaluation(result).report.name
        'report.html'
    """
    document = result.to_dict()
    accuracy, comparison = document["accuracy"], document["comparison"]
    groups = list(accuracy[0])[: list(accuracy[0]).index("condition")]
    controls = [row for row in _of_all(comparison) if row["condition"] != CORRECTED]
    changed = changed_questions(result)
    with draft(Path(result.folder)) as report, styled():
        report.output.csv = csv
        report.output.table("accuracy", _table(accuracy, groups))
        if comparison:
            report.output.table("comparison", _table(comparison, groups))
            report.output.table("changed", pd.DataFrame(changed, columns=pd.Index(CHANGED)))
        section = Section("Accuracy", output=report.output, table="accuracy")
        shown = [row for row in accuracy if row["condition"] in (PLAIN, CORRECTED)]
        most = MOST_GROUPS * len({row["condition"] for row in shown})
        caption = (
            f"Share of questions answered right, with 95 % bootstrap intervals over clips (from {FEWEST} clips on). "
            "Dotted: chance, the mean of 1 over the number of options."
        )
        section.draw("accuracy", accuracies(shown[:most], groups), "Accuracy by group", caption, first=True)
        if comparison:
            caption = "Accuracy less that of the plain model on the same questions; bars: 95 % intervals over clips."
            if controls:
                caption += " If a control does as well, the correction does not work by redirecting attention."
            figure = differences(_of_all(comparison))
            title = "The correction beside its controls" if controls else "What the correction changes"
            section.draw("differences", figure, title, caption, table="comparison", first=True)
        page = Page(
            "evaluation.html.j2",
            title=f"Accuracy of {_model(document)}",
            notes=document["cautions"],
            sections=[section],
            captures=[],
            parts={
                "verdict": judge(document),
                "document": document,
                "fields": groups,
                "rows": _rows(document, groups),
                "compared": [_compared(row, document) for row in _of_all(comparison)],
                "changed": changed[:MOST_CHANGED],
                "changed_count": len(changed),
                "fewest": FEWEST,
                "no_interval": any(row["low"] is None for row in accuracy),
                "corrections": _corrections(document["correction"] or []),
                "left_out": _alike(document["controls_left_out"]),
                "run": _run(result.run),
            },
        )
        return page.write(report, document)


CHANGED = ("id", "question", "answer", "plain", "corrected", "became")


def changed_questions(result: Evaluation) -> list[dict[str, Any]]:
    """The questions that a correction answers otherwise than the plain model: `became` is right, wrong or other."""
    samples = result.samples
    if CORRECTED not in result.conditions:
        return []
    rows = []
    for sample in records(samples):
        before, after = sample[f"{PLAIN}.prediction"], sample[f"{CORRECTED}.prediction"]
        if before == after:
            continue
        was, now = bool(sample[f"{PLAIN}.correct"]), bool(sample[f"{CORRECTED}.correct"])
        became = "right" if now and not was else "wrong" if was and not now else "other"
        row = {"id": sample["id"], "question": sample["question"], "answer": sample["answer"]}
        rows.append(row | {"plain": before, "corrected": after, "became": became})
    return rows


def judge(document: Mapping[str, Any]) -> Verdict:
    """What the evaluation says: how often the model is right, whether a correction helps, how far this goes."""
    (first, *_) = document["accuracy"]
    questions, clips = count(document["questions"], "question"), count(document["clips"], "clip")
    lead = f"The model answers {percent_interval(first)} of {questions} right; chance is {100 * first['chance']:.1f} %."
    statements = [Statement(ANSWER, lead)]
    compared = _of_all(document["comparison"])
    if compared:
        statements.append(_on_correction(compared))
    few = document["clips"] < FEWEST
    limits = f"The questions are about {clips}" + (f": fewer than {FEWEST} have no interval." if few else ".")
    details = ["They say nothing of other models, and little of other kinds of clips."]
    statements.append(Statement(LIMITS, limits, tuple(details)))
    return Verdict(tuple(statements))


def _on_correction(compared: Sequence[Mapping[str, Any]]) -> Statement:
    """What the correction does, and whether a control does as well."""
    own = compared[0]
    word = str(own["verdict"])
    lead = f"{SAID.get(word, word)}: {points_interval(own)} against the plain model."
    left = own["n"] - own["applied"]
    applied = f"It applied to {own['applied']} of {count(own['n'], 'question')}; the others count as unchanged."
    p = f"p = {number(max(own['p'], own['p_clips']))} (the larger of two exact tests)." if _known(own) else ""
    right = f"{count(own['n01'], 'question')} became right, {own['n10']} became wrong."
    judged = _beside_controls(own, compared[1:])
    return Statement(CORRECTION, lead, tuple(text for text in (applied if left else "", p, right, judged) if text))


def _beside_controls(own: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]) -> str:
    """What the controls gain beside a correction; whether they differ from it is not tested, and that is said."""
    if not controls:
        return "No control was run: what the correction does may have another cause."
    applied = [row for row in controls if row["applied"]]
    if not applied:
        return "Its controls applied to no question, so that they say nothing."
    if own["verdict"] != MORE:
        return f"What its {'control does' if len(applied) == 1 else f'{len(applied)} controls do'} stands below."
    as_good = [row for row in applied if row["difference"] >= own["difference"]]
    if as_good:
        names = ", ".join(str(row["condition"]).removeprefix("control: ") for row in as_good)
        return f"Controls that gain at least as much: {names}. So it need not work by redirecting attention."
    best = max(applied, key=lambda row: row["difference"])
    name = str(best["condition"]).removeprefix("control: ")
    untested = "whether the correction differs from it is not tested"
    return f"No control gains as much; the best, {name}, changes {points_interval(best)}; {untested}."


def _known(row: Mapping[str, Any]) -> bool:
    return row["p"] is not None and row["p_clips"] is not None


def _of_all(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first row of each condition, which is of all questions: the correction, then its controls."""
    first: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(str(row["condition"]), row)
    return list(first.values())


def _table(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> pd.DataFrame:
    """Rows as a table; labels of groups as text, since those of all questions are words."""
    return pd.DataFrame(rows).astype(dict.fromkeys(groups, str))


def _rows(document: Mapping[str, Any], groups: Sequence[str]) -> list[dict[str, Any]]:
    """A row a group for the page's table: plain, corrected and their difference side by side."""
    after = [row for row in document["accuracy"] if row["condition"] == CORRECTED]
    gains = [row for row in document["comparison"] if row["condition"] == CORRECTED]
    out = []
    for place, row in enumerate(row for row in document["accuracy"] if row["condition"] == PLAIN):
        cells = {"labels": [str(row[field]) for field in groups], "plain": row}
        more = {"corrected": after[place], "gain": _compared(gains[place], document)} if after else {}
        out.append(cells | more)
    return out


def _compared(row: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison with its accuracy and the larger p; both tests have to agree."""
    same = [own for own in document["accuracy"] if own["condition"] == row["condition"]]
    p = max(row["p"], row["p_clips"]) if _known(row) else None
    return {**row, "larger_p": p, "accuracy": same[0] if same else None}


def _model(document: Mapping[str, Any]) -> str:
    name = str(document["model"])
    return Path(name).name if Path(name).is_absolute() else name


def _corrections(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The corrections with all their parameters; in which heads they acted differs from question to question."""
    from attnscope.correct.registry import about

    return described([{**record, **about(str(record["method"]))} for record in records])


def _alike(left_out: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Controls that are left out, by reason."""
    alike: dict[str, list[str]] = {}
    for name, why in left_out.items():
        alike.setdefault(why, []).append(name)
    return list(alike.items())


def _run(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, as name and value."""
    model, manifest = run.get("model") or {}, run.get("manifest") or {}
    versions = model.get("versions") or {}
    facts = [
        ("model", str(model.get("id"))),
        ("class", f"{model.get('class')} (family {model.get('family')})"),
        ("weights sha256", str(model.get("weights_sha256") or "—")[:16]),
        ("runs with", f"{model.get('attention')} attention, {model.get('dtype')} on {model.get('device')}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "—"),
        ("manifest", f"{manifest.get('path')}, {count(int(manifest.get('questions') or 0), 'question')}"),
        ("answer counted", str((run.get("score") or {}).get("rule") or "—")),
    ]
    sampling = plain(run.get("sampling") or {})
    given = ", ".join(f"{name} {value}" for name, value in sampling.items() if value is not None)
    return [*facts, ("sampling", given or "—")]
