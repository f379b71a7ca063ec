"""Markdown tables of measured numbers, from docs/data/nulls.csv, docs/data/guide.csv and docs/data/prepare.csv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

NULL_NAMES = {
    "labels": "permuted labels",
    "drift": "without drift",
    "time": "boxes of other times",
    "seats": "exchanged seats",
}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line."""
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return head + ["| " + " | ".join(row) + " |" for row in cells]


def nulls_table(found: pd.DataFrame) -> list[str]:
    """Calibration and power of the speakers' p-values, as measured."""
    rows = [
        [
            str(row["design"]),
            NULL_NAMES[str(row["null"])],
            str(row["frames"]),
            f"{row['strength']:g}",
            f"{row['n']}",
            f"{row['ks']:.3f}",
            chance(row["ks_p"]),
            f"{row['share_0.05']:.1%} [{row['low']:.1%}, {row['high']:.1%}]",
        ]
        for _, row in found.iterrows()
    ]
    return table(["captures", "null", "frames", "added logit", "heads", "KS", "p of KS", "heads with p ≤ 0.05"], rows)


def people_table(found: pd.DataFrame) -> list[str]:
    """Attention of words on their speaker and on others, by the number of people; and the differences."""
    rows = []
    for _, row in found[found["table"].isin(["people", "contrast"])].iterrows():
        metric, match = str(row["what"]).split(", ")
        people = row["item"] if row["table"] == "people" else f"change, {row['item']}"
        p = chance(row["p"]) if row["table"] == "contrast" else ""
        rows.append([f"`{metric}`", match, people, interval(row), f"{row['n']:.0f}", p])
    return table(["metric", "match", "people", "attention per pair [95 % interval]", "clips", "p"], rows)


def jitter_table(found: pd.DataFrame) -> list[str]:
    """A number with bands from boxes that are worse and worse."""
    rows = [
        [str(row["item"]), f"{row['value']:.3g}", f"{row['low']:.3g} to {row['high']:.3g}"]
        for _, row in found.iterrows()
    ]
    return table(["noise on each edge", "`grounding_auc` with the boxes as they are", "band"], rows)


def knockout_table(found: pd.DataFrame) -> list[str]:
    """Rank correlations of rankings with what cutting each head does."""
    rows = []
    for name, part in found.groupby("what", sort=False):
        value = part.set_index("item")["value"]
        if "effect" in value:
            rows.append([f"`{name}`", f"{part['n'].iloc[0]:.0f}", f"{value['effect']:+.2f}", f"{value['size']:+.2f}"])
    cut = found[found["what"] == "answers"].iloc[0]
    said = (
        f"{cut['n']:.0f} clips; the right answer's log-probability with nothing cut is {cut['value']:.3g} on average."
    )
    columns = ["heads ranked by", "heads", "Spearman with the effect", "Spearman with its size"]
    return [*table(columns, rows), "", said]


def prepare_tables(found: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """How good the parts of `attnscope prepare` are: cuts, boxes, speakers."""
    proposed = found[found["boxes"] == "proposed"]
    cuts = [
        [str(row["clip"]), f"{row['seconds']:.1f}", *(f"{row[c]:.0f}" for c in ("cuts", "cuts_found", "cuts_wrong"))]
        for _, row in proposed.iterrows()
    ]
    boxes = [
        [
            str(row["clip"]),
            f"{row['size']}, {row['frames']:.0f} frames",
            _share(row["right"], row["labelled"]),
            _share(row["right"], row["proposed"]),
            f"{row['iou']:.2f}",
            f"{row['people']:.0f}",
            f"{row['proposals']:.0f}",
            f"{row['switches']:.0f}",
        ]
        for _, row in proposed.iterrows()
    ]
    counts = ("turns", "turns_right", "turns_wrong", "turns_open")
    speakers = [
        [str(row["clip"]), str(row["boxes"]), *(f"{row[c]:.0f}" for c in counts), f"{row['turns_chance']:.2f}"]
        for _, row in found.dropna(subset=["turns"]).iterrows()
    ]
    columns = ["clip", "looked at", "recall", "precision", "mean IoU", "people", "proposed", "switches"]
    return [
        ("cuts", table(["clip", "seconds", "true cuts", "found", "wrong"], cuts)),
        ("boxes", table(columns, boxes)),
        ("speakers", table(["clip", "boxes", "turns", "right", "wrong", "open", "chance"], speakers)),
    ]


def _share(part: float, whole: float) -> str:
    """A share with its counts; "none" of nothing."""
    return f"{part / whole:.2f} ({part:.0f} of {whole:.0f})" if whole else "none"


def interval(row: Any) -> str:
    """A number with its interval."""
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def chance(p: float) -> str:
    """A p-value as printed."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"
