"""The summed-up hidden states of a capture: what their definitions allow, and that they agree with one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.facts import Facts, Floats
from attnscope.capture.check.problems import Problem
from attnscope.vocabulary import hidden_groups, of_modality

TOLERANCE = 1e-5  # of parts of a squared norm: float32 rounding, ours


def check_hidden(facts: Facts) -> Iterator[Problem]:
    """Every layer's input, and the end of the stream."""
    cap, store = facts.cap, facts.store
    names = store.strings("/hidden/group")
    groups = list(hidden_groups(cap.modalities))
    if names != groups:
        yield Problem("/hidden/group", f"is {names}, not {groups}")
        return
    width = store.whole("/hidden", "width")
    prompt = cap.tokens[: cap.prompt_length]
    tokens = np.array([len(prompt), *(of_modality(prompt, name).sum() for name in names[1:])])
    for state, number in enumerate([*cap.layers.tolist(), int(cap.model["layers"])]):
        ratios = store.read("/hidden/massive", state).astype(np.float64)
        most = np.sqrt(width)
        for (at,) in np.argwhere((ratios < 1 - TOLERANCE) | (ratios > most * (1 + TOLERANCE)))[:1]:
            what = f"{ratios[at]:.6g} is not from 1 to the root of {width} channels"
            yield Problem("/hidden/massive", f"layer {number} position {at}: {what}")
        residual = store.read("/hidden/residual", state).astype(np.float64)  # [G]
        values = store.read("/hidden/singular_values", state).astype(np.float64)  # [G, K]
        for group in np.flatnonzero((residual < 0) | (residual > 1 + TOLERANCE))[:1]:
            what = f"{residual[group]:.6g} is not from 0 to 1"
            yield Problem("/hidden/residual", f"layer {number} group '{names[group]}': {what}")
        for node, what in _spectra(names, np.minimum(tokens, width), residual, values):
            yield Problem(f"/hidden/{node}", f"layer {number} {what}")


def _spectra(
    names: list[str], ranks: npt.NDArray[np.int64], residual: Floats, values: Floats
) -> Iterator[tuple[str, str]]:
    """What is wrong with the singular values of one layer: the node and what."""
    for name, rank, left, spectrum in zip(names, ranks.tolist(), residual, values, strict=True):
        known = np.isfinite(spectrum)
        if not np.array_equal(known, np.arange(len(spectrum)) < rank) and known.any():
            yield "singular_values", f"group '{name}': {known.sum()} are there, not {rank}"
        elif (np.diff(spectrum[:rank]) > 0).any() or (spectrum[:rank] < 0).any():
            yield "singular_values", f"group '{name}': they are negative or increase"
        elif np.isnan(left) == (known.any() and spectrum[0] > 0):
            yield "residual", f"group '{name}': {left:.6g}, where the largest singular value is {_first(spectrum):.6g}"
        elif not np.isnan(left) and left**2 < 1 - spectrum[0] ** 2 / np.square(spectrum[:rank]).sum() - TOLERANCE:
            # Equal rows are of rank one, and nothing of rank one takes away more than the largest singular value.
            yield "residual", f"group '{name}': {left:.6g} is less than the singular values leave"
    for name, spectrum in zip(names[1:], values[1:], strict=True):
        # Taking rows away makes no singular value larger (Cauchy's interlacing).
        over = np.flatnonzero(spectrum > values[0] * (1 + TOLERANCE) + TOLERANCE * np.nan_to_num(values[0, :1]))
        if len(over) and np.isfinite(values[0]).any():
            yield "singular_values", f"group '{name}': number {over[0]} is larger than that of all tokens"
    whole, *parts = np.square(values)
    if np.isfinite(whole).any() and np.nansum(parts) > np.nansum(whole) * (1 + TOLERANCE):
        yield "singular_values", f"group '{names[0]}': its norm is smaller than that of its parts"


def _first(values: Floats) -> float:
    return float(values[0]) if len(values) else np.nan
