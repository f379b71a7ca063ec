"""Reading a capture: lazy, labelled, and without torch.

>>> with attnscope.open("run.h5") as cap:
...     cap.attention(layer=12, head=3, queries=[40, 41])  # [2, P], exact
...     cap.masses(layer=12).sel(key_group="visual:Ann").mean("query")
"""

from __future__ import annotations

from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.capture.file.specification import FLOW_ERROR, GATE, arrays_of, rule_of
from attnscope.capture.read.contents import Contents
from attnscope.capture.read.dense import Floats, LayerQK
from attnscope.capture.read.labels import Choice, Positions, gather, is_one, key_labels, label, pick, positions
from attnscope.errors import RequestError
from attnscope.vocabulary import MASSES, READINGS, SINK

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Capture", "open"]


def open(path: str | Path) -> Capture:
    """Open a capture for reading.

    Args:
        path: The `.h5` file that a capture wrote.

    Returns:
        The capture; close it, or use it in a `with` statement.

    Raises:
        RequestError: If there is no such file.
        FormatError: If it is not a complete capture of a known version, or lacks a node that it must have.

    Example:
        >>> with attnscope.open("run.h5") as cap:
        ...     cap.masses(layer=2).sel(key_group="visual:Ada").shape  # heads, text queries
        (8, 78)
    """
    return Capture(path)


_LABELLED_AS = {"probe": "query", "state": "layer", "prompt": "key"}


def _names(reading: str) -> list[str]:
    """The names of a reading's arrays of numbers, without lists of probes."""
    return [rule.path.rpartition("/")[2] for rule in arrays_of(reading) if len(rule.dims) > 1]


