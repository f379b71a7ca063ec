"""Exact attention from a capture's queries and keys, in numpy: a few rows at a time, to bound memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.capture.file.bits import float32_from_bfloat16, unpack_mask
from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import LOGICAL_DTYPES, MASK_KINDS, rule_of
from attnscope.capture.read.labels import Indices

SCRATCH = 32 << 20  # bytes of float32 logits held at once
KEPT = 64 << 20  # bytes of float32 keys of one head that may stay in memory between two readings

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LayerMask:
    """Which pairs a recorded layer allows.

    Attributes:
        kind: `causal`, `sliding` or `explicit`.
        window: Window of a sliding mask, in tokens, the query's own included.
        node: Node of an explicit mask, the path of its packed bits.
        positions: How many there are, P.
    """

    kind: str
    window: int
    node: str
    positions: int

    def span(self, queries: Indices) -> slice:
        """The keys that can matter to these queries: none may see a key outside. Empty only if there is no query."""
        if self.kind == "explicit":
            return slice(0, self.positions)
        first = max(0, int(queries.min(initial=self.positions)) - self.window + 1) if self.kind == "sliding" else 0
        end = int(queries.max(initial=-1)) + 1
        return slice(max(0, min(first, end - 1)), end)

    def forbid(self, store: Store, logits: Floats, queries: Indices, span: slice) -> None:
        """Set to -inf, in place, what is not allowed; only where a mask can differ from query to query.

        Args:
            store: The file.
            logits: [Q, K] of the queries and the keys of `span`.
            queries: Positions.
            span: What `span` gives for these queries, or for more.
        """
        if not logits.size:
            return
        if self.kind == "explicit":
            np.copyto(logits, -np.inf, where=~self.allowed(store, queries)[:, span])
            return
        key, query = np.arange(span.start, span.stop)[None, :], queries[:, None]
        late = max(0, int(queries.min()) + 1 - span.start)  # from here on a key is after some query
        np.copyto(logits[:, late:], -np.inf, where=key[:, late:] > query)
        if self.kind == "sliding":
            early = max(0, int(queries.max()) - self.window + 1 - span.start)  # up to here it is too old for some
            np.copyto(logits[:, :early], -np.inf, where=key[:, :early] <= query - self.window)

    def allowed(self, store: Store, queries: Indices) -> npt.NDArray[np.bool_]:
        """The allowed keys of some queries, bool [Q, P]."""
        if self.kind == "explicit":
            return unpack_mask(store.rows(self.node, (), queries), self.positions)
        key, query = np.arange(self.positions)[None, :], queries[:, None]
        causal: npt.NDArray[np.bool_] = key <= query
        return causal & (key > query - self.window) if self.kind == "sliding" else causal


def read_masks(store: Store, layers: int, count: int) -> list[LayerMask]:
    """The masks of all recorded layers.

    Args:
        store: The file.
        layers: How many are recorded.
        count: How many positions there are, P.

    Raises:
        FormatError: If `/mask` does not describe every layer.
    """
    store.node("/mask", "mask")
    kinds = store.strings("/mask/kind")
    windows = store.read("/mask/window", dims=["layer"])
    explicit = store.read("/mask/explicit", dims=["layer"])
    if not len(kinds) == len(windows) == len(explicit) == layers:
        raise store.error("/mask", f"describes {len(kinds)} layers, {layers} are recorded")
    for kind in set(kinds) - set(MASK_KINDS):
        raise store.error("/mask/kind", f"'{kind}' is none of {', '.join(MASK_KINDS)}")
    return [
        LayerMask(kind, int(window), f"/mask/explicit_{which}", count)
        for kind, window, which in zip(kinds, windows, explicit, strict=True)
    ]


class LayerQK:
    """The queries and keys of one layer, read as they are needed.

    Args:
        store: The file.
        number: Number of the layer in the model.

    Attributes:
        number: Number of the layer in the model.
        q, k: Queries [H, P, d] and keys [key heads, P, d] in the file; of bfloat16, the bits as uint16.
        dtype: What they are: float16, bfloat16 or float32.
        group: Query heads that share a key head.
        scale: Factor of q.k.
        softcap: Z becomes softcap * tanh(z / softcap); None if nothing is capped.
        sink_logits: Learned sink logits [H], -inf where a head has none; None if no layer has any.

    Raises:
        FormatError: If the group is missing or breaks the specification.
    """

    def __init__(self, store: Store, number: int) -> None:
        self.store, self.number, self.path = store, number, f"/qk/{number}"
        store.node(self.path, "qk-layer")
        self.scale = store.number(self.path, "scale")
        softcap = store.number(self.path, "softcap")
        self.softcap = None if math.isnan(softcap) else softcap
        self.dtype = store.text(self.path, "logical-dtype")
        self.q, self.k = (store.array(path, rule_of(path).dims) for path in (f"{self.path}/q", f"{self.path}/k"))
        stored = {"bfloat16": "uint16"}.get(self.dtype, self.dtype)
        for dataset in (self.q, self.k):
            if self.dtype not in LOGICAL_DTYPES or dataset.dtype != stored:
                raise store.error(dataset.name, f"holds {dataset.dtype}, but logical-dtype is '{self.dtype}'")
        if self.q.shape[0] % max(self.k.shape[0], 1) or self.q.shape[2] != self.k.shape[2]:
            raise store.error(self.path, f"q {self.q.shape} and k {self.k.shape} do not fit each other")
        self.group = self.q.shape[0] // self.k.shape[0]  # query heads that share a key head
        self._kept: tuple[tuple[int, int, int], Floats] | None = None  # the keys that were read last
        self.sink_logits = self._sink_logits()

    def attention(self, mask: LayerMask, heads: Indices, queries: Indices, keys: Indices) -> Floats:
        """Softmax attention of some heads and queries on some keys, float32 [len(heads), Q, K].

        The softmax runs over all keys of the row, whichever are asked for. A row that may see no key is NaN.
        """
        result = np.empty((len(heads), len(queries), len(keys)), dtype=np.float32)
        span = mask.span(queries)
        if np.array_equal(keys, np.arange(mask.positions)):  # all, in order: nothing is copied
            for i, head in enumerate(heads):
                self._fill(result[i], mask, int(head), queries, span)
            self._forget()
            return result
        inside = np.flatnonzero((keys >= span.start) & (keys < span.stop))
        room = np.empty((min(self._rows(span), len(queries)), span.stop - span.start), np.float32)
        for i, head in enumerate(heads):
            for chunk, block in self._blocks(mask, int(head), queries, span, room):
                _spread(result[i, chunk], block, inside, keys[inside] - span.start)
        self._forget()
        return result

    def _fill(self, out: Floats, mask: LayerMask, head: int, queries: Indices, span: slice) -> None:
        """Attention of one head on all keys, into `out` [Q, P]."""
        for chunk, block in self._blocks(mask, head, queries, span, out[:, span]):
            out[chunk, : span.start], out[chunk, span.stop :] = 0, 0
            blind = np.isnan(block[:, :1]).any(axis=1)
            if blind.any():
                out[chunk][blind] = np.nan

    def _sink_logits(self) -> npt.NDArray[Any] | None:
        """This layer's own, or its row of those of all layers; -inf where a head has none."""
        path = f"{self.path}/sink_logits"
        if self.store.has(path):
            return self.store.read(path, dims=["head"])
        if not self.store.has("/sink_logits"):
            return None
        row = np.flatnonzero(self.store.read("/layers") == self.number)
        logits: npt.NDArray[Any] = self.store.read("/sink_logits", dims=["layer", "head"])[row[0]]
        return logits

    def _blocks(
        self, mask: LayerMask, head: int, queries: Indices, span: slice, room: Floats
    ) -> Iterator[tuple[slice, Floats]]:
        """Attention of one head, a few queries at a time: their slice of `queries`, and [some, keys of `span`].

        It is computed in `room`, a row for each query; where there are fewer rows, the next block takes them again.
        """
        k = self._keys(head, span)  # [K, d]
        step, own = self._rows(span), len(room) == len(queries)
        for start in range(0, len(queries), step):
            chunk = slice(start, start + step)
            at = queries[chunk]
            q = self._float(self.store.rows(f"{self.path}/q", (head,), at))  # [Q, d]
            z = np.matmul(q, k.T, out=room[chunk] if own else room[: len(at)])
            z *= np.float32(self.scale)
            if self.softcap is not None:
                cap_logits(z, self.softcap)
            mask.forbid(self.store, z, at, span)
            yield chunk, softmax(z, None if self.sink_logits is None else float(self.sink_logits[head]))

    def _rows(self, span: slice) -> int:
        """How many rows of logits are held at once."""
        return max(1, SCRATCH // (4 * max(int(span.stop - span.start), 1)))

    def _keys(self, head: int, span: slice) -> Floats:
        """Some of the keys that a query head reads, float32 [K, d]; the heads that share them read them once."""
        kept = (head // self.group, span.start, span.stop)
        if self._kept is None or self._kept[0] != kept:
            self._kept = None  # not two at once
            self._kept = kept, self._float(self.store.read(f"{self.path}/k", (kept[0], span)))
        return self._kept[1]

    def _forget(self) -> None:
        """Let go of keys that are too many to be kept until somebody asks again."""
        if self._kept is not None and self._kept[1].nbytes > KEPT:
            self._kept = None

    def keys(self, head: int) -> Floats:
        """The keys that a query head reads, float32 [P, d]."""
        return self._float(self.store.read(f"{self.path}/k", head // self.group))

    def rows(
        self, mask: LayerMask, head: int, queries: Indices, keys: Floats
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Attention [Q, P] of some rows of one head and the log of its denominator [Q], in float64.

        Args:
            mask: Mask of the layer.
            head: A query head.
            queries: Positions.
            keys: What `keys` gives for this head.
        """
        q = self._float(self.store.rows(f"{self.path}/q", (head,), queries))
        z = (q @ keys.T).astype(np.float64) * self.scale
        if self.softcap is not None:
            z = np.tanh(z / self.softcap) * self.softcap
        z[~mask.allowed(self.store, queries)] = -np.inf
        sink = -np.inf if self.sink_logits is None else float(self.sink_logits[head])
        top = np.maximum(z.max(axis=1, initial=-np.inf), sink)
        top[np.isneginf(top)] = 0
        weight = np.exp(z - top[:, None])
        total = weight.sum(axis=1) + np.exp(sink - top)
        with np.errstate(invalid="ignore", divide="ignore"):  # a row that sees nothing
            return np.nan_to_num(weight / total[:, None]), top + np.log(total)

    def _float(self, stored: npt.NDArray[Any]) -> Floats:
        return float32_from_bfloat16(stored) if self.dtype == "bfloat16" else stored.astype(np.float32, copy=False)


def cap_logits(logits: Floats, softcap: float) -> None:
    """Z becomes softcap * tanh(z / softcap), in place."""
    logits /= np.float32(softcap)
    np.tanh(logits, out=logits)
    logits *= np.float32(softcap)


def softmax(logits: Floats, sink_logit: float | None = None) -> Floats:
    """Softmax over the keys, in place.

    Args:
        logits: Capped, -inf where a pair is not allowed, [Q, K]; overwritten.
        sink_logit: One more logit in the denominator, which belongs to no key.

    Returns:
        Float32 [Q, K]; NaN in rows where nothing is allowed (0 if there is a sink logit to take it all).
    """
    z = logits
    top = z.max(axis=1, initial=-np.inf, keepdims=True)
    if sink_logit is not None and math.isfinite(sink_logit):
        top = np.maximum(top, np.float32(sink_logit))
    else:
        sink_logit = None
    top[np.isneginf(top)] = 0
    z -= top
    np.exp(z, out=z)
    total = z.sum(axis=1, keepdims=True)
    if sink_logit is not None:
        total += np.exp(np.float32(sink_logit) - top)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a row that sees nothing
        z /= total
    return z


def _spread(out: Floats, block: Floats, inside: Indices, taken: Indices) -> None:
    """Some keys of a block of attention, into `out` [Q, asked]: outside the block a query attends to nothing."""
    out[:] = 0
    out[:, inside] = block[:, taken]
    blind = np.isnan(block[:, :1]).any(axis=1)
    if blind.any():
        out[blind] = np.nan
