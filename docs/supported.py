"""Markdown tables of docs/models.md and the README: which model families are supported, as docs/data/families.csv says.

`python -m benchmarks.families` measures that table; `attnscope.families` has the words of the families with a layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.families import FAMILIES
from attnscope.vocabulary import LAYOUT, NOWHERE
from docs.measured import table

TABLE = Path(__file__).parent / "data/families.csv"
Row = dict[str, Any]

# Published models of the families that have no layout, and so no words in `attnscope.families`
PUBLISHED = {
    "aria": "Aria",
    "blip-2": "BLIP-2",
    "cohere_compass": "North Micro Vision",
    "deepseek_vl": "DeepSeek-VL 1.3B",
    "deepseek_vl_hybrid": "DeepSeek-VL 7B",
    "exaone4_5": "EXAONE 4.5",
    "glm_ocr": "GLM-OCR",
    "granite4_vision": "Granite Vision 4",
    "granite_docling": "Granite for Docling",
    "hunyuan_vl": "HunyuanOCR",
    "hyperclovax_vision_v2": "HyperCLOVA X SEED Think",
    "idefics2": "Idefics2",
    "janus": "Janus-Pro",
    "kimi_k25": "Kimi K2.5",
    "lfm2_vl": "LFM2-VL",
    "lfm3_vl": "LFM3-VL",
    "lighton_ocr": "LightOnOCR",
    "minicpmv4_6": "MiniCPM-V 4.6",
    "minimax_m3_vl": "MiniMax-M3",
    "muse_glimmer": "Muse Glimmer",
    "ovis2": "Ovis2",
    "paddleocr_vl": "PaddleOCR-VL",
    "phi4_multimodal": "Phi-4-multimodal",
    "qianfan_ocr": "Qianfan-OCR",
    "step3p7": "Step 3.7 Flash",
}


def read_table() -> list[Row]:
    """What was measured: one row a checkpoint; empty texts where there is nothing to say."""
    rows = pd.read_csv(TABLE, keep_default_na=False).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def by_family(rows: Sequence[Row]) -> list[Row]:
    """One row a family: of several checkpoints the largest difference, and their tokens together."""
    merged: dict[str, Row] = {}
    for row in rows:
        known = merged.get(row["family"])
        if known is None:
            merged[row["family"]] = dict(row)
            continue
        known["worst"] = max(known["worst"], row["worst"])
        for name in ("tokens", "cells", "answered"):
            known[name] += row[name]
        for name in ("how", "acts", "refused"):
            if known[name] != row[name]:
                raise ValueError(f"families.csv: checkpoints of {row['family']} differ in '{name}'; list them apart")
    return list(merged.values())


def models_tables() -> Iterator[tuple[str, list[str]]]:
    """The name of each part of docs/models.md, and its lines."""
    rows = by_family(read_table())
    laid = [row for row in rows if row["how"] == LAYOUT]
    nowhere = [row for row in rows if row["how"] == NOWHERE]
    probed = [row for row in rows if row not in laid and row not in nowhere]
    yield "counts", _counts(rows, laid, probed, nowhere)
    measured = ["largest difference", "tokens that answer"]
    columns = ["published models", "family", "a video token covers", "an image token covers", "frames per token"]
    body = [
        [own.models, f"`{own.family}`", own.video, own.image, str(own.frames), _small(row["worst"]), _answered(row)]
        for own in FAMILIES
        for row in laid
        if row["family"] == own.family
    ]
    yield "layouts", table([*columns, *measured], body)
    body = [
        [PUBLISHED[row["family"]], f"`{row['family']}`", _small(row["worst"]), _answered(row), _exception(row)]
        for row in probed
    ]
    yield "probed", table(["published models", "family", *measured, "exception"], body)
    body = [[PUBLISHED[row["family"]], f"`{row['family']}`", _small(row["worst"]), _why(row)] for row in nowhere]
    yield "nowhere", table(["published models", "family", "largest difference", "why its tokens have no places"], body)
    yield "corrections", _corrections(rows)


def readme_lines() -> list[str]:
    """The families of the README, by name."""
    words = {family.family: family.models for family in FAMILIES} | PUBLISHED
    rows = by_family(read_table())
    laid, none = ([row for row in rows if row["how"] == how] for how in (LAYOUT, NOWHERE))
    probed = [row for row in rows if row not in laid and row not in none]
    parts = {"By a layout": laid, "By probing": probed, "Read exactly, without places": none}
    return [
        f"- **{title}** ({len(part)}): {_listed([words[row['family']] for row in part])}"
        for title, part in parts.items()
    ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names, key=str.casefold)) + "."


def _counts(rows: Sequence[Row], laid: Sequence[Row], probed: Sequence[Row], nowhere: Sequence[Row]) -> list[str]:
    versions = sorted({str(row["transformers"]) for row in rows})
    tokens, answered = (sum(int(row[name]) for row in rows) for name in ("tokens", "answered"))
    worst = max(float(row["worst"]) for row in rows)
    read = (
        f"**{len(rows)} families** were built and measured (transformers {' and '.join(versions)}). All are captured "
        f"exactly: the largest difference of an attention weight is {_small(worst)}."
    )
    placed = (
        f"**{len(laid) + len(probed)} are placed**, {len(laid)} by a layout and {len(probed)} by probing: "
        f"{answered:,} of {tokens:,} visual tokens answered as their place says. {len(nowhere)} have no places."
    )
    return [f"{read} {placed}"]


def _small(value: float) -> str:
    """A difference as 5e-7."""
    return re.sub(r"e-0?", "e-", f"{value:.0e}") if value else "0"


def _answered(row: Mapping[str, Any]) -> str:
    return f"{row['answered']:,} of {row['tokens']:,}"


def _exception(row: Mapping[str, Any]) -> str:
    return f"some sizes: {_why(row)}" if NOWHERE in str(row["how"]).split("/") else ""


def _why(row: Mapping[str, Any]) -> str:
    """The reason without what the table says already."""
    words = re.sub(r"^family \S+ has no layout(, and )?", "", str(row["reason"]))
    return words.replace(str(row["class"]), "the model") or "it has no layout"


def _corrections(rows: Sequence[Row]) -> list[str]:
    """Which corrections act in how many families, and where they do not."""
    every = list(dict.fromkeys(name for row in rows for name in _names(row["acts"])))
    body = []
    for name in every:
        without = [row for row in rows if name not in _names(row["acts"])]
        others = ", ".join(f"`{row['family']}`" for row in without)
        body.append([name, f"{len(rows) - len(without)} of {len(rows)}", others])
    return table(["correction", "acts in", "not in"], body)


def _names(acts: str) -> list[str]:
    return [name for name in acts.split(", ") if name]
