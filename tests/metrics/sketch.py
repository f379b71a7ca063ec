"""Small captures drawn by hand: every token and every attention weight is the test's own.

`draw` writes a complete file from a list of tokens and an attention array; `room` lists the tokens of a scene
in which speakers stand side by side, one cell each, with one cell of background.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from attnscope.capture.file import encode
from attnscope.capture.record.groups import key_groups, query_groups
from attnscope.vocabulary import READINGS

CELL = 32  # pixels


@dataclass
class Token:
    """One position; `cell` is the column of its grid cell, `covered` the speakers whose box covers it."""

    modality: str
    role: str
    turn: int = -1
    speaker: str = ""
    frames: tuple[int, int] = (-1, -1)
    cell: int = -1
    covered: Sequence[str] = ()


@dataclass
class Sketch:
    """A scene and its tokens."""

    tokens: list[Token]
    scene: dict[str, Any]
    times: list[float] = field(default_factory=lambda: [0.0])
    generated: int = 0  # how many of the tokens are generated ones
    kind: str = "video"

    @property
    def width(self) -> int:
        return CELL * max(1, 1 + max((t.cell for t in self.tokens), default=0))

    def where(self, **values: Any) -> np.ndarray:
        """Positions whose tokens have all these fields."""
        return np.array([all(getattr(t, k) == v for k, v in values.items()) for t in self.tokens], dtype=bool)

    def cells_of(self, speaker: str) -> np.ndarray:
        """Positions that show a speaker."""
        return np.array([speaker in t.covered for t in self.tokens], dtype=bool)


def room(
    speakers: Sequence[str] = ("Ann", "Ben"),
    turns: Sequence[tuple[str | None, float | None, float | None]] = (("Ann", 0.0, 0.4), ("Ben", 0.6, 1.4)),
    times: Sequence[float] = (0.0, 1.0),
    hidden: Sequence[tuple[str, int]] = (),
    seats: Sequence[Sequence[int]] = (),
    words: int = 2,
    question: int = 2,
    generated: int = 0,
    kind: str = "video",
) -> Sketch:
    """<s> system | frames: a cell for every speaker, one of background | turns | question | </s> | answer.

    Args:
        speakers: who has a box.
        turns: who speaks, from, to.
        times: of the frames.
        hidden: (speaker, frame) at which a box is away.
        seats: cell of each speaker in each frame; by default all keep their places.
        words: tokens of a turn.
        question: tokens of the question.
        generated: tokens that were fed back.
        kind: of the frames.
    """
    tokens = [Token("special", "template"), Token("text", "system")]
    seats = seats or [range(len(speakers))] * len(times)
    for f in range(len(times)):
        for c in range(len(speakers) + 1):
            seen = [s for s, seat in zip(speakers, seats[f], strict=True) if seat == c and (s, f) not in hidden]
            tokens.append(Token("visual", "visual", frames=(f, f), cell=c, covered=seen))
    for t, (who, _, _) in enumerate(turns):
        tokens += [Token("text", "transcript", turn=t, speaker=who or "") for _ in range(words)]
    tokens += [Token("text", "question") for _ in range(question)]
    tokens.append(Token("special", "template"))
    tokens += [Token("text", "answer") for _ in range(generated)]
    boxes = {
        name: {
            "segments": [
                {"start": t, "end": t, "keyframes": [{"t": t, "xyxy": [c * CELL, 0, (c + 1) * CELL, CELL]}]}
                for t, c, f in zip(times, (seat[row] for seat in seats), range(len(times)), strict=True)
                if (name, f) not in hidden
            ]
        }
        for row, name in enumerate(speakers)
    }
    scene = {
        "video": "/nowhere/clip.mp4",
        "speakers": {name: box for name, box in boxes.items() if box["segments"]},
        "transcript": [{"speaker": w, "text": "words", "start": a, "end": b} for w, a, b in turns],
        "question": "Who?" if question else None,
        "options": list(speakers) if question else [],
        "answer": speakers[0] if question and speakers else None,
        "box_units": "pixels",
    }
    return Sketch(tokens, scene, list(times), generated, kind)


def causal(n: int) -> np.ndarray:
    """Allowed pairs [n, n]."""
    return np.tril(np.ones((n, n), dtype=bool))


def softmax(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Attention [..., P, P] in float64."""
    weight = np.where(allowed, np.exp(logits - np.where(allowed, logits, -np.inf).max(-1, keepdims=True)), 0.0)
    return weight / weight.sum(-1, keepdims=True)


