"""What a number would be if the boxes were worse than they are: noisy, missing or overlapping.

Every draw disturbs each speaker's box in each sampled frame on its own, asks anew which cells it covers, and measures
the same attention with those cells. The band holds most of the draws; it is about the boxes alone, not about clips,
words or heads. Noise pulls numbers towards chance, so a band need not hold the number of the boxes as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics import grounding, pairs, registry, speakers
from attnscope.metrics.density import speaker_cells
from attnscope.metrics.parts import Part, numbers
from attnscope.model.place import coverage
from attnscope.scene import scene_boxes

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.scene import Frames

CHANCE = "_chance"  # what the name of a score's chance level ends in
Unit = Literal["box", "px"]
Measure = Callable[["Capture", NDArray[np.bool_], float], Iterator[list[Part]]]
MEASURES: dict[str, Measure] = {
    "speakers": speakers.measure,
    "grounding": grounding.measure,
    "pairs": pairs.measure,
}


def jitter(
    cap: Capture,
    names: Iterable[str] | None = None,
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    draws: int = 50,
    amount: float = 0.1,
    unit: Unit = "box",
    drop: float = 0.0,
    grow: float = 0.0,
    level: float = 0.95,
    threshold: float = 0.5,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Metrics with an error band from disturbed boxes (ours).

    Args:
        cap: an open capture with the `maps` reading.
        names: metrics of the families speakers, grounding and pairs; all of them by default.
        tables: of `compute`, with the same threshold, where they are there already.
        draws: how many times the boxes are disturbed.
        amount: standard deviation of the noise on each of the four edges of a box.
        unit: of `amount`: `box` is a fraction of the box's width (left, right) or height (top, bottom), `px` pixels.
        drop: probability that a box is missing in a frame.
        grow: fraction of its width and height by which a box is first made larger on each side, so that neighbours
            overlap; below 0 smaller.
        level: share of the draws that the band holds.
        threshold: covered fraction from which a cell counts as a speaker's.
        seed: of the random numbers.

    Returns:
        The tables of `compute` of these families, with columns `low` and `high`: quantiles over the draws in which the
        number is defined, NaN where it is in none. What needs boxes of other times, and what `exact` adds, has none.
        Of a score whose chance level is measured beside it (speaker_consistency, own_share_turn, own_share_time) only
        the draws with the same chance level as the boxes as they are count: with another number of people in sight it
        is another score. Their lifts are over all draws.

    Raises:
        RequestError: for an option out of range, or a metric of another family.
    """
    _check(draws=draws, amount=amount, unit=unit, drop=drop, grow=grow, level=level)
    known = [entry.name for entry in registry.all_metrics() if entry.family in MEASURES]
    chosen = known if names is None else list(names)
    for name in chosen:
        if registry.get(name).name not in known:
            raise RequestError(f"metric '{name}' has no band of disturbed boxes; those that have: {', '.join(known)}")
    found = registry.compute(cap, chosen, threshold=threshold) if tables is None else tables
    wanted = {family: table[table["metric"].isin(chosen)] for family, table in found.items() if family in MEASURES}
    if not wanted:
        return {}
    rng = np.random.default_rng(seed)
    disturbed = disturb(cap, draws, amount=amount, unit=unit, drop=drop, grow=grow, rng=rng)
    cells = np.stack([covered(cap, boxes) >= threshold for boxes in disturbed])
    return {
        family: _band(cap, table.reset_index(drop=True), MEASURES[family], cells, threshold, level)
        for family, table in wanted.items()
    }


