"""The tables of the page, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.studies.numbers import markdown, percent, percent_in, points, probability, short, short_in
from benchmarks.studies.roundtable.contrast import ROWS
from benchmarks.studies.settings import FEWEST


def tasks(known: Mapping[str, str]) -> str:
    """What the tasks are."""
    return markdown(["task", "what is asked"], [[task, meaning] for task, meaning in known.items()])


def accuracy(results: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Both models side by side."""
    rows = []
    for (task, people), both in results.groupby(["task", "people"], sort=False):
        first, by_role = both.iloc[0], both.set_index("role")
        cells = [percent_in(by_role.loc[role]) for role in names]
        chances = [percent(first["chance"]), percent(first["chance_others"])]
        rows.append([str(task), str(people), str(first["n"]), str(first["seats"]), *cells, *chances])
    return markdown(["task", "people", "n", "seats", *names.values(), "chance", "others"], rows)


def heads(ranked: pd.DataFrame) -> str:
    """The first sixteen and the last four."""
    ranks = pd.concat([ranked.iloc[:16], ranked.iloc[-4:]]).drop_duplicates("rank")
    rows = [
        [str(int(r["rank"])), f"{int(r['layer'])}.{int(r['head'])}", short(r["lift"]), short(r["mass"])]
        for _, r in ranks.iterrows()
    ]
    return markdown(["rank", "layer.head", "lift", "mass"], rows)


def grid(tried: pd.DataFrame) -> str:
    """Percent right, heads down and strengths across."""
    wide = tried[tried["heads"] > 0].pivot_table(index="heads", columns="alpha", values="accuracy")
    n = int(tried["n"].iloc[0])
    rows = [[str(k), *(percent(value) for value in line)] for k, line in zip(wide.index, wide.to_numpy(), strict=True)]
    return markdown([f"heads (n = {n})", *(f"alpha {alpha:g}" for alpha in wide.columns)], rows)


def correction(cells: pd.DataFrame) -> str:
    """Plain against corrected by task and number of people."""
    rows = [
        [r["task"], r["people"], str(r["n"]), *map(percent, (r["plain"], r["corrected"])), points(r), *_tested(r)]
        for _, r in cells.iterrows()
    ]
    columns = ["task", "people", "n", "plain %", "corrected %", "difference", "gained / lost", "p", "verdict"]
    return markdown(columns, rows)


def controls(results: pd.DataFrame) -> str:
    """Every condition in one table."""
    rows = [
        [r["condition"], r["source"], f"{r['applied']} of {r['n']}", percent(r["corrected"]), points(r), *_tested(r)]
        for _, r in results.iterrows()
    ]
    for row, (_, r) in zip(rows, results.iterrows(), strict=True):
        row += [_ahead(r), points(r, "fewest", "fewest_low", "fewest_high")]
    columns = ["condition", "source", "applied", "%", "difference", "gained / lost", "p", "verdict", "ahead"]
    return markdown([*columns, f"difference at {FEWEST} people"], rows)


def nobody(results: pd.DataFrame) -> str:
    """Questions without a name."""
    rows = [
        [r["task"], f"{r['applied']} of {r['n']}", percent(r["plain"]), percent(r["corrected"])]
        for _, r in results.iterrows()
    ]
    return markdown(["task", "applied", "plain %", "with the correction in force %"], rows)


def contrast(results: pd.DataFrame, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """A title and a table for each model and kind of row."""
    columns = ["task", "people", "n", "cells", "per pair", "mass", "lift", "best head", "its mass", "its lift"]
    made = []
    for role, name in names.items():
        for kind, where in ROWS.items():
            part = results[(results["role"] == role) & (results["rows"] == kind) & (results["n"] > 0)]
            rows = [
                [r["task"], str(r["people"]), str(r["n"]), f"{r['cells']:.1f}"]
                + [short_in(r, f"all_{what}") for what in ("per_pair", "mass", "lift")]
                + [f"{int(r['layer'])}.{int(r['head'])}", short_in(r, "best_mass"), short_in(r, "best_lift")]
                for _, r in part.iterrows()
            ]
            made.append((f"{name}, {where} (mean over all heads, then the best head)", markdown(columns, rows)))
    return made


def alike(results: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Boxes of unlike size side by side."""
    rows = [
        [names[r["role"]], ROWS[r["rows"]], r["task"], str(r["people"]), str(r["n"]), f"{r['cells']:.1f}"]
        + [short_in(r, what) for what in ("mass", "matched", "lift")]
        for _, r in results[results["n"] > 0].iterrows()
    ]
    columns = ["model", "from", "task", "people", "n", "cells", "mass", "lift, one cell a unit", "lift, whole box"]
    return markdown(columns, rows)


def errors(results: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Right less wrong."""
    rows = [
        [
            names[r["role"]],
            r["task"],
            ROWS[r["rows"]],
            r["view"],
            f"{r['right']} / {r['wrong']}",
            short(r["pooled"]),
            _difference(r),
            "" if r["p"] != r["p"] else probability(r["p"]),
            r["verdict"],
        ]
        for _, r in results.iterrows()
    ]
    columns = [
        "model",
        "task",
        "from",
        "heads",
        "n right / wrong",
        "pooled",
        "within numbers of people",
        "p",
        "verdict",
    ]
    return markdown(columns, rows)


def _tested(row: Any) -> list[str]:
    return [f"{row['n01']} / {row['n10']}", probability(row["p"]), row["verdict"]]


def _difference(row: Any) -> str:
    ends = "" if row["low"] != row["low"] else f" [{short(row['low'])}, {short(row['high'])}]"
    return short(row["difference"]) + ends


def _ahead(row: Any) -> str:
    return "" if row["name"] == "asked" else points(row, "ahead", "ahead_low", "ahead_high")
