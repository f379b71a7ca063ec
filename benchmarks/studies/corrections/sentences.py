"""What the numbers say, in sentences: chosen by rules, so that no result is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from attnscope.correct.controls import LOWEST_G
from attnscope.metrics.clips import verdict as verdicts
from benchmarks.studies.conditions import PLAIN
from benchmarks.studies.corrections.gaps import SIDES
from benchmarks.studies.corrections.measure import PARTS
from benchmarks.studies.corrections.methods import FIRST
from benchmarks.studies.intervals import judged
from benchmarks.studies.numbers import percent, points, probability, short
from benchmarks.studies.settings import CROWD, FEWEST

_WORDS = ((verdicts.MORE, "help"), (verdicts.NOTHING, "show no difference"), (verdicts.LESS, "hurt"))


def summary(main: pd.DataFrame, best: pd.DataFrame) -> list[str]:
    """The few sentences at the top: the plain model, and which corrections help, do nothing, and hurt."""
    first = main.iloc[0]
    n = f"n = {first['more_n']}, {first['more_clips']} clips"
    sentences = [
        f"Plain, the model is right in {percent(first['more_plain'])} % of the questions that name a person at {CROWD}"
        f" ({n}), and in {percent(first['fewest_plain'])} % at {FEWEST} people (n = {first['fewest_n']})."
    ]
    own = main[~main["family"].isin(("controls", "knockout"))]
    for verdict, word in _WORDS:
        rows = own[own["more_verdict"] == verdict].sort_values("more_difference", ascending=False)
        if len(rows):
            of = f"{len(rows)} of {len(own)} corrections"
            sentences.append(f"{of} {word} there at the settings of the first table: {_listed(rows)}.")
    helping = own[own["more_verdict"] == verdicts.MORE]["condition"]
    better = best[(best["more_verdict"] == verdicts.MORE) & ~best["method"].isin(helping)]
    if len(better):
        listed = "; ".join(f"{r['condition']} {_points(r)}" for _, r in better.iterrows())
        sentences.append(f"At the dose that was best on calibration clips, these help too: {listed}.")
    return sentences


def controls(main: pd.DataFrame, ranked_lowest: Any | None = None) -> list[str]:
    """What the controls of the first correction, and the knockouts, do.

    Args:
        main: Table of `measure.rows_of`.
        ranked_lowest: Row of roundtable.md of its own control by heads, which stands beside the one of here.
    """
    first = main[main["condition"] == FIRST].iloc[0]
    sentences = [f"{FIRST}: {_points(first)} points."]
    for _, row in main[main["family"].isin(("controls", "knockout"))].iterrows():
        sentences.append(f"{row['condition']}: {_points(row)} points, {row['more_verdict']}.")
        if row["condition"] == f"control: {LOWEST_G}" and ranked_lowest is not None:
            sentences[-1] += (
                " These are the heads of lowest g in each prompt. The heads that were ranked lowest on calibration"
                f" clips, the same for every prompt, are another control: {points(ranked_lowest)} points,"
                f" {ranked_lowest['verdict']} ([roundtable](roundtable.md), n = {ranked_lowest['n']})."
            )
    return sentences


def gaps(table: pd.DataFrame) -> list[str]:
    """Which methods lower the gap that they are meant to lower, and which raise it."""
    changed = table[table["text_change"].notna()]
    for side in SIDES:
        changed = judged(changed, f"{side}_change_", "raise", "lower")
    sentences = []
    for side in SIDES:
        for word in ("lower", "raise"):
            rows = changed[changed[f"{side}_change_verdict"] == word]
            listed = "; ".join(
                f"{r['method']} {points(r, f'{side}_change', f'{side}_change_low', f'{side}_change_high')}"
                for _, r in rows.iterrows()
            )
            sentences.append(
                f"{len(rows)} of {len(changed)} {word} the gap of {side} queries" + (f": {listed}." if listed else ".")
            )
    return sentences


def harm(main: pd.DataFrame) -> list[str]:
    """What breaks that worked: at few people, and at questions about cups and things."""
    sentences = []
    own = main[~main["family"].isin(("controls", "knockout"))]
    for part, where in (("fewest", f"at {FEWEST} people"), ("harm", "on questions about cups and things")):
        for verdict, word in ((verdicts.LESS, "hurt"), (verdicts.MORE, "help")):
            rows = own[own[f"{part}_verdict"] == verdict].sort_values(f"{part}_difference")
            if len(rows):
                sentences.append(f"{len(rows)} of {len(own)} corrections {word} {where}: {_listed(rows, part)}.")
            elif verdict == verdicts.LESS:
                sentences.append(f"None of {len(own)} corrections is shown to hurt {where}.")
    return sentences


def doses(table: pd.DataFrame, best: pd.DataFrame) -> list[str]:
    """Which doses were chosen, and which corrections are no better than the plain model at any of them."""
    plain = float(table[table["method"] == PLAIN]["accuracy"].iloc[0])
    sentences = [f"Plain, {percent(plain)} % of the calibration questions are right."]
    top = table[table["method"] != PLAIN].groupby("method", sort=False)["accuracy"].max()
    none = [str(name) for name, value in top.items() if value <= plain]
    if none:
        sentences.append(f"At no dose better than the plain model on them: {', '.join(none)}.")
    edge = [f"{r['method']} ({r['parameter']} = {short(r['best'])})" for r in _at_the_end(table, best)]
    if edge:
        sentences.append(
            f"Best at the last dose that was tried, so that a stronger one may be better: {', '.join(edge)}."
        )
    return sentences


def nothing(main: pd.DataFrame, best: pd.DataFrame) -> list[str]:
    """Everything that did not help, at its default and at its best dose."""
    by_method = best.set_index("method")
    sentences = []
    for _, row in main[~main["family"].isin(("controls", "knockout"))].iterrows():
        name = row["condition"]
        if row["more_verdict"] == verdicts.MORE:
            continue
        text = f"{name}: {_points(row)} points (p {_p(row)}), {row['more_verdict']}"
        if not any(row[f"{part}_{n}"] for part in PARTS for n in ("n01", "n10")):
            text += "; not one answer of all questions turned right or wrong"
        if name in by_method.index and by_method.loc[name, "best"] != by_method.loc[name, "default"]:
            again = by_method.loc[name]
            text += f"; with {again['parameter']} = {short(again['best'])} {_points(again)} points (p {_p(again)})"
        sentences.append(text + ".")
    return sentences


def _at_the_end(table: pd.DataFrame, best: pd.DataFrame) -> Iterator[Any]:
    plain = float(table[table["method"] == PLAIN]["accuracy"].iloc[0])
    for _, row in best.iterrows():
        part = table[table["method"] == row["method"]]
        if part["dose"].iloc[-1] == row["best"] and part["accuracy"].max() > plain:
            yield row


def _listed(rows: pd.DataFrame, part: str = "more") -> str:
    sentences: Sequence[str] = [f"{row['condition']} ({_points(row, part)})" for _, row in rows.iterrows()]
    return "; ".join(sentences)


def _points(row: Any, part: str = "more") -> str:
    return points(row, f"{part}_difference", f"{part}_low", f"{part}_high")


def _p(row: Any) -> str:
    sentences = probability(row["more_p"])
    return sentences if sentences.startswith("<") else f"= {sentences}"