class Capture(Contents):
    """How one model attended while it was shown one scene: a file, read as it is asked.

    Everywhere, `layer` is a number in the model (see `layers`), `head` a query head, and `query` and `key`
    are positions: rows of `tokens`. A choice of layers or heads is a number, a list of numbers, or None for
    all; a number takes its dimension away.

    Attributes:
        path: Path of the file.

    Example:
        >>> cap.attention(layer=2, head=5, queries=[219, 220]).shape
        (2, 222)
        >>> cap.maps(layer=2, group="answer_position").dims
        ('head', 'key')
        >>> "".join(cap.tokens[cap.tokens["role"] == "question"]["text"])[:22]
        'Who is Dan talking to?'
    """

    _qk: LayerQK | None = None

    # ---- readings

    def has(self, reading: str) -> bool:
        """Whether the capture has a reading.

        Args:
            reading: One of `attnscope.vocabulary.READINGS`: `masses`, `maps`, `stats`, `qk`, `full`, `hidden`.

        Raises:
            RequestError: If there is no reading of that name.

        Example:
            >>> cap.has("qk"), cap.has("full")
            (True, False)
        """
        if reading not in READINGS:
            raise RequestError(f"'{reading}' is no reading; the readings are {', '.join(READINGS)}")
        return self._store.has(f"/{reading}")

    def attention(self, layer: int, head: Choice = None, queries: Positions = None, keys: Positions = None) -> Floats:
        """Attention that the model computed, exact, from `full` or `qk`; only what is asked is computed.

        Args:
            layer: Its number in the model.
            head: A query head, several, or None for all.
            queries: Positions (a number, numbers, a slice, or a bool mask); None for all.
            keys: Likewise; the softmax runs over all keys whichever are asked for.

        Returns:
            Float32 [H, Q, K], or [Q, K] for one head. 0 where a pair is not allowed, NaN in a row with none.

        Raises:
            RequestError: If the layer, head or a position is not in the capture.
            FormatError: If the capture has neither reading.

        Example:
            >>> rows = cap.attention(layer=2, head=5, queries=[219, 220])
            >>> rows.shape, rows.sum(axis=1).round(3).tolist()
            ((2, 222), [1.0, 1.0])
        """
        where = str(self.path)
        row = self._row(layer)
        heads = self._heads(head)
        at = positions(where, "query", queries, self._positions)
        to = positions(where, "key", keys, self._positions)
        if self.has("full"):
            rows = [self._store.rows("/full/attention", (row, int(h)), at)[:, to] for h in heads]
            result = np.stack(rows).astype(np.float32)
        elif self.has("qk"):
            result = self.qk(layer).attention(self.mask(layer), heads, at, to)
        else:
            raise self._missing("qk")
        return result[0] if is_one(head) else result

    def qk(self, layer: int) -> LayerQK:
        """Queries and keys of a layer as the kernel received them, read as they are needed.

        Args:
            layer: Its number in the model.

        Returns:
            With `q` [H, P, d] and `k` [key heads, P, d], which take slices, and what else makes them logits.

        Raises:
            RequestError: If the layer is not in the capture.
            FormatError: If the capture has no qk.

        Example:
            >>> cap.qk(layer=2).q[:].shape, cap.qk(layer=2).k[:].shape  # 8 query heads, 4 key heads
            ((8, 222, 16), (4, 222, 16))
        """
        number = int(self.layers[self._row(layer)])
        self._need("qk")
        if self._qk is None or self._qk.number != number:  # the last one is kept, with the keys of its last head
            self._qk = LayerQK(self._store, number)
        return self._qk

    def masses(self, layer: Choice = None, head: Choice = None) -> xr.DataArray:
        """Attention mass of the probed queries on every key group.

        Args:
            layer: Number in the model, several, or None for all.
            head: Query head, several, or None for all.

        Returns:
            Float32 (layer, head, query, key_group). Labels of families `modality` and `role` are written
            `modality:visual`, since the two share names; `family` is a second coordinate of the key groups.

        Raises:
            RequestError: If a layer or head is not in the capture.
            FormatError: If the capture has no masses.

        Example:
            >>> mass = cap.masses(layer=2, head=5).sel(key_group="visual:Ada")
            >>> mass.dims, round(float(mass.sel(query=220)), 2)
            (('query',), 0.38)
        """
        return self._labelled("masses", "rows", "masses", layer, head)

    def masses_allowed(self, layer: Choice = None) -> xr.DataArray:
        """How many keys of every group each probed query may see: int32 (layer, query, key_group).

        Example:
            >>> cap.masses_allowed(layer=2).sel(query=220, key_group="modality:visual").item()
            144
        """
        return self._labelled("masses", "rows_allowed", "masses_allowed", layer)

    def flow(self, layer: Choice = None, head: Choice = None) -> xr.DataArray:
        """Mean, over all queries of a group, of their mass on a group.

        Returns:
            Float32 (layer, head, query_group, key_group); here both are key groups, the queries' without
            family `sink`. NaN for a group without a query, and of a group of fewer than 8 sampled visual queries on
            a frame or a speaker's cells: the plan `masses:all` reads all of them. `flow_error` is its standard error.

        Raises:
            RequestError: If a layer or head is not in the capture.
            FormatError: If the capture has no masses.

        Example:
            >>> flow = cap.flow(layer=2).mean("head")
            >>> round(float(flow.sel(query_group="role:question", key_group="modality:visual")), 2)
            0.79
        """
        return self._labelled("masses", "flow", "flow", layer, head)

    def flow_error(self, layer: Choice = None, head: Choice = None) -> xr.DataArray:
        """Standard error of `flow`: above 0 where a sample of the visual queries stands for all of them.

        Returns:
            Float32, as `flow`: 0 where every query was read, NaN where the sample holds too few queries of the group.

        Raises:
            RequestError: If a layer or head is not in the capture.
            FormatError: If the capture has no masses.

        Example:
            >>> error = cap.flow_error(layer=2).mean("head")
            >>> float(error.sel(query_group="role:question", key_group="modality:visual"))
            0.0
        """
        if self._store.has(FLOW_ERROR):
            return self._labelled("masses", "flow_error", "flow_error", layer, head)
        return (self.flow(layer, head) * 0).rename("flow_error")

    def flow_pairs(self, layer: Choice = None) -> xr.DataArray:
        """How many (query, key) pairs of two groups are allowed: int64 (layer, query_group, key_group).

        Example:
            >>> cap.flow_pairs(layer=2).sel(query_group="role:question", key_group="modality:visual").item()
            4608
        """
        return self._labelled("masses", "flow_pairs", "flow_pairs", layer)

    def maps(self, layer: Choice = None, head: Choice = None, group: str | list[str] | None = None) -> xr.DataArray:
        """Mean attention of each query group to every key.

        Args:
            layer: Number in the model, several, or None for all.
            head: Query head, several, or None for all.
            group: Name of a query group (as in `query_groups`), several, or None for all.

        Returns:
            Float32 (layer, head, query_group, key), with coordinates `kind` and `ref` of the groups.

        Raises:
            RequestError: If a layer, head or group is not in the capture.
            FormatError: If the capture has no maps.

        Example:
            >>> cap.maps(group="speaker:Dan").dims
            ('layer', 'head', 'key')
            >>> round(float(cap.maps(layer=2, head=5, group="answer_position").sum()), 3)
            1.0
        """
        from attnscope.scene.names import find_name

        self._need("maps")
        names = self.query_groups["name"].tolist()
        chosen: list[int] | None = None if group is None else []
        for name in [group] if isinstance(group, str) else group or []:
            same = find_name(name, names)
            if same is None or chosen is None:
                raise RequestError(f"{self.path}: no query group '{name}'; the groups are {', '.join(names)}")
            chosen.append(names.index(same))
        array = self._labelled("maps", "rows", "maps", layer, head, chosen).astype(np.float32, copy=False)
        return array.isel(query_group=0) if isinstance(group, str) else array

    def stat(self, name: str, layer: Choice = None, head: Choice = None) -> xr.DataArray:
        """A number for every query.

        Args:
            name: `entropy` (nats; NaN for visual queries outside of the sample, see `was_read`: the plan `stats:all`
                reads all of them), `lse` (log of the softmax denominator, nats), `sink_mass`, `max` (largest
                attention of the row, for members of the query groups only), `allowed` (keys that the query
                may see; it has no head), or `output_gate` (how much of the head's output passes, from 0 to 1; only
                if the capture is `gated`).
            layer: Number in the model, several, or None for all.
            head: Query head, several, or None for all.

        Returns:
            (layer, head, query), or (layer, query) for `allowed`.

        Raises:
            RequestError: If the name, a layer or a head is not known.
            FormatError: If the capture has no stats.

        Example:
            >>> entropy = cap.stat("entropy", layer=2)
            >>> entropy.dims, entropy.sizes["query"]
            (('head', 'query'), 222)
        """
        self._need("stats")
        stats = _names("stats")
        if name not in stats:
            raise RequestError(f"'{name}' is no stat; the stats are {', '.join(stats)}")
        if f"/stats/{name}" == GATE and not self.gated:
            raise RequestError(f"{self.path}: has no '{name}'; no gate on the outputs of this model's heads was read")
        return self._labelled("stats", name, name, layer, head)

    def hidden(self, name: str, layer: Choice = None) -> xr.DataArray:
        """What the layers received, summed up over their channels.

        Args:
            name: `massive` (largest channel of each token over its root mean square), `residual` (what is left of a
                group of tokens without their mean, a part of the norm), or `singular_values` (of a group, decreasing).
            layer: Number in the model, several, or None for all. `model["layers"]`, the last, is what leaves the last
                layer of the model.

        Returns:
            Float32 (layer, key) for the tokens of the prompt, (layer, group), or (layer, group, component), where the
            groups are `all` and the modalities but `special`; one of n tokens has at most n singular values, then NaN.

        Raises:
            RequestError: If the name or a layer is not known.
            FormatError: If the capture has no hidden.

        Example:
            >>> cap.hidden("singular_values", layer=2).dims, cap.hidden("massive").sizes["layer"]
            (('group', 'component'), 7)
        """
        self._need("hidden")
        names = _names("hidden")
        if name not in names:
            raise RequestError(f"'{name}' is nothing of hidden; it has {', '.join(names)}")
        return self._labelled("hidden", name, name, layer)

    @property
    def hidden_width(self) -> int:
        """How many channels a hidden state has.

        Raises:
            FormatError: If the capture has no hidden.
        """
        self._need("hidden")
        return self._store.whole("/hidden", "width")

    def _repr_html_(self) -> str:
        """What a notebook shows: the scene, the answer, one overlay, and the tree of the file."""
        from attnscope.capture.read import notebook

        return notebook.html(self) if self._store.file.id.valid else f"<code>{escape(repr(self))}</code>"

    def view(self, *others: Capture, layer: int | None = None, head: int | None = None) -> Any:
        """Show the viewer under a cell of a notebook; it needs the extra `attnscope[notebook]`.

        It is the page of `attnscope view`: with `qk`, the exact attention of any token in any head is computed when it
        is asked for. Nothing is served: the page asks the notebook's kernel.

        Args:
            others: More captures. A second one of the same scene is shown as before and after, with the change.
            layer: The layer that is shown first, its number in the model; the mean over all if not given.
            head: The head that is shown first; the mean over the heads if not given.

        Returns:
            A widget (anywidget), which a notebook shows. Its `close` releases the files.

        Raises:
            InstallError: If anywidget is not installed.
            RequestError: If the layer or head is not in the capture, or a capture is closed or was replaced.

        Example:
            >>> cap.view(layer=2, head=5)
            <Viewer of run.h5>
        """
        # By name: the viewer shows reports, and nothing that reads captures depends on those.
        import_module("attnscope.view.extra").need("view", "notebook", ("anywidget",))
        return import_module("attnscope.view.notebook").view([self, *others], layer, head)

    # ---- inside

    def _labelled(
        self, reading: str, array: str, name: str, layer: Choice, head: Choice = None, groups: list[int] | None = None
    ) -> xr.DataArray:
        """Some layers, heads and query groups of a reading's array, its dimensions labelled.

        Probes are labelled as queries, states as layers, and positions of the prompt as keys.
        """
        self._need(reading)
        path = f"/{reading}/{array}"
        dims = rule_of(path).dims
        numbers = self.layers
        if "state" in dims:
            numbers = np.append(numbers, int(self._field("/model", self.model, "layers")))
        rows = pick(str(self.path), "layer", layer, numbers)
        heads = self._heads(head) if "head" in dims else None
        data = gather(self._store, path, rows, heads, groups)
        own = {"layer": numbers[rows], "state": numbers[rows], "head": heads}
        labels: dict[str, Any] = {
            _LABELLED_AS.get(dim, dim): own[dim] if dim in own else self._labels(reading, dim) for dim in dims
        }
        if groups is not None:
            labels["query_group"] = labels["query_group"].iloc[groups]
        if "component" in labels:
            labels["component"] = np.arange(data.shape[-1])
        labelled = label(self._store, path, data, name, labels)
        single = [dim for dim, choice in (("layer", layer), ("head", head)) if dim in labels and is_one(choice)]
        return labelled.isel(dict.fromkeys(single, 0)) if single else labelled

    def _labels(self, reading: str, dim: str) -> Any:
        """What stands along a dimension of a reading: numbers, names, or a table of groups."""
        if dim == "probe":
            return self._store.read(f"/{reading}/probes", dims=["probe"]).astype(np.int64)
        if dim == "group":
            return self._store.strings(f"/{reading}/group")
        if dim == "query_group" and reading != MASSES:
            return self.query_groups
        if dim in ("key_group", "query_group"):
            groups = key_labels(self.key_groups)
            return groups if dim == "key_group" else groups[groups["family"] != SINK]
        return np.arange(self.prompt_length if dim == "prompt" else self._positions)

    def _need(self, reading: str) -> None:
        if not self.has(reading):
            raise self._missing(reading)
        self._store.node(f"/{reading}", reading)