def draw(
    path: Path,
    sketch: Sketch,
    attention: np.ndarray | None = None,
    *,
    allowed: np.ndarray | None = None,
    sinks: Sequence[int] = (0,),
    numbers: Sequence[int] | None = None,
    readings: Sequence[str] = ("masses", "maps", "full"),
    correction: list[dict[str, Any]] | None = None,
    answer: dict[str, Any] | None = None,
    check: dict[str, Any] | None = None,
    hidden: np.ndarray | None = None,
    kv_heads: int | None = None,
) -> Path:
    """Write a capture.

    Args:
        path: the file.
        sketch: scene and tokens.
        attention: [L, H, P, P]; by default even over the allowed keys, one layer and head.
        allowed: [P, P]; by default causal.
        sinks: positions of the sinks, in every layer.
        numbers: of the layers in the model.
        readings: which to write.
        correction, answer, check: the documents, by default none, options of equal probability, passed.
        hidden: [L + 1, N, D] what the layers receive, and what leaves the last; with it the reading `hidden`.
        kv_heads: of keys; by default as many as of queries.
    """
    n = len(sketch.tokens)
    mask = causal(n) if allowed is None else allowed
    attention = softmax(np.zeros((1, 1, n, n)), mask) if attention is None else attention
    layers, heads = attention.shape[:2]
    numbers = list(range(layers)) if numbers is None else list(numbers)
    tokens = _table(sketch)
    prompt = n - sketch.generated
    readings = [*readings, "hidden"] if hidden is not None else readings
    is_sink = np.zeros((layers, n), dtype=bool)
    is_sink[:, list(sinks)] = True
    with encode.create_file(path) as file:
        encode.set_attributes(file, attnscope_version="0.1.0", created="2026-11-20T12:00:00+00:00")
        _documents(file, sketch, prompt, (heads, kv_heads or heads), numbers, readings, answer, check)
        if correction is not None:
            encode.write_json(file, "correction", correction)
        encode.write_array(file, "layers", np.array(numbers, np.int32), ["layer"])
        encode.write_tokens(file, tokens)
        _frames(file, sketch)
        encode.write_array(file, "sinks", is_sink, ["layer", "key"])
        _readings(file, tokens, prompt, attention, mask, is_sink, readings)
        if hidden is not None:
            _hidden(file, tokens["modality"].to_numpy()[:prompt], hidden)
        file.attrs["complete"] = True
    return path


def _table(sketch: Sketch) -> pd.DataFrame:
    rows = []
    for i, t in enumerate(sketch.tokens):
        placed = t.cell >= 0
        row = {
            "position": i,
            "token_id": i,
            "text": "w ",
            "char_start": -1,
            "char_end": -1,
            "modality": t.modality,
            "role": t.role,
            "turn": t.turn,
            "speaker": t.speaker,
            "frame_first": t.frames[0],
            "frame_last": t.frames[1],
            "time": sketch.times[t.frames[0]] if t.frames[0] >= 0 else np.nan,
            "grid_y": 0 if placed else -1,
            "grid_x": t.cell,
            "x0": t.cell * CELL if placed else np.nan,
            "y0": 0 if placed else np.nan,
            "x1": (t.cell + 1) * CELL if placed else np.nan,
            "y1": CELL if placed else np.nan,
            "note": "",
        }
        for name in sketch.scene["speakers"]:
            row[f"covered:{name}"] = float(name in t.covered) if placed else np.nan
        rows.append(row)
    table = pd.DataFrame(rows)
    whole = [
        "position",
        "token_id",
        "char_start",
        "char_end",
        "turn",
        "frame_first",
        "frame_last",
        "grid_y",
        "grid_x",
    ]
    single = ["x0", "y0", "x1", "y1", *(c for c in table if str(c).startswith("covered:"))]
    return table.astype(dict.fromkeys(whole, np.int32) | dict.fromkeys(single, np.float32) | {"time": np.float64})


