"""The numbers of a what-if: those of the metrics, of one layer whose maps were made anew.

`mass`: attention of a query group (mean over its tokens) on a set of visual tokens; `lift`: over what attention spread
evenly over all keys would give. `keys` names the set as captures do: "visual:Ann", the n cells of a speaker in all
frames, whose density is mass / n, or "modality:visual". `speaker_consistency` and its lift over chance, of all words at
the frames that are live or at all, are those of `attnscope.metrics`. `output_factor`: mean factor on the output of a
query group's tokens, where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.metrics.people.density import speaker_cells, units_of
from attnscope.metrics.people.sets import Ways
from attnscope.metrics.people.shares import densities
from attnscope.metrics.registry import OVER
from attnscope.metrics.scan import scanned
from attnscope.metrics.tables import Part, divide, table_of, with_head_mean
from attnscope.vocabulary import GENERATED, MODALITY, VISUAL, group_name, is_visual

if TYPE_CHECKING:
    import xarray as xr

    from attnscope.capture.read.capture import Capture

COLUMNS = ["metric", "layer", "head", "query_group", "kind", "keys", "speaker", "frames", "value", "n"]
CONSISTENCY = ("speaker_consistency", "speaker_consistency_lift")
ALL_VISUAL = group_name(MODALITY, VISUAL)


class LayerMaps:
    """A capture of which only one layer is left, with other maps; all else is the capture's.

    Args:
        cap: An open capture.
        layer: Number of the layer.
        maps: [H, query groups, N] over its prompt. A layer may have fewer heads than others; those are not defined.
    """

    def __init__(self, cap: Capture, layer: int, maps: NDArray[np.float32]) -> None:
        self._cap, self.layers = cap, np.array([layer], dtype=np.int64)
        self.values = np.zeros((cap.heads, maps.shape[1], len(cap.tokens)), dtype=np.float32)
        self.values[len(maps) :] = np.nan
        self.values[: len(maps), :, : maps.shape[2]] = maps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cap, name)

    def maps(
        self, layer: int | None = None, head: int | None = None, group: str | Sequence[str] | None = None
    ) -> xr.DataArray:
        """As `Capture.maps`, of the one layer and all its heads."""
        import xarray as xr

        if layer != self.layers[0] or head is not None:
            raise ValueError(f"these are the maps of layer {self.layers[0]} and of all its heads")
        names = self._cap.query_groups["name"].tolist()
        wanted = names if group is None else [group] if isinstance(group, str) else list(group)
        found = xr.DataArray(
            self.values[:, [names.index(name) for name in wanted]], dims=("head", "query_group", "key")
        )
        return found.isel(query_group=0) if isinstance(group, str) else found


def numbers(maps: LayerMaps, threshold: float) -> pd.DataFrame:
    """All numbers of one layer but factors, with columns `COLUMNS`."""
    cap = cast("Capture", maps)
    cells = speaker_cells(cap, threshold)
    return pd.concat([_groups(maps, cells), _consistency(cap, cells, threshold)], ignore_index=True)


def factors(cap: Capture, layer: int, means: NDArray[np.float64]) -> pd.DataFrame:
    """Rows of the mean factor on the output, from [H, query groups]."""
    groups, asked = cap.query_groups, _prompt_groups(cap)
    tokens = cap.query_member[asked].sum(1)
    values = with_head_mean(means[:, asked], 0)
    part = Part("output_factor", values, tokens, {"head": _heads(values), "row": asked})
    table = table_of([part], ["row"])
    return _columns(_named(table, groups).assign(layer=layer, keys="", speaker=""))


def _groups(maps: LayerMaps, cells: NDArray[np.bool_]) -> pd.DataFrame:
    """Mass and lift of each query group of the prompt on each speaker and on all visual tokens."""
    cap, layer = cast("Capture", maps), int(maps.layers[0])
    visual = is_visual(cap.tokens)
    sets = np.concatenate([cells, visual[None]])  # [S + 1, P]
    asked, member = _prompt_groups(cap), cap.query_member
    seen, even = np.zeros((len(asked), len(sets)), np.int64), np.zeros(len(asked))
    for i, row in enumerate(asked):
        allowed = cap.allowed(layer, np.flatnonzero(member[row]))
        seen[i], even[i] = (sets & allowed.any(0)).sum(1), (1 / allowed.sum(1)).mean()
    mass = maps.values[:, asked].astype(np.float64) @ sets.T  # [H, Q, S + 1]
    mass = np.where(seen > 0, with_head_mean(mass, 0), np.nan)
    names = [*(group_name(VISUAL, name) for name in cap.scene.speakers), ALL_VISUAL]
    axes: dict[str, Sequence[Any]] = {"head": _heads(mass), "row": asked, "keys": names}
    lift = divide(mass, seen) / even[:, None]
    table = table_of(
        [Part(name, value, seen, axes) for name, value in (("mass", mass), ("lift", lift))], ["row", "keys"]
    )
    of = table["keys"].str.removeprefix(f"{VISUAL}:").where(table["keys"] != ALL_VISUAL, "")
    return _columns(_named(table, cap.query_groups).assign(layer=layer, speaker=of))


def _consistency(cap: Capture, cells: NDArray[np.bool_], threshold: float) -> pd.DataFrame:
    """Speaker consistency and its lift of each head and of their mean."""
    ways = Ways(units_of(cap), cells[None])
    parts = [part for choice in scanned(cap, densities(cap, ways, threshold, timed=0)) for part in choice.parts(0)]
    table = table_of([part for part in parts if part.metric in CONSISTENCY], ["frames"])
    return _columns(table[table["layer"] != OVER])


def _prompt_groups(cap: Capture) -> list[int]:
    """Rows of the query groups that are of the prompt."""
    return [int(row) for row in np.flatnonzero((cap.query_groups["kind"] != GENERATED).to_numpy())]


def _heads(values: NDArray[np.float64]) -> list[int]:
    return [*range(len(values) - 1), OVER]


def _named(table: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """A table with the names and kinds of query groups in place of their rows."""
    row = table.pop("row").to_numpy()
    return table.assign(query_group=groups["name"].to_numpy()[row], kind=groups["kind"].to_numpy()[row])


def _columns(table: pd.DataFrame) -> pd.DataFrame:
    """All columns in order; "" where a number has no such key."""
    return table.assign(**{name: "" for name in COLUMNS if name not in table})[COLUMNS]
