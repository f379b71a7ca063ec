"""A capture written by hand: bare h5py and numpy after docs/format.md, with nothing of attnscope's writer.

`build` invents a small model (queries and keys at random), runs the dense softmax in float64, and writes
every reading from it. What it returns is the oracle: whatever reads the file must agree with it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from tests.capture import invented

DIM = 8  # of a head
WIDTH = 32  # channels of a hidden state
READINGS = ("masses", "maps", "stats", "qk", "full", "hidden")


@dataclass
class Oracle:
    """What was written, dense and in float64."""

    path: Path
    tokens: pd.DataFrame
    layers: np.ndarray  # [L] numbers in the model
    attention: np.ndarray  # [L, H, P, P]
    lse: np.ndarray  # [L, H, P]
    allowed: np.ndarray  # [L, P, P] bool
    sinks: np.ndarray  # [L, P] bool
    sink_logits: np.ndarray | None  # [L, H]
    key_groups: pd.DataFrame  # name, family
    key_member: np.ndarray  # [G, P] bool
    query_groups: pd.DataFrame  # name, kind, ref
    query_member: np.ndarray  # [R, P] bool
    scene: dict[str, Any]
    frames: np.ndarray  # [F, 64, 96, 3] before JPEG
    times: np.ndarray  # [F]
    readings: dict[str, np.ndarray] = field(default_factory=dict)  # "masses/rows" -> array


def build(
    path: str | Path,
    *,
    layers: int = 4,
    heads: int = 4,
    kv_heads: int = 2,
    prompt: int = 60,
    generated: int = 3,
    speakers: int = 2,
    frames: int = 4,
    seed: int = 0,
    window: int | None = None,
    softcap: float | None = None,
    dtype: str = "float32",
    numbers: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    sink_logits: bool = False,
    explicit: bool = False,
    maps_dtype: str = "float32",
    readings: Sequence[str] = READINGS,
    qk: tuple[np.ndarray, np.ndarray] | None = None,
) -> Oracle:
    """Write a complete capture file and return the truth about it.

    Args:
        path: the file.
        layers: how many layers.
        heads: query heads.
        kv_heads: key heads, a divisor of `heads`.
        prompt: tokens of the prompt, at least 20 + 6 * frames + 5 * (speakers + 1).
        generated: tokens of the answer; the last has no position.
        speakers: how many; speaker s is not visible in frame s, and there is a turn more than speakers.
        frames: sampled frames, each of 2 x 3 visual tokens.
        seed: of everything.
        window: makes every second layer (the 2nd, 4th, ...) sliding.
        softcap: of the logits.
        dtype: float32, float16 or bfloat16, what q and k are rounded to.
        numbers: of the recorded layers in the model; by default 0, 1, ...
        names: of the speakers.
        sink_logits: gives every head a learned sink logit.
        explicit: the last layer has an explicit mask: visual tokens of one frame see each other.
        maps_dtype: float32 or float16.
        readings: which to write.
        qk: q [L, H, P, d] and k [L, Hkv, P, d] in place of the random ones (P = prompt + generated - 1).
    """
    random = np.random.default_rng(seed)
    names = list(names or invented.NAMES[:speakers])
    scene, turns = invented.scene(names, frames)
    tokens, text = invented.tokens(prompt, generated, names, turns, frames)
    P = len(tokens)
    numbers = list(range(layers)) if numbers is None else list(numbers)
    q, k = qk or (
        random.normal(0, 1.5, (layers, heads, P, DIM)),
        random.normal(0, 1.5, (layers, kv_heads, P, DIM)),
    )
    q, k = _round(q, dtype), _round(k, dtype)
    scale = 1 / np.sqrt(q.shape[-1])
    kinds, windows, which, allowed = _masks(tokens, layers, window, explicit)
    logits = random.normal(0, 1, (layers, heads)).astype(np.float32) if sink_logits else None
    attention, lse = _dense(q, k, scale, softcap, allowed, logits)
    sinks = _sinks(tokens, attention)
    key_groups, key_member = invented.key_groups(tokens, names)
    query_groups, query_member = invented.query_groups(tokens, names, turns, prompt)
    images = random.integers(0, 255, (frames, 4, 6, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    oracle = Oracle(
        path=Path(path),
        tokens=tokens,
        layers=np.array(numbers),
        attention=attention,
        lse=lse,
        allowed=allowed,
        sinks=sinks,
        sink_logits=logits,
        key_groups=key_groups,
        key_member=key_member,
        query_groups=query_groups,
        query_member=query_member,
        scene=scene,
        frames=images,
        times=np.arange(frames) * 0.5,
    )
    _masses(oracle)
    _maps(oracle)
    _stats(oracle)
    oracle.readings["full/attention"] = attention.astype(np.float32)
    _hidden(oracle, np.random.default_rng([seed, 1]).normal(0.3, 1, (layers + 1, prompt, WIDTH)))
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        _stamp(file, "attnscope-capture")
        file.attrs["attnscope-version"] = fixed("0.1.0")
        file.attrs["created"] = fixed("2026-11-20T12:00:00+00:00")
        _write_documents(file, oracle, text, prompt, generated, heads, kv_heads, dtype, readings)
        _write_sets(file, oracle, kinds, windows, which)
        _write_frames(file, oracle)
        _write_readings(file, oracle, readings, maps_dtype)
        if "qk" in readings:
            _write_qk(file, oracle, q, k, scale, softcap, dtype)
        file.attrs["complete"] = True
    return oracle


# ---- the model


def _round(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values as the dtype holds them, in float32."""
    if dtype == "bfloat16":  # half of the truncated 16 bits is added before they are cut off
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return bits.astype(np.uint32).view(np.float32)
    return values.astype(dtype).astype(np.float32)


