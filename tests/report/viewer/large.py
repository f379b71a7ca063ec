"""A capture as large as a usual one: a small one whose layers and heads are repeated, each with numbers of its own."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from attnscope.capture.file import encode
from tests.metrics.sketch import draw, room

NAMES = ("Ann", "Ben", "Cleo")
TURNS = [(NAMES[i % 3], float(i), i + 0.8) for i in range(12)]


def large(path: Path, *, layers: int = 28, heads: int = 28, frames: int = 100, row: int = 15, words: int = 8) -> Path:
    """Write it: `frames` x (`row` + 4) visual tokens; maps and masses, no queries and keys."""
    seats = [[0, 1, 2]] * frames
    sketch = room(NAMES, TURNS, times=np.linspace(0, 12, frames).tolist(), seats=seats, words=words, generated=3)
    visual = [token for token in sketch.tokens if token.modality == "visual"]
    at = sketch.tokens.index(visual[-1]) + 1
    for frame in range(frames):  # more background beside the people
        for cell in range(row):
            token = type(visual[0])("visual", "visual", frames=(frame, frame), cell=4 + cell, covered=[])
            sketch.tokens.insert(at, token)
            at += 1
    sketch.scene["question"] = "Who does Ben ask?"
    draw(path, sketch, readings=("masses", "maps"))
    with h5py.File(path, "r+") as file:
        _repeat(file, layers, heads)
        model = json.loads(file["model"][()]) | {"layers": layers, "heads": heads, "kv_heads": heads}
        del file["model"]
        encode.write_json(file, "model", model)
    return path


def _repeat(file: h5py.File, layers: int, heads: int) -> None:
    rng = np.random.default_rng(0)
    arrays: list[tuple[str, list[str]]] = []
    file.visititems(
        lambda name, node: (
            arrays.append((name, [d.decode() for d in node.attrs["dims"]]))
            if "dims" in node.attrs and {"layer", "head"} & {d.decode() for d in node.attrs["dims"]}
            else None
        )
    )
    for name, dims in arrays:
        parent, _, leaf = name.rpartition("/")
        old = file[name][()]
        repeats = [{"layer": layers, "head": heads}.get(dim, 1) for dim in dims]
        new = np.tile(old, repeats)
        if name == "layers":
            new = np.arange(layers, dtype=np.int32)
        if name == "maps/rows":
            new = new * rng.lognormal(0, 1, new.shape).astype(np.float32)
            new /= new.sum(-1, keepdims=True)
        del file[name]
        encode.write_array(file[parent] if parent else file, leaf, new, dims)
    kinds = file["mask/kind"][()]
    del file["mask/kind"]
    encode.write_strings(file["mask"], "kind", ["causal"] * (layers * len(kinds)))
