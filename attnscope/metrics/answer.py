"""Where does the answer look?

The answer position is the last position of the prompt: the query that predicts the first token of the answer. Its
attention is measured on the cells of each speaker with a box, in all frames in which he or she is visible. `asked` says
whether the question names the speaker, `named` how many speakers with a box it names. Rows with head -1 are of the mean
over heads, those with layer -1 of the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.groups import alike
from attnscope.metrics.people.density import speaker_cells
from attnscope.metrics.people.sets import Floats, Ints, Ways
from attnscope.metrics.registry import Metric
from attnscope.metrics.scan import Scan
from attnscope.metrics.tables import Part, Places, divide
from attnscope.scene.mentions import asked_speakers
from attnscope.vocabulary import ANSWER_POSITION

if TYPE_CHECKING:
    from attnscope.capture import Capture

ASKED = {"asked": True, "named": 1}  # the rows of the one speaker whom a question names
_CELLS = "Cells that the position may not see (a sliding window) do not count."


@family(
    Metric(
        "answer_mass",
        "Answer's mass on a speaker",
        "Attention mass of the answer position, the last of the prompt, on the cells of speaker s in all frames.",
        chance="the share of allowed keys (see answer_lift)",
    ),
    Metric(
        "answer_lift",
        "Answer's lift on a speaker",
        "Mean attention of the answer position on the cells of speaker s, divided by what attention spread "
        f"evenly over all keys that it may see would give. {_CELLS}",
        range=(0, None),
        chance="1 (uniform attention)",
    ),
    Metric(
        "answer_share",
        "Answer's share of a speaker",
        "Lift of the answer position on s divided by the sum of its lifts on all speakers with a visible box, "
        "which in one layer is the density on s over the sum of densities. Not defined for a single speaker, whose "
        "share would be 1 whatever the model does.",
        chance="1/S, S = speakers with a visible box",
    ),
    keys=("threshold", "speaker", "asked", "named"),
    needs=("maps",),
)
def answer(cap: Capture, *, threshold: float = 0.5) -> Scan[list[Part]]:
    """Mass, lift and share of the answer position on each speaker (ours).

    Args:
        cap: An open capture with the `maps` reading.
        threshold: Covered fraction from which a cell counts as a speaker's.

    Returns:
        One row a place and speaker; n = cells that count (for layer -1: in the layer with most). NaN where there is
        no such cell, and everywhere if the capture has no query group of the answer position.

    Raises:
        FormatError: If the capture has no `maps` reading.
    """
    scan = read_masses(cap, speaker_cells(cap, threshold)[None])
    places, names, asked = Places.of(cap), list(cap.scene.speakers), asked_speakers(cap.scene)
    speakers = pd.DataFrame({"speaker": names, "asked": [name in asked for name in names]})
    of = {"place": places.table, "speakers": speakers, "named": len(asked)}

    def result() -> list[Part]:
        mass, counts, keys = scan.result()
        values = _values(mass[0], counts[0], keys, places)
        return [Part(name, value, places.counts(counts[0]), of) for name, value in values.items()]

    return Scan(scan.groups, scan.take, result)


def measure(cap: Capture, ways: Ways, threshold: float) -> Scan[Iterator[list[Part]]]:  # noqa: ARG001
    """Every number for each of D ways in which cells may lie, the first those of the boxes as they are.

    A share is defined only where as many speakers are in sight as in the first way: of others it is another score.
    """
    scan, places = read_masses(cap, ways.cells), Places.of(cap)
    of = {"place": places.table, "speaker": list(cap.scene.speakers)}

    def result() -> Iterator[list[Part]]:
        mass, counts, keys = scan.result()
        rivals = None
        for way in range(len(ways)):
            values = _values(mass[way], counts[way], keys, places)
            seen = np.isfinite(values["answer_lift"]).sum(1)
            rivals = seen if rivals is None else rivals
            values["answer_share"] = np.where((seen == rivals)[:, None], values["answer_share"], np.nan)
            yield [Part(name, value, 0, of) for name, value in values.items()]

    return Scan(scan.groups, scan.take, result)


def shares(lifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lifts [X, S] as shares of their sum; NaN where fewer than two speakers have one."""
    rivals = np.isfinite(lifts).sum(1, keepdims=True) > 1
    return divide(lifts, np.where(rivals, np.nansum(lifts, axis=1, keepdims=True), 0.0))


def answer_group(cap: Capture) -> str | None:
    """Name of the query group of the answer position; None if the capture has none."""
    names = cap.query_groups.loc[cap.query_groups["kind"] == ANSWER_POSITION, "name"]
    return str(names.iloc[0]) if len(names) else None


def _values(
    mass: NDArray[np.float64], counts: NDArray[np.int64], keys: NDArray[np.int64], places: Places
) -> dict[str, NDArray[np.float64]]:
    """The three metrics [X, S], from masses [L, H, S], cells [L, S] and keys [L]."""
    lifts = places.with_means(divide(mass * keys[:, None, None], counts[:, None]))
    return {"answer_mass": places.with_means(mass), "answer_lift": lifts, "answer_share": shares(lifts)}


def read_masses(cap: Capture, cells: NDArray[np.bool_]) -> Scan[tuple[Floats, Ints, Ints]]:
    """Mass of the answer position on D ways [D, S, P] in which cells may lie.

    Returns:
        Masses [D, L, H, S], the cells of each speaker that it may see [D, L, S], and all its keys [L].
    """
    ways, speakers, depth = len(cells), cells.shape[1], len(cap.layers)
    mass = np.full((ways, depth, cap.heads, speakers), np.nan)
    counts, keys = np.zeros((ways, depth, speakers), np.int64), np.zeros(depth, np.int64)
    group = answer_group(cap)
    if group is not None and speakers:
        seen = answer_keys(cap)  # [L, P]
        some = np.flatnonzero(cells.any((0, 1)))  # the tokens that a sum needs
        weights = cells[..., some].reshape(ways * speakers, -1).astype(np.float64)
        for row, allowed in enumerate(seen):
            same = row and np.array_equal(allowed, seen[row - 1])
            counts[:, row] = counts[:, row - 1] if same else (weights @ allowed[some]).reshape(ways, speakers)
        keys[:] = seen.sum(1)

    def take(row: int, maps: NDArray[np.float32]) -> None:
        on = maps[:, 0, some].astype(np.float64) @ weights.T  # [H, D * S]
        by_way = on.reshape(-1, ways, speakers).swapaxes(0, 1)
        mass[:, row] = np.where(counts[:, row, None] > 0, by_way, np.nan)

    return Scan([group] if group is not None and speakers else [], take, lambda: (mass, counts, keys))


def answer_keys(cap: Capture) -> NDArray[np.bool_]:
    """Which keys the answer position may see in each layer, [L, P]."""
    query = cap.query_member[cap.query_groups["name"].tolist().index(str(answer_group(cap)))]
    out = np.zeros((len(cap.layers), len(query)), dtype=bool)
    for rows in alike(cap):
        out[rows] = cap.allowed(int(cap.layers[rows[0]]), query)[0]
    return out
