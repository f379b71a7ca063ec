"""The tables of the page, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from attnscope.correct import Correction
from attnscope.metrics.clips.verdict import LESS, MORE
from benchmarks.studies.corrections.gaps import SIDES
from benchmarks.studies.corrections.methods import Method
from benchmarks.studies.numbers import markdown, percent, percent_in, points, probability, short, signed
from benchmarks.studies.settings import FEWEST

_TESTED = ("difference", "gained / lost", "p", "verdict")


def main(results: pd.DataFrame) -> str:
    """Every correction at its default."""
    rows = [
        [
            r["condition"],
            r["source"],
            f"{r['more_applied']} of {r['more_n']}",
            percent(r["more_accuracy"]),
            *_difference(r),
            _of(r, "fewest"),
            f"{r['harm_applied']} of {r['harm_n']}",
            _of(r, "harm"),
        ]
        for _, r in results.iterrows()
    ]
    columns = ["correction", "source", "applied", "%", *_TESTED]
    return markdown([*columns, f"difference at {FEWEST} people", "applied", "difference, cups and things"], rows)


def best(results: pd.DataFrame, doses: pd.DataFrame) -> str:
    """Every correction that has a strength, at the best of the doses."""
    on = doses.set_index(["method", "dose"])["accuracy"]
    rows = []
    for _, r in results.iterrows():
        which = f"{r['parameter']} = {short(r['best'])}" + (" (as above)" if r["best"] == r["default"] else "")
        calibrated = percent(on.loc[(r["method"], r["best"])])
        rows.append([r["method"], which, calibrated, percent(r["more_accuracy"]), *_difference(r)])
        rows[-1] += [_of(r, "fewest"), _of(r, "harm")]
    columns = ["correction", "best dose", "% on calibration", "% on test", *_TESTED]
    return markdown([*columns, f"difference at {FEWEST} people", "difference, cups and things"], rows)


def compact(results: pd.DataFrame) -> str:
    """Differences in points; bold where they are shown to help or to hurt."""
    over = list(dict.fromkeys(results["over"]))
    rows = []
    for name, part in results.groupby("condition", sort=False):
        numbers = part.set_index("over")
        rows.append([str(name), *(_bold(numbers.loc[column]) for column in over)])
    first = results[results["condition"] == results["condition"].iloc[0]].set_index("over")
    plain = ["plain, percent right", *(percent(first.loc[column, "plain"]) for column in over)]
    asked = ["questions", *(str(first.loc[column, "n"]) for column in over)]
    return markdown(["", *over], [asked, plain, *rows])


def gaps(results: pd.DataFrame) -> str:
    """The gap of text and of visual queries under each method, in percent."""
    rows = []
    for _, r in results.iterrows():
        row = [str(r["method"])]
        for side in SIDES:
            row += [percent_in(r, side, f"{side}_low", f"{side}_high")]
            row += [
                points(r, f"{side}_change", f"{side}_change_low", f"{side}_change_high") if _changes(r, side) else ""
            ]
        rows.append(row)
    return markdown(["", *(title for side in SIDES for title in (f"{side} queries", "change"))], rows)


def _changes(row: Any, side: str) -> bool:
    return bool(row[f"{side}_change"] == row[f"{side}_change"])


def settings(tried: Sequence[Method]) -> str:
    """The corrections as they are written on a command line."""
    rows = [
        [
            method.name,
            " then ".join(map(_typed, method.corrections)),
            method.dose and f"{method.dose} = {_listed(method.doses)}",
        ]
        for method in tried
    ]
    return markdown(["correction", "method, and parameters that are not its defaults", "doses"], rows)


def _typed(correction: Correction) -> str:
    defaults = correction.about()["defaults"]
    changed = [f"{name}={value}" for name, value in correction.params().items() if value != defaults[name]]
    return f"`{' '.join([correction.method, *changed])}`"


def _listed(doses: Sequence[float]) -> str:
    return ", ".join(map(short, doses))


def _bold(row: Any) -> str:
    text = signed(row["difference"])
    return f"**{text}**" if row["verdict"] in (MORE, LESS) else text


def _of(row: Any, part: str) -> str:
    return points(row, f"{part}_difference", f"{part}_low", f"{part}_high")


def _difference(row: Any) -> list[str]:
    return [_of(row, "more"), f"{row['more_n01']} / {row['more_n10']}", probability(row["more_p"]), row["more_verdict"]]
