"""What a number would be if the boxes were worse than they are: noisy, missing or overlapping.

Every draw disturbs each speaker's box in each sampled frame on its own, asks anew which cells it covers, and measures
the same attention with those cells. The band holds most of the draws; it is about the boxes alone, not about clips,
words or heads. Noise pulls numbers towards chance, so a band need not hold the number of the boxes as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics import answer, grounding, pairs, registry, speakers
from attnscope.metrics.clips.keys import keys_of
from attnscope.metrics.headline import change
from attnscope.metrics.people.boxes import Unit, check, covered, disturb, quantiles
from attnscope.metrics.people.density import speaker_cells, units_of
from attnscope.metrics.people.sets import Ways
from attnscope.metrics.scan import Scan, run
from attnscope.metrics.tables import Part

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.progress import Progress

CHANCE = "_chance"  # what the name of a score's chance level ends in
Measure = Callable[["Capture", Ways, float], Scan[Iterator[list[Part]]]]
MEASURES: dict[str, Measure] = {
    "speakers": speakers.measure,
    "answer": answer.measure,
    "grounding": grounding.measure,
    "pairs": pairs.measure,
}
# Families that measure the boxes as they are exactly as they measure draws: whole numbers, without rounding
FROM_DRAWS: dict[str, Any] = {"grounding": grounding.grounding}
Tables = Mapping[str, pd.DataFrame]


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
        cap: An open capture with the `maps` reading.
        names: Metrics of the families speakers, answer, grounding and pairs; all of them by default.
        tables: Of `compute`, with the same threshold, where they are there already.
        draws: How many times the boxes are disturbed.
        amount: Standard deviation of the noise on each of the four edges of a box.
        unit: Of `amount`: `box` is a fraction of the box's width (left, right) or height (top, bottom), `px` pixels.
        drop: Probability that a box is missing in a frame.
        grow: Fraction of its width and height by which a box is first made larger on each side, so that neighbours
            overlap; below 0 smaller.
        level: Share of the draws that the band holds.
        threshold: Covered fraction from which a cell counts as a speaker's.
        seed: Seed of the random numbers.

    Returns:
        The tables of `compute` of these families, with columns `low` and `high`: quantiles over the draws in which the
        number is defined, NaN where it is in none. What needs other boxes, the lift without drift,
        and what `exact` adds, have none.
        Of a score whose chance level is measured beside it (speaker_consistency, own_share_turn, own_share_time) only
        the draws with the same chance level as the boxes as they are count: with another number of people in sight it
        is another score; so do those of answer_share with as many people. Their lifts are over all draws.

    Raises:
        RequestError: For an option out of range, or a metric of another family.

    Example:
        >>> banded = metrics.jitter(cap, ["grounding_auc"], draws=5)["grounding"]
        >>> bool((banded["low"] <= banded["high"]).any()), len(banded)
        (True, 770)
    """
    how = check(draws=draws, level=level, amount=amount, unit=unit, drop=drop, grow=grow)
    known = [entry.name for entry in registry.all_metrics() if entry.family in MEASURES]
    chosen = known if names is None else list(names)
    for name in chosen:
        if registry.get(name).name not in known:
            raise RequestError(f"metric '{name}' has no band of disturbed boxes; those that have: {', '.join(known)}")
    measured = registry.compute(cap, chosen, threshold=threshold) if tables is None else tables
    wanted = {family: table[table["metric"].isin(chosen)] for family, table in measured.items() if family in MEASURES}
    if not wanted:
        return {}
    tables = {family: table.reset_index(drop=True) for family, table in wanted.items()}
    cells = _cells(cap, draws, threshold, seed, **how)
    return {family: _banded(table, anew, level) for family, table, anew in _measured(cap, tables, cells, threshold)}