def disturb(
    cap: Capture, draws: int, *, amount: float, unit: Unit, drop: float, grow: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The scene's boxes in the sampled frames, disturbed [draws, S, F, 4]; NaN where missing or left without area."""
    frames = cast("Frames", cap.frames)  # times, width and height are all it takes
    boxes = scene_boxes(cap.scene, frames).xyxy.astype(np.float64)  # [S, F, 4]
    sides = np.concatenate([boxes[..., 2:] - boxes[..., :2]] * 2, axis=-1)  # width, height, width, height
    larger = boxes + sides * np.array([-grow, -grow, grow, grow])
    scale = sides if unit == "box" else np.ones_like(sides)
    noisy = larger + rng.normal(0, amount, (draws, *boxes.shape)) * scale
    noisy = np.clip(noisy, 0, [frames.width, frames.height] * 2)
    lost = (noisy[..., 2:] <= noisy[..., :2]).any(-1) | (rng.random(noisy.shape[:-1]) < drop)
    noisy[lost] = np.nan
    return np.asarray(noisy, dtype=np.float32)


def covered(cap: Capture, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Covered fraction of each token's cell for boxes [S, F, 4], as in the columns `covered:` of `tokens`, [S, P]."""
    corners = cap.tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float32)
    frames = cap.tokens[["frame_first", "frame_last"]].to_numpy(np.int32)
    out = np.full((len(boxes), len(corners)), np.nan, dtype=np.float32)
    placed = np.isfinite(corners[:, 0])
    for row, xyxy in enumerate(boxes):
        out[row, placed] = coverage(corners[placed], frames[placed], xyxy)
    return out


def _band(
    cap: Capture, table: pd.DataFrame, measure: Measure, cells: NDArray[np.bool_], threshold: float, level: float
) -> pd.DataFrame:
    """A table with the quantiles of its numbers over draws [D, S, P] of the cells."""
    wanted, measured, drawn = set(table["metric"].unique()), set[str](), []
    ways = measure(cap, np.concatenate([speaker_cells(cap, threshold)[None], cells]), threshold)
    as_they_are = next(ways)
    for parts in ways:
        kept = [part for part in _comparable(parts, as_they_are) if part.metric in wanted]
        measured |= {part.metric for part in kept}
        drawn.append(numbers(kept) if kept else np.empty(0))
    rows, edges = table["metric"].isin(measured), {}  # in the same order as the parts
    if "rows" in table:
        rows &= table["rows"] != "token"  # read word by word, for the boxes as they are alone
    for name, edge in zip(("low", "high"), quantiles(np.stack(drawn), ((1 - level) / 2, (1 + level) / 2)), strict=True):
        column = np.full(len(table), np.nan)
        column[rows.to_numpy()] = edge
        edges[name] = column
    whole = table.assign(**edges)
    return whole[[c for c in whole.columns if c not in registry.FOUND] + [c for c in registry.FOUND if c in whole]]


def _comparable(parts: list[Part], as_they_are: list[Part]) -> list[Part]:
    """Parts of a draw, NaN where the chance level beside a score is not that of the boxes as they are."""
    out = []
    levels = {(part.metric, part.keys["frames"][0]): i for i, part in enumerate(parts) if part.metric.endswith(CHANCE)}
    for part in parts:
        at = levels.get((f"{part.metric}{CHANCE}", part.keys["frames"][0])) if len(part.keys["frames"]) else None
        if at is not None:
            same = np.isclose(parts[at].values, as_they_are[at].values)  # [1, M], or [X, M]
            part = replace(part, values=np.where(same, part.values, np.nan))
        out.append(part)
    return out


def quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> list[NDArray[np.float64]]:
    """Quantiles of the finite among [D, N], linear between neighbours, each [N]; NaN where none is.

    That is numpy.nanquantile, which goes column by column.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(0) - 1, 0)
    out = []
    for share in shares:
        below = np.floor(share * last).astype(np.int64)
        above = np.ceil(share * last).astype(np.int64)
        low, high = (np.take_along_axis(ordered, at[None], axis=0)[0] for at in (below, above))
        out.append(low + (share * last - below) * (high - low))
    return out


def _check(*, draws: int, amount: float, unit: str, drop: float, grow: float, level: float) -> None:
    """Refuse options out of range."""
    rules = (
        ("draws", draws, draws >= 1, "at least 1"),
        ("amount", amount, amount >= 0, "at least 0"),
        ("amount", f"{amount:.0%}", unit != "box" or amount <= 1, "at most 100% of a box"),
        ("unit", unit, unit in ("box", "px"), "box or px"),
        ("drop", drop, 0 <= drop <= 1, "a probability, 0 to 1"),
        ("grow", grow, grow > -0.5, "above -0.5, where nothing is left of a box"),
        ("level", level, 0 < level < 1, "a share of the draws, above 0 and below 1"),
    )
    for name, value, good, rule in rules:
        if not good:
            raise RequestError(f"jitter: {name} is {value}; it is {rule}")
