"""Captures of queries and keys alone, as large as a real model's, made without a model: the numbers are random.

The writer, the number types, the chunks and the filters are those of every capture, and `attnscope validate` finds
nothing wrong. Channels differ in size, as those of real queries and keys do, so that compression is no easier.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from attnscope.capture.file import encode
from attnscope.capture.file.bits import bfloat16_bits
from attnscope.capture.file.specification import rule_of
from attnscope.capture.file.writer import CaptureWriter
from attnscope.vocabulary import READINGS
from tests.capture import invented

SPEAKERS, FRAMES = ["Ann", "Ben"], 8


@dataclass(frozen=True)
class Shape:
    """What a capture is of.

    Attributes:
        layers: Layers.
        heads: Query heads.
        kv_heads: Key heads.
        width: Channels of a head.
        dtype: Of queries and keys.
        tokens: Positions.
    """

    layers: int
    heads: int
    kv_heads: int
    width: int
    dtype: str
    tokens: int = 8192


def write(path: Path, shape: Shape) -> Path:
    """Write a capture.

    Args:
        path: Where.
        shape: What it is of.

    Returns:
        The path.
    """
    rng = np.random.default_rng(0)
    with CaptureWriter(path) as writer:
        for layer in range(shape.layers):
            for name, heads in (("q", shape.heads), ("k", shape.kv_heads)):
                values = rng.normal(0, 1, (heads, shape.tokens, shape.width)).astype(np.float32)
                values *= np.exp(rng.normal(0, 0.7, shape.width)).astype(np.float32)
                stored = bfloat16_bits(values) if shape.dtype == "bfloat16" else values.astype(shape.dtype)
                node = f"qk/{layer}/{name}"
                writer.create(node, stored.shape, stored.dtype, rule_of(f"/{node}").dims)
                writer.put(node, ..., stored)
        return writer.finish(lambda file: _describe(file, shape))


def _describe(file: h5py.File, shape: Shape) -> None:
    """Everything that is not a reading."""
    for layer in range(shape.layers):
        about = {"scale": shape.width**-0.5, "softcap": np.nan, "logical_dtype": shape.dtype}
        encode.set_attributes(file[f"qk/{layer}"], **about)
    scene, turns = invented.scene(SPEAKERS, FRAMES)
    tokens, text = invented.tokens(shape.tokens, 1, SPEAKERS, turns, FRAMES)
    tokens.insert(tokens.columns.tolist().index("y1") + 1, "note", "")
    keys, key_member = invented.key_groups(tokens, SPEAKERS)
    queries, query_member = invented.query_groups(tokens, SPEAKERS, turns, shape.tokens)
    nodes: dict[str, Any] = _documents(shape, scene, text)
    nodes |= {"/layers": list(range(shape.layers))}
    nodes |= {f"/key_groups/{name}": keys[name].tolist() for name in keys} | {"/key_groups/member": key_member}
    nodes |= {f"/query_groups/{name}": queries[name].tolist() for name in queries}
    nodes |= {"/query_groups/member": query_member, "/mask/kind": ["causal"] * shape.layers}
    nodes |= {"/mask/window": [-1] * shape.layers, "/mask/explicit": [-1] * shape.layers}
    nodes |= {"/frames/index": np.arange(FRAMES) * 12, "/frames/time": np.arange(FRAMES) * 0.5}
    for path, values in nodes.items():
        encode.write(file, path, values)
    encode.write_tokens(file, tokens)
    encode.set_attributes(file["frames"], kind="video", width=invented.WIDTH, height=invented.HEIGHT)
    image = io.BytesIO()
    Image.new("RGB", (invented.WIDTH, invented.HEIGHT)).save(image, "JPEG")
    encode.write(file, "/frames/jpeg", [image.getvalue()] * FRAMES)


def _documents(shape: Shape, scene: dict[str, Any], text: str) -> dict[str, Any]:
    versions = dict.fromkeys(("attnscope", "torch", "transformers", "python"), "0")
    model: dict[str, Any] = {
        "id": "random",
        "revision": None,
        "class": "Random",
        "family": "unknown",
        "config_sha256": "0" * 64,
    }
    model |= {"weights": None, "origin": "memory", "wrapper": None, "dtype": shape.dtype, "device": "cpu"}
    model |= {"attention": "sdpa", "layers": shape.layers, "heads": shape.heads, "kv_heads": shape.kv_heads}
    plan = {reading: reading == "qk" for reading in READINGS} | {"coverage": 0.5, "sink_mass": 0.05, "sink_ratio": 10.0}
    token = {"id": shape.tokens * 7 % 101, "text": "a0", "logprob": -1.0}
    options = [{"text": option, "tokens": [1], "logprob": -1.0} for option in scene["options"]]
    return {
        "/model": model | {"versions": versions},
        "/scene": scene,
        "/run": {
            "plan": plan,
            "sampling": None,
            "max_new_tokens": 1,
            "load": {},
            "template": "{speaker}: {text}",
        },
        "/prompt": {
            "text": text,
            "length": shape.tokens,
            "placing": {"how": "layout", "verified": None, "reason": ""},
        },
        "/answer": {"text": "a0", "tokens": [token], "options": options, "first": []},
        "/check": {"verified": False, "passed": None, "checks": []},
    }
