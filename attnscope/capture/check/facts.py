"""What several checks of a capture's numbers need, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnscope.capture.file.specification import FLOW_ERROR, MASSES_SAMPLED
from attnscope.estimate import is_sampled
from attnscope.vocabulary import SINK, STATS, media

if TYPE_CHECKING:
    from attnscope.capture.file.nodes import Store
    from attnscope.capture.read.capture import Capture

# How far sums may be off, by the model's dtype (ours): rounding of the masses, and of entropy, a difference
# of two larger numbers. A check named `conservation` in /check replaces the first, up to the third.
TOLERANCES = {"float32": (1e-5, 1e-3, 1e-5), "float16": (1e-3, 5e-2, 2e-2), "bfloat16": (1e-3, 5e-2, 2e-2)}

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass
class Facts:
    """A capture, the file that it is in, and what follows from them.

    Attributes:
        cap: The capture.
        store: The same file.
    """

    cap: Capture
    store: Store
    _layer: int = -1
    _read: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def read(self, node: str, row: int) -> npt.NDArray[Any]:
        """A recorded layer's part of an array; what was read of the same layer is kept until another is asked for."""
        if self._layer != row:
            self._layer = row
            self._read.clear()
        if node not in self._read:
            self._read[node] = self.store.read(node, row)
            self._read[node].setflags(write=False)
        return self._read[node]

    @cached_property
    def exact(self) -> bool:
        """Whether the model's kernel computed in float32."""
        return str(self.cap.model["dtype"]) in ("float32", "float64")

    @cached_property
    def tolerance(self) -> float:
        """How far a sum of masses may be from what it should be."""
        usual, _, most = TOLERANCES.get(self.cap.model["dtype"], TOLERANCES["bfloat16"])
        for check in self.cap.check.get("checks", []):
            if check.get("name") == "conservation" and isinstance(check.get("tolerance"), (int, float)):
                return min(float(check["tolerance"]), most)
        return usual

    @cached_property
    def entropy_tolerance(self) -> float:
        """How far an entropy may be outside its range, nats."""
        return TOLERANCES.get(self.cap.model["dtype"], TOLERANCES["bfloat16"])[1]

    @cached_property
    def is_sink(self) -> Bools:
        """Which key groups are of family `sink`, [G]."""
        return (self.cap.key_groups["family"] == SINK).to_numpy(bool)

    def members(self, row: int) -> Floats:
        """Members of the key groups in a recorded layer, [G, P]: of the sinks, those of the layer."""
        members = self.cap.key_member.astype(np.float64)
        if self.is_sink.any() and (self.cap.has("masses") or self.cap.has("stats")):
            members[self.is_sink] *= self.cap.sinks[row]
        return members

    @cached_property
    def query_members(self) -> Floats:
        """The key groups without those of sinks as groups of the prompt's queries, [Gq, P]."""
        members = self.cap.key_member[~self.is_sink].astype(np.float64)
        members[:, self.cap.prompt_length :] = 0
        return members

    @cached_property
    def entropy_read(self) -> Bools:
        """Of which positions the entropy was read, [P]: all but the visual queries that a sample stands for."""
        return self.cap.was_read(STATS)

    @cached_property
    def sample(self) -> Ints | None:
        """The visual queries whose masses on parts of the video were read; None if those of all were."""
        return self.store.read(MASSES_SAMPLED).astype(np.int64) if self.store.has(MASSES_SAMPLED) else None

    @cached_property
    def guessed(self) -> Bools:
        """Which flows between groups rest on the sample, [Gq, G]."""
        cap = self.cap
        seen = np.zeros(len(cap.tokens), bool)
        seen[: cap.prompt_length] = cap.tokens["modality"].isin(media(cap.modalities))[: cap.prompt_length]
        if self.sample is None:
            return np.zeros((len(self.query_members), len(cap.key_groups)), bool)
        keys = is_sampled(cap.key_groups["family"], cap.key_member, seen)
        left = seen.copy()
        left[self.sample] = False
        return np.asarray((self.query_members[:, left].max(1, initial=0) > 0)[:, None] & keys)

    def flow_error(self, row: int) -> Floats:
        """Standard errors of a layer's flow, [H, Gq, G]: 0 where it is exact, NaN where it is not known."""
        if self.sample is None:
            return np.zeros((self.cap.heads, len(self.query_members), len(self.cap.key_groups)))
        return self.store.read(FLOW_ERROR, row).astype(np.float64)

    def expected(self, row: int) -> tuple[Floats, Floats]:
        """The least and most that a layer's rows may sum to, [H, P]: 1, less what a learned sink takes."""
        shape = (self.cap.heads, len(self.cap.tokens))
        logits = self.cap.sink_logits
        if logits is None or not np.isfinite(logits[row]).any():
            return np.ones(shape), np.ones(shape)
        if not self.cap.has("stats"):
            return np.zeros(shape), np.ones(shape)  # nothing in the file says how much the sink took
        lse = self.store.read("/stats/lse", row).astype(np.float64)
        rest = 1 - np.exp(logits[row].astype(np.float64)[:, None] - lse)
        return rest, rest
