"""By what heads are chosen: how much, and how compactly, a head looks at the picture.

The answer position is the last position of the prompt. Rows with head -1 are of the mean map over heads, those with
layer -1 of that over layers and heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import label

from attnscope.metrics.answer import answer_group, answer_keys
from attnscope.metrics.families import family
from attnscope.metrics.groups import SINKS
from attnscope.metrics.people.density import speaker_cells
from attnscope.metrics.registry import Metric
from attnscope.metrics.scan import Scan
from attnscope.metrics.tables import Part, Places, divide, with_head_mean
from attnscope.vocabulary import is_visual

if TYPE_CHECKING:
    from attnscope.capture import Capture

Floats = NDArray[np.float64]
PEAK = 2.0  # cells count from this multiple of the map's mean
# Cells of one frame are neighbours sideways and at corners; those of two frames or two heads never are.
_NEIGHBOURS = np.zeros((3, 3, 3, 3), dtype=bool)
_NEIGHBOURS[1, 1] = True


@family(
    Metric(
        "cross_attention",
        "Attention from utterances to speakers",
        "g = mean of A(u, v) over the tokens u of all turns with a speaker and the cells v of all speakers' "
        "boxes. A head is active if g > lambda, for which 5e-5 is published; as a mean over pairs, g shrinks as the "
        "prompt grows.",
        source="2nd",
        unit="attention per pair",
        chance="about 1 / allowed keys",
    ),
    keys=("threshold",),
    needs=("maps",),
)
def cross_attention(cap: Capture, *, threshold: float = 0.5) -> Scan[list[Part]]:
    """P1's criterion of active heads, g (2nd).

    Args:
        cap: An open capture with the `maps` reading.
        threshold: Covered fraction from which a cell counts as a speaker's.

    Returns:
        One row a place; n = pairs of a token and a cell. NaN if nobody speaks, or no box covers a cell.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    cells = np.flatnonzero(speaker_cells(cap, threshold).any(0))
    groups = cap.query_groups
    rows = np.flatnonzero((groups["kind"] == "speaker").to_numpy())
    tokens = cap.query_member[rows].sum(1).astype(np.float64)
    value = np.full((len(cap.layers), cap.heads), np.nan)

    def take(row: int, maps: NDArray[np.float32]) -> None:
        value[row] = maps[..., cells].mean(-1, dtype=np.float64) @ (tokens / tokens.sum())

    def result() -> list[Part]:
        places, pairs = Places.of(cap), int(tokens.sum()) * len(cells)
        return [Part("cross_attention", places.with_means(value), pairs, {"place": places.table})]

    return Scan(groups["name"].iloc[rows].tolist() if len(cells) else [], take, result)