def _documents(
    file: h5py.File,
    sketch: Sketch,
    prompt: int,
    heads: tuple[int, int],
    numbers: list[int],
    readings: Sequence[str],
    answer: dict[str, Any] | None,
    check: dict[str, Any] | None,
) -> None:
    model = {
        "id": "drawn/by-hand",
        "revision": None,
        "class": "Drawn",
        "family": "unknown",
        "config_sha256": "0" * 64,
        **{"weights": None, "origin": "checkpoint", "wrapper": None},
        "dtype": "float32",
        "device": "cpu",
        "attention": "sdpa",
        "layers": max(numbers) + 1,
        "heads": heads[0],
        "kv_heads": heads[1],
        "versions": {"attnscope": "0.1.0", "torch": "2.15.0"},
    }
    options = [{"text": o, "tokens": [1], "logprob": -1.0} for o in sketch.scene["options"]]
    documents = {
        "model": model,
        "scene": sketch.scene,
        "run": {
            "plan": {r: r in readings for r in READINGS} | {"coverage": 0.5},
            "sampling": {"frames": len(sketch.times)},
            "max_new_tokens": sketch.generated + 1,
            "load": {},
            "template": "{speaker}: {text}",
        },
        "prompt": {"text": "w " * prompt, "length": prompt, "warnings": [], "placing": _placing(sketch)},
        "answer": {"first": []}
        | (answer or {"text": "Ann", "tokens": [{"id": 1, "text": "Ann", "logprob": -1.0}], "options": options}),
        "check": check
        or {
            "verified": True,
            "passed": True,
            "checks": [{"name": "conservation", "value": 1e-7, "tolerance": 1e-5, "passed": True}],
        },
    }
    for name, document in documents.items():
        encode.write_json(file, name, document)


def _placing(sketch: Sketch) -> dict[str, Any]:
    placed = any(token.cell >= 0 and token.modality == "visual" for token in sketch.tokens)
    return {
        "how": "layout" if placed else "none",
        "verified": None,
        "reason": "" if placed else "family drawn has no layout",
    }


def _frames(file: h5py.File, sketch: Sketch) -> None:
    group = encode.create_group(file, "frames", "frames")
    encode.set_attributes(group, kind=sketch.kind, width=sketch.width, height=CELL)
    encode.write_array(group, "index", np.arange(len(sketch.times), dtype=np.int32), ["row"])
    encode.write_array(group, "time", np.array(sketch.times, np.float64), ["row"], "s")
    jpegs = []
    for f in range(len(sketch.times)):
        buffer = io.BytesIO()
        shade = np.linspace(40, 220, sketch.width * CELL).reshape(CELL, sketch.width)[..., None].repeat(3, -1)
        Image.fromarray(np.roll(shade, f * 9, 1).astype(np.uint8)).save(buffer, "JPEG")
        jpegs.append(buffer.getvalue())
    encode.write_bytes(group, "jpeg", jpegs)


def _readings(
    file: h5py.File,
    tokens: pd.DataFrame,
    prompt: int,
    attention: np.ndarray,
    mask: np.ndarray,
    is_sink: np.ndarray,
    readings: Sequence[str],
) -> None:
    layers, _, n, _ = attention.shape
    asked = tokens.iloc[:prompt]
    keys, queries = key_groups(asked, 0.5), query_groups(asked)
    member = keys.extended(n)
    group = encode.create_group(file, "key_groups", "key-groups")
    encode.write_strings(group, "name", keys.names)
    encode.write_strings(group, "family", keys.families)
    encode.write_array(group, "member", member, ["key_group", "key"])
    rows = np.zeros((len(queries.names) + n - prompt, n), dtype=bool)
    rows[: len(queries.names), :prompt] = queries.member
    rows[len(queries.names) + np.arange(n - prompt), prompt + np.arange(n - prompt)] = True
    fed = range(n - prompt)
    group = encode.create_group(file, "query_groups", "query-groups")
    encode.write_strings(group, "name", [*queries.names, *(f"generated:{k}" for k in fed)])
    encode.write_strings(group, "kind", [*queries.kinds, *("generated" for _ in fed)])
    encode.write_strings(group, "ref", [*queries.refs, *(str(k) for k in fed)])
    encode.write_array(group, "member", rows, ["query_group", "query"])
    plain = np.array_equal(mask, causal(n))
    group = encode.create_group(file, "mask", "mask")
    encode.write_strings(group, "kind", ["causal" if plain else "explicit"] * layers)
    encode.write_array(group, "window", np.full(layers, -1, np.int32), ["layer"])
    encode.write_array(group, "explicit", np.full(layers, -1 if plain else 0, np.int32), ["layer"])
    if not plain:
        encode.write_array(group, "explicit_0", np.packbits(mask, axis=1), ["query", "byte"])
    if "masses" in readings:
        _masses(file, tokens, prompt, attention, mask, member, keys.is_sink, is_sink)
    if "maps" in readings:
        maps = np.stack([attention[:, :, row].mean(2) for row in rows], axis=2).astype(np.float32)
        group = encode.create_group(file, "maps", "maps")
        encode.write_array(group, "rows", maps, ["layer", "head", "query_group", "key"])
    if "full" in readings:
        group = encode.create_group(file, "full", "full")
        encode.write_array(group, "attention", attention.astype(np.float32), ["layer", "head", "query", "key"])