def compute_banded(
    cap: Capture,
    *,
    threshold: float = 0.5,
    draws: int = 50,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
    **how: Any,
) -> dict[str, pd.DataFrame]:
    """The tables of `compute`, and in their place those of `jitter`: the same numbers, for which maps are sorted once.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as a speaker's.
        draws: As of `jitter`.
        level: Likewise.
        seed: Likewise.
        progress: Called with (what, done, total).
        how: Boxes are disturbed: `amount`, `unit`, `drop`, `grow`, as of `jitter`.

    Returns:
        A table for each family. Without the `maps` reading, or a speaker with a box, there are no bands.

    Raises:
        RequestError: For an option out of range.
    """
    how = check(draws=draws, level=level, **how)
    if not cap.has("maps") or not cap.scene.speakers:
        return registry.compute(cap, threshold=threshold, progress=progress)
    names = [entry.name for entry in registry.all_metrics() if entry.family not in FROM_DRAWS]
    tables = registry.compute(cap, names, threshold=threshold, progress=progress)
    if progress is not None:
        progress("bands from disturbed boxes", 0, 0)
    own: dict[str, pd.DataFrame | None] = {family: tables.get(family) for family in MEASURES}
    cells = _cells(cap, draws, threshold, seed, **how)
    for family, table, anew in _measured(cap, own, cells, threshold):
        tables[family] = _banded(table, anew, level)
    return {family: tables[family] for family in sorted(tables, key=_place)}


def _place(family: str) -> int:
    """Where a family stands among the tables of `compute`; those of plugins are last."""
    return registry.FAMILIES.index(family) if family in registry.FAMILIES else len(registry.FAMILIES)


