"""Whom the answer position looks at, in which layers and heads, and whether boxes drawn worse would say the same.

Every number is a share among the people with a visible box (`answer_share`), so that chance is 1 over their number. A
lead counts only if it stands in nearly all draws in which each edge of each box is moved at random, and if the share is
clearly above chance (ours).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.answer import answer_group, read_masses, shares
from attnscope.metrics.people.boxes import covered, disturb, quantiles
from attnscope.metrics.people.density import speaker_cells
from attnscope.metrics.scan import scanned
from attnscope.metrics.tables import divide

if TYPE_CHECKING:
    from attnscope.capture import Capture

Floats = NDArray[np.float64]
DRAWS, AMOUNT, LEVEL = 50, 0.1, 0.95  # as of `attnscope.metrics.jitter`
HOW: dict[str, Any] = {"amount": AMOUNT, "unit": "box", "drop": 0.0, "grow": 0.0}
LEAST = 1.25  # times chance that the share of a leader has at least (ours)
_CLOSE = 1e-9  # shares that differ by less are one: sums of float32 in another order


@dataclass(frozen=True)
class Gaze:
    """Shares and lifts of the answer position on S people with a visible box.

    Attributes:
        names: The people, [S]; those whose box covers no cell are left out.
        hidden: The people who are left out.
        layers: Numbers of the layers in the model, [L].
        share: Share of each person, over all layers and heads, [S].
        lift: Mean attention on each person's cells over what even attention would give, likewise, [S].
        by_layer: Shares of the mean over heads of each layer, [L, S].
        by_head: Shares of each head, [L, H, S]; NaN in a layer that may see nobody.
        draws: `share` with disturbed boxes, [D, S]; NaN where another number of people is in sight.
        layer_draws: `by_layer` with disturbed boxes, [D, L, S].
    """

    names: tuple[str, ...]
    hidden: tuple[str, ...]
    layers: NDArray[np.int64]
    share: Floats
    lift: Floats
    by_layer: Floats
    by_head: Floats
    draws: Floats
    layer_draws: Floats

    @property
    def chance(self) -> float:
        """Share of each person if attention were spread evenly."""
        return 1 / len(self.names)

    def band(self, name: str) -> tuple[float, float]:
        """Ends of the band that holds 95 % of the shares of a person with disturbed boxes; NaN if no draw has one."""
        ends = quantiles(self.draws[:, [self.names.index(name)]], ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return float(ends[0][0]), float(ends[1][0])

    @property
    def first(self) -> str | None:
        """Whom the answer position looks at most; None where nobody leads (`leader`)."""
        at = leader(self.share, self.draws)
        return None if at is None else self.names[at]

    @property
    def highest(self) -> list[str]:
        """The person with the largest share, or all who have it."""
        if not np.isfinite(self.share).all():
            return []
        return [self.names[i] for i in np.flatnonzero(self.share >= self.share.max() - _CLOSE)]

    def led(self, name: str) -> list[int]:
        """Layers in which a person leads (`leader`)."""
        at = self.names.index(name)
        rows = zip(self.layers.tolist(), self.by_layer, self.layer_draws.swapaxes(0, 1), strict=True)
        return [layer for layer, share, draws in rows if leader(share, draws) == at]

    def layer_most(self, name: str) -> int | None:
        """Of the layers that a person leads the one with the largest share; None where there is none."""
        shares = dict(zip(self.layers.tolist(), self.by_layer[:, self.names.index(name)].tolist(), strict=True))
        return max(self.led(name), key=lambda layer: shares[layer], default=None)

    def heads_led(self, name: str) -> list[tuple[int, int]]:
        """(layer, head) in which a person has the largest share of the boxes as they are."""
        at = self.names.index(name)
        known = np.isfinite(self.by_head).all(-1)
        ordered = np.sort(np.nan_to_num(self.by_head), axis=-1)
        apart = ordered[..., -1] - ordered[..., -2] > _CLOSE
        own = known & apart & (np.nan_to_num(self.by_head).argmax(-1) == at)
        return [(int(self.layers[row]), int(head)) for row, head in np.argwhere(own)]

    @property
    def heads(self) -> int:
        """Heads in which shares are defined."""
        return int(np.isfinite(self.by_head).all(-1).sum())


def gaze(cap: Capture, *, threshold: float = 0.5, draws: int = DRAWS, seed: int = 0) -> Gaze | None:
    """Whom the answer position of a capture looks at.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as a speaker's.
        draws: How many times boxes are disturbed; captures of one scene get the same boxes.
        seed: Seed of the random numbers.

    Returns:
        None without the `maps` reading, the query group of the answer position, or two people with a visible box.
    """
    if not cap.has("maps") or answer_group(cap) is None or not cap.scene.speakers:
        return None
    own = speaker_cells(cap, threshold)
    seen = own.any(1)
    if seen.sum() < 2:
        return None
    names, visible = list(cap.scene.speakers), [bool(cells.any()) for cells in own]
    disturbed = disturb(cap, draws, rng=np.random.default_rng(seed), **HOW)
    cells = np.stack([own, *(covered(cap, boxes) >= threshold for boxes in disturbed)])[:, seen]
    mass, counts, keys = scanned(cap, read_masses(cap, cells))
    lifts = divide(mass * keys[:, None, None], counts[:, :, None])  # [D, L, H, S]
    by_layer = lifts.mean(2)
    whole = divide(np.nansum(by_layer, axis=1), np.isfinite(by_layer).sum(1))  # as Places.with_means
    if not np.isfinite(whole[0]).all():  # the position may see nobody's cells
        return None
    share = shares(whole)
    share[~np.isfinite(whole).all(1)] = np.nan  # of fewer people it is another score
    depth = len(cap.layers)
    flat = by_layer.reshape(-1, by_layer.shape[-1])
    layered = np.where(np.isfinite(flat).all(-1, keepdims=True), shares(flat), np.nan).reshape(by_layer.shape)
    heads = lifts[0].reshape(-1, lifts.shape[-1])
    return Gaze(
        names=tuple(name for name, there in zip(names, visible, strict=True) if there),
        hidden=tuple(name for name, there in zip(names, visible, strict=True) if not there),
        layers=cap.layers,
        share=share[0],
        lift=whole[0],
        by_layer=layered[0],
        by_head=np.where(np.isfinite(heads).all(-1, keepdims=True), shares(heads), np.nan).reshape(
            depth, -1, heads.shape[-1]
        ),
        draws=share[1:],
        layer_draws=layered[1:],
    )


def leader(share: Floats, draws: Floats) -> int | None:
    """Who of S leads; None for nobody.

    A leader has the largest share, at least 1.25 times chance, and keeps it in at least 95 % of the draws [D, S].
    """
    if not np.isfinite(share).all() or (share >= share.max() - _CLOSE).sum() != 1:
        return None
    at = int(share.argmax())
    if share[at] * len(share) < LEAST:
        return None
    known = draws[np.isfinite(draws).all(-1)]
    others = np.delete(known, at, axis=-1)
    kept = known[:, at] > others.max(-1) + _CLOSE if len(known) else np.zeros(0, bool)
    return at if len(kept) and kept.mean() >= LEVEL else None