@family(
    Metric(
        "spatial_entropy",
        "Spatial entropy of the answer's look",
        "Entropy of the connected regions of what exceeds twice the mean of the answer position's map over "
        "visual cells, by their shares of the excess: 0 is one region. As in the released code of localization heads, "
        "but for its floor of 0.001, which depends on the number of tokens. In a video: the entropy of the regions of "
        "a frame, averaged over frames by their excess. Without sinks: cells that are sinks do not count.",
        unit="nat",
        range=(0, None),
    ),
    keys=("sinks",),
    needs=("maps",),
)
def spatial_entropy(cap: Capture) -> Scan[list[Part]]:
    """Into how many regions the answer position looks (code, with frames and without the floor: ours).

    Args:
        cap: An open capture with the `maps` reading; without sinks only if it also has `masses` or `stats`.

    Returns:
        One row a place and choice of `sinks`; n = cells that count (for layer -1: in some layer). NaN where no cell
        exceeds twice the mean, and everywhere if the places of the visual tokens are unknown.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    choices = SINKS if cap.has("masses") or cap.has("stats") else SINKS[:1]
    scan, places = _read(cap, choices), Places.of(cap).table

    def result() -> list[Part]:
        parts = []
        for sinks, (entropy, count) in zip(choices, scan.result(), strict=True):
            value = np.concatenate([entropy[:-1, :-1].ravel(), entropy[:, -1]])
            n = np.concatenate([np.repeat(count[:-1], cap.heads), count])
            parts.append(Part("spatial_entropy", value, n, {"place": places, "sinks": sinks}))
        return parts

    return Scan(scan.groups, scan.take, result)


@family(
    Metric(
        "output_gate",
        "Output gate at the answer position",
        "How much of a head's output passes at the answer position, in models that multiply the outputs of their heads "
        "by a gate: the mean of the gate over the head's channels, 0 shut, 1 open. Attention says where a head reads, "
        "the gate how much of it the layer uses. NaN in models without such gates.",
    ),
    keys=(),
    needs=("stats",),
)
def output_gate(cap: Capture) -> list[Part]:
    """How much of each head's output passes at the answer position (ours); n = 1 query.

    Args:
        cap: An open capture with the `stats` reading.

    Returns:
        One row a place; NaN in layers without gates, and everywhere if the capture holds none.

    Raises:
        FormatError: If the capture has no `stats` reading.
    """
    places, gate = Places.of(cap), np.full((len(cap.layers), cap.heads), np.nan)
    if cap.gated:
        gate = np.asarray(cap.stat("output_gate").values[..., cap.prompt_length - 1], np.float64)
    return [Part("output_gate", places.with_means(gate), 1, {"place": places.table})]


def _read(cap: Capture, choices: Sequence[str]) -> Scan[list[tuple[Floats, NDArray[np.int64]]]]:
    """For each choice of sinks: entropies [L + 1, H + 1] and cells that count [L + 1]; the last are of mean maps."""
    tokens, group = cap.tokens, answer_group(cap)
    placed = is_visual(tokens) & (tokens["grid_y"].to_numpy() >= 0)
    cells = grid_cells(tokens, placed)
    shape = (len(choices), len(cap.layers) + 1)
    entropy, kept = np.full((*shape, cap.heads + 1), np.nan), np.zeros((*shape, len(cells)), dtype=bool)
    total = np.zeros((len(choices), len(cells)))
    is_read = group is not None and len(cells) > 0
    if is_read:
        kept[:, :-1] = answer_keys(cap)[:, placed]
    for number in [n for n, sinks in enumerate(choices) if is_read and sinks == "without"]:
        kept[number, :-1] &= ~cap.sinks[:, placed]

    def take(row: int, maps: NDArray[np.float32]) -> None:
        with_mean = with_head_mean(maps[:, 0, placed].astype(np.float64), axis=0)  # [H + 1, V]
        for number in range(len(choices)):
            entropy[number, row] = region_entropy(with_mean, cells, kept[number, row])
            total[number] += with_mean[-1] * kept[number, row]

    def result() -> list[tuple[Floats, NDArray[np.int64]]]:
        for number in range(len(choices)):
            kept[number, -1] = kept[number].any(0)
            entropy[number, -1, -1] = region_entropy(total[number][None], cells, kept[number, -1])[0]
        return list(zip(entropy, kept.sum(-1), strict=True))

    return Scan([str(group)] if is_read else [], take, result)


def grid_cells(tokens: pd.DataFrame, placed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """View (a frame, or one of an image's tiles), row and column of each placed token, [V, 3]."""
    y, x = (tokens[name].to_numpy(np.int64)[placed] for name in ("grid_y", "grid_x"))
    return np.stack([np.maximum(np.cumsum((y == 0) & (x == 0)) - 1, 0), y, x], axis=1)  # each begins at its corner


def region_entropy(maps: Floats, cells: NDArray[np.int64], kept: NDArray[np.bool_]) -> Floats:
    """Entropy of the connected regions where maps exceed twice their mean.

    Args:
        maps: Attention on V cells, [X, V].
        cells: View (a frame, mostly), row and column of each, [V, 3].
        kept: Cells that count, [V].

    Returns:
        [X], nats: the entropy of the regions of one view, averaged over the views by what exceeds in them. NaN where
        nothing exceeds.
    """
    if not kept.any():
        return np.full(len(maps), np.nan)
    excess = np.maximum(maps[:, kept] - PEAK * maps[:, kept].mean(1, keepdims=True), 0.0)
    grid = np.zeros((len(maps), *(cells.max(0) + 1)))
    grid[:, *cells[kept].T] = excess
    regions, count = label(grid > 0, structure=_NEIGHBOURS)  # [X, views, rows, columns]
    flat, (x, views, rows, columns) = regions.ravel(), grid.shape
    mass = np.bincount(flat, weights=grid.ravel(), minlength=count + 1)[1:]
    view = np.zeros(count + 1, dtype=np.int64)  # of each region, numbered through all maps
    view[flat] = np.arange(flat.size) // (rows * columns)
    by_view = np.bincount(view[1:], weights=mass, minlength=x * views)
    surprise = -mass * np.log(mass / by_view[view[1:]])
    entropy_mass = np.bincount(view[1:], weights=surprise, minlength=x * views)
    return divide(entropy_mass.reshape(x, views).sum(1), by_view.reshape(x, views).sum(1))