def _masks(tokens: pd.DataFrame, layers: int, window: int | None, explicit: bool) -> tuple[Any, ...]:
    """Kind, window and explicit index of every layer, and allowed [L, P, P]."""
    i = np.arange(len(tokens))
    causal = i[None, :] <= i[:, None]
    kinds, windows, which, allowed = ["causal"] * layers, [-1] * layers, [-1] * layers, [causal] * layers
    if window is not None:
        for layer in range(1, layers, 2):
            kinds[layer], windows[layer] = "sliding", window
            allowed[layer] = causal & (i[None, :] > i[:, None] - window)
    if explicit:
        frame = tokens["frame_first"].to_numpy()
        kinds[-1], windows[-1], which[-1] = "explicit", -1, 0
        allowed[-1] = causal | ((frame[:, None] == frame[None, :]) & (frame[:, None] >= 0))
    return kinds, windows, which, np.stack(allowed)


def _dense(q, k, scale, softcap, allowed, logits):  # type: ignore[no-untyped-def]
    """Softmax attention [L, H, P, P] and its lse [L, H, P], in float64."""
    k = k.repeat(q.shape[1] // k.shape[1], axis=1)
    z = np.einsum("lhqd,lhkd->lhqk", q.astype(np.float64), k.astype(np.float64)) * scale
    if softcap:
        z = softcap * np.tanh(z / softcap)
    weight = np.where(allowed[:, None], np.exp(z), 0.0)
    total = weight.sum(-1)
    if logits is not None:
        total = total + np.exp(logits.astype(np.float64))[..., None]
    return weight / total[..., None], np.log(total)


def _sinks(tokens: pd.DataFrame, attention: np.ndarray) -> np.ndarray:
    """The first position, and of the visual ones the one that receives most, layer by layer."""
    received = attention.mean(axis=(1, 2))  # [L, P]
    received[:, (tokens["modality"] != "visual").to_numpy()] = -1
    sinks = np.zeros(received.shape, bool)
    sinks[:, 0] = True
    sinks[np.arange(len(sinks)), received.argmax(-1)] = True
    return sinks


# ---- readings, each a sum over the dense attention


def _masses(o: Oracle) -> None:
    probes = np.flatnonzero((o.tokens["modality"] != "visual").to_numpy())
    is_sink = (o.key_groups["family"] == "sink").to_numpy()
    # [L, G, P]: in the family of the sinks, only the members that are sinks in that layer
    member = np.where(is_sink[None, :, None], o.key_member[None] & o.sinks[:, None], o.key_member[None])
    mass = np.einsum("lhqk,lgk->lhqg", o.attention, member)
    count = np.einsum("lqk,lgk->lqg", o.allowed.astype(np.int64), member)
    flow, pairs = [], []
    prompt = (o.tokens["role"] != "answer").to_numpy()
    for group in o.key_member[~is_sink] & prompt:  # flow is of the prompt's queries
        some = group.any()
        flow.append(mass[:, :, group].mean(2) if some else np.full((*mass.shape[:2], mass.shape[3]), np.nan))
        pairs.append(count[:, group].sum(1))
    o.readings["masses/probes"] = probes.astype(np.int32)
    o.readings["masses/rows"] = mass[:, :, probes].astype(np.float32)
    o.readings["masses/rows_allowed"] = count[:, probes].astype(np.int32)
    o.readings["masses/flow"] = np.stack(flow, axis=2).astype(np.float32)
    o.readings["masses/flow_pairs"] = np.stack(pairs, axis=1).astype(np.int64)


def _maps(o: Oracle) -> None:
    rows = [o.attention[:, :, group].mean(2) for group in o.query_member]
    o.readings["maps/rows"] = np.stack(rows, axis=2).astype(np.float32)


def _stats(o: Oracle) -> None:
    probes = np.flatnonzero(o.query_member.any(0))
    logs = np.log(np.where(o.attention > 0, o.attention, 1))
    o.readings["stats/entropy"] = (-(o.attention * logs).sum(-1)).astype(np.float32)
    o.readings["stats/lse"] = o.lse.astype(np.float32)
    o.readings["stats/sink_mass"] = np.einsum("lhqk,lk->lhq", o.attention, o.sinks).astype(np.float32)
    o.readings["stats/probes"] = probes.astype(np.int32)
    o.readings["stats/max"] = o.attention[:, :, probes].max(-1).astype(np.float32)
    o.readings["stats/allowed"] = o.allowed.sum(-1).astype(np.int32)


def _hidden(o: Oracle, states: np.ndarray) -> None:
    """Sums over states [L + 1, N, D]: what the layers receive, and what leaves the last."""
    modality = o.tokens["modality"].to_numpy()[: states.shape[1]]
    groups = [np.ones(len(modality), bool), modality == "text", modality == "visual"]
    values = np.full((len(states), 3, min(states.shape[1:])), np.nan)
    residual = np.empty((len(states), 3))
    for g, some in enumerate(groups):
        x = states[:, some]
        values[:, g, : min(x.shape[1:])] = np.linalg.svd(x, compute_uv=False)
        residual[:, g] = np.sqrt(((x - x.mean(1, keepdims=True)) ** 2).sum((1, 2)) / (x**2).sum((1, 2)))
    o.readings["hidden/massive"] = (np.abs(states).max(-1) / np.sqrt((states**2).mean(-1))).astype(np.float32)
    o.readings["hidden/residual"] = residual.astype(np.float32)
    o.readings["hidden/singular_values"] = values.astype(np.float32)


# ---- the file, node by node as the specification lists them


def fixed(values: str | Sequence[str]) -> np.ndarray:
    """Fixed-length, null-padded UTF-8."""
    data = values.encode() if isinstance(values, str) else [value.encode() for value in values]
    longest = max([1, len(data)] if isinstance(data, bytes) else [1, *map(len, data)])
    return np.array(data, dtype=h5py.string_dtype("utf-8", longest))


def _stamp(node: Any, encoding: str) -> Any:
    node.attrs["encoding-type"] = fixed(encoding)
    node.attrs["encoding-version"] = fixed("1.0")
    return node


def write_json(group: h5py.Group, name: str, document: Any) -> None:
    text = json.dumps(document)
    node = _stamp(group.create_dataset(name, data=fixed(text)), "json")
    node.attrs["sha256"] = fixed(hashlib.sha256(text.encode("utf-8")).hexdigest())


def write_strings(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    options: dict[str, Any] = {"compression": "gzip", "fletcher32": True} if values else {}
    node = _stamp(group.create_dataset(name, data=fixed(values), **options), "strings")
    content = b"".join(value.encode("utf-8") + b"\0" for value in values)
    node.attrs["sha256"] = fixed(hashlib.sha256(content).hexdigest())


def write_array(group: h5py.Group, name: str, data: np.ndarray, dims: Sequence[str], unit: str = "1") -> None:
    data = np.asarray(data)
    chunk = tuple(
        1 if d in ("layer", "head", "kv_head") and data.ndim > 1 else n for d, n in zip(dims, data.shape, strict=True)
    )
    options: dict[str, Any] = {"chunks": chunk, "compression": "gzip", "fletcher32": True} if data.size else {}
    node = _stamp(group.create_dataset(name, data=data, **options), "array")
    node.attrs["dims"] = fixed(dims)
    node.attrs["unit"] = fixed(unit)


def _write_table(group: h5py.Group, name: str, frame: pd.DataFrame) -> None:
    table = _stamp(group.create_group(name), "table")
    units = {"time": "s"} | dict.fromkeys(("x0", "y0", "x1", "y1"), "pixel")
    for column in frame:
        dataset = column.replace("%", "%25").replace("/", "%2F")
        if frame[column].dtype.kind in "if":
            write_array(table, dataset, frame[column].to_numpy(), ["row"], units.get(column, "1"))
        else:
            write_strings(table, dataset, frame[column].tolist())
    table.attrs["columns"] = fixed(list(frame.columns))
    table.attrs["length"] = len(frame)


def _write_documents(
    file: h5py.File,
    o: Oracle,
    text: str,
    prompt: int,
    generated: int,
    heads: int,
    kv_heads: int,
    dtype: str,
    readings: Sequence[str],
) -> None:
    versions = {"attnscope": "0.1.0", "torch": "2.15.0", "transformers": "5.23.0", "python": "3.11"}
    model = {
        "id": "by-hand/random",
        "revision": None,
        "class": "ByHand",
        "family": "unknown",
        "config_sha256": "0" * 64,
        **{"weights": None, "origin": "checkpoint", "wrapper": None},
        "dtype": dtype,
        "device": "cpu",
        "attention": "sdpa",
        "layers": int(o.layers.max()) + 1,
        "heads": heads,
        "kv_heads": kv_heads,
        "versions": versions,
    }
    plan = {r: r in readings for r in READINGS} | {"coverage": 0.5}
    run = {
        "plan": plan,
        "sampling": {"frames": len(o.frames), "fps": None, "start": None, "end": None},
        "max_new_tokens": generated,
        "load": {"dtype": dtype},
        "template": "{speaker}: {text}",
    }
    answer = {
        "text": "".join(f"a{i}" for i in range(generated)),
        "tokens": [
            {"id": (prompt + i) * 7 % 101, "text": f"a{i}", "logprob": -1.5 * (i + 1)} for i in range(generated)
        ],
        "options": [
            {"text": option, "tokens": [i], "logprob": -1.0 - i} for i, option in enumerate(o.scene["options"])
        ],
        "first": [],
    }
    checks = [{"name": "logits", "value": 2e-6, "tolerance": 1e-4, "passed": True}]
    write_json(file, "model", model)
    write_json(file, "scene", o.scene)
    write_json(file, "run", run)
    write_json(file, "prompt", {"text": text, "length": prompt})
    write_json(file, "answer", answer)
    write_json(file, "check", {"verified": True, "passed": True, "checks": checks})


def _write_sets(file: h5py.File, o: Oracle, kinds: list[str], windows: list[int], which: list[int]) -> None:
    write_array(file, "layers", o.layers.astype(np.int32), ["layer"])
    _write_table(file, "tokens", o.tokens)
    write_array(file, "sinks", o.sinks.astype(np.uint8), ["layer", "key"])
    if o.sink_logits is not None:
        write_array(file, "sink_logits", o.sink_logits, ["layer", "head"])
    keys = _stamp(file.create_group("key_groups"), "key-groups")
    write_strings(keys, "name", o.key_groups["name"].tolist())
    write_strings(keys, "family", o.key_groups["family"].tolist())
    write_array(keys, "member", o.key_member.astype(np.uint8), ["key_group", "key"])
    queries = _stamp(file.create_group("query_groups"), "query-groups")
    for column in ("name", "kind", "ref"):
        write_strings(queries, column, o.query_groups[column].tolist())
    write_array(queries, "member", o.query_member.astype(np.uint8), ["query_group", "query"])
    mask = _stamp(file.create_group("mask"), "mask")
    write_strings(mask, "kind", kinds)
    write_array(mask, "window", np.array(windows, np.int32), ["layer"], "token")
    write_array(mask, "explicit", np.array(which, np.int32), ["layer"])
    if max(which) >= 0:
        packed = np.packbits(o.allowed[which.index(0)], axis=1, bitorder="big")
        write_array(mask, "explicit_0", packed, ["query", "byte"])


def _write_frames(file: h5py.File, o: Oracle) -> None:
    frames = _stamp(file.create_group("frames"), "frames")
    frames.attrs.update({"kind": fixed("video"), "width": invented.WIDTH, "height": invented.HEIGHT})
    write_array(frames, "index", (np.arange(len(o.frames)) * 12).astype(np.int32), ["row"])
    write_array(frames, "time", o.times, ["row"], "s")
    jpeg = _stamp(frames.create_group("jpeg"), "bytes")
    items = []
    for image in o.frames:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=95)
        items.append(buffer.getvalue())
    write_array(jpeg, "data", np.frombuffer(b"".join(items), np.uint8), ["byte"])
    write_array(jpeg, "end", np.cumsum([len(item) for item in items]).astype(np.int64), ["row"], "byte")


DIMS = {
    "masses/probes": (["probe"], "1"),
    "masses/rows": (["layer", "head", "probe", "key_group"], "1"),
    "masses/rows_allowed": (["layer", "probe", "key_group"], "key"),
    "masses/flow": (["layer", "head", "query_group", "key_group"], "1"),
    "masses/flow_pairs": (["layer", "query_group", "key_group"], "pair"),
    "maps/rows": (["layer", "head", "query_group", "key"], "1"),
    "stats/entropy": (["layer", "head", "query"], "nat"),
    "stats/lse": (["layer", "head", "query"], "nat"),
    "stats/sink_mass": (["layer", "head", "query"], "1"),
    "stats/probes": (["probe"], "1"),
    "stats/max": (["layer", "head", "probe"], "1"),
    "stats/allowed": (["layer", "query"], "key"),
    "full/attention": (["layer", "head", "query", "key"], "1"),
    "hidden/massive": (["state", "prompt"], "1"),
    "hidden/residual": (["state", "group"], "1"),
    "hidden/singular_values": (["state", "group", "component"], "1"),
}


def _write_readings(file: h5py.File, o: Oracle, readings: Sequence[str], maps_dtype: str) -> None:
    for node, (dims, unit) in DIMS.items():
        reading, name = node.split("/")
        if reading in readings:
            group = file[reading] if reading in file else _stamp(file.create_group(reading), reading)
            data = o.readings[node].astype(maps_dtype) if reading == "maps" else o.readings[node]
            write_array(group, name, data, dims, unit)
    if "hidden" in readings:
        file["hidden"].attrs["width"] = WIDTH
        write_strings(file["hidden"], "group", ["all", "text", "visual"])


def _write_qk(
    file: h5py.File, o: Oracle, q: np.ndarray, k: np.ndarray, scale: float, softcap: float | None, dtype: str
) -> None:
    qk = _stamp(file.create_group("qk"), "qk")
    for layer, number in enumerate(o.layers):
        group = _stamp(qk.create_group(str(number)), "qk-layer")
        group.attrs["scale"] = float(scale)
        group.attrs["softcap"] = float("nan") if softcap is None else softcap
        group.attrs["logical-dtype"] = fixed(dtype)
        for name, data, dims in (
            ("q", q, ["head", "query", "channel"]),
            ("k", k, ["kv_head", "key", "channel"]),
        ):
            stored = data[layer].astype(np.float32)
            if dtype == "bfloat16":
                stored = (stored.view(np.uint32) >> 16).astype(np.uint16)
            write_array(group, name, stored.astype(np.uint16 if dtype == "bfloat16" else dtype), dims)
        if o.sink_logits is not None:
            write_array(group, "sink_logits", o.sink_logits[layer], ["head"])