def _hidden(file: h5py.File, modality: np.ndarray, hidden: np.ndarray) -> None:
    """Each number after its definition; the singular values from numpy's own decomposition."""
    states, n, width = hidden.shape
    chosen = [np.ones(n, bool), modality == "text", modality == "visual"]
    residual = np.full((states, 3), np.nan, np.float32)
    values = np.full((states, 3, min(n, width)), np.nan, np.float32)
    for s in range(states):
        for g, some in enumerate(chosen):
            x = hidden[s, some]
            if len(x) and np.isfinite(x).all():
                values[s, g, : min(x.shape)] = np.linalg.svd(x, compute_uv=False)
                if x.any():
                    residual[s, g] = np.linalg.norm(x - x.mean(0)) / np.linalg.norm(x)
    with np.errstate(invalid="ignore"):
        massive = np.abs(hidden).max(-1) / np.sqrt((hidden**2).mean(-1))
    group = encode.create_group(file, "hidden", "hidden")
    encode.set_attributes(group, width=width)
    encode.write_strings(group, "group", ["all", "text", "visual"])
    encode.write_array(group, "massive", massive.astype(np.float32), ["state", "prompt"])
    encode.write_array(group, "residual", residual, ["state", "group"])
    encode.write_array(group, "singular_values", values, ["state", "group", "component"])


def _masses(
    file: h5py.File,
    tokens: pd.DataFrame,
    prompt: int,
    attention: np.ndarray,
    mask: np.ndarray,
    member: np.ndarray,
    of_sinks: np.ndarray,
    is_sink: np.ndarray,
) -> None:
    by_layer = np.where(of_sinks[None, :, None], member[None] & is_sink[:, None], member[None])  # [L, G, P]
    mass = np.einsum("lhqk,lgk->lhqg", attention, by_layer)
    count = np.einsum("qk,lgk->lqg", mask.astype(np.int64), by_layer)
    probes = np.flatnonzero((tokens["modality"] != "visual").to_numpy())
    flow, pairs = [], []
    for queries in member[~of_sinks]:
        asked = queries & (np.arange(len(queries)) < prompt)
        empty = np.full((*mass.shape[:2], mass.shape[3]), np.nan)
        flow.append(mass[:, :, asked].mean(2) if asked.any() else empty)
        pairs.append(count[:, asked].sum(1))
    group = encode.create_group(file, "masses", "masses")
    encode.write_array(group, "probes", probes.astype(np.int32), ["probe"])
    encode.write_array(group, "rows", mass[:, :, probes].astype(np.float32), ["layer", "head", "probe", "key_group"])
    encode.write_array(group, "rows_allowed", count[:, probes].astype(np.int32), ["layer", "probe", "key_group"])
    dims = ["layer", "head", "query_group", "key_group"]
    encode.write_array(group, "flow", np.stack(flow, 2).astype(np.float32), dims)
    encode.write_array(group, "flow_pairs", np.stack(pairs, 1).astype(np.int64), ["layer", "query_group", "key_group"])
