"""The page of a ranking of heads: which were chosen, where all stand, and what the answer loses without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope.metrics.choosing.headlist import HeadList
from attnscope.metrics.clips.curves import rows_of
from attnscope.metrics.registry import get
from attnscope.report.figures.heads import Grid, heads_map
from attnscope.report.figures.style import styled
from attnscope.report.page.numbers import number
from attnscope.report.page.page import Page
from attnscope.report.page.section import Section
from attnscope.report.page.staging import draft
from attnscope.report.page.summary import Summary, plain
from attnscope.report.verdict.statements import ATTENTION, CAUSE, LIMITS, Statement, Verdict, count

if TYPE_CHECKING:
    from attnscope.metrics.choosing.criteria import Tables

KIND, FILE = "heads", "heads.json"
LEVEL = 0.05
CENTERS = {
    "speaker_consistency_lift": 1.0,
    "answer_lift": 1.0,
    "grounding_auc": 0.5,
}  # chance, where colours are centred
SHOWN = ("low", "p", "q", "top_share", "output_gate", "effect")  # columns that a page may lack
COLUMNS = ("rank", "layer", "head", "value", "low", "high", "p", "q", "top_share", "output_gate", "effect", "chosen")


def heads(
    chosen: HeadList,
    every: HeadList,
    out: str | Path,
    *,
    tables: Tables | None = None,
    parts: Mapping[str, Any] | None = None,
    csv: bool = False,
) -> Summary:
    """Write a heads file and its page: `heads.json`, `report.html`, `report.json`, a figure and a table.

    Args:
        chosen: The heads that were taken, as from `attnscope.metrics.choosing.ranking.choose`; with the effects of
            cutting them, where that was measured.
        every: The same ranking of all heads.
        out: Folder to write into; made if it does not exist.
        tables: What the ranking was made from (`measure`): of one capture it holds p and q of some criteria.
        parts: Further numbers for the JSON: those of a knockout.
        csv: Also write tables of more than 30,000 rows as CSV.

    Raises:
        RequestError: If the folder cannot be used.
        RunError: If a file cannot be written.
    """
    table = all_heads(chosen, every, tables)
    with draft(Path(out)) as report, styled():
        report.output.csv = csv
        report.output.table("heads", table)
        sections = [_section(report.output, chosen, table)]
        document = chosen.model_dump() | dict(parts or {})
        report.output.json(FILE, chosen.model_dump())
        page = Page(
            "heads.html.j2",
            title=f"Heads of {_model(chosen)} by {chosen.criterion.name}",
            notes=[],
            sections=sections,
            captures=[],
            parts={
                "verdict": judge(chosen, table),
                "chosen": chosen,
                "metric": get(_metric(chosen)).title,
                "numbers": [{"metric": _metric(chosen)}],
                "metric_id": _metric(chosen),
                "rows": plain(table[table["chosen"]].to_dict(orient="records")),
                "has": {
                    name: bool(table[name].notna().any()) for name in SHOWN if name != "top_share" or chosen.clips > 1
                },
                "remarks": chosen.notes,
                "file": FILE,
            },
        )
        return page.write(report, {"kind": KIND, **document})


def all_heads(chosen: HeadList, every: HeadList, tables: Tables | None = None) -> pd.DataFrame:
    """All heads of a ranking in order, with what is known of each: the columns `COLUMNS`."""
    table = pd.DataFrame([head.model_dump() for head in every.heads])
    own = pd.DataFrame([head.model_dump() for head in chosen.heads])[["layer", "head", "effect"]]
    table = table.drop(columns="effect").merge(own, on=["layer", "head"], how="left")
    taken = {(head.layer, head.head) for head in chosen.heads}
    table["chosen"] = [place in taken for place in zip(table["layer"], table["head"], strict=True)]
    table = table.merge(tested(tables, chosen), on=["layer", "head"], how="left")
    return table.reindex(columns=pd.Index(COLUMNS))


def tested(tables: Tables | None, chosen: HeadList) -> pd.DataFrame:
    """P and q of each head, where the criterion is tested in one capture: columns `layer`, `head`, `p`, `q`."""
    empty = pd.DataFrame({"layer": np.array([], np.int64), "head": np.array([], np.int64), "p": [], "q": []})
    if tables is None or len(chosen.captures) != 1:
        return empty
    metric = _metric(chosen)
    table = next((own for own in tables.values() if (own["metric"] == metric).any()), None)
    if table is None or not {"p", "q"} <= set(table.columns):
        return empty
    where = {"frames": chosen.criterion.frames} if chosen.criterion.frames else {}
    rows = rows_of(table, metric, **where)
    rows = rows[(rows["layer"] >= 0) & (rows["head"] >= 0)]
    if rows.duplicated(["layer", "head"]).any():  # a row a speaker, say: there is no single p
        return empty
    return rows[["layer", "head", "p", "q"]]


def judge(chosen: HeadList, table: pd.DataFrame) -> Verdict:
    """What the ranking says: which head is first and how sure that is, what cutting heads does, how far it goes."""
    first = chosen.heads[0]
    value = number(first.value) + (f" ({number(first.low)} to {number(first.high)})" if first.low is not None else "")
    of = count(len(table), "head")
    lead = f"Layer {first.layer}, head {first.head} is first of {of}: {get(_metric(chosen)).title} {value}."
    details = [f"{count(len(chosen.heads), 'head')} {'is' if len(chosen.heads) == 1 else 'are'} in the file."]
    known = table["q"].dropna()
    if len(known):
        significant = int((known <= LEVEL).sum())
        details.append(
            f"{count(significant, 'head')} of {len(known)} {'has' if significant == 1 else 'have'} q ≤ {LEVEL}."
        )
    statements = [Statement(ATTENTION, lead, tuple(details))]
    effects = [head for head in chosen.heads if head.effect is not None]
    if effects:
        statements.append(_on_effects(chosen))
    else:
        text = "No head was cut: attention mass is not causal importance."
        statements.append(Statement(CAUSE, text))
    clips = f"The order is of {count(chosen.clips, 'clip')}."
    if chosen.clips == 1:
        clips = "The order is of one clip: another clip may give another order."
    statements.append(Statement(LIMITS, clips))
    return Verdict(tuple(statements))


def _on_effects(chosen: HeadList) -> Statement:
    """What the answer loses without the head that matters most, and whether the order tells it."""
    most = min((head for head in chosen.heads if head.effect is not None), key=lambda head: head.effect or 0.0)
    cause = chosen.cause or {}
    if (most.effect or 0.0) >= 0:
        few = len(effects := [head for head in chosen.heads if head.effect is not None]) == 1
        which = "Cutting this head does not lower" if few else f"Cutting none of these {len(effects)} heads lowers"
        lead = f"{which} the answer's log-probability."
        return Statement(CAUSE, lead, tuple(_order(cause)))
    lead = (
        f"Cutting layer {most.layer}, head {most.head} changes the answer's log-probability most downwards: "
        f"{number(most.effect)} nats."
    )
    return Statement(CAUSE, lead, tuple(_order(cause)))


def _order(cause: Mapping[str, Any]) -> list[str]:
    """Whether the order tells the effect."""
    rho, p = cause.get("spearman"), cause.get("spearman_p")
    if not isinstance(rho, (int, float)):
        return []
    sure = f" (p = {number(p)})" if isinstance(p, (int, float)) else ""
    return [f"Rank correlation of the order with the effect: {number(rho)}{sure}; −1 would be a perfect order."]


def _section(output: Any, chosen: HeadList, table: pd.DataFrame) -> Section:
    """Maps by layer and head: the number, with the chosen heads marked, and the effect of cutting them."""
    section = Section("By layer and head", output=output, table="heads")
    title = get(_metric(chosen)).title
    grid = _grid(table, "value", chosen)
    marks = _grid(table.assign(chosen=table["chosen"].astype(float)), "chosen", chosen).values == 1
    center = CENTERS.get(_metric(chosen))
    unit = "lift over chance (1 = chance)" if center == 1 else get(_metric(chosen)).unit
    figure = heads_map(grid, title=title, unit=unit, center=center, marks=marks, mark="in the file")
    order = "lowest" if chosen.criterion.lowest else "highest"
    caption = f"{title} of each head, mean over clips. Dots: the {len(chosen.heads)} heads in the file, {order} first."
    section.draw("heads", figure, f"{title} by head", caption, first=True)
    if table["effect"].notna().any():
        figure = heads_map(_grid(table, "effect", chosen), title="Effect of cutting a head", unit="nats", center=0.0)
        caption = "Change of the answer's log-probability when the head alone is cut. Blue: it loses. Grey: not cut."
        section.draw("effects", figure, "Effect by head", caption, first=True)
    return section


def _grid(table: pd.DataFrame, column: str, chosen: HeadList) -> Grid:
    """A number by layer and head; NaN for a head that the ranking leaves out."""
    layers: Sequence[int] = sorted(int(layer) for layer in table["layer"].unique())
    values = np.full((len(layers), chosen.model.heads), np.nan)
    for layer, head, value in table[["layer", "head", column]].itertuples(index=False):
        values[layers.index(int(layer)), int(head)] = np.nan if value is None else float(value)
    return Grid(values, list(layers), list(range(chosen.model.heads)))


def _metric(chosen: HeadList) -> str:
    """The metric of the criterion, without what a heads file writes behind it."""
    return chosen.criterion.metric.partition("/")[0]


def _model(chosen: HeadList) -> str:
    name = chosen.model.id
    return Path(name).name if Path(name).is_absolute() else name
