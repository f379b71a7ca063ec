"""What a sweep's page and the terminal show: which numbers, in which table, under which titles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attnscope.correct.dose.grid import said as said_of
from attnscope.correct.dose.sweep import ANSWER, HEADS, PLAIN, Sweep
from attnscope.report.figures.dose import Panel
from attnscope.report.numbers import number, ranked
from attnscope.report.summary import Summary
from attnscope.scene.names import equal_but_for_case

LIFT, SHARE = "Answer's lift on the asked speaker", "Mass share text \N{RIGHTWARDS ARROW} visual"
CONSISTENCY = ("Speaker consistency over chance, live frames", "Speaker consistency over chance, all frames")
MOST_PANELS = 4
_LABELS = {
    ANSWER[0]: "nats",
    ANSWER[1]: "share of the options",
    LIFT: "× uniform attention",
    SHARE: "share of mass",
} | dict.fromkeys(CONSISTENCY, "lift over chance")


def wide(found: Sweep) -> pd.DataFrame:
    """A row a setting, a column a number: `setting`, the swept parameters, `answer`, then every number."""
    rows = found.table.assign(
        column=[_column(*pair) for pair in zip(found.table["number"], found.table["of"], strict=True)]
    )
    first = ["setting", *(axis.name for axis in found.axes)]
    numbers = rows.pivot_table(index="setting", columns="column", values="value", sort=False, dropna=False)
    table = rows.drop_duplicates("setting")[first].set_index("setting")
    table["answer"] = [run["answer"].strip() for run in found.runs]
    log = _column(ANSWER[0], "")
    table["change"] = numbers[log] - numbers[log].iloc[PLAIN]
    return table.join(numbers).reset_index()


def panels_of(found: Sweep) -> list[Panel]:
    """What is drawn: the answer first, then where attention went; only what is defined."""
    defined = set(found.table.loc[found.table["value"].notna(), "number"])
    consistency = next((name for name in CONSISTENCY if name in defined), "")
    wanted = [ANSWER[0], ANSWER[1] if found.runs[PLAIN]["options"] else "", LIFT, consistency, SHARE]
    titles = titles_of(found.target)
    chosen = [name for name in wanted if name in defined][:MOST_PANELS]
    within = {ANSWER[1]: (0.0, 1.0)}
    return [Panel(name, titles.get(name, name), _LABELS[name], within.get(name)) for name in chosen]


def titles_of(target: str) -> dict[str, str]:
    """What the numbers of the followed answer are called where readers see them."""
    return {ANSWER[0]: f"Log-probability of “{target}”", ANSWER[1]: f"Probability of “{target}”"}


def columns_of(found: Sweep) -> dict[str, str]:
    """Numbers of the page's table and their titles: the active heads, then what is drawn."""
    return {HEADS: HEADS} | {panel.number: panel.title for panel in panels_of(found)}


def verdict(said: str, target: str, *, right: bool) -> str:
    """Whether an answer is the followed one, as `attnscope.report.answers.verdict`; "" if that is not the scene's."""
    if not (said.strip() and right):
        return ""
    return "right" if equal_but_for_case(said, target) else "wrong"


def brief(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The small table for a terminal: columns and rows, of the plain run first."""
    document = summary.numbers
    names, answer = list(document["sweep"]), document["answer"]
    titles = titles_of(answer["text"])
    chosen = [name for name in (*ANSWER, LIFT) if any(_value(one, name) is not None for one in document["settings"])]
    rows = []
    for one in document["settings"]:
        said = f"{one['answer'].strip()} {verdict(one['answer'], answer['text'], right=answer['right'])}".strip()
        doses = [_dose(one["values"][name]) for name in names] if one["values"] else ["plain", *[""] * (len(names) - 1)]
        rows.append([*doses, said or "—"])
    texts = [ranked([_value(one, name) for one in document["settings"]], 4) for name in (HEADS, *chosen)]
    rows = [[*row, *of_row] for row, *of_row in zip(rows, *texts, strict=True)]
    return [*names, "answer", "heads", *(titles.get(name, name) for name in chosen)], rows


def _value(setting: Mapping[str, Any], name: str) -> float | None:
    """A number of a setting of the JSON."""
    return next((row["value"] for row in setting["numbers"] if row["number"] == name), None)


def _dose(value: Any) -> str:
    return number(value, 6) if isinstance(value, float) else "none" if value is None else said_of(value)


def _column(number: str, of: str) -> str:
    """Name of a number's column; options have their text behind it."""
    return f"{number}: {of}" if of and number not in ANSWER else number
