"""What the numbers say, in sentences: chosen by rules, so that no result is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attnscope.demo.questions import SOCIAL
from attnscope.metrics.clips import verdict as verdicts
from benchmarks.studies.conditions import CHOSEN
from benchmarks.studies.numbers import percent, points, probability, short_in
from benchmarks.studies.roundtable.contrast import ROWS
from benchmarks.studies.roundtable.corrections import ALL
from benchmarks.studies.settings import CROWD, FEWEST, MORE

_FROM = {"answer": "answer position", "name": "name"}
_HELPS, _HURTS, _NOTHING = verdicts.MORE, verdicts.LESS, verdicts.NOTHING


def summary(accuracy: pd.DataFrame, cells: pd.DataFrame, full: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    """The few sentences at the top."""
    sentences = []
    for role, table in (("limited", cells), ("full", full)):
        known, more = _pooled(table, FEWEST), table.iloc[0]
        sentences.append(
            f"On the four tasks whose question names one person, {names[role]} is right in {percent(known['plain'])} %"
            f" at {FEWEST} people (n = {known['n']}) and {percent(more['plain'])} % at {CROWD} (n = {more['n']})."
        )
    first, other = cells.iloc[0], full.iloc[0]
    sentences.append(
        f"The correction chosen on calibration clips changes {names['limited']} by {points(first)} points at {CROWD}"
        f" (p {_p(first)}): {_verb(first['verdict'])}. The same rule on {names['full']}:"
        f" {points(other)} points (p {_p(other)}): {_verb(other['verdict'])}."
    )
    counting = accuracy[(accuracy["role"] == "limited") & (accuracy["task"] == "count") & accuracy["people"].isin(MORE)]
    if len(counting):
        right = float((counting["accuracy"] * counting["n"]).sum() / counting["n"].sum())
        sentences.append(
            f"Asked to count {CROWD}, {names['limited']} is right in {percent(right)} % (n = {counting['n'].sum()})."
        )
    return sentences


def did_not_work(
    accuracy: pd.DataFrame,
    cells: pd.DataFrame,
    full: pd.DataFrame,
    controls: pd.DataFrame,
    errors: pd.DataFrame,
    nobody: pd.DataFrame,
    names: Mapping[str, str],
    trained: Mapping[str, int],
) -> list[str]:
    """What models miss though they were trained on it, and everything that hurt, made no difference, or is level."""
    sentences = [sentence for role, name in names.items() for sentence in _missed(accuracy, role, name, trained[role])]
    sentences += [*_cells(cells, names["limited"]), *_cells(full, names["full"])]
    sentences += _conditions(controls[controls["group"] != "lines"])
    for _, row in nobody.iterrows():
        sentences.append(
            f"{row['task']}: the question names nobody, so the correction applied to {row['applied']} of {row['n']}"
            f" questions; {percent(row['plain'])} % stays as it is."
        )
    return [*sentences, *_errors(errors, names)]


def control_lines(controls: pd.DataFrame, lowest_g: Any | None = None) -> list[str]:
    """Whether each control does what it should: the wrong box hurts, what singles nobody out changes nothing.

    Args:
        controls: Table of `corrections.controls`.
        lowest_g: Row of corrections.md of its own control by heads, which stands beside the one of here.
    """
    sentences = []
    lines = controls[(controls["group"] == "lines") & (controls["name"] != CHOSEN)]
    for _, row in lines.iterrows():
        wanted = _HURTS if row["name"] == "other" else _NOTHING
        how = "as it should" if row["verdict"] == wanted else f"it should say: {wanted}"
        sentences.append(
            f"Drawn to {row['condition']}: {points(row)} points at {CROWD}, {row['verdict']} ({how});"
            f" {points(row, 'fewest', 'fewest_low', 'fewest_high')} points at {FEWEST} people."
        )
        if row["name"] == "lowest" and lowest_g is not None:
            sentences[-1] += (
                " These heads are the same for every prompt. The heads of lowest g in each prompt are another control:"
                f" {points(lowest_g, 'more_difference', 'more_low', 'more_high')} points there,"
                f" {lowest_g['more_verdict']} ([corrections](corrections.md), n = {lowest_g['more_n']})."
            )
    return sentences


def paper_claim(table: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    """Whether scenes with people get less attention on what is asked about than things alone do.

    Args:
        table: Of `contrast.alike`.
        names: Of the models, by role.
    """
    sentences = []
    for role, name in names.items():
        for rows, where in ROWS.items():
            mine = table[(table["role"] == role) & (table["rows"] == rows)].set_index(["task", "people"])
            if ("colour", 0) not in mine.index or mine.loc[("colour", 0), "n"] == 0:
                continue
            thing = mine.loc["colour", 0]
            comparisons = [
                _against(thing, mine.loc[cell], cell)
                for cell in (("cup", 1), ("cup", 6), ("pointing", 6), ("target", 6))
            ]
            sentences.append(
                f"{name}, {where}, mean over all heads: a thing alone gets {_both(thing)}. "
                + "; ".join(comparisons)
                + "."
            )
    return sentences


def _both(row: Any) -> str:
    return f"mass {short_in(row, 'mass')} and, over as many cells, {short_in(row, 'matched')} times uniform attention"


def _against(thing: Any, other: Any, cell: tuple[str, int]) -> str:
    """Only where both numbers agree is it "less" or "more": boxes of people hold more cells than those of things."""
    by = {what: _order(thing, other, what) for what in ("mass", "matched")}
    if len(set(by.values())) == 1:
        how = {"": "not told apart (the intervals overlap)"}.get(by["mass"], by["mass"])
    else:
        words = {"": "not told apart"}
        how = ", ".join(f"{words.get(by[w], by[w])} {end}" for w, end in (("mass", "in sum"), ("matched", "per cell")))
        how += ": neither less nor more"
    people = "1 person" if cell[1] == 1 else f"{cell[1]} people"
    return f"{cell[0]} at {people} {short_in(other, 'mass')} and {short_in(other, 'matched')}: {how}"


def _order(thing: Any, other: Any, what: str) -> str:
    if other[f"{what}_high"] < thing[f"{what}_low"]:
        return "less"
    return "more" if other[f"{what}_low"] > thing[f"{what}_high"] else ""


def _missed(accuracy: pd.DataFrame, role: str, name: str, most: int) -> list[str]:
    """Tasks that a model was trained on, with as many people, and still misses."""
    mine = accuracy[(accuracy["role"] == role) & (accuracy["people"] <= most)]
    goal = mine["task"].isin(SOCIAL).map({True: 0.90, False: 0.95})
    rows = mine[mine["accuracy"] < goal]
    if not len(rows):
        return []
    listed = (
        f"{r['task']} at {r['people']} people {percent(r['accuracy'])} % (n = {r['n']})" for _, r in rows.iterrows()
    )
    return [f"{name} was trained on as many, and yet is below 95 % (social tasks: 90 %) at: {'; '.join(listed)}."]


def _cells(table: pd.DataFrame, name: str) -> list[str]:
    single = table[table["task"] != ALL]
    sentences = []
    for verdict, words in ((_HURTS, "hurts"), (_NOTHING, "shows no difference")):
        rows = single[single["verdict"] == verdict]
        if len(rows):
            listed = "; ".join(f"{r['task']} at {r['people']} people ({points(r)})" for _, r in rows.iterrows())
            sentences.append(
                f"On {name}, the chosen correction {words} in {len(rows)} of {len(single)} cells: {listed}."
            )
    return sentences


def _conditions(controls: pd.DataFrame) -> list[str]:
    sentences = []
    others = controls[controls["name"] != CHOSEN]
    for verdict, words in ((_HURTS, "hurt"), (_NOTHING, "no difference shown")):
        rows = others[others["verdict"] == verdict]
        sentences += [
            f"{_told(row)}: {points(row)} points at {CROWD} (n = {row['n']}), {words}." for _, row in rows.iterrows()
        ]
    level = others[(others["verdict"] == _HELPS) & (others["ahead_verdict"] == _NOTHING)]
    sentences += [
        f"{_told(row)} helps too ({points(row)} points), and the chosen correction is not shown to be ahead of it"
        f" ({points(row, 'ahead', 'ahead_low', 'ahead_high')} points)."
        for _, row in level.iterrows()
    ]
    hurt = controls[controls["fewest_verdict"] == _HURTS]
    sentences += [
        f"{_told(row)}: {points(row, 'fewest', 'fewest_low', 'fewest_high')} points at {FEWEST} people: it breaks what"
        " worked."
        for _, row in hurt.iterrows()
    ]
    return sentences


def _told(row: Any) -> str:
    kinds = {"rows": "Rows: ", "boxes": "Boxes: "}
    return f"{kinds[row['group']]}{row['condition']}"


def _errors(errors: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    """Of the attention of right and wrong answers: where it does not go together."""
    sentences = []
    for role, name in names.items():
        mine = errors[errors["role"] == role]
        weak = mine[mine["verdict"] != "lower when wrong"]
        if len(weak):
            listed = []
            for verdict, rows in weak.groupby("verdict"):
                where = (f"{r['task']} ({_FROM[r['rows']]}, {r['view']})" for _, r in rows.iterrows())
                listed.append(f"{verdict} for {', '.join(where)}")
            sentences.append(
                f"{name}: attention to the asked box is shown to be lower when the answer is wrong in"
                f" {len(mine) - len(weak)} of {len(mine)} comparisons; it is {'; '.join(listed)}."
            )
    return sentences


def _pooled(table: pd.DataFrame, people: int) -> pd.Series:
    return table[(table["task"] == ALL) & (table["people"] == str(people))].iloc[0]


def _p(row: Any) -> str:
    written = probability(row["p"])
    return written if written.startswith("<") else f"= {written}"


def _verb(verdict: str) -> str:
    return {"helps": "it helps", "hurts": "it hurts"}.get(verdict, verdict)