def jitter_change(
    caps: Sequence[Capture],
    tables: Sequence[Tables],
    *,
    draws: int = 50,
    level: float = 0.95,
    threshold: float = 0.5,
    seed: int = 0,
    **how: Any,
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Two captures of one scene under the same disturbed boxes: bands of both, and of the change (ours).

    Args:
        caps: Before and after, open, with the `maps` reading.
        tables: Of `compute` of each, with the same threshold.
        draws: How many times the boxes are disturbed.
        level: Share of the draws that a band holds.
        threshold: Covered fraction from which a cell counts as a speaker's.
        seed: Seed of the random numbers.
        how: Boxes are disturbed: `amount`, `unit`, `drop`, `grow`, as of `jitter`.

    Returns:
        The tables of `jitter` before and after, and those of `attnscope.metrics.headline.change` with columns `low` and
        `high`: quantiles of the change from draw to draw, NaN where no draw defines both.

    Raises:
        RequestError: For an option out of range.

    Example:
        >>> pair = [{"answer": tables["answer"]}, {"answer": after_tables["answer"]}]
        >>> before, later, change = metrics.jitter_change([cap, after], pair, draws=5)
        >>> change["answer"].columns.tolist()[-4:]
        ['after', 'change', 'low', 'high']
    """
    how = check(draws=draws, level=level, **how)
    both = [name for name in MEASURES if all(name in some for some in tables)]
    own = [{name: some[name].reset_index(drop=True) for name in both} for some in tables]
    measured = [
        {
            family: anew
            for family, _, anew in _measured(cap, some, _cells(cap, draws, threshold, seed, **how), threshold)
        }
        for cap, some in zip(caps, own, strict=True)
    ]
    bands_before, bands_after, moved = {}, {}, {}
    for family in both:
        parts = [(some[family], anew[family]) for some, anew in zip(own, measured, strict=True)]
        bands_before[family], bands_after[family] = (_banded(table, anew, level) for table, anew in parts)
        first, second = (table for table, _ in parts)
        moved[family] = _banded(change(first, second), _moved([first, second], [anew for _, anew in parts]), level)
    return bands_before, bands_after, moved


def _cells(cap: Capture, draws: int, threshold: float, seed: int, **how: Any) -> NDArray[np.bool_]:
    """The speakers' cells in every draw, [draws, S, P]; the same boxes for every capture of a scene."""
    disturbed = disturb(cap, draws, rng=np.random.default_rng(seed), **how)
    return np.stack([covered(cap, boxes) >= threshold for boxes in disturbed])


@dataclass(frozen=True)
class _Draws:
    """Numbers of a table in D draws: which of its rows [N] are measured anew, and what they then are, [D, rows]."""

    rows: NDArray[np.bool_]
    values: NDArray[np.float64]


def _measured(
    cap: Capture, tables: Mapping[str, pd.DataFrame | None], cells: NDArray[np.bool_], threshold: float
) -> Iterator[tuple[str, pd.DataFrame, _Draws]]:
    """Tables by family, with their numbers for draws [D, S, P] of the cells, in one pass over the maps.

    A table that is None (of `FROM_DRAWS`) is made of the numbers of the boxes as they are, which are the first way.
    """
    ways = Ways(units_of(cap), np.concatenate([speaker_cells(cap, threshold)[None], cells]))
    scans = {family: MEASURES[family](cap, ways, threshold) for family in tables}
    run(cap, list(scans.values()))
    for family, table in tables.items():
        numbers = scans.pop(family).result()
        first = next(numbers)
        whole = FROM_DRAWS[family].tidy(first, cap, threshold=threshold) if table is None else table
        yield family, whole, _draws(whole, first, numbers, len(cells))


def _draws(table: pd.DataFrame, as_they_are: list[Part], ways: Iterator[list[Part]], draws: int) -> _Draws:
    """The numbers of a table in ways in which the cells may lie, beside those of the boxes as they are."""
    wanted = set(table["metric"].unique())
    rows = table["metric"].isin({part.metric for part in as_they_are} & wanted)  # in the same order as the parts
    if "rows" in table:
        rows &= table["rows"] != "token"  # read word by word, for the boxes as they are alone
    values = np.full((draws, int(rows.sum())), np.nan)
    for draw, parts in enumerate(ways):
        kept = [part for part in _comparable(parts, as_they_are) if part.metric in wanted]
        values[draw] = np.concatenate([part.flat for part in kept]) if kept else np.nan
    return _Draws(rows.to_numpy(), values)


def _moved(tables: Sequence[pd.DataFrame], draws: Sequence[_Draws]) -> _Draws:
    """The change of each number of the first table, draw by draw."""
    (before, after), (before_draws, after_draws) = tables, draws
    at = before[keys_of(before)].merge(after[keys_of(after)].reset_index(), how="left")["index"].to_numpy(np.float64)
    column = np.full(len(after) + 1, -1)  # the last for numbers that are not in the second table
    column[:-1][after_draws.rows] = np.arange(after_draws.values.shape[1])
    column = column[np.where(np.isfinite(at), at, -1).astype(np.int64)]
    rows = before_draws.rows & (column >= 0)
    return _Draws(rows, after_draws.values[:, column[rows]] - before_draws.values[:, rows[before_draws.rows]])


def _banded(table: pd.DataFrame, draws: _Draws, level: float) -> pd.DataFrame:
    """A table with the quantiles of its numbers over draws."""
    edges = {}
    shares = ((1 - level) / 2, (1 + level) / 2)
    for name, edge in zip(("low", "high"), quantiles(draws.values, shares), strict=True):
        edges[name] = np.full(len(table), np.nan)
        edges[name][draws.rows] = edge
    whole = table.assign(**edges)
    return whole[[c for c in whole.columns if c not in registry.FOUND] + [c for c in registry.FOUND if c in whole]]


def _comparable(parts: list[Part], as_they_are: list[Part]) -> list[Part]:
    """Parts of a draw, NaN where the chance level beside a score is not that of the boxes as they are."""
    out = []
    levels = {(part.metric, part.keys["frames"]): i for i, part in enumerate(parts) if part.metric.endswith(CHANCE)}
    for part in parts:
        at = levels.get((f"{part.metric}{CHANCE}", part.keys.get("frames")))
        if at is not None:
            same = np.isclose(parts[at].values, as_they_are[at].values)  # [1, ...], or [X, ...]
            part = replace(part, values=np.where(same, part.values, np.nan))
        out.append(part)
    return out
